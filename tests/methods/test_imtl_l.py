"""Learned scales, alone and before equal projections."""

import math

import pytest
import torch

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import LossError, StateError
from equipoise.methods.base import Answer, Step
from equipoise.methods.run import run_gramian_method

from .histories import step_of, weigh


def test_value_weights_and_slopes_by_hand():
    seen = weigh(eq.IMTLL(), [2.0, 0.5], {"log_scale": torch.tensor([0.3, -0.2])})
    assert float(seen.criterion) == pytest.approx(2 * math.exp(0.3) - 0.3 + 0.5 * math.exp(-0.2) + 0.2, rel=1e-6)
    assert seen.weights.tolist() == pytest.approx([math.exp(0.3), math.exp(-0.2)], rel=1e-6)
    wanted = [2 * math.exp(0.3) - 1, 0.5 * math.exp(-0.2) - 1]
    assert seen.trained["log_scale"].tolist() == pytest.approx(wanted, rel=1e-6)


def test_trained_scales_make_every_scaled_loss_one():
    scales = torch.zeros(3)
    losses = [0.1, 1.0, 20.0]
    for _ in range(400):
        slope = weigh(eq.IMTLL(), losses, {"log_scale": scales}).trained["log_scale"]
        scales = scales - 0.05 * slope.clamp(-1, 1)
    assert (scales.exp() * torch.tensor(losses)).tolist() == pytest.approx([1.0] * 3, rel=1e-3)
    settled = weigh(eq.IMTLL(), losses, {"log_scale": scales}).weights
    assert torch.allclose(settled, 3 * weigh(eq.ScaleInvariant(), losses).weights, rtol=1e-3)


def both(losses: list[float], scales: list[float], rows: torch.Tensor, present: tuple[int, ...] = ()):
    step = step_of(len(losses), present)
    chosen = list(step.tasks.present)
    step = Step(step.tasks, torch.tensor(losses).double()[chosen])
    gramian = (rows @ rows.T)[chosen][:, chosen]
    return run_gramian_method(eq.IMTL(), gramian, {"log_scale": torch.tensor(scales)}, step)


ROWS = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_both_halves_balance_the_gradients_of_the_scaled_losses():
    scales = [0.5, -0.3, 0.1]
    weighed = both([2.0, 0.5, 1.0], scales, ROWS)
    factors = torch.tensor(scales).double().exp()
    inner = eq.weights(eq.IMTLG(), (factors[:, None] * ROWS) @ (factors[:, None] * ROWS).T)
    assert torch.allclose(weighed.weights, inner * factors)
    direction = weighed.weights @ ROWS
    projections = ROWS @ direction / ROWS.norm(dim=1)
    assert torch.allclose(projections, projections[:1].expand(3))
    plain = eq.direction(eq.IMTLG(), ROWS)
    assert float(torch.cosine_similarity(direction, plain, dim=0).abs()) == pytest.approx(1.0)


def test_the_slope_of_the_scales_is_that_of_the_loss_half_and_zero_for_absent_or_finished_tasks():
    losses, scales = [2.0, 0.5, 1.0], [0.5, -0.3, 0.1]
    wanted = [loss * math.exp(scale) - 1 for loss, scale in zip(losses, scales, strict=True)]
    assert both(losses, scales, ROWS).trained["log_scale"].tolist() == pytest.approx(wanted, rel=1e-6)
    seen = both(losses, scales, ROWS, present=(0, 2))
    assert seen.trained["log_scale"].tolist() == pytest.approx([wanted[0], 0.0, wanted[2]], rel=1e-6)
    assert seen.state["log_scale"].tolist() == pytest.approx(scales)
    finished = ROWS * torch.tensor([[1.0], [0.0], [1.0]]).double()
    seen = both(losses, scales, finished)
    assert seen.left_out == (1,)
    assert seen.trained["log_scale"].tolist() == pytest.approx([wanted[0], 0.0, wanted[2]], rel=1e-6)
    assert both(losses, scales, 0 * ROWS).trained["log_scale"].tolist() == [0.0, 0.0, 0.0]


def test_both_halves_refuse_what_has_no_scale():
    with pytest.raises(LossError, match=r"IMTL learns a scale .* those of 'b' are \[-1\.0\]"):
        both([1.0, -1.0, 1.0], [0.0, 0.0, 0.0], ROWS)
    with pytest.raises(LossError, match="give `losses`"):
        run_gramian_method(eq.IMTL(), ROWS @ ROWS.T, eq.IMTL().init(3), Step(Tasks(("a", "b", "c"))))


def test_a_method_that_forgets_the_gradient_of_its_trained_state_is_told():
    class Forgetful(eq.IMTL):
        def weights(self, gramian, state, step):
            return Answer(torch.ones(len(gramian), dtype=torch.float64), state)

    with pytest.raises(StateError, match=r"declares 'log_scale' as trained.*Answer\(\.\.\., trained="):
        run_gramian_method(Forgetful(), ROWS @ ROWS.T, eq.IMTL().init(3), Step(Tasks(("a", "b", "c"))))
