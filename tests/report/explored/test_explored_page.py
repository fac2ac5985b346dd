"""The page of an exploration: the answer first, every name as text, pictures by the number of tasks."""

import base64
import hashlib
import json
import re
from importlib.resources import files

import pytest

from equipoise.core.records.explored import ExploreRecord
from equipoise.report.explored.explored_page import explored_page
from equipoise.report.explored.figures import MARKS
from equipoise.report.explored.render import render_explored_console, render_explored_html, render_explored_markdown

from .made import curve, point, record

ENDS = (point("S1", (0.0, 1.0)), point("S2", (1.0, 0.0)))
ABOVE = point("T1", (0.7, 0.7), "none", 0.2)


def test_the_answer_says_what_is_missed_and_by_how_much():
    page = explored_page(record(*ENDS, ABOVE, point("S3", (1.2, 1.2), "dominated", 0.4)))
    assert page["headline"] == (
        "No: weighted sums select 2 of the 3 non-dominated points found here and miss the other 1, by up to 0.200 of "
        "the ranges."
    )
    assert page["status"] == "not_enough"
    assert "at T1 (t0 <b> 0.7, t1 <b> 0.7): 0.200 of the ranges (5 to 95 % over seeds: 0.160 to 0.240)" in page["lead"]
    assert "60 % S1 and 40 % S2" in page["lead"]
    assert any("Between S1 (t0 <b> 0, t1 <b> 1) and S2" in note and "1 point found there lies" in note
               for note in page["notes"])  # fmt: skip
    volumes = "have 50.0 % of the hypervolume of all points; the points that weights select, closely, or for all that "
    volumes += "the seeds can tell, have 75.0 % ("
    assert any(f"{volumes}mean losses on the validation part, below" in note for note in page["notes"])


@pytest.mark.parametrize(
    ("points", "status", "words"),
    [
        (ENDS, "enough", "Yes: some weighted sum selects each of the 2 non-dominated points found here."),
        ((*ENDS, point("T1", (0.504, 0.504), "close", 0.004)), "enough", "1 of them within 1 % of the ranges"),
        ((*ENDS, point("T1", (0.7, 0.7), "unsure", 0.2)), "undetermined", "for 1 the seeds cannot tell"),
        ((point("S1", (0.0, 0.0)), point("S2", (1.0, 0.0), "dominated")), "nothing_to_trade", "nothing to trade"),
        ((point("S1", (0.0, 0.0), "scattered"),), "undetermined", "seeds of each point lie farther apart"),
        (
            (*ENDS, ABOVE, point("T2", (0.6, 0.6), "unsure", 0.1)),
            "not_enough",
            "No: weighted sums select 2 of the 4 non-dominated points found here and miss 1, by up to 0.200 of the "
            "ranges; for 1 more the seeds cannot tell.",
        ),
        (
            (point("S1", (0.0, 0.5)), point("S2", (1.0, 0.2), "scattered")),
            "undetermined",
            "Not decided: S1 is the best in every loss among the points whose seeds agree, but runs of S2",
        ),
        ((point("S1", (0.0, 0.5)), point("S2", (1.0, 0.6), "scattered")), "nothing_to_trade", "nothing to trade"),
    ],
    ids=["enough", "close", "unsure", "one", "scattered", "none and unsure", "one and torn", "one and torn above"],
)
def test_other_answers(points, status, words):
    page = explored_page(record(*points))
    assert page["status"] == status
    assert words in page["headline"]


def test_how_far_a_point_is_above_the_models_of_one_task_each_is_said_in_plain_numbers():
    page = explored_page(record(point("S1", (0.1, 0.53)), point("S2", (0.6, 0.1053))))
    assert any("At S1 no loss is more than 430 % above" in note for note in page["notes"])
    page = explored_page(record(point("S1", (0.1, 0.53)), point("S2", (0.1023, 0.1023), "close")))
    assert any("At S2 no loss is more than 2.3 % above" in note for note in page["notes"])


