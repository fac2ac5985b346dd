"""The report of a fit: complete in itself, the same bytes every time, and deaf to markup in names."""

import math
import re
import subprocess
import sys

import pytest
from rich.console import Console

from equipoise.core.records.fitted import fit_record_from_json, fit_record_to_json
from equipoise.report.fitted.collect import collect_fit
from equipoise.report.fitted.render import render_fit_console, render_fit_html, render_fit_markdown
from tests.report.fitted.constructed import curve, entrant, losses, record

EVIL = "</script><img src=x onerror=alert(1)>"
OTHER = (0.01, -0.01, 0.02, 0.0, -0.02)


@pytest.fixture
def fitted():
    joint = entrant("joint", losses(0.7), curve=curve("ab"))
    tuned = entrant("weights", losses(0.75), trials=8, weights={"a": 0.2, "b": 0.8}, settings={"trial": "3 of 8"})
    return record(
        joint, tuned, entrant("separate", losses(1.0, noise=OTHER), curve=curve("ab")),
        entrant("boosting", losses(1.3)), selected="joint",
    )  # fmt: skip


def console(found):
    shown = Console(width=200, record=True, file=None, force_terminal=False)
    with shown.capture() as captured:
        shown.print(render_fit_console(found))
    return captured.get()


def test_the_same_record_gives_the_same_bytes_also_after_a_round_trip(fitted):
    again = fit_record_from_json(fit_record_to_json(fitted))
    assert render_fit_html(fitted) == render_fit_html(again)
    assert render_fit_markdown(fitted) == render_fit_markdown(again)


def test_the_page_answers_first_and_then_shows_everything_that_a_reader_needs(fitted):
    text = render_fit_html(fitted)
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text[text.index("<main>") : text.index("<footer>")]))
    first = plain.index("One model for all 2 targets is better than separate ones here:")
    assert first < plain.index("What was trained")
    for words in (
        "gradient boosting for each target",
        "5 of 5",
        "What did not finish Nothing: all 20 runs finished.",
        "Each interval is for its target alone. The finding goes by p, which is two-sided and corrected",
        "700 training, 150 validation, 150 held out rows; drawn anew by each seed",
        "0, 1, 2, 3, 4",
        "60 epochs for each training",
        "the lowest mean of the validation losses",
        "ab" * 32,
        "equipoise fit parts.csv --targets a,b --seeds 5",
        "trial: 3 of 8",
        "mean squared error, shares of the training variance",
        "x0 ... x5 (6 columns)",
    ):
        assert words in plain, words
    assert "torch 2.13.0" in text


def test_the_page_loads_nothing(fitted):
    text = render_fit_html(fitted)
    assert "default-src &#39;none&#39;" in text
    assert not re.search(
        r"""(?:src|href)=["']?(?:https?:)?//""", re.sub(r'<script type="text/plain".*?</script>', "", text)
    )


def test_markup_in_names_stays_text():
    names = {EVIL: [0.3, 0.31, 0.3], "[red]b": [0.2, 0.22, 0.2]}
    other = {EVIL: [0.4, 0.35, 0.3], "[red]b": [0.2, 0.19, 0.25]}
    found = record(entrant("joint", names), entrant("separate", other), title=EVIL)
    for text in (render_fit_html(found), render_fit_markdown(found)):
        assert "<img" not in text
    assert "[red]b" in console(found)
    assert EVIL in console(found)


def test_what_did_not_finish_is_listed_with_its_reason():
    failed = entrant("separate", {"a": [0.3, None, 0.3], "b": [0.3, None, 0.31]})
    found = record(entrant("joint", {"a": [0.3, 0.3, 0.3], "b": [0.2, 0.3, 0.3]}), failed)
    page = collect_fit(found)
    assert page["unfinished"] == [
        {"entrant": "a network for each target", "seed": "1", "status": "failed",
         "reason": "The loss of “a” was NaN at step 12."}
    ]  # fmt: skip
    assert [row["runs"] for row in page["ladder"]] == ["3 of 3", "2 of 3"]
    assert page["counts"] == "6 runs, 1 failed, 0 skipped"
    for text in (render_fit_html(found), render_fit_markdown(found), console(found)):
        assert "was NaN at step 12" in text


