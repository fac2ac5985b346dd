"""Laws that every verdict and ladder keeps, and what becomes of awkward tables."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.audits.widths.front_sample import Budget, front_points, weight_sweep
from equipoise.audits.widths.optima import Shares, Solutions, in_shares
from equipoise.audits.widths.remedies import build_ladder
from equipoise.audits.widths.verdict import judge
from equipoise.audits.widths.verdict_text import sentences
from equipoise.core.records.audit import Effect, Verdict
from equipoise.errors import SettingError
from equipoise.linear import LinearProblem, audit_problem, condition, reach, scalarized


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    """A few points a picture: these tests are about verdicts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.audits.widths.front_sample.budget_for", lambda tasks: Budget(10, 20, 3))
        yield


def random_problem(seed, rows=80, inputs=5, tasks=3, **settings):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs))
    Y = X @ generator.normal(size=(inputs, tasks)) + generator.uniform(0.2, 3, tasks) * generator.normal(
        size=(rows, tasks)
    )
    return LinearProblem(X, Y, **settings)


def rungs(verdict):
    return {rung.kind: rung for rung in verdict.ladder}


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 4))
def test_every_ladder_keeps_its_order(seed, tasks, width):
    problem = random_problem(seed, tasks=tasks)
    (verdict,) = audit_problem(problem, [width])
    steps = rungs(verdict)
    assert steps["separate"].worst_excess <= min(rung.worst_excess for rung in verdict.ladder) + 1e-9
    assert verdict.remedied.closes
    if width >= problem.rank:
        assert verdict.status == "nothing_to_trade"
        assert steps["equal_weights"].worst == pytest.approx(steps["separate"].worst)
        return
    order = [steps[kind].worst_excess for kind in ("equal_weights", "best_weights", "tchebycheff", "mixture")]
    assert (np.diff(order) <= 1e-8).all()
    for rung in verdict.ladder:
        assert rung.lower <= rung.worst_excess
        assert rung.worst == max(rung.losses)
        assert rung.worst_task == problem.tasks[int(np.argmax(rung.losses))]
        assert rung.worst_excess == pytest.approx(float((np.array(rung.losses) - problem.unexplained).max()))
    if tasks == 2:
        assert verdict.status == "enough"
    if verdict.condition.status == "holds":
        assert verdict.status == "enough"
        assert verdict.effect.largest_gap < 1e-6
    if verdict.status == "not_enough":
        # what is said of the best single model is proven by the mixture that beats it
        captured = problem.total - np.array(steps["tchebycheff"].losses)
        assert reach(problem.gramian, width, captured, np.ones(tasks)).status == "unreachable"


def test_verdicts_do_not_depend_on_units_or_on_scaling():
    one = audit_problem(random_problem(3), [1])[0]
    base = random_problem(3)
    other = LinearProblem(base.raw_inputs * 7, base.raw_targets * [1e-3, 1.0, 1e3], scale=False)
    two = audit_problem(other, [1])[0]
    assert one.status == two.status
    for left, right in zip(one.ladder, two.ladder, strict=True):
        assert left.losses == pytest.approx(right.losses, abs=1e-4)


def test_the_same_call_gives_the_same_record():
    problem = random_problem(5, tasks=4)
    one, two = (audit_problem(problem, [1], seed=3)[0] for _ in range(2))
    assert one.model_dump_json() == two.model_dump_json()
    assert Verdict.model_validate_json(one.model_dump_json()) == one


def test_a_task_that_nothing_predicts_is_named_and_does_not_stop_the_others():
    generator = np.random.default_rng(0)
    X = np.linalg.qr(np.column_stack([np.ones(60), generator.normal(size=(60, 5))]))[0][:, 1:]
    Y = np.column_stack([X[:, 0] + 0.1 * X[:, 3], X[:, 1] - 0.5 * X[:, 0] + 0.2 * X[:, 3], X[:, 4]])
    verdicts = audit_problem(LinearProblem(X[:, :3], Y, tasks=("a", "b", "noise")))
    assert [verdict.status for verdict in verdicts] == ["enough", "nothing_to_trade"]
    assert rungs(verdicts[0])["separate"].worst_task == "noise"
    assert rungs(verdicts[0])["separate"].worst_excess == 0
    assert "noise" not in verdicts[0].headline.replace("noise stays as it is", "").replace("'noise': 0.0", "")


def test_inputs_that_predict_nothing_leave_nothing_to_trade():
    problem = LinearProblem(np.ones((20, 2)), np.random.default_rng(0).normal(size=(20, 2)))
    (verdict,) = audit_problem(problem)
    assert verdict.words == "The inputs predict nothing of any task, so there is nothing to trade."


def test_class_indicators_have_one_dimension_less_than_classes():
    generator = np.random.default_rng(1)
    labels = generator.integers(4, size=200)
    X = np.eye(4)[labels] @ generator.normal(size=(4, 6)) + generator.normal(size=(200, 6))
    problem = LinearProblem(X, np.eye(4)[labels], tasks=tuple("abcd"))
    verdicts = audit_problem(problem)
    assert problem.rank == len(verdicts) == 3
    assert verdicts[-1].words.startswith("The four predictable parts span 3 dimensions and the shared layer has 3")


@pytest.fixture(scope="module")
def width_one():
    """A problem of three tasks, its optima at width 1, and a sign test that neither holds nor fails."""
    problem = random_problem(4)
    solutions = Solutions(in_shares(problem))
    return solutions, condition(problem.gramian, 1).model_copy(update={"status": "open"})