def test_one_seed_says_so_and_has_no_band():
    whole = record(*(point(p.name, p.losses, p.support, p.gap, seeds=1) for p in (*ENDS, ABOVE)), seeds=1)
    page = explored_page(whole)
    assert any("from one seed" in note for note in page["notes"])
    assert "One seed: no band" in page["sections"][0]["caption"]
    names = [trace.get("name") for trace in page["sections"][0]["panels"][0]["figure"]["data"]]
    assert not any("range of the fronts" in name for name in names)
    two = explored_page(record(*ENDS, ABOVE))["sections"][0]["panels"][0]["figure"]["data"]
    lower = next(trace for trace in two if trace.get("fill"))
    assert lower["name"] == "range of the fronts of 2 seeds"
    upper = two[two.index(lower) - 1]
    # seed 1 has losses .01 above those of seed 0: it attains nothing left of .01, and less everywhere
    assert lower["x"] == upper["x"] == [0.0, 0.01, 0.7, 0.71, 1.0, 1.01]
    assert lower["y"] == [1.0, 1.0, 0.7, 0.7, 0.0, 0.0]
    axis = explored_page(record(*ENDS, ABOVE))["sections"][0]["panels"][0]["figure"]["layout"]["yaxis"]["range"]
    assert upper["y"][0] > axis[1]
    assert upper["y"][1:] == [1.01, 1.01, 0.71, 0.71, 0.01]


def test_hovering_shows_preference_losses_metrics_and_checkpoint():
    traces = explored_page(record(*ENDS, ABOVE))["sections"][0]["panels"][0]["figure"]["data"]
    text = next(trace for trace in traces if trace["name"] == "no weights select it")["text"][0]
    for words in ("T1, mean of 2 seeds", "Tchebycheff weights: t0 &lt;b&gt; 0.5", "t1 &lt;b&gt;: 0.7", "R2: 0.9",
                  "gap 0.200", "checkpoint, seed 0: runs/t10/checkpoint"):  # fmt: skip
        assert words in text


def test_axes_hold_the_models_of_one_task_each_and_what_of_the_model_for_all_lies_near():
    """Losses of a thousandth: an axis never has a unit of its own."""
    near = [(0.004, 0.001), (0.0035, 0.0025), (0.9, 0.9)]
    whole = record(
        point("S1", (0.001, 0.003)), point("S2", (0.002, 0.002)),
        conditioned=curve(2).model_copy(update={"losses": tuple(near)}),
    )  # fmt: skip
    singles = tuple(single.model_copy(update={"loss": 0.003}) for single in whole.singles)
    layout = explored_page(whole.model_copy(update={"singles": singles}))["sections"][0]["panels"][0]["figure"][
        "layout"
    ]
    assert layout["xaxis"]["range"] == [0.00076, 0.00424]  # from .001 to .004, and 8 % more on each side
    assert layout["yaxis"]["range"] == [0.00084, 0.00316]
    alike = record(point("S1", (0.002, 0.002)), singles=tuple(s.model_copy(update={"loss": 0.002}) for s in singles))
    layout = explored_page(alike)["sections"][0]["panels"][0]["figure"]["layout"]
    assert layout["xaxis"]["range"] == [0.0019, 0.0021]


def test_a_loss_that_no_training_changes_is_doubted():
    def still(name, loss):
        made = point(name, (loss, 1.0))
        runs = tuple(run.model_copy(update={"losses": (loss, 1.0)}) for run in made.runs)
        return made.model_copy(update={"runs": runs})

    whole = record(still("S1", 0.1), still("S2", 0.2))
    singles = tuple(
        single.model_copy(update={"runs": (single.runs[0].model_copy(update={"losses": (0.1, 1.0)}),)})
        for single in whole.singles
    )
    notes = explored_page(whole.model_copy(update={"singles": singles}))["notes"]
    assert any("Doubt: the loss of t1 <b> is 1 after every training" in note for note in notes)
    assert not any("loss of t0" in note for note in notes)
    assert not any("after every training" in note for note in explored_page(record(*ENDS))["notes"])


def test_the_test_part_shows_for_chosen_points_only():
    page = explored_page(record(*ENDS, ABOVE))
    chosen = page["sections"][1]["tables"][0]
    assert chosen["head"] == ["Chosen", "t0 <b>", "t1 <b>", "t0 <b>, test", "t1 <b>, test"]
    assert chosen["rows"][0][3:] == ["0.6 (0.5\u00a0to\u00a00.7)"] * 2  # not broken inside the interval
    assert explored_page(record(*ENDS, ABOVE, rows=(15, None)))["sections"][1]["tables"][0]["head"][-1] == "t1 <b>"


