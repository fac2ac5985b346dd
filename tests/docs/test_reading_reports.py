"""The guides that walk through reports: their words are those of the reports, and their pictures are there."""

import re
import sys
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

from equipoise.report.explored.explored_page import explored_page
from equipoise.report.explored.figures import MARKS
from equipoise.report.explored.words import answer
from equipoise.report.fitted.collect import collect_fit
from equipoise.report.fitted.render import render_fit_html
from tests.report.explored.made import curve, point
from tests.report.explored.made import record as exploration
from tests.report.fitted.constructed import curve as losses_over_steps
from tests.report.fitted.constructed import entrant, losses, record

DOCS = Path(__file__).parents[2] / "docs"
FIT = (DOCS / "guides" / "reading-a-fit.md").read_text()
FRONT = (DOCS / "guides" / "reading-a-front.md").read_text()
AUDIT = (DOCS / "reading-an-audit.md").read_text()
ENDS = (point("S1", (0.0, 1.0)), point("S2", (1.0, 0.0)))


def plain(page):
    """A page's words without emphasis, in one line."""
    return " ".join(page.replace("*", "").split())


def headings(page):
    return re.findall(r"^## (.+)$", page, re.MULTILINE)


def badges(page):
    """First cells of the table of badges, without its head."""
    rows = page.split("| Badge |")[1].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


@pytest.fixture(scope="module")
def fitted():
    """A record whose page has every section."""
    joint = entrant("joint", losses(0.7), curve=losses_over_steps("ab"))
    tuned = entrant("weights", losses(0.75), weights={"a": 0.2, "b": 0.8}, settings={"trial": "3 of 8"})
    return record(joint, tuned, entrant("separate", losses(1.0)), entrant("boosting", losses(1.3)))


def test_every_badge_of_a_fit_is_explained():
    source = files("equipoise.report").joinpath("fitted/collect.py").read_text()
    table = source.split("_BADGES = {")[1].split("}")[0]
    words = set(re.findall(r'\("\w+", "([^"]+)"\)', table))
    assert "Depends on the target" in words
    assert set(badges(FIT)) == words | {f"{one} for some targets" for one in ("One model", "Separate models")}


def test_every_section_and_column_of_a_fit_is_explained(fitted):
    halves = {"a": [0.4, 0.42, 0.4], "b": [0.3, 0.3, 0.29]}
    failed = record(entrant("joint", halves), entrant("separate", {"a": [0.3, None, 0.31], "b": [0.3, None, 0.3]}))
    page = render_fit_html(fitted)
    main = page[page.index("<main>") : page.index("<footer>")]
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", main)
    assert headings(FIT) == ["How your columns were read", "The first lines", *titles, "What a fit does not say"]
    assert ">How your columns were read</h3>" in main  # last there, first in the guide
    ladder = re.search(r'<table class="ladder">.*?</thead>', main, re.DOTALL)[0]
    for head in re.findall(r'<th scope="col">([^<]+)</th>', ladder)[1:]:
        assert f"**{head}**" in FIT, head
    sentences = (one for found in (fitted, failed) for one in collect_fit(found)["sentences"])
    for words in (*sentences, "no single target is certain by itself"):
        first = re.split(r",? (?=\d)| “|, ", words)[0]
        first = {"Of": "Of 12 runs 1 failed"}.get(first, first)
        assert first in plain(FIT), first


def test_every_badge_of_a_front_is_explained():
    cases = {
        "Weights select all": ENDS,
        "8 beyond weights": (*ENDS, *(point(f"T{i}", (0.1 * i, 1.2 - 0.1 * i), "none", 0.2) for i in range(1, 9))),
        "Seeds cannot tell": (*ENDS, point("T1", (0.7, 0.7), "unsure", 0.2)),
        "Nothing to trade": (point("S1", (0.0, 0.0)), point("S2", (1.0, 0.0), "dominated")),
    }
    for badge, points in cases.items():
        assert answer(exploration(*points))[1] == badge
    assert badges(FRONT) == list(cases)


def test_every_section_mark_and_column_of_a_front_is_explained():
    page = explored_page(exploration(*ENDS, point("T1", (0.7, 0.7), "none", 0.2), conditioned=curve(2)))
    assert headings(FRONT)[2:-1] == [section["title"] for section in page["sections"]]
    for words, *_ in MARKS.values():
        assert words in plain(FRONT)
    for trace in page["sections"][0]["legend"]:
        assert re.sub(r" \d seeds| \(seed \d\)", "", trace["words"]).removesuffix(" of") in plain(FRONT), trace["words"]
    heads = next(section for section in page["sections"] if section["title"] == "All points")["tables"][0]["head"]
    for head in heads[1:]:
        assert head.startswith("t") or f"**{head}**".replace("\u00a0", " ") in FRONT, head


def test_every_picture_is_small_and_on_a_page_with_words_for_those_who_cannot_see_it():
    pictures = {path.name: path for path in (DOCS / "_static").glob("report-*.png")}
    shown = {}
    for page in (AUDIT, FIT, FRONT):
        shown |= dict(re.findall(r"_static/(report-[\w-]+\.png)\n:alt: (.+)\n", page))
    assert set(shown) == set(pictures)
    assert all(len(words) > 60 for words in shown.values())
    assert {name: path.stat().st_size for name, path in pictures.items() if path.stat().st_size > 150_000} == {}


def test_the_pictures_are_those_of_the_script_and_the_guides_show_its_commands(monkeypatch):
    pytest.importorskip("PIL", reason="the script that takes the pictures cuts them with Pillow")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    script = import_module("report_pictures")
    sys.modules.pop("report_pictures")
    assert {f"report-{name}.png" for name in script.PICTURES} == {
        path.name for path in (DOCS / "_static").glob("report-*.png")
    }
    pages = {"audit": AUDIT, "fit": FIT, "explore": FRONT}
    for name, (command, _) in script.PICTURES.items():
        assert f"equipoise {command}" in pages[name.partition("-")[0]]


def test_the_script_cuts_a_section_out_of_a_report(fitted, monkeypatch):
    pytest.importorskip("PIL", reason="the script that takes the pictures cuts them with Pillow")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    script = import_module("report_pictures")
    sys.modules.pop("report_pictures")
    page = script.only(render_fit_html(fitted), "What did not finish")
    main = page[page.index("<main>") : page.index("</main>")]
    assert " ".join(re.sub(r"<[^>]+>", " ", main).split()) == "What did not finish Nothing: all 20 runs finished."
    with pytest.raises(SystemExit, match="no section 'Nowhere'"):
        script.only(render_fit_html(fitted), "Nowhere")