@pytest.mark.parametrize(
    ("best", "single", "lower", "theorem", "status"),
    [
        (0.60, 0.60, 0.60, "fails", "enough"),
        (0.609, 0.60, 0.60, "fails", "enough"),
        (0.62, 0.60, 0.60, "fails", "not_enough"),
        (0.62, 0.60, 0.55, "open", "not_enough"),
        (0.605, 0.60, 0.55, "open", "undetermined"),
        (0.62, 0.60, 0.60, "holds", "enough"),
    ],
)
def test_the_status_says_what_was_found_and_what_is_proven(width_one, best, single, lower, theorem, status):
    solutions, answer = width_one
    here = solutions.at(1)
    shares = replace(solutions.shares, unexplained=np.zeros(3))  # each task's own best is 0: losses are excesses
    forged = replace(
        here,
        shares=shares,
        losses_best=np.array([best, 0.1, 0.1]),
        losses_point=np.array([single, 0.1, 0.1]),
        losses_mixture=np.array([lower, 0.1, 0.1]),
        point=replace(here.point, exactness="exact" if lower == single else "bracket", lower=lower),
    )
    assert judge(forged, answer.model_copy(update={"status": theorem}), 0.01) == status
    effect = Effect(
        balanced_gap=0.0, mixture_gap=0.0, largest_gap=0.0, directions=1, exactness="bracket", threshold=0.01
    )
    ladder, remedy = build_ladder(shares, 1, lambda width: forged if width == 1 else solutions.at(width), 0.01)
    said = " ".join(sentences(shares, forged, status, answer, effect, ladder, remedy))
    assert f"{best:.3f}" in said
    if lower < single and status != "enough":
        assert f"none goes below {lower:.3f}" in said
    if theorem == "holds":
        assert "the weights were not found" in said


def test_bootstraps_count_every_resample_and_are_seeded():
    problem = random_problem(7)
    one = audit_problem(problem, [1, 3], bootstraps=5, seed=1)
    two = audit_problem(problem, [1, 3], bootstraps=5, seed=1)
    for verdict, again in zip(one, two, strict=True):
        assert verdict.bootstrap is not None
        assert sum(verdict.bootstrap.statuses.values()) == sum(verdict.bootstrap.conditions.values()) == 5
        low, middle, high = verdict.bootstrap.balanced_gap
        assert 0 <= low <= middle <= high
        assert verdict.bootstrap == again.bootstrap
    assert one[1].bootstrap.statuses == {"nothing_to_trade": 5}


def test_resamples_in_which_a_target_is_constant_are_undetermined():
    generator = np.random.default_rng(0)
    Y = np.column_stack([np.arange(8.0), np.eye(8)[0]])
    (verdict,) = audit_problem(LinearProblem(generator.normal(size=(8, 2)), Y), [1], bootstraps=20)
    assert verdict.bootstrap.statuses["undetermined"] > 0
    assert sum(verdict.bootstrap.statuses.values()) == 20


def test_progress_counts_to_the_end():
    heard = []
    audit_problem(random_problem(2), bootstraps=2, progress=lambda *step: heard.append(step))
    done = [step[0] for step in heard]
    assert done == sorted(done)
    assert heard[-1][0] == heard[-1][1]
    assert heard[-1][2] == "done"


def test_widths_default_to_the_problems_own():
    assert [v.about.width for v in audit_problem(random_problem(2, width=2))] == [2]
    assert [v.about.width for v in audit_problem(random_problem(2), [3, 1, 1])] == [1, 3]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widths": [0]}, "width must be"),
        ({"widths": []}, "at least one width"),
        ({"threshold": 0.0}, "threshold"),
        ({"bootstraps": -1}, "bootstraps"),
    ],
)
def test_settings_out_of_range_are_refused(values, words):
    with pytest.raises(SettingError, match=words):
        audit_problem(random_problem(0), **values)


def test_a_sweep_is_finer_where_losses_move_most():
    # two nearly orthogonal tasks: on a uniform grid of weights all but one or two points are corners of the front
    shares = Shares(np.array([[1.0, 0.02], [0.02, 1.0]]), np.zeros(2), ("a", "b"), 2, 100)
    swept = np.array(sorted(losses.tolist() for _, losses in weight_sweep(shares, 1, 60)))
    uniform = sorted(
        shares.losses(scalarized(shares.gramian, [share, 1 - share], 1).captured).tolist()
        for share in np.linspace(1e-4, 1 - 1e-4, 60)
    )
    assert np.diff(swept[:, 0]).max() < 0.1
    assert np.diff(np.array(uniform)[:, 0]).max() > 0.2


def test_gaps_of_the_picture_are_those_of_reach():
    problem = random_problem(11, tasks=4)
    shares = in_shares(problem)
    here = Solutions(shares).at(1)
    points, largest, tried = front_points(shares, here, budget=Budget(models=10, sweep=20, directions=5))
    measured = [point for point in points if point.gap is not None]
    assert len(measured) == tried
    for point in measured:
        captured = shares.ceiling - np.array(point.losses)
        found = reach(shares.gramian, 1, captured, np.ones(4))
        assert point.gap == pytest.approx(max(found.lower, 0), abs=5e-6)
    assert sum(point.kind == "any model" for point in points) == 10
    assert sum(point.kind == "weighted sum" for point in points) == 20
    assert largest == pytest.approx(max(point.gap for point in measured), abs=1e-6)
