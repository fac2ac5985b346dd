"""Weights that cannot be hit, weights as they are written, and the story of the widths."""

import ast
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.audits.widths.optima import Shares, Solutions, in_shares
from equipoise.audits.widths.remedies import build_ladder
from equipoise.audits.widths.verdict import judge, verdict_at
from equipoise.audits.widths.verdict_text import sentences
from equipoise.core.records.audit import SENSITIVE_DIGITS, Condition, Effect
from equipoise.linear import LinearProblem, audit_problem, width_summary


def problem_of(sarcos, *joints):
    X, Y, names = sarcos
    return LinearProblem(X, Y[:, joints], tasks=[names[joint] for joint in joints])


def test_all_joints_at_width_one_are_enough_only_with_weights_too_sensitive_to_be_hit(all_joints):
    verdict = all_joints[0]
    (digits,) = (rung.weight_digits for rung in verdict.ladder if rung.kind == "best_weights")
    assert digits >= SENSITIVE_DIGITS
    assert verdict.status == "enough"
    assert verdict.headline.startswith("A weighted sum is enough in theory only; train one model on its largest excess")
    assert f"they must be right to {digits} digits, too sensitive to be hit" in verdict.words
    assert verdict.ladder[verdict.remedy].kind == "tchebycheff"
    assert (
        "falls from 0.825 (joint0) to 0.611 (four tasks), the largest loss falls from 1.000 to 0.892" in verdict.words
    )
    assert not verdict.reached


@pytest.mark.parametrize("digits", [None, 3, 4, 9])
def test_the_remedy_never_asks_for_sensitive_weights(sarcos, digits):
    solutions = Solutions(in_shares(problem_of(sarcos, 2, 3, 5)))
    here = solutions.at(1)
    forged = replace(here, best=replace(here.best, digits=digits, written=None), written=None)
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
        assert said[0].startswith("A weighted sum is enough in theory only; train one model")
        assert ("must be right to more than nine digits" in " ".join(said)) == (digits is None)


def written_down(text):
    """The weights of a sentence, as a reader pastes them."""
    return ast.literal_eval(text[text.index("{") : text.index("}") + 1])


@pytest.mark.parametrize("joints", [(2, 3, 5), (0, 4, 6), (0, 1, 2), tuple(range(7))])
def test_weights_that_are_pasted_from_a_verdict_give_the_losses_beside_them(sarcos, joints, request):
    """From the words, from the table and from the record, recomputed from the data without this library."""
    X, Y, names = sarcos
    X, Y = X - X.mean(0), (Y - Y.mean(0))[:, joints] / Y.std(0)[list(joints)]
    left, _, _ = np.linalg.svd(X, full_matrices=False)
    predictions = left @ (left.T @ Y) / np.sqrt(len(Y))

    def losses(weights, width):
        shared = np.linalg.svd(predictions * np.sqrt(weights), full_matrices=False)[0][:, :width]
        return 1 - ((shared.T @ predictions) ** 2).sum(0)

    whole = len(joints) == len(names)
    verdicts = request.getfixturevalue("all_joints") if whole else audit_problem(problem_of(sarcos, *joints))
    handed_out = 0
    for verdict in verdicts:
        for rung in verdict.ladder:
            if rung.weights is None:
                continue
            assert sum(rung.weights) == pytest.approx(1, abs=1e-12)
            assert min(rung.weights) > 0
            assert losses(np.array(rung.weights), rung.width) == pytest.approx(np.array(rung.losses), abs=1e-6)
            if rung.solves is not None:
                assert rung.weights == rung.written_weights
                assert all(weight == round(weight, rung.decimals) for weight in rung.weights)
        remedy = verdict.remedied
        if remedy.solves is not None:
            pasted = written_down(verdict.headline)
            assert list(pasted) == [names[joint] for joint in joints]
            assert tuple(pasted.values()) == remedy.weights
            handed_out += 1
        for point in verdict.front:
            if point.weights is not None:
                found = losses(np.array(point.weights), verdict.about.width)
                assert found == pytest.approx(np.array(point.losses), abs=2e-6)
    assert handed_out


