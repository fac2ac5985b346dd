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
    assert any(
        "have 50.0 % of the hypervolume of all points; the points that weights select have 75.0 %" in note
        for note in page["notes"]
    )


@pytest.mark.parametrize(
    ("points", "status", "words"),
    [
        (ENDS, "enough", "Yes: some weighted sum selects each of the 2 non-dominated points found here."),
        ((*ENDS, point("T1", (0.504, 0.504), "close", 0.004)), "enough", "1 of them within 1 % of the ranges"),
        ((*ENDS, point("T1", (0.7, 0.7), "unsure", 0.2)), "undetermined", "for 1 the seeds cannot tell"),
        ((point("S1", (0.0, 0.0)), point("S2", (1.0, 0.0), "dominated")), "nothing_to_trade", "nothing to trade"),
        ((point("S1", (0.0, 0.0), "scattered"),), "undetermined", "seeds of each point lie farther apart"),
    ],
    ids=["enough", "close", "unsure", "one", "scattered"],
)
def test_other_answers(points, status, words):
    page = explored_page(record(*points))
    assert page["status"] == status
    assert words in page["headline"]


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
    assert lower["y"][0] == 1.0  # the lowest second loss at the smallest first loss that both seeds have


def test_hovering_shows_preference_losses_metrics_and_checkpoint():
    traces = explored_page(record(*ENDS, ABOVE))["sections"][0]["panels"][0]["figure"]["data"]
    text = next(trace for trace in traces if trace["name"] == "no weights select it")["text"][0]
    for words in ("T1, mean of 2 seeds", "Tchebycheff weights: t0 &lt;b&gt; 0.5", "t1 &lt;b&gt;: 0.7", "R2: 0.9",
                  "gap 0.200", "checkpoint, seed 0: runs/t10/checkpoint"):  # fmt: skip
        assert words in text


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
    assert [entry["words"] for entry in legend] == [words for words, *_ in MARKS.values()]
    style = files("equipoise.report").joinpath("templates/explored.css").read_text()
    assert [kind for kind in kinds if not re.search(rf"\.parallel \.{kind} {{ stroke: ", style)] == []


def test_tasks_that_share_a_loss_share_its_sentence_and_large_shares_are_plain_numbers():
    page = explored_page(record(*ENDS, ABOVE))
    assert page["sections"][0]["caption"].endswith(" t0 <b> and t1 <b>: mean squared error.")
    assert "At T1 no loss is more than 600 % above that of a model trained for its task alone." in page["notes"]
