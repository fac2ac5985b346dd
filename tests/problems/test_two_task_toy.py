"""The landscape of CAGrad and Nash-MTL: its formula, and where methods end on it (`benchmarks/toy.py`: full length)."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.problems import CAGRAD_STARTS, NASH_STARTS, TwoTaskToy, descend

SCALES = [(1.0, 1.0), (0.1, 1.0)]


def losses_in_torch(x1, x2, scales):
    """The formula as the issue states it, term by term; torch's clamp passes the gradient at equality."""
    c1 = torch.tanh(x2 / 2).clamp(min=0)
    c2 = torch.tanh(-x2 / 2).clamp(min=0)
    f1 = torch.log(((-x1 - 7) / 2 - torch.tanh(-x2)).abs().clamp(min=5e-6)) + 6
    f2 = torch.log(((-x1 + 3) / 2 + torch.tanh(-x2) + 2).abs().clamp(min=5e-6)) + 6
    g1 = ((-x1 + 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    g2 = ((-x1 - 7) ** 2 + 0.1 * (-x2 - 8) ** 2) / 10 - 20
    return torch.stack([scales[0] * (c1 * f1 + c2 * g1), scales[1] * (c1 * f2 + c2 * g2)])


def points_to_check():
    inside = np.random.default_rng(0).uniform(-10, 10, size=(60, 2))
    on_kinks = [[0.0, 0.0], [3.0, 0.0], [-7.0, 0.0], [-7 + 2 * np.tanh(1.0), 1.0], [-7 + 2 * np.tanh(1.0) + 6e-6, 1.0]]
    return np.vstack([inside, on_kinks])


@pytest.mark.parametrize("scales", SCALES)
def test_losses_and_gradients_are_those_of_the_formula_kinks_included(scales):
    toy, points = TwoTaskToy(scales), points_to_check()
    for point, losses, jacobian in zip(points, toy.losses(points), toy.jacobians(points), strict=True):
        leaves = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in point]
        wanted = losses_in_torch(*leaves, scales)
        slopes = [torch.stack(torch.autograd.grad(loss, leaves, retain_graph=True)) for loss in wanted]
        np.testing.assert_allclose(losses, wanted.detach().numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(jacobian, torch.stack(slopes).numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("scales", SCALES)
def test_the_mean_optimum_and_the_pareto_set_are_minima(scales):
    toy = TwoTaskToy(scales)
    for share, point in zip([0.0, 0.2, 0.5, 1.0], toy.pareto_points([0.0, 0.2, 0.5, 1.0]), strict=True):
        weights = np.array([share, 1 - share])
        found = minimize(lambda x, w=weights: w @ toy.losses(x), [1.0, -7.0], method="Nelder-Mead", tol=1e-12)
        np.testing.assert_allclose(point, found.x, atol=1e-4)
        np.testing.assert_allclose(weights @ toy.jacobians(point), 0, atol=1e-12)
    np.testing.assert_array_equal(toy.mean_optimum(), toy.pareto_points([0.5])[0])


def test_the_unscaled_mean_optimum_is_where_the_papers_put_it():
    np.testing.assert_allclose(TwoTaskToy().mean_optimum(), [0.0, -8.36], atol=0.005)


def test_each_run_is_adam_on_its_own():
    toy, method = TwoTaskToy(), eq.LinearScalarization()
    paths = descend(method, toy, CAGRAD_STARTS, steps=60, learning_rate=0.05, every=25)
    for start, path in zip(CAGRAD_STARTS, paths, strict=True):
        assert path.steps.tolist() == [0, 25, 50, 60]
        leaf = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([leaf], lr=0.05)
        for _ in range(60):
            leaf.grad = eq.direction(method, toy.jacobians(leaf.detach().numpy()))
            optimizer.step()
        np.testing.assert_allclose(path.end, leaf.detach().numpy(), atol=1e-9)
        assert path.statuses == {"SOLVED": 60}


def distance_to_pareto_set(toy, point):
    return np.linalg.norm(toy.pareto_points(np.linspace(0, 1, 401)) - point, axis=1).min()


def test_cagrad_reaches_the_mean_optimum_from_all_of_its_starts():
    toy = TwoTaskToy()
    for path in descend(eq.CAGrad(c=0.5, rescale="1+c"), toy, CAGRAD_STARTS, steps=2000, learning_rate=0.1):
        assert np.linalg.norm(path.end - toy.mean_optimum()) < 0.2


@pytest.mark.parametrize("method", [eq.MGDA(), eq.PCGrad()], ids=["MGDA", "PCGrad"])
def test_mgda_and_pcgrad_end_on_the_pareto_set_but_never_at_the_mean_optimum(method):
    toy = TwoTaskToy()
    for path in descend(method, toy, CAGRAD_STARTS, steps=1500, learning_rate=0.1):
        assert distance_to_pareto_set(toy, path.end) < 0.1
        assert np.linalg.norm(path.end - toy.mean_optimum()) > 1.0


@pytest.mark.parametrize("side", [-1, 1])
def test_in_a_valley_the_mean_gradient_stands_where_cagrad_goes_on(side):
    toy, height = TwoTaskToy(), 3.0
    floor = side * (7 - 2 * np.tanh(height))  # the logarithm's argument is zero here: of loss 1 left, of loss 2 right
    (mean,) = descend(eq.LinearScalarization(), toy, [[floor + 0.01, height]], steps=800)
    (cagrad,) = descend(eq.CAGrad(c=0.5, rescale="1+c"), toy, [[floor + 0.01, height]], steps=800)
    assert height - mean.end[1] < 0.3 * (height - cagrad.end[1])


def test_nash_mtl_ends_on_the_pareto_set_from_all_of_its_starts():
    toy = TwoTaskToy((0.1, 1.0))
    for path in descend(eq.NashMTL(), toy, NASH_STARTS, steps=800, learning_rate=0.1):
        assert distance_to_pareto_set(toy, path.end) < 0.1


def test_wrong_settings_are_refused():
    with pytest.raises(SettingError, match=r"one a loss; got \(1.0, 0.0\)"):
        TwoTaskToy((1.0, 0.0))
    with pytest.raises(SettingError, match=r"two coordinates.*\(3,\)"):
        TwoTaskToy().losses([1.0, 2.0, 3.0])
    with pytest.raises(SettingError, match=r"in \[0, 1\]"):
        TwoTaskToy().pareto_points([1.5])
    with pytest.raises(SettingError, match="steps=0"):
        descend(eq.MGDA(), TwoTaskToy(), CAGRAD_STARTS, steps=0)
    with pytest.raises(SettingError, match=r"got shape \(2,\)"):
        descend(eq.MGDA(), TwoTaskToy(), CAGRAD_STARTS[0], steps=1)