def test_a_failed_training_and_scattered_points_are_said():
    torn = point("S3", (0.5, 0.5), "scattered")
    failed = torn.runs[0].model_copy(update={"status": "failed", "words": "NaN at step 3", "losses": None})
    page = explored_page(record(*ENDS, torn.model_copy(update={"runs": (failed, torn.runs[1])})))
    assert any("preferences of S3 the seeds ended at different places" in note for note in page["notes"])
    assert any("1 training failed" in note and "NaN at step 3" in note for note in page["notes"])


@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_page_loads_nothing_and_runs_only_scripts_that_its_policy_names(k):
    low = [tuple(float(i == j) for j in range(k)) for i in range(k)]
    whole = record(*(point(f"S{i + 1}", row) for i, row in enumerate(low)), conditioned=curve(k))
    html = render_explored_html(ExploreRecord.model_validate_json(whole.model_dump_json()))
    assert html == render_explored_html(whole)
    assert not re.search(r"(src|href)=[\"']?https?:", html)
    assert "<b>" not in html.replace("<b>S", "")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1).replace("&#39;", "'")
    for code in re.findall(r"<script>(.*?)</script>", html, re.DOTALL):
        assert base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() in policy
    assert ('class="plot' in html) == (k < 4)
    assert ('class="parallel"' in html) == (k > 3)
    assert html.count("some weights select it</bdi></li>") == 1  # a legend, of lines too
    assert html.count('type="range"') == (1 if k == 2 else k)
    slider = json.loads(
        re.search(r'slider" hidden>.*?<script type="application/json">(.*?)</script>', html, re.DOTALL)[1]
    )
    assert slider["preferences"] == [list(row) for row in low]
    assert [entry["pair"] for entry in slider["moved"]] == {2: [[0, 1]], 3: [[0, 1], [0, 2], [1, 2]], 5: []}[k]


def test_markdown_and_console_begin_with_the_answer():
    whole = record(*ENDS, ABOVE)
    text = render_explored_markdown(whole)
    assert text.splitlines()[2].startswith("**No: weighted sums select 2 of the 3")
    assert "|---|---:|" in text
    first = render_explored_console(whole).renderables[0]
    assert first.plain.startswith("No: weighted sums select")


def test_every_kind_of_point_has_a_line_that_can_be_seen_and_told_by_the_legend():
    low = [tuple(float(i == j) for j in range(4)) for i in range(4)]
    kinds = list(MARKS)
    points = [point(f"S{i + 1}", tuple(0.1 * i + v for v in low[i % 4]), kind) for i, kind in enumerate(kinds)]
    legend = explored_page(record(*points))["sections"][0]["legend"]
    assert [entry["words"] for entry in legend][: len(kinds)] == [words for words, *_ in MARKS.values()]
    style = files("equipoise.report").joinpath("templates/explored.css").read_text()
    assert [kind for kind in kinds if not re.search(rf"\.parallel \.{kind}[^{{]*{{ stroke: ", style)] == []


def test_tasks_that_share_a_loss_share_its_sentence_and_large_shares_are_plain_numbers():
    page = explored_page(record(*ENDS, ABOVE))
    assert page["sections"][0]["caption"].endswith(" t0 <b> and t1 <b>: mean squared error.")
    assert "At T1 no loss is more than 600 % above that of a model trained for its task alone." in page["notes"]


def test_a_share_that_does_not_lower_its_loss_is_doubted():
    """Only the task that does not follow is named, and a correlation that is unknown is no doubt."""
    followed = {"controllability": (-0.98, 0.6)}
    said = render_explored_markdown(record(*ENDS, conditioned=curve(2).model_copy(update=followed)))
    assert re.search(r"Doubt: more share of t0 \S+ does not lower the loss on these rows", said)
    unknown = {"controllability": (None, 1.0)}
    assert "more share of" not in render_explored_markdown(
        record(*ENDS, conditioned=curve(2).model_copy(update=unknown))
    )
