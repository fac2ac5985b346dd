"""Laws of the Tchebycheff point, special cases that must coincide, and known answers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError, SettingError
from equipoise.linear.minmax.fantope import best_mixture
from equipoise.linear.minmax.problem import MinMax, unit_factor
from equipoise.linear.minmax.sign_enumeration import complement_one, width_one
from equipoise.linear.optima.tchebycheff import tchebycheff
from equipoise.linear.optima.weighted_sum import scalarized
from equipoise.linear.reachability.reach import reach
from equipoise.linear.sign_test.condition import condition

# Correlations of four tasks: the sign condition holds at width 1 and at width 3, yet at width 2 a mixture of two
# models is better for the worst task (7/30) than any single one.
OPEN_RANGE = np.array([[1.0, 0.5, 0.6, 0.8], [0.5, 1.0, 0.3, 0.3], [0.6, 0.3, 1.0, 0.3], [0.8, 0.3, 0.3, 1.0]])
THREE_IN_CONFLICT = np.full((3, 3), -0.3) + 1.3 * np.eye(3)


@pytest.fixture(scope="module")
def sarcos_gramian(sarcos):
    inputs, torques, _ = sarcos
    predictions = inputs @ np.linalg.lstsq(inputs, torques, rcond=None)[0]
    return predictions.T @ predictions / len(inputs), np.mean((torques - predictions) ** 2, axis=0)


def random_gramian(seed, tasks, rank=None):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rank or tasks + 1, tasks)) * 10 ** rng.uniform(-1, 1, tasks)
    return rows.T @ rows


cases = st.tuples(st.integers(0, 10_000), st.integers(2, 6)).flatmap(
    lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), st.integers(1, pair[1]))
)


def problem_of(gramian, weights, width):
    """The inner form of a problem with ideal 0, and its unit."""
    own = np.diag(gramian)
    unit = np.max(weights * own)
    factor, _ = unit_factor(gramian)
    return MinMax(factor, np.ones(len(own)), unit / (weights * own), width), unit


@given(cases)
@settings(max_examples=40, deadline=None)
def test_values_are_those_of_the_models_returned_and_lie_in_order(case):
    seed, tasks, width = case
    gramian = random_gramian(seed, tasks)
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, tasks) / np.diag(gramian)
    ideal = -np.random.default_rng(seed + 1).uniform(0, 0.5, tasks) * np.diag(gramian)
    point = tchebycheff(gramian, weights, width, ideal, random_starts=2)
    excess = np.diag(gramian) - point.captured
    assert point.value == pytest.approx(np.max(weights * (excess - ideal)), abs=1e-9)
    assert np.allclose(point.directions.T @ gramian @ point.directions, np.eye(width), atol=1e-8)
    assert np.allclose(np.sum((gramian @ point.directions) ** 2, axis=1), point.captured)
    mixed = np.diag(gramian) - point.mixture_weights @ point.mixture_captured
    assert point.mixture_value == pytest.approx(np.max(weights * (mixed - ideal)), abs=1e-9)
    assert point.mixture_lower <= point.mixture_value + 1e-12
    assert point.mixture_lower <= point.lower + 1e-12
    assert point.mixture_value <= point.value
    assert point.lower <= point.value
    members = len(point.mixture_weights)
    assert members == 1 or members * (members + 1) / 2 <= tasks


@given(cases)
@settings(max_examples=25, deadline=None)
def test_no_scalarized_optimum_and_no_random_model_is_better(case):
    seed, tasks, width = case
    gramian, rng = random_gramian(seed, tasks), np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.0, tasks) / np.diag(gramian)
    point = tchebycheff(gramian, weights, width, random_starts=2)
    for _ in range(20):
        other = scalarized(gramian, rng.dirichlet(np.ones(tasks)) * weights, width).captured
        assert np.max(weights * (np.diag(gramian) - other)) >= point.lower - 1e-9


@given(cases, st.floats(-6, 6))
@settings(max_examples=25, deadline=None)
def test_units_and_order_of_tasks_do_not_matter(case, decade):
    seed, tasks, width = case
    gramian, rng = random_gramian(seed, tasks), np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1.0, tasks) / np.diag(gramian)
    first = tchebycheff(gramian, weights, width)
    order, units = rng.permutation(tasks), 10 ** (decade * rng.uniform(0, 1, tasks))
    other = tchebycheff((gramian * np.outer(units, units))[np.ix_(order, order)], (weights / units**2)[order], width)
    assert other.mixture_value == pytest.approx(first.mixture_value, abs=1e-8)
    if first.exactness == other.exactness == "exact":
        assert other.value == pytest.approx(first.value, abs=1e-8)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_two_tasks_never_gain_from_a_mixture(seed):
    gramian = random_gramian(seed, 2)
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, 2) / np.diag(gramian)
    point = tchebycheff(gramian, weights, 1)
    assert point.exactness == "exact"
    assert point.value == pytest.approx(point.mixture_lower, abs=1e-8)


@given(st.integers(0, 10_000), st.integers(3, 5))
@settings(max_examples=20, deadline=None)
def test_where_the_condition_holds_a_single_model_is_as_good_as_any_mixture(seed, tasks):
    gramian = random_gramian(seed, tasks)
    for width in (1, tasks - 1):
        if condition(gramian, width).status == "holds":
            point = tchebycheff(gramian, 1 / np.diag(gramian), width)
            assert point.exactness == "exact"
            assert point.value == pytest.approx(point.mixture_lower, abs=1e-8)


@given(st.integers(0, 10_000), st.integers(3, 6))
@settings(max_examples=20, deadline=None)
def test_the_signs_of_the_theorem_give_what_all_signs_give(seed, tasks):
    rows = np.abs(np.random.default_rng(seed).normal(size=(tasks + 1, tasks)))
    gramian = rows.T @ rows  # no negative correlation: the condition holds at width 1
    start = np.eye(tasks)[:, :1]
    problem, _ = problem_of(gramian, 1 / np.diag(gramian), 1)
    known, _, _ = width_one(problem, start, signs=[1] * tasks)
    searched, _, complete = width_one(problem, start)
    assert complete
    assert problem.worst(known) == pytest.approx(problem.worst(searched), abs=1e-9)


@given(st.integers(0, 10_000), st.integers(3, 7))
@settings(max_examples=20, deadline=None)
def test_width_rank_less_one_with_the_signs_of_the_theorem_agrees_with_all_signs(seed, tasks):
    rng = np.random.default_rng(seed)
    coupling = np.abs(rng.normal(size=(tasks, tasks)))
    gramian = np.linalg.inv(coupling @ coupling.T + np.eye(tasks))  # the inverse has no negative entry
    gramian = (gramian + gramian.T) / 2
    problem, _ = problem_of(gramian, 1 / np.diag(gramian), tasks - 1)
    start = np.eye(tasks)[:, : tasks - 1]
    known, _ = complement_one(problem, start, signs=[1] * tasks)
    searched, _ = complement_one(problem, start)
    assert problem.worst(known) == pytest.approx(problem.worst(searched), abs=1e-9)


def test_three_equal_conflicts_have_the_value_of_the_formula():
    point = tchebycheff(THREE_IN_CONFLICT, [1, 1, 1], 1)
    # The mixture spreads over the plane of the top eigenvalue 1.3. The single model keeps equal shares e of all tasks,
    # with s = sqrt(e) (1, 1, -1) and s^T C^-1 s = 1, where C^-1 = (I + 0.75 J) / 1.3.
    assert point.mixture_value == pytest.approx(1 - 1.3 / 3, abs=1e-9)
    assert point.value == pytest.approx(1 - 1.3 / 3.75, abs=1e-9)


def test_orthogonal_tasks_share_the_width_equally():
    for width in (1, 2, 3):
        point = tchebycheff(np.diag([1.0, 1.0, 1.0, 1.0]), np.ones(4), width)
        assert point.exactness == "exact"
        assert point.value == pytest.approx(1 - width / 4, abs=1e-9)


def test_width_of_the_rank_leaves_nothing_to_trade_also_for_dependent_tasks():
    gramian = random_gramian(3, 5, rank=2)
    point = tchebycheff(gramian, np.ones(5), 2, ideal=[-1.0, 0, 0, 0, -0.5])
    assert (point.value, point.lower, point.mixture_value, point.exactness) == (1.0, 1.0, 1.0, "exact")
    assert np.allclose(point.captured, np.diag(gramian))


def test_signs_of_the_theorem_are_not_enough_between_the_extreme_widths():
    assert condition(OPEN_RANGE, 1).status == "holds"
    assert condition(OPEN_RANGE, 3).status == "holds"
    point = tchebycheff(OPEN_RANGE, np.ones(4), 2)
    assert point.mixture_value == pytest.approx(7 / 30, abs=1e-8)
    assert len(point.mixture_weights) == 2
    assert point.value > point.mixture_value + 0.01
    assert point.exactness == "bracket"


def test_the_search_over_signs_says_when_it_was_not_finished():
    problem, _ = problem_of(THREE_IN_CONFLICT, np.ones(3), 1)
    assert width_one(problem, np.eye(3)[:, :1], limit=1)[2] is False
    assert tchebycheff(THREE_IN_CONFLICT, [1, 1, 1], 1, limit=1).exactness == "bracket"


def test_a_task_of_weight_zero_does_not_count_and_its_loss_is_reported():
    gramian = random_gramian(5, 4)
    three = tchebycheff(gramian[:3, :3], [1, 1, 1], 1)
    four = tchebycheff(gramian, [1, 1, 1, 0], 1)
    assert four.value == pytest.approx(three.value, abs=1e-9)
    assert np.allclose(four.captured[:3], three.captured, atol=1e-6)
    assert 0 <= four.captured[3] <= gramian[3, 3]


def test_a_task_that_cannot_be_predicted_sets_a_floor():
    gramian = np.zeros((3, 3))
    gramian[:2, :2] = [[1.0, 0.2], [0.2, 1.0]]
    low = tchebycheff(gramian, np.ones(3), 1, ideal=[0, 0, -0.1])
    assert low.value == pytest.approx(tchebycheff(gramian[:2, :2], [1, 1], 1).value, abs=1e-9)
    assert tchebycheff(gramian, np.ones(3), 1, ideal=[0, 0, -5.0]).value == 5.0
    assert tchebycheff(np.zeros((2, 2)), [1, 2], 1, ideal=[-1, -1]).value == 2.0


def test_tasks_that_do_not_bind_are_not_left_worse_than_need_be():
    # Task 0 is at its floor as soon as it is captured; the second feature is then free to serve the others.
    gramian = np.diag([1.0, 1.0, 1.0, 0.01])
    gramian[1, 2] = gramian[2, 1] = 0.9
    point = tchebycheff(gramian, np.ones(4), 3, ideal=[-2.0, 0, 0, 0])
    assert point.value == pytest.approx(2.0, abs=1e-9)
    assert np.sum(np.diag(gramian) - point.captured) <= 0.0100001


def test_the_best_mixture_is_exactly_at_the_boundary_that_reach_measures():
    """delta of `reach`, found by column generation, at the mixture's energies is 0."""
    for seed in range(4):
        gramian = random_gramian(seed, 5)
        point = tchebycheff(gramian, 1 / np.diag(gramian), 2)
        found = reach(gramian, 2, point.mixture_weights @ point.mixture_captured)
        assert abs(found.upper) < 1e-6


