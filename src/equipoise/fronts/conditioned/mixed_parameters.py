"""What a parameter becomes under a preference: a low-rank term a task, an offset, or a factor for each output."""

import torch
from torch import Tensor, nn

__all__ = ["Factors", "LowRank", "Offsets", "Shares"]


class Shares(nn.Module):
    """The present preference, held once and seen by all layers; no part of the state.

    Args:
        count: Number of tasks k.
    """

    weights: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((count,), 1 / count, dtype=torch.float64), persistent=False)
        self._cast: tuple[Tensor, Tensor] | None = None
        self.of_rows = False
        """Whether each row has its own preference at the moment: layers then add the terms to their outputs."""

    def like(self, tensor: Tensor) -> Tensor:
        """The shares with the type and the device of a tensor; converted once for all layers."""
        if self._cast is None or self._cast[0] is not self.weights or self._cast[1].dtype != tensor.dtype:
            self._cast = self.weights, self.weights.to(tensor)
        return self._cast[1]


class _Mixed(nn.Module):
    """Base of the parametrizations: all of them are linear in the shares of the tasks."""

    def __init__(self, shares: Shares) -> None:
        super().__init__()
        self.shares = shares

    def mixed(self, terms: Tensor) -> Tensor:
        """The sum of terms (k, ...) weighted by the shares."""
        return (self.shares.like(terms) @ terms.flatten(1)).reshape(terms.shape[1:])


class LowRank(_Mixed):
    r"""A matrix plus one low-rank term a task, :math:`W + \sum_t \lambda_t B_t A_t`.

    All axes of W but the one of the outputs count as one. B starts at 0, so that the model is at first the plain one.

    Args:
        shares: Holder of the present preference.
        weight: Parameter W that is adapted.
        rank: Rank r of each term, at most the smaller side of W.
        outputs: Axis of W that counts outputs.
    """

    def __init__(self, shares: Shares, weight: Tensor, rank: int, outputs: int = 0) -> None:
        super().__init__(shares)
        count, rows = len(shares.weights), weight.shape[outputs]
        columns = weight.numel() // rows
        inner = min(rank, rows, columns)
        self.outputs = outputs
        self.down = nn.Parameter(weight.new_empty(count, inner, columns))
        self.up = nn.Parameter(weight.new_zeros(count, rows, inner))
        bound = columns**-0.5
        nn.init.uniform_(self.down, -bound, bound)

    def forward(self, weight: Tensor) -> Tensor:
        """W under the present preference."""
        if self.shares.of_rows:
            return weight
        weighted = self.down * self.shares.like(self.down)[:, None, None]
        moved = weight.movedim(self.outputs, 0)
        # one product: (rows, k r) times (k r, columns)
        mixed = torch.addmm(moved.flatten(1), self.up.transpose(0, 1).flatten(1), weighted.flatten(0, 1))
        return mixed.reshape(moved.shape).movedim(0, self.outputs)


class Offsets(_Mixed):
    r"""A parameter plus one offset a task, :math:`b + \sum_t \lambda_t b_t`, all 0 at the start.

    Args:
        shares: Holder of the present preference.
        bias: Parameter b that is adapted.
    """

    def __init__(self, shares: Shares, bias: Tensor) -> None:
        super().__init__(shares)
        self.offsets = nn.Parameter(bias.new_zeros(len(shares.weights), *bias.shape))

    def forward(self, bias: Tensor) -> Tensor:
        """The bias b under the present preference."""
        if self.shares.of_rows:
            return bias
        if bias.dim() == 1:
            return torch.addmv(bias, self.offsets.t(), self.shares.like(bias))
        return bias + self.mixed(self.offsets)


class Factors(_Mixed):
    r"""A matrix times one factor an output, :math:`(1 + \sum_t \lambda_t g_t) W`, all g 0 at the start.

    Args:
        shares: Holder of the present preference.
        weight: Parameter W that is adapted.
        outputs: Axis of W that counts outputs.
    """

    def __init__(self, shares: Shares, weight: Tensor, outputs: int) -> None:
        super().__init__(shares)
        self.outputs = outputs
        self.factors = nn.Parameter(weight.new_zeros(len(shares.weights), weight.shape[outputs]))

    def forward(self, weight: Tensor) -> Tensor:
        """W under the present preference."""
        if self.shares.of_rows:
            return weight
        factors = 1 + self.mixed(self.factors)
        return weight * factors.reshape([-1 if axis == self.outputs else 1 for axis in range(weight.dim())])
