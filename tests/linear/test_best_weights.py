"""The best weights: known answers, agreement with the single model where theory says so, and what is written down."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear.minmax.problem import MinMax, unit_factor
from equipoise.linear.optima.best_weights import best_weights
from equipoise.linear.optima.scalarized_descent import descend, settled
from equipoise.linear.optima.tchebycheff import tchebycheff
from equipoise.linear.optima.weighted_sum import scalarized
from equipoise.linear.sign_test.condition import condition

JOINTS_046 = np.array([0, 4, 6])


@pytest.fixture(scope="module")
def sarcos_gramian(sarcos):
    inputs, torques, _ = sarcos
    predictions = inputs @ np.linalg.lstsq(inputs, torques, rcond=None)[0]
    return predictions.T @ predictions / len(inputs), np.mean((torques - predictions) ** 2, axis=0)


def random_gramian(seed, tasks):
    rows = np.random.default_rng(seed).normal(size=(tasks + 1, tasks))
    return rows.T @ rows / len(rows)


def losses_of(gramian, unexplained, width, weights):
    return unexplained + np.diag(gramian) - scalarized(gramian, weights, width).captured


def test_sarcos_best_weights_lie_at_a_tie_and_need_three_digits(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    part, rest = gramian[np.ix_(JOINTS_046, JOINTS_046)], unexplained[JOINTS_046]
    found = best_weights(part, rest, 1)
    assert found.worst == pytest.approx(0.7077, abs=1e-3)
    assert found.lower == pytest.approx(0.645, abs=1e-3)
    assert (found.tied, found.exactness, found.digits) == (True, "found by search", 3)
    assert losses_of(part, rest, 1, found.written).max() <= found.worst + 0.001
    excess = best_weights(part, np.zeros(3), 1)
    assert excess.worst == pytest.approx(0.5986, abs=1e-3)
    assert excess.lower == pytest.approx(0.5374, abs=1e-3)
    assert losses_of(part, np.zeros(3), 1, excess.written).max() <= excess.worst + 0.001


def test_sarcos_best_weights_equal_the_single_model_where_the_condition_holds(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    three = np.array([2, 3, 5])
    found = best_weights(gramian[np.ix_(three, three)], unexplained[three], 1)
    assert found.worst == pytest.approx(0.599, abs=5e-4)
    assert (found.exactness, found.tied) == ("exact", False)
    assert losses_of(gramian[np.ix_(three, three)], unexplained[three], 1, found.weights).max() == pytest.approx(
        found.worst, abs=1e-7
    )


def test_sarcos_best_weights_do_not_depend_on_the_seed(sarcos_gramian):
    gramian, unexplained = sarcos_gramian
    for width in (1, 2):
        values = [best_weights(gramian, unexplained, width, seed=seed).worst for seed in (0, 1, 2)]
        assert np.ptp(values) < 1e-7


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_the_worst_loss_is_that_of_the_model_and_never_below_the_single_model(seed, tasks, width):
    gramian, unexplained = random_gramian(seed, tasks), np.random.default_rng(seed).uniform(0, 0.5, tasks)
    found = best_weights(gramian, unexplained, width)
    assert found.worst == pytest.approx(np.max(unexplained + np.diag(gramian) - found.captured), abs=1e-9)
    assert found.worst >= found.lower
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights.min() > 0
    equal = losses_of(gramian, unexplained, width, np.ones(tasks)).max()
    assert found.worst <= equal + 1e-9
    if found.written is not None:
        if width < tasks:
            assert np.array_equal(found.written, np.round(found.written, 10))
        assert found.written.sum() == pytest.approx(1, abs=1e-14)
        assert found.written.min() > 0
        assert not scalarized(gramian, found.written, width).tied
        assert losses_of(gramian, unexplained, width, found.written).max() <= found.worst + 0.01 + 1e-9
    if not found.tied:
        own = losses_of(gramian, unexplained, width, found.weights).max()
        assert own == pytest.approx(found.worst, abs=1e-6)


@given(st.integers(0, 10_000), st.integers(3, 5))
@settings(max_examples=20, deadline=None)
def test_weights_reach_the_single_model_where_the_condition_holds(seed, tasks):
    gramian, unexplained = random_gramian(seed, tasks), np.random.default_rng(seed).uniform(0, 0.2, tasks)
    for width in (1, tasks - 1):
        if condition(gramian, width).status == "holds":
            assert best_weights(gramian, unexplained, width).exactness == "exact"


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_units_move_into_the_scale(seed):
    gramian, rng = random_gramian(seed, 3), np.random.default_rng(seed)
    unexplained, units = rng.uniform(0, 0.5, 3), 10 ** rng.uniform(-3, 3, 3)
    plain = best_weights(gramian, unexplained, 1)
    scaled = best_weights(gramian * np.outer(units, units), unexplained * units**2, 1, scale=units**2)
    assert scaled.worst == pytest.approx(plain.worst, abs=1e-7)


def test_orthogonal_tasks_are_balanced_only_by_the_full_tie():
    found = best_weights(np.diag([1.0, 4.0, 9.0]), np.zeros(3), 1, scale=[1.0, 4.0, 9.0])
    assert found.worst == pytest.approx(2 / 3, abs=1e-9)
    assert (found.exactness, found.tied) == ("exact", True)
    assert np.allclose(found.weights, 1 / 3, atol=1e-6)
    assert found.written is None  # any weights but the tied ones give a vertex: worst loss 1


def test_at_the_width_of_the_rank_any_weights_will_do():
    found = best_weights([[1.0, 0.5], [0.5, 1.0]], [0.1, 0.3], 2)
    assert (found.worst, found.exactness, found.digits, found.tied) == (0.3, "exact", 0, False)


def test_a_task_that_cannot_be_predicted_sets_a_floor():
    gramian = np.zeros((3, 3))
    gramian[:2, :2] = [[1.0, 0.2], [0.2, 1.0]]
    two = best_weights(gramian[:2, :2], [0.1, 0.1], 1)
    assert best_weights(gramian, [0.1, 0.1, 0.2], 1).worst == pytest.approx(two.worst, abs=1e-9)
    assert best_weights(gramian, [0.1, 0.1, 3.0], 1).worst == pytest.approx(3.0)


def test_many_tasks_fall_back_to_a_search_without_derivatives():
    gramian = random_gramian(0, 26)
    found = best_weights(gramian, np.full(26, 0.1), 13, starts=1)
    assert found.lower <= found.worst <= losses_of(gramian, np.full(26, 0.1), 13, np.ones(26)).max()


def test_a_descent_from_far_away_ends_at_weights_and_one_of_their_optima():
    rng = np.random.default_rng(0)
    gramian = random_gramian(1, 5)
    factor, _ = unit_factor(gramian)
    problem = MinMax(factor, np.ones(5), np.ones(5), 2)
    for _ in range(10):
        weights, basis = rng.dirichlet(np.ones(5)), np.linalg.qr(rng.normal(size=(5, 2)))[0]
        pair, solves = descend(problem, weights, basis)
        best_sum = np.linalg.eigvalsh(problem.energy(pair.weights))[-2:].sum()
        assert pair.weights @ problem.captured(pair.basis) == pytest.approx(best_sum, rel=1e-7)
        assert pair.level == problem.worst(pair.basis)
        assert solves >= 1


def test_settling_at_a_tie_keeps_the_member_that_is_near():
    problem = MinMax(np.eye(3), np.ones(3), np.ones(3), 1)
    near = np.array([[1.0], [2.0], [2.0]]) / 3
    pair = settled(problem, np.ones(3) / 3, near)
    assert pair.tied
    assert np.allclose(np.abs(pair.basis), near)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unexplained": [0.1, -0.1]}, "unexplained must not be negative"),
        ({"unexplained": [0.1]}, r"unexplained must have shape \(2,\)"),
        ({"scale": [1.0, 0.0]}, "scale must be above 0"),
        ({"starts": 0}, "starts must be a whole number"),
        ({"width": 0}, "width"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(change, words):
    arguments = {"gramian": [[1.0, 0.5], [0.5, 1.0]], "unexplained": [0.1, 0.1], "width": 1} | change
    with pytest.raises(SettingError, match=words):
        best_weights(**arguments)


def test_the_single_model_of_another_problem_is_refused():
    gramian = np.array([[1.0, 0.5], [0.5, 1.0]])
    other = tchebycheff(gramian, [1, 2], 1)
    with pytest.raises(SettingError, match="of the same problem"):
        best_weights(gramian, [0.1, 0.1], 1, single=other)
