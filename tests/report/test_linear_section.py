"""The pictures of the linear model on the page: there where something is to be seen, each with what it rests on."""

import re

import pytest
from bs4 import BeautifulSoup

from equipoise.audits.pictures.catalogue import PICTURES, read_picture
from equipoise.core.drawing.plot_parts import legend_of
from equipoise.report import render_console, render_html, render_markdown

CASES = {
    "two": (("price", "days"), ("enough",)),
    "three": (("joint0", "joint4", "joint6"), ("not_enough",)),
    "three, all": (("a <b>", "c & d", "e"), ("not_enough", "enough", "nothing_to_trade")),
    "five": (("a", "b", "c", "d", "e"), ("not_enough", "undetermined")),
}


@pytest.fixture(scope="module")
def soups(record_of):
    return {name: BeautifulSoup(render_html(record_of(*case)), "html.parser") for name, case in CASES.items()}


def figures(soup):
    """Names of the linear pictures on a page: width and kind, without the number of the panel."""
    found = {plot["id"] for plot in soup.select("figure.linear .plot")}
    return {re.sub(r"^case-1-|-\d+$", "", name) for name in found}


def test_every_number_of_tasks_gets_the_pictures_that_can_be_drawn(soups):
    assert figures(soups["two"]) == {"spectrum", "width-1-region"}
    every = {key if kind.place == "beside the spectrum" else f"width-1-{key}" for key, kind in PICTURES.items()}
    assert figures(soups["three"]) == every
    assert figures(soups["five"]) == {"spectrum", "width-1-conflict"}


def test_nothing_to_trade_has_no_picture_but_one_sentence_that_says_why(soups):
    soup = soups["three, all"]
    assert not [name for name in figures(soup) if name.startswith("width-3")]
    section = soup.find(id="case-1-width-3")
    assert section.get_text().count("No pictures of this width: one model is best at every task") == 1
    assert "width-2-region" in figures(soup)


def test_each_picture_has_one_sentence_and_what_its_numbers_rest_on(soups):
    for soup in soups.values():
        for figure in soup.select("figure.linear"):
            words = re.sub(r"\s+", " ", figure.figcaption.get_text(" ")).strip()
            basis = figure.figcaption.find(class_="fine").get_text()
            assert "4,449 rows, in-sample" in basis
            assert re.search("exact|found by search", basis)
            assert re.search("hares of|from −1 to 1", basis)
            assert words.removesuffix(basis).strip().count(". ") == 0
            assert figure.noscript is not None


def test_a_reason_is_given_once(soups):
    text = soups["five"].get_text()
    assert text.count("drawn for two or three tasks only; here there are 5") == 1
    assert text.count("The gap over the front is drawn for three tasks only") == 1


def test_the_spectrum_stands_after_the_verdicts_and_before_the_tasks(soups):
    for soup in (soups["three, all"], soups["three"]):
        spectrum = soup.find(id="case-1-spectrum-1")
        assert spectrum.find_next("table")["class"] == ["tasks"]
        assert not spectrum.find_all_next("section", class_="verdict")


def test_the_legend_names_each_mark_once_and_the_plots_have_none(soups, record_of):
    for soup in soups.values():
        for legend in soup.select("figure.linear .legend"):
            names = [entry.get_text().strip() for entry in legend.find_all("li")]
            assert len(names) == len(set(names))
            assert all(entry.find("svg") for entry in legend.find_all("li"))
        for figure in soup.select("script.figure"):
            assert '"showlegend":true' not in figure.string
    assert "a <b>" in [entry.get_text().strip() for entry in soups["three, all"].select(".legend li")]


def test_the_record_read_back_gives_the_same_page(record_of):
    record = record_of(*CASES["three, all"])
    page = render_html(record)
    assert render_html(type(record).model_validate_json(record.model_dump_json())) == page


def test_a_record_without_pictures_has_a_page_without_them(record_of):
    bare = record_of(*CASES["three"]).model_copy(update={"pictures": None})
    soup = BeautifulSoup(render_html(bare), "html.parser")
    assert figures(soup) == set()
    assert soup.find(class_="front")


def test_a_reason_stands_where_a_picture_would(record_of):
    record = record_of(*CASES["three"])
    words = "Not drawn: no reason."
    pictures = record.pictures | {"spectrum": words, "region": {1: words}}
    soup = BeautifulSoup(render_html(record.model_copy(update={"pictures": pictures})), "html.parser")
    assert figures(soup) == {"width-1-conflict", "width-1-gap"}
    assert soup.get_text().count(words) == 2  # with the verdict, and in place of the spectrum


def test_other_forms_of_the_report_have_no_pictures_and_do_not_miss_them(record_of):
    record = record_of(*CASES["three, all"])
    assert "captures at best" not in render_markdown(record)
    assert render_console(record) is not None


def test_a_legend_takes_names_as_text():
    style = {"type": "scatter", "mode": "markers", "name": "a &lt;b&gt; &amp;lt;", "marker": {"color": "blue"}}
    panel = {"name": "", "alt": "", "note": "", "shape": "square", "figure": {"data": [style, style], "layout": {}}}
    assert legend_of(panel) == [{"words": "a <b> &lt;", "symbol": "square", "css": "var(--blue)", "dash": ""}]


def test_many_tasks_are_shown_by_the_two_that_get_most_and_least():
    rows = [[0.1 * task for task in range(10)], [1.0] * 10]
    record = {
        "figure": "spectrum",
        "tasks": list("abcdefghij"),
        "widths": [1, 2],
        "total": [0.5, 1.0],
        "captured": rows,
    }
    (panel,) = read_picture("spectrum", record | {"separate": [0.5] * 10}).panels()
    assert [trace["name"] for trace in panel["figure"]["data"]] == [
        "all tasks, at best", "the task that gets most", "the task that gets least",
    ]  # fmt: skip
    assert panel["figure"]["data"][2]["y"] == [0.0, 1.0]


def test_a_task_that_nothing_predicts_has_no_line():
    record = {"figure": "spectrum", "tasks": ["a", "b"], "widths": [1], "total": [1.0], "captured": [[1.0, 0.0]]}
    (panel,) = read_picture("spectrum", record | {"separate": [0.2, 1.0]}).panels()
    assert [trace["name"] for trace in panel["figure"]["data"]] == ["all tasks, at best", "a"]
