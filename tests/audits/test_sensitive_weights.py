"""Weights that cannot be hit, weights as they are written, and the story of the widths."""

from dataclasses import replace

import numpy as np
import pytest

from equipoise.audits.widths.optima import Excess, Solutions, in_shares
from equipoise.audits.widths.remedies import build_ladder
from equipoise.audits.widths.verdict import judge, verdict_at
from equipoise.audits.widths.verdict_text import sentences
from equipoise.core.records.audit import SENSITIVE_DIGITS, Condition, Effect
from equipoise.linear import LinearProblem, audit_problem, best_weights, scalarized, width_summary


def problem_of(sarcos, *joints):
    X, Y, names = sarcos
    return LinearProblem(X, Y[:, joints], tasks=[names[joint] for joint in joints])


@pytest.fixture(scope="module")
def every_joint(sarcos):
    return Solutions(in_shares(problem_of(sarcos, *range(7))))


def test_all_joints_at_width_one_are_enough_only_with_weights_too_sensitive_to_be_hit(every_joint):
    verdict = verdict_at(every_joint, 1)
    digits = every_joint.at(1).best.digits
    assert digits >= SENSITIVE_DIGITS
    assert verdict.status == "enough"
    assert (
        verdict.headline
        == f"A weighted sum is enough only with weights right to {digits} digits, too sensitive to be hit."
    )
    assert verdict.ladder[verdict.remedy].kind == "tchebycheff"
    assert "Cheapest remedy: train one model on its worst task (Tchebycheff), which gives 0.763." in verdict.words
    assert not verdict.reached


@pytest.mark.parametrize("digits", [None, 3, 4, 9])
def test_the_remedy_never_asks_for_sensitive_weights(sarcos, digits):
    solutions = Solutions(in_shares(problem_of(sarcos, 2, 3, 5)))
    here = solutions.at(1)
    forged = replace(here, best=replace(here.best, digits=digits, written=None), written=None, worst_written=None)
    ladder, remedy = build_ladder(
        solutions.shares, 1, lambda width: forged if width == 1 else solutions.at(width), 0.01
    )
    theorem = Condition(
        status="open", test="", necessary=False, margin=0, signs=(), cycle=(), cycle_correlations=(), rank=3
    )
    status = judge(forged, theorem, 0.01)
    effect = Effect(balanced_gap=0, mixture_gap=0, largest_gap=0, directions=1, exactness="exact", threshold=0.01)
    said = sentences(solutions.shares, forged, status, theorem, effect, ladder, remedy)
    assert status == "enough"
    if digits == 3:
        assert ladder[remedy].kind == "best_weights"
        assert said[0].startswith("A weighted sum is enough, but not equal weights")
    else:
        assert ladder[remedy].kind == "tchebycheff"
        assert said[0].startswith("A weighted sum is enough only with weights right to ")
        assert ("more than nine digits" in said[0]) == (digits is None)


def test_weights_are_spoken_with_the_digits_that_matter_and_give_what_is_said(sarcos):
    problem = problem_of(sarcos, 2, 3, 5)
    solutions = Solutions(in_shares(problem))
    here, (verdict,) = solutions.at(1), audit_problem(problem, [1])
    rung = next(rung for rung in verdict.ladder if rung.kind == "best_weights")
    assert here.best.digits == rung.weight_digits == 2
    assert rung.written_weights == pytest.approx(here.best.written)
    for name, weight in zip(problem.tasks, here.best.written, strict=True):
        assert f"{name} {weight:.2f}" in verdict.words
    own = (problem.total - scalarized(problem.gramian, here.best.written, 1).captured).max()
    assert here.worst_written == pytest.approx(own, abs=1e-12)
    assert own <= 0.599 + 0.01
    assert f"(these themselves give {own:.3f})" in verdict.words


def test_a_weight_that_rounds_to_zero_is_written_and_any_smaller_one_does_as_well():
    # the second task sets the worst loss whatever the model: the first may have any small weight
    gramian, unexplained = np.array([[1.0, 0.2], [0.2, 1.0]]), np.array([0.0, 2.0])
    found = best_weights(gramian, unexplained, 1)
    small = found.written < 10.0**-found.digits / 2
    assert small.tolist() == [True, False]
    for factor in (1.0, 0.1, 0.0):
        weights = np.where(small, found.written * factor, found.written)
        worst = (unexplained + 1.0 - scalarized(gramian, weights, 1).captured).max()
        assert worst <= found.worst + 0.01 + 1e-9


