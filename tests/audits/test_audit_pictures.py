"""The pictures of an audit: what they hold is what the problem says."""

from typing import Literal

import numpy as np
import pytest

from equipoise.audits.pictures.catalogue import PICTURES, arranged, check_pictures
from equipoise.audits.pictures.conflict import Conflict
from equipoise.audits.pictures.picture import Picture
from equipoise.audits.pictures.spectrum import Spectrum
from equipoise.audits.table_audit import audit
from equipoise.audits.widths.optima import in_shares
from equipoise.core.drawing.plot_parts import make_panel
from equipoise.core.records.audit import AuditRecord
from equipoise.data import encode_frame
from equipoise.linear import LinearProblem, condition, reach
from equipoise.report import render_html

NEGATIVE = [[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]


def table(matrix, seed=0, noise=0.3, rows=200):
    pandas = pytest.importorskip("pandas")
    k = len(matrix)
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, k + 1))
    Y = X[:, :k] @ np.linalg.cholesky(np.asarray(matrix) + 1e-12 * np.eye(k)).T * np.arange(1, k + 1)
    Y += noise * generator.normal(size=Y.shape)
    targets = [f"y{i}" for i in range(k)]
    frame = pandas.DataFrame(np.c_[X, Y], columns=[*(f"x{i}" for i in range(k + 1)), *targets])
    return encode_frame(frame, targets=targets)


@pytest.fixture(scope="module")
def three():
    return table(NEGATIVE)


@pytest.fixture(scope="module")
def record(three):
    return audit(three, new_rows=False)


def test_the_cards_hold_the_problem(three, record):
    exact = in_shares(LinearProblem(three.inputs, three.targets, tasks=three.tasks))
    cards = AuditRecord.model_validate_json(record.model_dump_json()).tasks
    separate = np.array([card.separate_loss for card in cards])
    related = np.array([card.correlations for card in cards])
    assert np.allclose(related * np.sqrt(np.outer(1 - separate, 1 - separate)), exact.gramian, rtol=1e-12, atol=1e-14)
    assert np.allclose(separate, exact.unexplained, rtol=1e-12)


def test_every_picture_of_three_tasks_is_that_of_the_problem(three, record):
    problem = LinearProblem(three.inputs, three.targets, tasks=three.tasks)
    found = record.pictures
    assert found["spectrum"] == Spectrum.of(problem).record()
    assert found["conflict"][1]["cycle"] == list(condition(problem.gramian, 1, tasks=three.tasks).cycle)
    edges = Conflict.of(problem.gramian, 1, three.tasks).record()["edges"]
    assert found["conflict"][1]["edges"] == edges
    region = found["region"][1]
    hidden = [
        losses
        for crease in region["creases"]
        for losses, out in zip(crease["losses"], crease["unreachable"], strict=True)
        if out
    ]
    assert hidden
    shares = in_shares(problem)
    for losses in hidden[::9]:
        assert reach(shares.gramian, 1, shares.ceiling - losses, tolerance=1e-5).status == "unreachable"
    sweep = [point.losses for point in record.verdicts[0].front if point.kind == "weighted sum"]
    assert region["weighted"] == [list(losses) for losses in sweep]


def test_the_gap_is_that_of_the_verdicts_own_points(record):
    gap, verdict = record.pictures["gap"][1], record.verdicts[0]
    assert max(gap["gap"]) == pytest.approx(verdict.effect.largest_gap, abs=1e-6)
    assert len(gap["gap"]) == verdict.effect.directions
    assert np.allclose(np.sum(gap["division"], axis=1), 1, atol=1e-5)


def test_where_nothing_is_left_to_trade_there_is_no_picture_but_a_reason(record):
    found = record.pictures
    for pictures in (found[key] for key, kind in PICTURES.items() if kind.place != "beside the spectrum"):
        assert isinstance(pictures[3], str)
        assert "best at every task" in pictures[3]
    assert isinstance(found["gap"][2], str)  # the condition holds: weights reach everything
    assert "some weights reach each" in found["gap"][2]


