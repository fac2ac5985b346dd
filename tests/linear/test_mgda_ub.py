"""MGDA-UB on linear models: closed forms against autograd, what its claims are worth, where runs end."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear import (
    LinearProblem,
    end_points,
    mgda,
    mgda_ub,
    minimal_mixture,
    pareto_test,
    reach,
    shared_gramians,
    ub_descent_margin,
)
from equipoise.linear.descent.mgda_ub import min_norm_batch
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.solution import Status

seeds = st.integers(0, 10**6)


def gramian(seed, tasks):
    factor = np.random.default_rng(seed).normal(size=(tasks, tasks + 1))
    return factor @ factor.T


@pytest.mark.parametrize("seed", range(3))
def test_closed_forms_are_what_autograd_finds(seed):
    generator = np.random.default_rng(seed)
    X, Y = generator.normal(size=(40, 5)), generator.normal(size=(40, 3))
    problem = LinearProblem(X, Y, center=False, scale=False)
    W, A = generator.normal(size=(5, 2)), generator.normal(size=(2, 3))
    shared = torch.tensor(W, requires_grad=True)
    features = torch.tensor(X) @ shared
    features.retain_grad()
    losses = ((torch.tensor(Y) - features @ torch.tensor(A)) ** 2).mean(0)
    by_weights = torch.stack([torch.autograd.grad(loss, shared, retain_graph=True)[0].ravel() for loss in losses])
    by_features = torch.stack([torch.autograd.grad(loss, features, retain_graph=True)[0].ravel() for loss in losses])
    found = shared_gramians(problem, W, A)
    assert np.allclose(found.losses, losses.detach())
    assert np.allclose(found.weights, by_weights @ by_weights.T)
    assert np.allclose(found.features, 40 * by_features @ by_features.T)


def test_whitened_inputs_and_projected_residuals_make_the_two_gramians_equal():
    generator = np.random.default_rng(0)
    X = np.linalg.qr(generator.normal(size=(50, 6)))[0] * np.sqrt(50)
    problem = LinearProblem(X, X @ generator.normal(size=(6, 3)), center=False, scale=False)
    found = shared_gramians(problem, generator.normal(size=(6, 2)), generator.normal(size=(2, 3)))
    assert np.allclose(found.features, found.weights)


def test_the_counterexample_in_the_plane_one_task_rises_along_the_direction():
    features = np.array([[0.0, 1.0], [-1.0, -1.0]])
    moved = np.diag([1.0, 4.0])
    weights = min_norm_point(features @ features.T).value
    direction = weights @ features
    assert np.allclose(weights, [0.6, 0.4])
    assert np.allclose(direction, [-0.4, 0.2])
    assert np.allclose(features @ direction, [0.2, 0.2])
    assert np.allclose(features @ moved @ direction, [0.8, -0.4])
    true = features @ moved @ features.T
    assert ub_descent_margin(true, weights) == pytest.approx(-0.4 / np.trace(true))
    assert ub_descent_margin(true, min_norm_point(true).value) > 0


def test_the_counterexample_in_matrix_form_a_positive_definite_factor_turns_the_sign():
    x, y, M = np.array([1.0, -2.0]), np.array([1.0, 1.0]), np.diag([3.0, 1.0])
    assert x @ y == -1
    assert x @ M @ y == 1
    # as gradients: what conflicts as features agrees as weights, and the other way round
    agree = np.array([[1.0, 2.0], [1.0, -0.4]])
    assert agree[0] @ agree[1] > 0
    assert agree[0] @ np.diag([1.0, 4.0]) @ agree[1] < 0


def test_a_real_linear_model_shows_a_rise_within_its_run(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    rest = problem.target_moments - problem.gramian
    path = mgda_ub(problem.gramian, rest, 1, seed=1, dimensions=21)
    assert path.status is Status.STATIONARY
    assert path.rises > 0
    assert path.negative_margins > 0
    step = int(np.argmax((np.diff(path.history, axis=0) > 0).any(axis=1)))
    assert (path.history[step + 1] > path.history[step]).any()
    # the feature gradient's norm is far from 0 where the true one is: never a stopping test
    assert path.stationarity <= 1e-6
    assert path.feature_norm > 1e-2


def test_without_unexplained_residuals_it_is_mgda_and_lowers_every_loss():
    for seed in range(4):
        path = mgda_ub(gramian(seed, 3), np.zeros(3), 1, seed=seed, dimensions=6)
        assert path.rises == 0
        assert path.negative_margins == 0
        assert (np.diff(path.history, axis=0) <= 1e-12).all()


def test_from_the_same_start_without_residuals_it_ends_stationary_as_mgda_does():
    G = gramian(2, 3)
    start = np.eye(3)[:, :1]
    assert mgda_ub(G, np.zeros(3), 1, start=start).status is Status.STATIONARY
    assert mgda(G, np.zeros(3), 1, start=start).status is Status.STATIONARY


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 4))
def test_the_batched_min_norm_points_are_the_exact_ones(seed, tasks):
    generator = np.random.default_rng(seed)
    grams = np.array([J @ J.T for J in generator.normal(size=(5, tasks, generator.integers(1, 6)))])
    for weights, gram in zip(min_norm_batch(grams), grams, strict=True):
        exact = min_norm_point(gram).value
        assert weights.sum() == pytest.approx(1)
        assert weights.min() >= 0
        assert weights @ gram @ weights == pytest.approx(exact @ gram @ exact, abs=1e-9 * np.trace(gram))


def test_pareto_stationary_is_not_pareto_optimal_and_some_ends_no_weights_reach(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    rest = problem.target_moments - problem.gramian
    found = end_points(problem.gramian, rest, 1, "MGDA", dimensions=21)
    assert len(found.ends) == 20
    assert found.stationary == 20
    assert 0 < found.optimal < 20
    assert found.out_of_reach >= 1
    for end in found.ends:
        assert end.lead >= end.dominated_by - 1e-5
        assert np.allclose(end.losses, problem.total - end.captured)
        if end.out_of_reach:
            assert pareto_test(problem.gramian, 1, end.captured, tolerance=1e-5).status == "optimal"
            assert reach(problem.gramian, 1, end.captured, tolerance=1e-5).status == "unreachable"
            assert end.saddle_index > 0
            mixed = minimal_mixture(problem.gramian, 1, end.captured)
            assert len(mixed.probabilities) == 2
            assert mixed.lead == pytest.approx(end.lead, abs=1e-6)


def test_saddles_of_their_own_weighted_sum_are_left_by_training_on_with_these_weights(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    ends = end_points(problem.gramian, np.zeros(3), 1, "MGDA", seeds=range(6), dimensions=21)
    values, vectors = np.linalg.eigh(problem.gramian)
    forward = (vectors * np.sqrt(values)).T
    for end in ends.ends:
        path = mgda_ub(problem.gramian, np.zeros(3), 1, seed=end.seed, dimensions=21)
        v = forward @ path.directions[:, 0]
        v /= np.linalg.norm(v)
        M = (forward * path.weights) @ forward.T
        above = (np.linalg.eigvalsh(M) > v @ M @ v + 1e-4 * np.trace(M)).sum()
        assert end.saddle_index == above


def test_bad_settings_are_refused():
    with pytest.raises(SettingError, match="at least the rank"):
        mgda_ub(np.eye(3), np.zeros(3), 1, dimensions=2)
    with pytest.raises(SettingError, match="step_size"):
        mgda_ub(np.eye(3), np.zeros(3), 1, step_size=0)
    with pytest.raises(SettingError, match="unexplained_moments"):
        mgda_ub(np.eye(3), np.zeros(2), 1)
    with pytest.raises(SettingError, match="method"):
        end_points(np.eye(3), np.zeros(3), 1, "SGD")
    with pytest.raises(SettingError, match=r"weights must have shape \(3,\)"):
        ub_descent_margin(np.eye(3), [0.5, 0.5])
