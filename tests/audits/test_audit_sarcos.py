"""The known verdicts of SARCOS, word by word and number by number."""

import pytest

from equipoise.linear import LinearProblem, audit_problem, width_summary


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
    known = {"equal_weights": 0.776, "tchebycheff": 0.537, "mixture": 0.503, "wider": 0.112, "separate": 0.0}
    for kind, excess in known.items():
        assert steps[kind].worst_excess == pytest.approx(excess, abs=5e-4)
    raw = {"equal_weights": 0.917, "tchebycheff": 0.679, "mixture": 0.644, "wider": 0.253, "separate": 0.141}
    for kind, worst in raw.items():
        assert steps[kind].worst == pytest.approx(worst, abs=5e-4)
    # the infimum over weights is 0.5986, at a tie; what is handed out has an optimum of its own
    assert 0.5986 <= steps["best_weights"].worst_excess < 0.5996
    assert (steps["mixture"].models, steps["wider"].width, steps["separate"].models) == (2, 2, 3)
    assert verdict.ladder[verdict.remedy].kind == "wider"
    assert steps["best_weights"].weight_digits >= 3
    weights = ", ".join(
        f"'{name}': {weight:.{steps['wider'].decimals}f}"
        for name, weight in zip(("joint0", "joint4", "joint6"), steps["wider"].weights, strict=True)
    )
    assert verdict.headline == (
        f"A weighted sum is not enough; share a layer of width 2 and train with the weights {{{weights}}}: against "
        "equal weights at width 1 joint4 gains 0.664, joint0 0.335 and joint6 0.054; no task pays (shares of variance)."
    )
    assert verdict.words == (
        f"{verdict.headline} The largest excess (a task's loss above that of a model of its own, in shares of its "
        "variance) falls from 0.776 (joint4) to 0.112 (joint0 and joint6), the largest loss falls from 0.917 to 0.253. "
        f"The best weights found ({steps['best_weights'].solves:,} solves) leave it at "
        f"{steps['best_weights'].worst_excess:.3f}; one model reaches 0.537 (Tchebycheff), a mixture of two 0.503. "
        "Tasks in conflict: joint0, joint4, joint6 (margin .20). To come within 0.01 of the best weights found at "
        "width 1, weights must be right to 3 digits."
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
    assert verdict.words.startswith(
        "A weighted sum is enough, but not equal weights; train with the weights {'joint2': 0."
    )
    assert "against equal weights joint5 gains 0.29" in verdict.headline
    assert (
        "falls from 0.711 (joint5) to 0.418 (all tasks), the largest loss falls from 0.993 to 0.699." in verdict.words
    )
    assert "it is 0.418; no single model of this width does better." in verdict.words
    assert (
        "every single model of it leaves some task at least 0.418 of its variance above its own best" in verdict.words
    )
    assert verdict.ladder[verdict.remedy].kind == "best_weights"
    assert verdict.condition.status == "holds"
    assert verdict.effect.exactness == "exact"


def test_no_symbols_are_in_the_words(conflict):
    for verdict in conflict:
        for symbol in ("C1", "C2", "tau", "gramian", "Gramian", "delta", "sigma"):
            assert symbol not in verdict.words + verdict.caveat


def test_all_widths_of_all_joints_have_a_verdict(all_joints):
    verdicts = all_joints
    assert [verdict.about.width for verdict in verdicts] == list(range(1, 8))
    assert [verdict.condition.status for verdict in verdicts] == ["fails", *["open"] * 4, "fails", "single point"]
    assert verdicts[-1].status == "nothing_to_trade"
    excess = [rungs(verdict)["equal_weights"].worst_excess for verdict in verdicts]
    assert excess == sorted(excess, reverse=True)
    assert "no task more than 0.01 of its variance against a model of its own is 5:" in width_summary(verdicts, 7)