def test_where_only_a_tie_is_best_no_weights_are_handed_out():
    found = Solutions(Shares(np.eye(3), np.zeros(3), ("a", "b", "c"), 3, 100))
    verdict = verdict_at(found, 1)
    rungs = {rung.kind: rung for rung in verdict.ladder}
    assert rungs["best_weights"].worst_excess == pytest.approx(2 / 3)
    for kind in ("equal_weights", "best_weights"):
        assert rungs[kind].weights is None
        assert rungs[kind].written_weights is None
    assert verdict.ladder[verdict.remedy].kind == "tchebycheff"


def test_a_task_with_an_own_best_far_above_the_others_does_not_decide():
    """Its raw loss is the largest in every model; what sharing costs the others is what the verdict is about."""
    gramian = np.array([[0.9, 0.02, 0.0], [0.02, 0.9, 0.0], [0.0, 0.0, 0.01]])
    verdict = verdict_at(Solutions(Shares(gramian, 1 - gramian.diagonal(), ("a", "b", "noisy"), 3, 1000)), 1)
    rungs = {rung.kind: rung for rung in verdict.ladder}
    assert {rung.worst_task for rung in verdict.ladder} == {"noisy"}
    assert rungs["equal_weights"].worst_excess - rungs["tchebycheff"].worst_excess < 0.46
    assert rungs["tchebycheff"].worst_excess == pytest.approx(0.44, abs=0.02)
    assert verdict.remedied.worst_excess <= rungs["equal_weights"].worst_excess - 0.01 or verdict.remedy is None


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_what_is_marked_lowers_the_largest_excess_or_nothing_is(seed, tasks):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(60, 5))
    Y = X @ draw.normal(size=(5, tasks)) + draw.uniform(0.1, 5, tasks) * draw.normal(size=(60, tasks))
    problem = LinearProblem(X, Y)
    solutions = Solutions(in_shares(problem))
    for width in range(1, problem.rank + 1):
        ladder, remedy = build_ladder(solutions.shares, width, solutions.at, 0.01)
        equal = ladder[0].worst_excess
        if remedy is None:
            assert ladder[0].closes
            continue
        assert not ladder[0].closes
        assert ladder[remedy].closes
        assert ladder[remedy].worst_excess < equal - 0.01
        own = np.array(ladder[remedy].losses) - problem.unexplained
        assert ladder[remedy].worst_excess == pytest.approx(own.max())


def test_one_task_that_the_inputs_cannot_predict_is_named():
    X = np.linalg.qr(np.column_stack([np.ones(30), np.random.default_rng(0).normal(size=(30, 3))]))[0][:, 1:]
    problem = LinearProblem(X[:, :2], np.column_stack([X[:, 0] + X[:, 1], X[:, 2]]), tasks=("speed", "noise"))
    (verdict,) = audit_problem(problem)
    assert verdict.words == (
        "The inputs cannot predict noise; the predictable part of speed spans 1 dimension and the shared layer has 1, "
        "so one model is best at every task at once."
    )


def test_the_widths_of_all_joints_are_one_story(all_joints):
    assert width_summary(all_joints, 7) == (
        "Nothing is left to trade from width 7 on. The smallest width that costs no task more than 0.01 of its "
        "variance against a model of its own is 5: there the best weights found bring every task that close. The "
        "smallest width at which a weighted sum is as good as any single model of that same width is 3, but there "
        "the layer itself costs accuracy: some task stays 0.13 of its variance above its own best."
    )
    tried = width_summary([all_joints[0], all_joints[6]], 7)
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
    solutions._kept[2] = replace(two, best=replace(two.best, digits=6, written=None), written=None)
    ladder, remedy = build_ladder(solutions.shares, 1, solutions.at, 0.01)
    assert [(rung.width, rung.sensitive) for rung in ladder if rung.kind == "wider"] == [(2, True), (3, False)]
    assert ladder[remedy].words == "width 3 with equal weights"
    assert ladder[remedy].closes
