"""The worst excess risk of a linear model is known exactly: training must come down to it and not below."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise import linear
from equipoise.core.tasks import Tasks
from equipoise.methods.run import run_loss_method


def problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions G (rank 3, no perfect agreement) and unexplained parts c of three tasks."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(3, 3))
    return rows.T @ rows / 3, draw.uniform(0.1, 2.0, size=3)


def train(method: eq.methods.LossMethod, gramian: np.ndarray, unexplained: np.ndarray, width: int) -> float:
    """Worst excess after gradient descent on W and the heads, best of three starts."""
    factor = torch.from_numpy(np.linalg.cholesky(gramian).T.copy())
    step = eq.methods.Step(Tasks(("a", "b", "c")))
    best = np.inf
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        shared = torch.randn(3, width, generator=generator, dtype=torch.float64).requires_grad_()
        heads = torch.randn(width, 3, generator=generator, dtype=torch.float64).requires_grad_()
        optimizer = torch.optim.Adam([shared, heads], lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
        state = method.init(3)
        for number in range(1500):
            losses = (factor - shared @ heads).square().sum(0) + torch.from_numpy(unexplained)
            weighed = run_loss_method(method, losses, state, step)
            state = method.end_epoch(weighed.state) if method.per_epoch and number % 75 == 74 else weighed.state
            optimizer.zero_grad()
            losses.backward(weighed.weights)
            optimizer.step()
            schedule.step()
        final = (factor - shared @ heads).detach().square().sum(0)
        best = min(best, float(final.max()))
    return best


@pytest.mark.parametrize("width", [1, 2])
def test_tchebycheff_measured_from_the_best_losses_finds_the_least_worst_excess(width):
    gramian, unexplained = problem(1)
    exact = linear.tchebycheff(gramian, np.ones(3), width)
    assert exact.exactness == "exact"
    least = float((np.diag(gramian) - exact.captured).max())
    method = eq.SmoothTchebycheff(ideal=tuple(unexplained), utopia=0.0, mu=0.1, final_mu=1e-4)
    found = train(method, gramian, unexplained, width)
    assert found >= least - 1e-9
    assert found == pytest.approx(least, rel=0.02, abs=1e-3)
    raw = train(eq.SmoothTchebycheff(ideal=None, mu=0.1, final_mu=1e-4), gramian, unexplained, width)
    assert raw > found  # the noisiest task, not the most excessive one, is what the raw worst loss looks at
