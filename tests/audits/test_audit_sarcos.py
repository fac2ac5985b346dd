"""The known verdicts of SARCOS, word by word and number by number."""

import pytest

from equipoise.audits.widths.optima import Solutions, in_shares
from equipoise.linear import LinearProblem, audit_problem, scalarized, width_summary


def problem_of(sarcos, *joints):
    X, Y, names = sarcos
    return LinearProblem(X, Y[:, joints], tasks=[names[joint] for joint in joints])


def rungs(verdict):
    return {rung.kind: rung for rung in verdict.ladder}


@pytest.fixture(scope="module")
def conflict(sarcos):
    return audit_problem(problem_of(sarcos, 0, 4, 6))


def test_not_enough_is_said_with_the_known_numbers(conflict):
    verdict = conflict[0]
    assert verdict.status == "not_enough"
    steps = rungs(verdict)
    known = {"equal_weights": 0.917, "tchebycheff": 0.645, "mixture": 0.601, "wider": 0.206, "separate": 0.141}
    for kind, worst in known.items():
        assert steps[kind].worst == pytest.approx(worst, abs=5e-4)
    assert steps["best_weights"].worst == pytest.approx(0.7077, abs=1e-3)
    assert (steps["mixture"].models, steps["wider"].width, steps["separate"].models) == (2, 2, 3)
    assert verdict.ladder[verdict.remedy].kind == "wider"
    assert steps["best_weights"].weight_digits >= 3
    assert verdict.headline == "A weighted sum is not enough."
    assert verdict.words.startswith(
        "A weighted sum is not enough. The worst task stays at 0.708 of its variance for the best weights found "
        f"({steps['best_weights'].solves:,} solves); one model reaches 0.645 (Tchebycheff), a mixture of two 0.601. "
        "Tasks in conflict: joint0, joint4, joint6 (margin .20). "
        "Cheapest remedy: width 2, where a weighted sum gives 0.206."
    )


def test_the_picture_shows_a_gap_near_the_known_largest(conflict):
    verdict = conflict[0]
    assert 0.06 < verdict.effect.largest_gap < 0.0815
    gaps = [point.gap for point in verdict.front if point.gap is not None]
    assert len(gaps) == verdict.effect.directions
    assert max(gaps) == pytest.approx(verdict.effect.largest_gap, abs=1e-6)


def test_at_width_two_weights_are_enough_and_at_three_nothing_is_left_to_trade(conflict):
    assert [verdict.status for verdict in conflict] == ["not_enough", "enough", "nothing_to_trade"]
    assert conflict[2].words == (
        "The three predictable parts span 3 dimensions and the shared layer has 3, so one model is best at every task "
        "at once."
    )
    assert conflict[2].condition.status == "single point"
    summary = width_summary(conflict, 3)
    assert summary.startswith("Nothing is left to trade from width 3 on.")
    assert (
        "The smallest width at which a weighted sum is as good as any single model of that same width is 2" in summary
    )


def test_enough_but_not_with_equal_weights_is_said_with_the_known_numbers(sarcos):
    (verdict,) = audit_problem(problem_of(sarcos, 2, 3, 5), [1])
    assert verdict.status == "enough"
    assert verdict.words.startswith("A weighted sum is enough, but not equal weights: ")
    assert "bring the worst task to 0.599 of its variance; no single model of this width does better." in verdict.words
    assert verdict.words.endswith("Equal weights leave joint5 at 0.993.")
    assert verdict.ladder[verdict.remedy].kind == "best_weights"
    assert verdict.condition.status == "holds"
    assert verdict.effect.exactness == "exact"


def test_weights_that_are_written_in_words_give_what_is_said(sarcos):
    problem = problem_of(sarcos, 2, 3, 5)
    here = Solutions(in_shares(problem)).at(1)
    assert here.written is not None
    losses = problem.total - scalarized(problem.gramian, here.written, 1).captured
    assert losses.max() == pytest.approx(0.599, abs=0.01)
    assert losses.max() == pytest.approx(here.worst_written, abs=1e-9)


def test_no_symbols_are_in_the_words(conflict):
    for verdict in conflict:
        for symbol in ("C1", "C2", "tau", "gramian", "Gramian", "delta", "sigma"):
            assert symbol not in verdict.words + verdict.caveat


def test_all_widths_of_all_joints_have_a_verdict(sarcos):
    verdicts = audit_problem(problem_of(sarcos, *range(7)))
    assert [verdict.about.width for verdict in verdicts] == list(range(1, 8))
    assert [verdict.condition.status for verdict in verdicts] == ["fails", *["open"] * 4, "fails", "single point"]
    assert verdicts[-1].status == "nothing_to_trade"
    excess = [rungs(verdict)["equal_weights"].worst_excess for verdict in verdicts]
    assert excess == sorted(excess, reverse=True)
    assert "no task more than 0.01 of its variance against a model of its own is 6:" in width_summary(verdicts, 7)