def test_the_three_tasks_of_diabetes_have_their_weights_spoken():
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_diabetes(scaled=False)
    keep = [i for i, name in enumerate(data.feature_names) if name not in {"bmi", "bp"}]
    Y = np.column_stack([data.data[:, [2, 3]], data.target])
    (verdict,) = audit_problem(LinearProblem(data.data[:, keep], Y, tasks=("bmi", "bp", "progression")), [1])
    assert "weights near bmi 0.4, bp 0.6 and progression almost 0" in verdict.words
    assert "(in the table)" not in verdict.words


def test_one_task_that_the_inputs_cannot_predict_is_named():
    X = np.linalg.qr(np.column_stack([np.ones(30), np.random.default_rng(0).normal(size=(30, 3))]))[0][:, 1:]
    problem = LinearProblem(X[:, :2], np.column_stack([X[:, 0] + X[:, 1], X[:, 2]]), tasks=("speed", "noise"))
    (verdict,) = audit_problem(problem)
    assert verdict.words == (
        "The inputs cannot predict noise; the predictable part of speed spans 1 dimension and the shared layer has 1, "
        "so one model is best at every task at once."
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.002, 0.002, 0.002), "is 0.002 for equal weights, for the best weights found and for the best single model"),
        ((0.009, 0.006, 0.006), "is 0.006 to 0.009 for equal weights, for the best weights found"),
        ((0.2, 0.1, 0.05), "is 0.200 for equal weights, 0.100 for the best weights found (7 solves) and 0.050 for"),
    ],
)
def test_excess_losses_are_said_once_where_they_agree(sarcos, values, said):
    solutions = Solutions(in_shares(problem_of(sarcos, 2, 3, 5)))
    equal, best, single = values
    solutions._kept[1] = replace(solutions.at(1), excess=Excess(equal=equal, best=best, solves=7, single=single))
    words = verdict_at(solutions, 1).words
    assert said in words
    assert words.count("0.002") == (1 if equal == 0.002 else 0)


def test_the_widths_of_all_joints_are_one_story(every_joint):
    verdicts = [verdict_at(every_joint, width) for width in range(1, 8)]
    assert width_summary(verdicts, 7) == (
        "Nothing is left to trade from width 7 on. The smallest width that costs no task more than 0.01 of its "
        "variance against a model of its own is 6: there equal weights bring every task that close. The smallest "
        "width at which a weighted sum is as good as any single model of that same width is 3, but there "
        "the layer itself costs accuracy: some task stays 0.23 of its variance above its own best."
    )
    tried = width_summary([verdicts[0], verdicts[6]], 7)
    assert tried == (
        "Nothing is left to trade from width 7 on. At no smaller width tried can a weighted sum be counted on for the "
        "best balance."
    )


def test_a_width_that_is_good_for_both_is_said_once():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    Y = np.column_stack([X[:, 0], X[:, 0] + 0.01 * X[:, 1]]) + rng.normal(size=(200, 2))
    verdicts = audit_problem(LinearProblem(X, Y))
    assert width_summary(verdicts, 2).endswith(
        "is 1: there equal weights bring every task that close. It is also the smallest at which a weighted sum is as "
        "good as any single model of that width."
    )


def test_where_a_wider_layer_needs_sensitive_weights_the_narrowest_with_equal_ones_is_offered(sarcos):
    solutions = Solutions(in_shares(problem_of(sarcos, 0, 4, 6)))
    two = solutions.at(2)
    solutions._kept[2] = replace(two, best=replace(two.best, digits=6, written=None), written=None, worst_written=None)
    ladder, remedy = build_ladder(solutions.shares, 1, solutions.at, 0.01)
    assert [(rung.width, rung.sensitive) for rung in ladder if rung.kind == "wider"] == [(2, True), (3, False)]
    assert ladder[remedy].words == "width 3 with equal weights"
    assert ladder[remedy].closes