def test_the_certified_gap_of_the_mixture_stays_small_for_many_tasks():
    rng = np.random.default_rng(0)
    for tasks, width in [(12, 4), (20, 1), (20, 5), (40, 10)]:
        rows = rng.normal(size=(tasks + 2, tasks)) + rng.normal(size=(tasks + 2, 1))
        problem, _ = problem_of(rows.T @ rows, np.ones(tasks), width)
        mixture = best_mixture(problem)
        members = len(mixture.weights)
        assert 0 <= mixture.value - mixture.lower < 2e-7
        assert members * (members + 1) / 2 <= tasks
        assert mixture.weights.sum() == pytest.approx(1)


def test_sarcos_single_model_and_mixture_are_the_known_ones(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    three = np.array([0, 4, 6])
    part, ideal = gramian[np.ix_(three, three)], -unexplained[three]
    narrow = tchebycheff(part, np.ones(3), 1, ideal)
    assert (narrow.exactness, len(narrow.mixture_weights)) == ("exact", 2)
    assert narrow.value == pytest.approx(0.645, abs=5e-4)
    assert narrow.mixture_value == pytest.approx(0.601, abs=5e-4)
    assert tchebycheff(part, np.ones(3), 2, ideal).value == pytest.approx(0.206, abs=5e-4)
    assert tchebycheff(part, np.ones(3), 3, ideal).value == pytest.approx(0.141, abs=5e-4)
    enough = np.array([2, 3, 5])
    held = tchebycheff(gramian[np.ix_(enough, enough)], np.ones(3), 1, -unexplained[enough])
    assert held.value == pytest.approx(0.599, abs=5e-4)
    assert held.mixture_value == pytest.approx(held.value, abs=1e-9)


def test_sarcos_point_that_no_weights_reach_has_the_known_losses_and_gap(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    three = np.array([0, 4, 6])
    part = gramian[np.ix_(three, three)]
    point = tchebycheff(part, [0.320, 0.415, 0.265], 1)
    losses = unexplained[three] + np.diag(part) - point.captured
    assert np.allclose(losses, [0.6808, 0.6089, 0.7960], atol=1e-3)
    assert reach(part, 1, point.captured, np.ones(3)).lower == pytest.approx(0.0802, abs=5e-4)


def test_sarcos_all_joints_are_ordered_over_widths(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    points = [tchebycheff(gramian, np.ones(7), width, -unexplained) for width in range(1, 8)]
    values = [point.value for point in points]
    assert all(after <= before + 1e-9 for before, after in pairwise(values))
    assert values[-1] == pytest.approx(unexplained.max())
    assert [point.exactness for point in points] == ["exact", "bracket", *["exact"] * 5]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.eye(3), [1, 1], 1), SettingError, r"weights must have shape \(3,\)"),
        ((np.eye(3), [1, -1, 1], 1), SettingError, "non-negative and not all 0"),
        ((np.eye(3), [0, 0, 0], 1), SettingError, "non-negative and not all 0"),
        ((np.eye(3), [1, np.nan, 1], 1), SettingError, "weights must be finite"),
        ((np.eye(3), [1, 1, 1], 0), SettingError, "width"),
        ((np.eye(3), [1, 1, 1], 1, [0, 0.1, 0]), SettingError, r"ideal must be at most 0.*at \[1\]"),
        ((np.eye(3), [1, 1, 1], 1, [0, 0]), SettingError, r"ideal must have shape \(3,\)"),
        ((np.ones((2, 3)), [1, 1], 1), GramianError, "square"),
        (([[1.0, 2.0], [2.0, 1.0]], [1, 1], 1), GramianError, "positive semidefinite"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(arguments, error, words):
    with pytest.raises(error, match=words):
        tchebycheff(*arguments)


def test_a_search_that_starts_from_the_best_of_a_similar_problem_finds_as_good_a_model():
    gramian = random_gramian(3, 6)
    near = tchebycheff(gramian + 0.05 * random_gramian(4, 6), np.ones(6), 3)
    usual = tchebycheff(gramian, np.ones(6), 3, random_starts=16)
    found = tchebycheff(gramian, np.ones(6), 3, first=near.directions)
    assert usual.value - 1e-6 <= found.value <= usual.value + 1e-3
    assert found.lower <= found.value
    for wrong in (near.directions[:3], near.directions * np.nan):
        with pytest.raises(SettingError, match="first must be a finite"):
            tchebycheff(gramian, np.ones(6), 3, first=wrong)
