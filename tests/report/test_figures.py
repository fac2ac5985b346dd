"""Pictures are plain dicts drawn from the record."""

import json

import pytest

from equipoise.core.drawing.palette import MARKS, mark_of
from equipoise.core.records.audit import FrontPoint
from equipoise.report.pictures.figures import CLOUD_LIMIT, figures, marks_present

NAMES = {2: ("price", "days"), 3: ("a", "b", "c"), 5: ("a", "b", "c", "d", "e")}


@pytest.mark.parametrize(
    ("k", "shown"),
    [
        (2, ["price against days"]),
        (3, ["a against b", "a against c", "b against c", "Weights"]),
        (5, ["equal weights", "best weights found", "best balanced single model", "best mixture of models"]),
    ],
)
def test_the_number_of_tasks_decides_the_panels(record_of, k, shown):
    record = record_of(NAMES[k])
    panels = figures(record.verdicts[0], NAMES[k])
    assert [panel["name"] for panel in panels] == shown
    json.dumps([panel["figure"] for panel in panels], allow_nan=False)


def test_only_traces_that_need_no_code_at_run_time_are_used(record_of):
    for names in NAMES.values():
        for panel in figures(record_of(names).verdicts[0], names):
            assert {trace["type"] for trace in panel["figure"]["data"]} <= {"scatter", "scatterternary"}


def test_pair_panels_hold_the_losses_of_their_two_tasks(record_of):
    verdict = record_of(NAMES[3]).verdicts[0]
    (separate,) = (point for point in verdict.front if point.kind == "separate")
    panel = figures(verdict, NAMES[3])[1]
    trace = panel["figure"]["data"][-1]
    assert trace["x"] == [separate.losses[0]]
    assert trace["y"] == [separate.losses[2]]
    assert panel["figure"]["layout"]["xaxis"]["title"]["text"] == "a, loss"
    assert panel["figure"]["layout"]["yaxis"]["title"]["text"] == "c, loss"


def test_the_triangle_holds_the_weights_and_the_worst_loss(record_of):
    verdict = record_of(NAMES[3]).verdicts[0]
    sums = [point for point in verdict.front if point.kind == "weighted sum"]
    trace = figures(verdict, NAMES[3])[3]["figure"]["data"][0]
    assert trace["a"] == pytest.approx([point.weights[0] for point in sums], rel=1e-5)
    assert trace["marker"]["color"] == pytest.approx([max(point.losses) for point in sums], rel=1e-5)
    of_excess = figures(verdict.model_copy(update={"measure": "excess"}), NAMES[3])[3]
    colors = of_excess["figure"]["data"][0]["marker"]["color"]
    assert colors == pytest.approx([max(point.losses) - 0.1 for point in sums], rel=1e-4)
    assert "above its own best" in of_excess["alt"]


def test_single_models_are_split_by_whether_weights_reach_them():
    losses = (0.5, 0.5)
    assert mark_of(FrontPoint(kind="one model", losses=losses, gap=0.02)).name == "hidden"
    assert mark_of(FrontPoint(kind="one model", losses=losses, gap=0.0)).name == "reachable"
    assert mark_of(FrontPoint(kind="one model", losses=losses, gap=1e-9)).name == "reachable"


def test_marks_differ_in_shape_wherever_single_points_are_marked():
    marked = [mark for mark in MARKS if not mark.cloud]
    assert len({mark.symbol for mark in marked}) == len(marked)
    assert len({(mark.color, mark.symbol, mark.cloud) for mark in MARKS}) == len(MARKS)


def test_the_legend_names_what_is_drawn_and_nothing_else(record_of):
    reachable = record_of(NAMES[3], ("enough",)).verdicts[0]
    assert "hidden" not in {mark.name for mark in marks_present(reachable)}
    assert "hidden" in {mark.name for mark in marks_present(record_of(NAMES[3]).verdicts[0])}


def test_crowds_are_thinned_and_marked_points_never(record_of):
    verdict = record_of(NAMES[2]).verdicts[0]
    crowd = tuple(FrontPoint(kind="any model", losses=(i / 1e4, 0.5)) for i in range(5000))
    drawn = figures(verdict.model_copy(update={"front": crowd + verdict.front}), NAMES[2])[0]["figure"]["data"]
    assert max(len(trace["x"]) for trace in drawn) <= CLOUD_LIMIT
    assert [len(trace["x"]) for trace in drawn[-5:]] == [1] * 5


def test_names_are_text_to_plotly(record_of):
    names = ("<b>x</b>", '<a href="javascript:alert(1)">y</a>', "100 %{x} & more")
    for panel in figures(record_of(names).verdicts[0], names):
        text = json.dumps(panel["figure"])
        assert "<a" not in text
        assert "<b>x" not in text
        assert "hovertemplate" not in text
    assert "<a href" in figures(record_of(names).verdicts[0], names)[0]["alt"]


def test_the_picture_is_told_in_words(record_of):
    alt = figures(record_of(NAMES[2]).verdicts[0], NAMES[2])[0]["alt"]
    assert "separate models, one a task: price 0.100, days 0.100" in alt


def test_a_verdict_without_points_has_no_picture(record_of):
    verdict = record_of().verdicts[0].model_copy(update={"front": ()})
    assert figures(verdict, NAMES[3]) == []


def test_a_picture_of_one_place_is_not_drawn(record_of):
    verdict = record_of(NAMES[3], ("nothing_to_trade",)).verdicts[0]
    front = tuple(FrontPoint(kind=kind, losses=(0.1, 0.2, 0.3)) for kind in ("equal weights", "separate"))
    assert figures(verdict.model_copy(update={"front": front}), NAMES[3]) == []
    assert figures(verdict, NAMES[3])