def test_two_tasks_have_surfaces_but_no_conflict_and_no_gap():
    found = audit(table([[1.0, 0.4], [0.4, 1.0]]), new_rows=False).pictures
    assert len(found["region"][1]["pieces"]) == 2
    assert found["region"][1]["creases"] == []
    assert "two tasks" in found["conflict"][1]
    assert "two tasks" in found["gap"][1]


def test_five_tasks_have_a_spectrum_and_a_graph_where_a_test_exists():
    five = table(0.3 * np.ones((5, 5)) + 0.7 * np.eye(5))
    record = audit(five, width=4, new_rows=False)
    found = record.pictures
    assert found["spectrum"]["widths"] == [1, 2, 3, 4, 5]
    assert found["conflict"][4]["matrix"] == "correlations of the inverse"
    assert "two or three tasks only; here there are 5" in found["region"][4]
    (verdict,) = record.verdicts
    problem = LinearProblem(five.inputs, five.targets, tasks=five.tasks)
    untested = verdict.model_copy(update={"condition": condition(problem.gramian, 2)})
    again = arranged(in_shares(problem), [untested])
    assert "no test is known" in again["conflict"][4]


def test_tasks_that_are_combinations_of_others_are_drawn_without_creases():
    angles = np.deg2rad([0.0, 60.0, 120.0])
    lines = np.array([np.cos(angles), np.sin(angles)])
    found = audit(table(lines.T @ lines, noise=0.0), new_rows=False).pictures
    assert found["region"][1]["creases"] == []
    assert len(found["region"][1]["models"]["losses"]) == 600


def test_multiples_of_one_task_have_no_spectrum_to_see():
    found = audit(table(np.ones((3, 3)), noise=0.0), new_rows=False).pictures
    assert "multiples of one another" in found["spectrum"]


def test_a_record_with_a_picture_of_other_tasks_is_refused(record):
    check_pictures(record)
    check_pictures(AuditRecord.model_validate_json(record.model_dump_json()))
    wrong = record.pictures["region"][1] | {"tasks": ["a", "b"]}
    changed = record.model_copy(update={"pictures": {"region": {1: wrong}, "pie": {1: wrong}}})
    with pytest.raises(ValueError, match=r"pictures\.region\.1\.tasks.*pictures\.pie"):
        check_pictures(changed)


def test_each_picture_lives_in_the_file_of_its_name():
    for key, kind in PICTURES.items():
        assert kind.key == key
        assert kind.__module__.endswith(f"pictures.{key}")


def test_a_verdict_without_points_gets_no_pictures(three, record):
    bare = [verdict.model_copy(update={"front": ()}) for verdict in record.verdicts]
    problem = in_shares(LinearProblem(three.inputs, three.targets, tasks=three.tasks))
    assert arranged(problem, bare)["region"] == {}


class Bars(Picture):
    key = "bars"
    place = "stakes"

    figure: Literal["bars"] = "bars"
    losses: list[float]

    @classmethod
    def arrange(cls, shares, verdict):
        if verdict.about.width > 1:
            return "Bars are drawn at width 1."
        return cls(tasks=list(shares.tasks), losses=shares.unexplained.tolist())

    def panels(self):
        trace = {"type": "bar", "name": "alone", "x": self.tasks, "y": self.losses, "marker": {"color": "blue"}}
        return [make_panel("Bars", "Bars of losses.", [trace], {}, shape="low")]

    def caption(self):
        return "What is left of each task."

    def unit(self):
        return "Shares of variance"


def test_a_new_picture_is_one_class_and_one_entry(three, monkeypatch):
    monkeypatch.setitem(PICTURES, "bars", Bars)
    record = audit(three, new_rows=False)
    again = AuditRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert again.pictures["bars"][1]["losses"] == pytest.approx([task.separate_loss for task in record.tasks])
    assert again.pictures["bars"][2] == "Bars are drawn at width 1."
    check_pictures(again)
    page = render_html(again)
    assert "What is left of each task." in page
    assert page.count("Bars are drawn at width 1.") == 1
