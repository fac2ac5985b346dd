"""The optimum of a weighted sum, against definitions written out on the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear import LinearProblem, scalarized, scalarized_model

seeds = st.integers(0, 10**6)
few = {"deadline": None, "max_examples": 60}


def gramian(seed, tasks, rank=None, spread=0.0):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(tasks, rank or tasks))
    return factor @ factor.T * np.outer(*[10.0 ** generator.uniform(-spread, spread, tasks)] * 2)


@settings(**few)
@given(seeds, st.integers(2, 7), st.integers(1, 7), st.integers(1, 7))
def test_no_projection_captures_more_than_the_value(seed, tasks, rank, width):
    G = gramian(seed, tasks, min(rank, tasks))
    generator = np.random.default_rng(seed + 1)
    weights = generator.dirichlet(np.ones(tasks))
    point = scalarized(G, weights, width)
    values, vectors = np.linalg.eigh(G)
    factor = (vectors * np.sqrt(np.clip(values, 0, None))).T
    assert point.value == pytest.approx(float(weights @ point.captured), rel=1e-9)
    for _ in range(20):
        basis = np.linalg.qr(generator.normal(size=(tasks, min(width, tasks))))[0]
        assert weights @ np.sum((basis.T @ factor) ** 2, axis=0) <= point.value * (1 + 1e-9)


@settings(**few)
@given(seeds, st.integers(2, 6), st.integers(1, 6))
def test_directions_are_a_model_of_this_width_that_captures_what_is_said(seed, tasks, width):
    G = gramian(seed, tasks)
    point = scalarized(G, np.random.default_rng(seed).dirichlet(np.ones(tasks)), width)
    assert point.directions.shape[1] <= width
    assert np.allclose(point.directions.T @ G @ point.directions, np.eye(point.directions.shape[1]), atol=1e-8)
    assert np.allclose(point.captured, ((G @ point.directions) ** 2).sum(1))
    assert (point.captured <= np.diag(G) * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(1, 4), st.booleans())
def test_the_model_attains_the_losses_and_no_gradient_is_left(seed, width, plain):
    generator = np.random.default_rng(seed)
    X, noise = generator.normal(size=(60, 6)), generator.normal(size=(60, 4))
    Y = X @ generator.normal(size=(6, 4)) + noise
    problem = LinearProblem(X, Y)
    weights = np.ones(4) if plain else generator.uniform(0.1, 1, 4)
    shared, heads = scalarized_model(problem, weights, width)
    inputs, targets = (X - X.mean(0)) / X.std(0), (Y - Y.mean(0)) / Y.std(0)
    residual = inputs @ shared @ heads - targets
    point = scalarized(problem.gramian, weights, width)
    expected = problem.unexplained + np.diag(problem.gramian) - point.captured
    assert np.allclose((residual**2).mean(0), expected, atol=1e-10)
    assert np.allclose(problem.losses(shared, heads), expected, atol=1e-10)
    assert np.allclose(inputs.T @ (residual * weights) @ heads.T, 0, atol=1e-8)
    # brute force on the rows: the best rank-q approximation of the weighted predictions (Eckart and Young)
    predictions = inputs @ np.linalg.lstsq(inputs, targets)[0]
    left = np.linalg.svd(predictions * np.sqrt(weights), full_matrices=False)[0][:, :width]
    best = targets - left @ (left.T @ targets)
    assert (weights * (best**2).mean(0)).sum() == pytest.approx(float(weights @ expected), abs=1e-10)


def test_sarcos_agrees_with_a_dense_computation_on_the_rows(sarcos):
    X, Y, names = sarcos
    problem = LinearProblem(X, Y, tasks=names)
    orthonormal = np.linalg.qr(X)[0]
    coordinates = orthonormal.T @ Y / np.sqrt(len(X))
    for seed, width in enumerate((1, 2, 4, 7)):
        weights = np.random.default_rng(seed).dirichlet(np.ones(7))
        left = np.linalg.svd(coordinates * np.sqrt(weights))[0][:, :width]
        captured = ((left.T @ coordinates) ** 2).sum(0)
        assert np.allclose(scalarized(problem.gramian, weights, width).captured, captured, rtol=0, atol=1e-10)


@settings(**few)
@given(seeds, st.integers(2, 6), st.integers(1, 4))
def test_signed_weights_agree_with_the_definition_by_projections(seed, tasks, width):
    G = gramian(seed, tasks)
    weights = np.random.default_rng(seed).normal(size=tasks)
    factor = np.linalg.cholesky(G).T
    values = np.linalg.eigvalsh((factor * weights) @ factor.T)[::-1][:width]
    point = scalarized(G, weights, width)
    assert point.value == pytest.approx(float(np.clip(values, 0, None).sum()), rel=1e-8, abs=1e-9 * np.trace(G))
    assert float(weights @ point.captured) == pytest.approx(point.value, rel=1e-8, abs=1e-9 * np.trace(G))


@settings(**few)
@given(seeds, st.integers(2, 6), st.integers(1, 5))
def test_units_of_tasks_move_with_their_weights(seed, tasks, width):
    G = gramian(seed, tasks)
    generator = np.random.default_rng(seed)
    weights, units = generator.dirichlet(np.ones(tasks)), 10.0 ** generator.uniform(-3, 3, tasks)
    one, two = scalarized(G, weights, width), scalarized(G * np.outer(units, units), weights / units**2, width)
    if one.eigengap > 1e-3:
        assert np.allclose(one.captured, two.captured / units**2, rtol=1e-7, atol=1e-9 * np.trace(G))


def test_orthogonal_tasks_of_equal_weighted_energy_tie():
    G = np.diag([1.0, 4.0, 9.0])
    point = scalarized(G, [1, 1 / 4, 1 / 9], 2)
    assert point.tied
    assert (point.fixed, point.tied_directions.shape[1]) == (0, 3)
    # any two dimensions of the tied space are optimal
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 2)))[0]
    other = ((G @ point.tied_directions @ basis) ** 2).sum(1)
    assert other @ [1, 1 / 4, 1 / 9] == pytest.approx(point.value)


def test_a_tie_below_a_fixed_direction_keeps_it():
    G = np.diag([4.0, 1.0, 1.0])
    point = scalarized(G, [1, 1, 1], 2)
    assert (point.tied, point.fixed, point.tied_directions.shape[1]) == (True, 1, 2)
    assert point.captured[0] == pytest.approx(4.0)


def test_width_of_the_rank_or_more_captures_everything_and_is_no_tie():
    G = gramian(0, 4, rank=2)
    for width in (2, 3, 4, 9):
        point = scalarized(G, np.ones(4), width)
        assert np.allclose(point.captured, np.diag(G))
        assert not point.tied


def test_tasks_of_weight_zero_leave_width_unused():
    G = gramian(1, 3)
    point = scalarized(G, [1, 0, 0], 2)
    assert point.captured[0] == pytest.approx(G[0, 0])
    assert (point.unused, point.directions.shape) == (1, (3, 1))
    assert np.allclose(point.captured, G[:, 0] ** 2 / G[0, 0])


@pytest.mark.parametrize("weights", [[0, 0], [1, np.nan], [1, 1, 1], [np.inf, 1]])
def test_unusable_weights_are_refused(weights):
    with pytest.raises(SettingError, match="weights must"):
        scalarized(np.eye(2), weights, 1)


def test_a_model_needs_a_width():
    problem = LinearProblem(np.arange(6.0)[:, None], np.random.default_rng(0).normal(size=(6, 2)))
    with pytest.raises(SettingError, match="a width is needed"):
        scalarized_model(problem, [1, 1])


@pytest.mark.parametrize(("least", "unused", "last"), [(1e-12, 0, 1.2), (5e-13, 1, 1.0)])
def test_width_that_is_dropped_as_rounding_is_counted_as_unused(least, unused, last):
    gramian = np.array([[1.0, 0.5, -0.5], [0.5, 1.0, 0.5], [-0.5, 0.5, 1.2]])
    point = scalarized(gramian, [1.0, 1e-6, least], 3)
    assert (point.unused, point.directions.shape) == (unused, (3, 3 - unused))
    assert point.captured == pytest.approx([1.0, 1.0, last], abs=1e-5)
