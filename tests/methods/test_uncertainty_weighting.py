"""The likelihoods, their slopes in the variance, and the exact softmax."""

import math

import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError, TaskError
from equipoise.methods import scaled_cross_entropy

from .histories import step_of, weigh

KINDS = {"a": "regression", "b": "classification", "c": "likelihood"}


def state_of(*values: float) -> dict[str, torch.Tensor]:
    return {"log_variance": torch.tensor(values)}


def test_value_weights_and_slopes_by_hand():
    logs = (0.6, -0.4, 2.0)
    seen = weigh(eq.UncertaintyWeighting(KINDS), [3.0, 2.0, 5.0], state_of(*logs))
    wanted = 3.0 / 2 * math.exp(-0.6) + 0.3 + 2.0 * math.exp(0.4) - 0.2 + 5.0
    assert float(seen.criterion) == pytest.approx(wanted, rel=1e-6)
    assert seen.weights.tolist() == pytest.approx([math.exp(-0.6) / 2, math.exp(0.4), 1.0], rel=1e-6)
    slopes = [0.5 - 3.0 / 2 * math.exp(-0.6), 0.5 - 2.0 * math.exp(0.4), 0.0]
    assert seen.trained["log_variance"].tolist() == pytest.approx(slopes, rel=1e-6)


def test_trained_variances_settle_at_the_mean_squared_error():
    log_variance = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([log_variance], lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        seen = weigh(eq.UncertaintyWeighting(), [0.25, 9.0], {"log_variance": log_variance})
        log_variance.grad = seen.trained["log_variance"]
        optimizer.step()
    assert log_variance.exp().tolist() == pytest.approx([0.25, 9.0], rel=1e-3)


def test_a_regression_task_is_the_negative_log_likelihood_of_a_gaussian_up_to_a_constant():
    residuals = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
    deviation = 0.8
    exact = -torch.distributions.Normal(0.0, deviation).log_prob(residuals).mean() - math.log(2 * math.pi) / 2
    seen = weigh(eq.UncertaintyWeighting(), [float(residuals.square().mean())], state_of(2 * math.log(deviation)))
    assert float(seen.criterion) == pytest.approx(float(exact), rel=1e-6)


def test_the_scaled_cross_entropy_is_the_softmax_of_the_divided_logits():
    logits, target = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1, 1, 2])
    variance = 2.5
    log_variance = torch.tensor(math.log(variance), requires_grad=True)
    loss = scaled_cross_entropy(logits, target, log_variance)
    slow = (
        sum(-math.log(torch.softmax(row / variance, 0)[label]) for row, label in zip(logits, target, strict=True)) / 5
    )
    assert float(loss.detach()) == pytest.approx(slow, rel=1e-5)
    loss.backward()
    assert log_variance.grad is not None
    assert log_variance.grad != 0


def test_a_negative_loss_is_refused_unless_it_is_a_likelihood():
    with pytest.raises(LossError, match=r"those of 'b' are \[-2\.0\]\. Use kinds=\{task: 'likelihood'\}"):
        weigh(eq.UncertaintyWeighting(KINDS), [1.0, -2.0, -5.0])
    assert weigh(eq.UncertaintyWeighting(KINDS), [1.0, 2.0, -5.0]).weights[2] == 1.0


def test_kinds_must_name_the_tasks():
    with pytest.raises(TaskError, match="'b', 'c' appear in only one of the two"):
        weigh(eq.UncertaintyWeighting({"a": "regression", "c": "regression"}), [1.0, 1.0])


def test_absent_tasks_have_no_slope():
    method = eq.UncertaintyWeighting(KINDS)
    seen = weigh(method, [1.0, 2.0, 3.0], method.init(3), present=(1,))
    assert seen.trained["log_variance"].tolist() == pytest.approx([0.0, 0.5 - 2.0, 0.0])
    assert step_of(3, (1,)).tasks.here == ("b",)