def test_the_ladder_divides_by_boosting_and_by_separate_models(fitted):
    page = collect_fit(fitted)
    assert page["references"] == ["Loss / boosting", "Loss / separate"]
    joint, _, separate, boosting = (row["ratios"] for row in page["ladder"])
    assert joint[0].startswith("0.54")  # .7 / 1.3, the same noise on both sides
    assert joint[1].startswith("0.70 (")
    assert (boosting[0], separate[1]) == ("1", "1")
    assert [row["tag"] for row in page["ladder"]] == ["selected", "", "", ""]


def test_targets_that_are_predicted_by_different_entrants_are_marked():
    found = record(entrant("joint", losses(1.0)), entrant("separate", losses(1.0, noise=OTHER)))
    page = collect_fit(found.model_copy(update={"selected": {"a": "joint", "b": "separate"}}))
    assert [row["tag"] for row in page["ladder"]] == ["selected for a", "selected for b"]
    assert [[cell["selected"] for cell in row["cells"]] for row in page["rows"]] == [[True, False], [False, True]]


def test_very_many_targets_make_a_page_all_the_same():
    names = [f"t{i}" for i in range(200)]
    one = {name: [0.3 + 0.001 * i, 0.31, 0.32] for i, name in enumerate(names)}
    other = {name: [0.4, 0.42, 0.39] for name in names}
    text = render_fit_html(record(entrant("joint", one), entrant("separate", other)))
    assert "160 targets in the middle are not drawn" in text
    assert len(text) < 5_000_000


def test_a_report_needs_no_torch():
    code = (
        "import sys; import equipoise.report.fitted.render, equipoise.core.records.fitted; "
        "print([m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_small_losses_are_shown_without_an_exponent_where_that_is_short():
    small = {"a": [7.31e-5, 7.39e-5], "b": [0.3, 2.1e-9]}
    found = record(entrant("joint", small), entrant("separate", small))
    cells = [row["cells"][0]["loss"] for row in collect_fit(found)["rows"]]
    assert cells == ["0.0000735 ± 6e-07", "0.15 ± 0.2"]


@pytest.mark.parametrize(
    ("single", "badge"),
    [
        ({"a": 0.7, "b": 0.7}, "One model"),
        ({"a": 1.4, "b": 1.4}, "Separate models"),
        ({"a": 0.7, "b": 1.4}, "Depends on the target"),
        ({"a": 1.0, "b": 1.0}, "No difference detectable"),
        ({"a": 1.3, "b": 0.8}, "Separate models for some targets"),
    ],
    ids=["better", "worse", "both", "open", "some"],
)
def test_the_badge_says_for_which_targets_the_verdict_holds(single, badge):
    wide = (0.5, -0.5, 0.4, -0.4, 0.1) if badge.endswith("some targets") else OTHER
    noise = {"a": OTHER, "b": wide}
    joint = {task: [0.3 * value * math.exp(part) for part in noise[task]] for task, value in single.items()}
    found = record(entrant("joint", joint), entrant("separate", losses(1.0)))
    assert collect_fit(found)["badge"] == badge


def test_seeds_that_chose_equal_weights_count_in_the_range_also_where_an_earlier_record_left_them_out():
    tuned = entrant("weights", losses(0.75), trials=4)
    runs = [run.model_copy(update={"weights": {"a": 0.2, "b": 0.8} if run.seed == 1 else {}}) for run in tuned.runs]
    found = record(entrant("joint", losses(0.7)), tuned.model_copy(update={"runs": tuple(runs)}))
    assert [row["cells"] for row in collect_fit(found)["weights"]["rows"]] == [["0.2–0.5"], ["0.5–0.8"]]
    alike = record(entrant("joint", losses(0.7)), tuned)
    assert [row["cells"] for row in collect_fit(alike)["weights"]["rows"]] == [["0.5"], ["0.5"]]
