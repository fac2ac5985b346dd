"""Reachability: known answers, laws of the hull of mixtures, witnesses that prove each status."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear import LinearProblem, reach, scalarized

seeds = st.integers(0, 10**6)


def gramian(seed, tasks):
    factor = np.random.default_rng(seed).normal(size=(tasks, tasks + 1))
    return factor @ factor.T


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 5), st.integers(1, 4), st.booleans())
def test_optima_of_weighted_sums_are_reachable(seed, tasks, width, unit):
    G = gramian(seed, tasks)
    weights = np.random.default_rng(seed).dirichlet(np.ones(tasks))
    found = reach(G, width, scalarized(G, weights, width).captured, np.ones(tasks) if unit else None)
    assert found.status == "reachable"
    assert abs(found.lower) <= found.tolerance
    assert found.upper <= found.tolerance


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 5), st.integers(1, 3))
def test_witnesses_prove_both_bounds(seed, tasks, width):
    G = gramian(seed, tasks)
    generator = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(G)
    factor = (vectors * np.sqrt(values)).T
    basis = np.linalg.qr(generator.normal(size=(tasks, min(width, tasks))))[0]
    captured = ((basis.T @ factor) ** 2).sum(0)
    direction = generator.uniform(0.5, 2, tasks) * np.diag(G)
    found = reach(G, width, captured, direction)
    assert found.status in {"reachable", "unreachable"}
    assert found.upper - found.lower <= found.tolerance
    assert found.mixture.sum() == pytest.approx(1)
    assert (found.mixture > 0).all()
    lead = (found.mixture @ found.members - captured) / direction
    assert lead.min() == pytest.approx(found.lower, abs=1e-12)
    assert found.weights @ direction == pytest.approx(1)
    assert found.weights.min() >= 0
    bound = scalarized(G, found.weights, width).value - found.weights @ captured
    assert bound == pytest.approx(found.upper, abs=1e-9)
    for weights, member in zip(found.member_weights, found.members, strict=True):
        assert np.allclose(scalarized(G, weights, width).captured, member)


def test_the_known_unreachable_point_of_sarcos(sarcos):
    X, Y, names = sarcos
    kept = [0, 4, 6]
    problem = LinearProblem(X, Y[:, kept], tasks=[names[i] for i in kept])
    losses = np.array([0.6808, 0.6089, 0.7960])
    captured = problem.unexplained + np.diag(problem.gramian) - losses
    found = reach(problem.gramian, 1, captured, np.ones(3))
    assert found.status == "unreachable"
    assert found.lower == pytest.approx(0.0802, abs=1e-4)
    assert len(found.mixture) <= 3
    assert reach(problem.gramian, 1, captured).status == "unreachable"


def test_every_point_of_two_tasks_on_the_front_is_reachable():
    G = gramian(5, 2)
    factor = np.linalg.cholesky(G).T
    for angle in np.linspace(0, np.pi, 50):
        captured = (np.array([np.cos(angle), np.sin(angle)]) @ factor) ** 2
        found = reach(G, 1, captured)
        # what is not reachable is dominated by a single model
        if found.status == "unreachable":
            angles = np.linspace(0, np.pi, 4000)
            others = (np.column_stack([np.cos(angles), np.sin(angles)]) @ factor) ** 2
            assert (others > captured).all(axis=1).any()


def test_orthogonal_tasks_reach_every_mixture_by_ties_alone():
    G = np.diag([1.0, 4.0, 9.0])
    found = reach(G, 2, np.diag(G) * 2 / 3)
    assert found.status == "reachable"
    assert np.allclose(found.weights * np.diag(G), 1 / 3)


def test_a_point_beyond_all_mixtures_is_outside():
    G = np.eye(3)
    found = reach(G, 1, [0.5, 0.5, 0.5])
    assert found.status == "outside"
    assert found.upper == pytest.approx(1 / 3 - 0.5)


def test_units_of_tasks_do_not_change_the_default_answer():
    G = np.array([[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]])
    units = np.array([1e-4, 1.0, 1e4])
    one = reach(G, 1, [0.2, 0.2, 0.2])
    two = reach(G * np.outer(units, units), 1, 0.2 * units**2)
    assert one.lower == pytest.approx(two.lower, abs=1e-8)
    assert one.status == two.status == "unreachable"


def test_a_task_that_nothing_predicts_takes_no_part():
    G = np.zeros((3, 3))
    G[:2, :2] = gramian(2, 2)
    assert reach(G, 1, scalarized(G, [1, 2, 0], 1).captured).status == "reachable"
    assert reach(G, 1, [0.0, 0.0, 1.0]).status == "outside"


def test_stopping_early_is_a_bracket_and_says_so():
    G = gramian(0, 6)
    captured = scalarized(G, np.random.default_rng(0).dirichlet(np.ones(6)), 2).captured
    found = reach(G, 2, captured, max_iterations=1)
    assert found.status == "undetermined"
    assert found.lower < -found.tolerance
    assert found.upper > found.lower
    assert abs(reach(G, 2, captured).lower) <= 1e-7
    assert found.iterations == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"captured": [1.0]}, r"captured must have shape \(2,\); found shape \(1,\)"),
        ({"captured": [1.0, np.nan]}, "captured must be"),
        ({"captured": [1.0, 1.0], "direction": [1.0, 0.0]}, "direction must be above 0 for every task"),
        ({"captured": [1.0, 1.0], "tolerance": 0.0}, "tolerance must be positive"),
        ({"captured": [1.0, 1.0], "max_iterations": 0}, "max_iterations"),
    ],
)
def test_unusable_arguments_are_refused(values, words):
    with pytest.raises(SettingError, match=words):
        reach(np.eye(2), 1, **values)
