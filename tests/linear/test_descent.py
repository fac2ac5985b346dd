"""MGDA on a linear model: its direction, its descent, and where it ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear.descent.mgda import mgda
from equipoise.linear.optima.weighted_sum import scalarized
from equipoise.solve.solution import Status


def random_gramian(seed, tasks, rank=None):
    rows = np.random.default_rng(seed).normal(size=(rank or tasks + 1, tasks))
    return rows.T @ rows / len(rows)


cases = st.tuples(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))


@given(cases)
@settings(max_examples=25, deadline=None)
def test_every_step_lowers_every_loss(case):
    seed, tasks, width = case
    path = mgda(random_gramian(seed, tasks), np.zeros(tasks), width, seed=seed, steps=200)
    assert np.all(np.diff(path.history, axis=0) <= 0)
    assert path.history.shape == (path.steps + 1, tasks)
    assert np.allclose(path.history[-1], path.losses)


@given(cases)
@settings(max_examples=25, deadline=None)
def test_a_stationary_end_is_spanned_by_eigenvectors_of_its_own_weighted_sum(case):
    seed, tasks, width = case
    gramian = random_gramian(seed, tasks)
    path = mgda(gramian, np.zeros(tasks), width, seed=seed, tolerance=1e-6)
    if path.status is Status.STATIONARY:
        # In the tasks' coordinates: directions are eigenvectors of diag(weights) G, up to a turn among themselves.
        image = (path.weights[:, None] * gramian) @ path.directions
        inside = path.directions @ (path.directions.T @ gramian @ image)
        residual = image - inside
        assert np.sqrt(max(np.trace(residual.T @ gramian @ residual), 0)) < 1e-5 * np.trace(gramian)


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_the_saddle_index_is_zero_only_at_optima_of_the_weighted_sum(seed, tasks, width):
    gramian = random_gramian(seed, tasks)
    path = mgda(gramian, np.zeros(tasks), width, seed=seed)
    best = scalarized(gramian, path.weights, width).value
    reached = float(path.weights @ path.captured)
    if path.status is Status.STATIONARY and path.saddle_index == 0:
        assert reached == pytest.approx(best, rel=1e-4)
    if path.saddle_index > 0:
        assert reached < best


def test_the_gradients_are_those_of_finite_differences():
    """The path's direction, from the gradient formula, against losses at small steps around one point."""
    gramian = random_gramian(0, 3)
    start = np.random.default_rng(1).normal(size=(3, 2))
    path = mgda(gramian, np.zeros(3), 2, start=start, steps=0)
    values, vectors = np.linalg.eigh(gramian)
    root = (vectors * np.sqrt(values)).T
    shared = root @ path.directions

    def losses(basis):
        kept = np.linalg.qr(basis)[0]
        return np.diag(gramian) - np.sum((kept.T @ root) ** 2, axis=0)

    jacobian = np.zeros((3, 6))
    for j in range(6):
        step = np.zeros(6)
        step[j] = 1e-6
        step = step.reshape(3, 2)
        jacobian[:, j] = (losses(shared + step) - losses(shared - step)) / 2e-6
    norm = np.linalg.norm(path.weights @ jacobian)
    assert path.stationarity == pytest.approx(norm / (2 * path.weights @ np.diag(gramian)), rel=1e-5, abs=1e-8)
    products = jacobian @ jacobian.T @ path.weights
    assert products.min() >= norm**2 - 1e-6  # the min-norm point: no gradient has a smaller product with it


def test_one_task_ends_at_its_best_model():
    path = mgda([[2.0]], [0.5], 1)
    assert (path.losses, path.status, path.saddle_index) == (pytest.approx([0.5]), Status.STATIONARY, 0)


def test_two_tasks_end_at_an_optimum_of_their_weighted_sum():
    path = mgda([[1.0, 0.6], [0.6, 1.0]], [0.0, 0.0], 1)
    assert path.status is Status.STATIONARY
    assert path.saddle_index == 0
    assert path.weights @ path.captured == pytest.approx(
        scalarized([[1, 0.6], [0.6, 1]], path.weights, 1).value, rel=1e-6
    )


def test_a_full_width_is_stationary_at_once_with_nothing_left():
    path = mgda(random_gramian(2, 4, rank=2), np.full(4, 0.25), 3)
    assert (path.status, path.steps) == (Status.STATIONARY, 0)
    assert np.allclose(path.losses, 0.25)


def test_stopping_early_is_said():
    path = mgda(random_gramian(4, 6), np.zeros(6), 3, steps=1, tolerance=1e-12)
    assert path.status is Status.ITERATION_LIMIT
    assert path.stationarity > 1e-12


def test_it_ends_at_models_that_no_weights_reach_on_sarcos(sarcos):
    """Some ends are saddle points of their own weighted sum, which are stationary and stay (THEORY: joints 0, 4, 6)."""
    inputs, torques, _ = sarcos
    torques = torques[:, [0, 4, 6]]
    predictions = inputs @ np.linalg.lstsq(inputs, torques, rcond=None)[0]
    gramian = predictions.T @ predictions / len(inputs)
    paths = [mgda(gramian, np.mean((torques - predictions) ** 2, axis=0), 1, seed=seed) for seed in range(8)]
    assert all(path.status is Status.STATIONARY for path in paths)
    assert any(path.saddle_index > 0 for path in paths)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": np.zeros((2, 1))}, "starts at 0"),
        ({"start": np.ones((3, 1))}, r"shape \(2, m\)"),
        ({"steps": -1}, "steps"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"unexplained": [0.0]}, "unexplained"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(change, words):
    arguments = {"gramian": [[1.0, 0.5], [0.5, 1.0]], "unexplained": [0.0, 0.0], "width": 1} | change
    with pytest.raises(SettingError, match=words):
        mgda(**arguments)
