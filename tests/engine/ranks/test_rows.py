"""How many rows a loss stands for: whatever the form of the loss, ranks weighted by it give the loss of all rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

from equipoise.engine.ranks.rows import rows_behind

X = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, -100, 0, 2, 1])  # one label is missing
MASK = torch.tensor([[1.0, 0, 1]] * 3 + [[1.0, 1, 1]] * 4, dtype=torch.float64)
CLASS_WEIGHTS = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)

FORMS: dict[str, Callable[[Tensor, slice], Tensor]] = {
    "mean": lambda x, at: (x - Y[at]).square().mean(),
    "mse_loss": lambda x, at: F.mse_loss(x, Y[at]),
    "l1_loss": lambda x, at: F.l1_loss(x, Y[at]),
    "smooth_l1_loss": lambda x, at: F.smooth_l1_loss(x, Y[at]),
    "huber_loss": lambda x, at: F.huber_loss(x, Y[at]),
    "cross_entropy": lambda x, at: F.cross_entropy(x, LABELS[at]),
    "weighted cross_entropy": lambda x, at: F.cross_entropy(x, LABELS[at], weight=CLASS_WEIGHTS),
    "soft cross_entropy": lambda x, at: F.cross_entropy(x, Y[at].softmax(1)),
    "nll_loss on images": lambda x, at: F.nll_loss(x.log_softmax(1)[:, :, None, None], LABELS[at][:, None, None]),
    "binary_cross_entropy": lambda x, at: F.binary_cross_entropy_with_logits(x, Y[at].sigmoid()),
    "kl_div": lambda x, at: F.kl_div(x.log_softmax(1), Y[at].softmax(1), reduction="batchmean"),
    "masked mean": lambda x, at: (x * MASK[at]).sum() / MASK[at].sum(),
    "sum over entries, mean over rows": lambda x, at: x.square().sum(dim=1).mean(),
    "mean over rows, sum over entries": lambda x, at: x.square().mean(dim=0).sum(),
    "mean over entries, mean over rows": lambda x, at: x.square().mean(dim=-1).mean(dim=0),
    "sum over the number of rows": lambda x, at: x.square().sum() / len(x),
    "sum times one over the number": lambda x, at: x.square().sum() * (1 / len(x)),
    "half a mean": lambda x, at: 0.5 * x.square().mean(),
    "negative, double, squeezed": lambda x, at: -x.mean().double().squeeze(),
    "sum of two means": lambda x, at: x.mean() + 2 * x.square().mean() / 2,
    "mean of means": lambda x, at: torch.stack([x.mean(), x.square().mean()]).mean(),
}


@pytest.mark.parametrize("form", FORMS)
def test_losses_weighted_by_their_rows_are_the_loss_of_all_rows(form):
    parts = [slice(0, 2), slice(2, 7)]
    losses = [FORMS[form](X[part].clone().requires_grad_(), part) for part in parts]
    rows = [rows_behind(loss) for loss in losses]
    whole = FORMS[form](X.clone().requires_grad_(), slice(0, 7))
    assert None not in rows
    torch.testing.assert_close(
        sum(n * loss for n, loss in zip(rows, losses, strict=True)) / sum(rows), whole, rtol=1e-12, atol=0.0
    )


def test_a_sum_counts_once_and_a_mean_of_nothing_has_no_rows():
    x = X.clone().requires_grad_()
    assert rows_behind(x.sum()) == 1
    assert rows_behind(F.mse_loss(x, Y, reduction="sum")) == 1
    assert rows_behind(F.mse_loss(x[:0], Y[:0])) == 0


UNREAD: dict[str, Callable[[Tensor], Tensor]] = {
    "a mean and a penalty": lambda x: x.mean() + 0.1 * x.square().sum(),
    "a product of two means": lambda x: x.mean() * x.square().mean(),
    "a function of a mean": lambda x: x.mean().exp(),
    "a norm": lambda x: x.norm(),
    "a leaf": lambda x: torch.zeros((), requires_grad=True),
}


@pytest.mark.parametrize("form", UNREAD)
def test_what_is_no_mean_over_rows_is_not_read(form):
    assert rows_behind(UNREAD[form](X.clone().requires_grad_())) is None
