"""Pictures of linear problems: what the records hold is what is drawn."""

import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest

from equipoise.audits.pictures.catalogue import PICTURES, read_picture
from equipoise.audits.pictures.conflict import Conflict
from equipoise.audits.pictures.gap import Gap
from equipoise.audits.pictures.region import Region
from equipoise.audits.pictures.spectrum import Spectrum
from equipoise.core.drawing.plot_parts import PAGE_COLORS, standalone
from equipoise.errors import TaskError
from equipoise.linear import LinearProblem, condition, reach

NEGATIVE = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]


@pytest.fixture(scope="module")
def problem():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 3))
    Y = X @ np.linalg.cholesky(NEGATIVE).T + 0.2 * generator.normal(size=(300, 3))
    return LinearProblem(X, Y, tasks=("a <b>", "c & d", "e"))


@pytest.fixture(scope="module")
def records(problem):
    pair = LinearProblem(problem.raw_inputs, problem.raw_targets[:, :2], tasks=("a", "b"))
    pictures = {
        "three": Region.of(problem, 1, count=200, creases=20, sweep=40, others={"MGDA": [[0.7, 0.7, 0.7]]}),
        "two": Region.of(pair, 1, count=100, sweep=20),
        "wide": Region.of(problem, 2, count=100, creases=0, sweep=20),
        "gap": Gap.of(problem, 1, directions=28),
        "gap of two": Gap.of(pair, 1, directions=9),
        "conflict": Conflict.of(problem.gramian, 1, problem.tasks),
        "spectrum": Spectrum.of(problem),
    }
    assert {type(picture) for picture in pictures.values()} == set(PICTURES.values())
    return {kind: picture.record() for kind, picture in pictures.items()}


def panels_of(record):
    (key,) = [key for key, kind in PICTURES.items() if kind.model_fields["figure"].default == record["figure"]]
    assert read_picture(key, record).misfit() == ""
    return read_picture(key, record).panels()


KINDS = ["three", "two", "wide", "gap", "gap of two", "conflict", "spectrum"]


@pytest.mark.parametrize("kind", KINDS)
def test_records_are_plain_json_and_figures_are_valid_plotly(records, kind):
    record = records[kind]
    assert json.loads(json.dumps(record)) == record
    for panel in panels_of(record):
        figure = standalone(panel["figure"])
        go.Figure(figure)
        assert not set(re.findall(r'"[a-z]*color": "([a-z]+)"', json.dumps(figure))) & set(PAGE_COLORS)
        assert "gl" not in {trace["type"][-2:] for trace in figure["data"]}
        assert not {"scatter3d", "mesh3d"} & {trace["type"] for trace in figure["data"]}
        assert panel["alt"].endswith(".")


def test_every_model_is_drawn_once_a_panel_in_the_colour_of_its_signs(records):
    record = records["three"]
    assert len(record["pieces"]) == 4
    for panel in panels_of(record):
        traces = [trace for trace in panel["figure"]["data"] if "signs" in trace.get("name", "")]
        assert sum(len(trace["x"]) for trace in traces) == len(record["models"]["losses"])
        assert len({trace["marker"]["color"] for trace in traces}) == 4
        assert len({trace["marker"]["symbol"] for trace in traces}) == 4


def test_crease_points_that_are_marked_are_unreachable(problem, records):
    energy = np.diag(problem.gramian)
    marked = [
        point
        for crease in records["three"]["creases"]
        for point, out in zip(crease["losses"], crease["unreachable"], strict=True)
        if out
    ]
    assert marked
    for losses in marked[::7]:
        assert reach(problem.gramian, 1, problem.unexplained + energy - losses, tolerance=1e-5).status == "unreachable"


def test_the_gap_of_the_record_is_that_of_reach(problem, records):
    record = records["gap"]
    place = int(np.argmax(record["gap"]))
    assert record["gap"][place] > 0.05
    assert record["models"][place] == 2
    captured = problem.total - np.array(record["losses"][place])
    assert reach(problem.gramian, 1, captured, np.ones(3)).lower == pytest.approx(record["gap"][place], abs=1e-5)
    assert max(records["gap of two"]["gap"]) < 1e-7


def test_the_conflict_graph_shows_the_cycle_of_the_condition(problem, records):
    record = records["conflict"]
    found = condition(problem.gramian, 1, tasks=problem.tasks)
    assert tuple(record["cycle"]) == found.cycle
    assert sum(edge["on_cycle"] for edge in record["edges"]) == len(found.cycle)
    (panel,) = panels_of(record)
    dashed = [trace for trace in panel["figure"]["data"] if trace.get("line", {}).get("dash") == "dash"]
    assert len(dashed) == sum(edge["correlation"] < 0 for edge in record["edges"])
    inverse = Conflict.of(NEGATIVE, 2, "abc").record()
    assert inverse["matrix"] == "correlations of the inverse"
    assert all(edge["correlation"] > 0 for edge in inverse["edges"])


def test_the_spectrum_rises_to_everything(records):
    record = records["spectrum"]
    assert record["widths"] == [1, 2, 3]
    assert record["total"][-1] == pytest.approx(1)
    assert np.allclose(record["captured"][-1], 1)
    assert np.all(np.diff(record["total"]) > 0)


def test_names_are_text_and_never_markup(records):
    text = json.dumps([panel["figure"] for panel in panels_of(records["three"])])
    assert "<b>" not in text.replace("&lt;b&gt;", "")
    assert "a &lt;b&gt;" in text


def test_other_records_and_numbers_of_tasks_are_refused(problem):
    with pytest.raises(ValueError, match="found 'pie'"):
        read_picture("pie", {"figure": "pie"})
    with pytest.raises(TaskError, match="two or three"):
        Region.of(LinearProblem(np.eye(9)[:, :5], np.random.default_rng(0).normal(size=(9, 4))), 1)
