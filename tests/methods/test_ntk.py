"""Weights from traces of the tangent kernel: NTKWeights, with exact traces and with probes, and NTKMTL."""

from itertools import product

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.methods.gramian.ntk_weights import NTKWeights

from .matrices import gradients, run, take


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
def test_ntkmtl_is_the_formula(exponent):
    rows = gradients(4, 3) * np.logspace(-2, 2, 4)[:, None]
    squares = (rows**2).sum(axis=1)
    weights = (squares.sum() / 4 / squares) ** exponent / 4
    found = take(eq.NTKMTL(exponent=exponent), rows)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-12)


def test_ntkmtl_at_a_half_is_the_root_mean_square_times_the_mean_unit_gradient():
    rows = gradients(5, 0) * np.logspace(-1, 1, 5)[:, None]
    norms = np.linalg.norm(rows, axis=1)
    wanted = np.sqrt((norms**2).mean()) * (rows / norms[:, None]).mean(axis=0)
    np.testing.assert_allclose(take(eq.NTKMTL(), rows).direction, wanted, rtol=1e-12)
    other = take(eq.InverseNorm(), rows).direction.numpy()
    np.testing.assert_allclose(other / np.linalg.norm(other), wanted / np.linalg.norm(wanted), rtol=1e-12)


def test_without_memory_and_probes_it_is_ntkmtl_at_one():
    rows = gradients(4, 1)
    mine, other = take(NTKWeights(beta=0.0), rows), take(eq.NTKMTL(exponent=1.0), rows)
    np.testing.assert_allclose(mine.weights, other.weights, rtol=1e-13)


def test_zero_gradients_count_in_the_means_and_get_nothing():
    rows = [[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    root = np.sqrt(10 / 3)
    np.testing.assert_allclose(take(eq.NTKMTL(), rows).direction, [root / 3, root / 3], rtol=1e-14)
    np.testing.assert_allclose(take(eq.NTKMTL(), np.zeros((2, 2))).weights, [0.5, 0.5])
    np.testing.assert_allclose(take(NTKWeights(), rows).direction, [10 / 27, 10 / 9], rtol=1e-14)


def test_traces_are_averaged_as_in_adam():
    steps = [gradients(3, seed) * (seed + 1) for seed in range(5)]
    average = np.zeros(3)
    for number, (rows, found) in enumerate(zip(steps, run(NTKWeights(beta=0.7), steps), strict=True), start=1):
        average = 0.7 * average + 0.3 * (rows**2).sum(axis=1)
        traces = average / (1 - 0.7**number)
        np.testing.assert_allclose(found.weights, traces.sum() / traces / 9, rtol=1e-12)


class Wave(torch.nn.Module):
    """A small network with residuals at some points: an equation, a boundary."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(1, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double()

    def residuals(self):
        x = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None].requires_grad_()
        u = self.layers(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        edge = torch.tensor([[0.0], [1.0], [0.5]], dtype=torch.float64)
        return {"equation": (slope + 3 * u)[:, 0], "boundary": self.layers(edge)[:, 0] - 1}


def exact_traces(model):
    """The squares of every residual's gradient, one point at a time."""
    parameters = list(model.parameters())
    return [
        sum(sum(g.square().sum() for g in torch.autograd.grad(r, parameters, retain_graph=True)).item() for r in of)
        for of in model.residuals().values()
    ]


def probe(residuals, signs):
    return {
        name: (torch.tensor(s, dtype=torch.float64) * r).sum()
        for (name, r), s in zip(residuals.items(), signs, strict=True)
    }


def test_the_mean_over_all_signs_is_the_exact_trace():
    model = Wave()
    totals = np.zeros(2)
    for first, second in zip(product((-1, 1), repeat=5), list(product((-1, 1), repeat=3)) * 4, strict=True):
        balancer = eq.Balancer(NTKWeights(beta=0.0), model=model)
        residuals = model.residuals()
        probes = probe(residuals, (first, second))
        estimates = [sum(g.square().sum() for g in grads(model, probes[name])).item() for name in probes]
        losses = {name: r.square().mean() for name, r in residuals.items()}
        balancer(losses, second=probes, third=probes, retain_graph=True).backward()
        assert balancer.last is not None
        inverse = 1 / balancer.last.weights.numpy()  # w_i = sum / (4 t_i): the estimates up to their common sum
        np.testing.assert_allclose(inverse / inverse.sum(), np.array(estimates) / sum(estimates), rtol=1e-10)
        totals += estimates
    np.testing.assert_allclose(totals / 32, exact_traces(model), rtol=1e-10)


def grads(model, scalar):
    return torch.autograd.grad(scalar, list(model.parameters()), retain_graph=True)


def test_with_probes_the_losses_receive_the_weights():
    model = Wave()
    balancer = eq.Balancer(NTKWeights(), model=model)
    residuals = model.residuals()
    probes = probe(residuals, ((1, -1, 1, 1, -1), (1, 1, -1)))
    losses = {name: r.square().mean() for name, r in residuals.items()}
    balancer(losses, second=probes, third=probes, retain_graph=True).backward()
    again = sum(
        weight * r.square().mean() for weight, r in zip(balancer.last.weights, model.residuals().values(), strict=True)
    )
    wanted = torch.autograd.grad(again, list(model.parameters()))
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-14)


def test_settings_outside_their_range_are_refused():
    with pytest.raises(SettingError, match="`exponent` must be positive"):
        eq.NTKMTL(exponent=0.0)
    with pytest.raises(SettingError, match="`beta` must lie in"):
        NTKWeights(beta=1.0)
