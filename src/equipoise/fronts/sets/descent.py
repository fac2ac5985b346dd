"""Adam for K solutions at once, in a box: projected, and blind to gradients that push out of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import NonFiniteError, listed

__all__ = ["Descent"]

_BETA_1, _BETA_2, _CLIP = 0.9, 0.99, 2.0


class Descent:
    r"""K solutions and their moments.

    One step, with :math:`\hat g` the gradient without the entries that push out of the box:

    .. math:: m \leftarrow m + 0.1 (\hat g - m), \quad v \leftarrow v + 0.01 (\hat g^2 - v), \quad
              x \leftarrow P\big(x - \eta\, s \,\mathrm{clip}_2 (\hat m / \sqrt{\hat v})\big)

    with P the projection on the box, s the size of each parameter and hats the bias corrections. The projection acts on
    the tensor that is optimized, so bounds hold exactly; the clip keeps one steep gradient from throwing a solution.

    Args:
        points: (K, n) start, float64.
        lower, upper: (n,) box, or None for none.
        sizes: (n,) unit of each parameter's steps.

    Source:
        Kingma & Ba (2015), arXiv:1412.6980.
    """

    def __init__(self, points: Tensor, lower: Tensor | None, upper: Tensor | None, sizes: Tensor) -> None:
        self.points, self._lower, self._upper, self._sizes = points, lower, upper, sizes
        self.restart(points)

    def restart(self, points: Tensor) -> None:
        """Go on from other points, with empty moments."""
        self.points = points
        self._first, self._second = torch.zeros_like(points), torch.zeros_like(points)
        self._number = 0

    def step(self, gradient: Tensor, rate: float) -> None:
        """One step down the gradient (K, n)."""
        self._number += 1
        points, lower, upper = self.points, self._lower, self._upper
        if lower is not None and upper is not None:
            outwards = ((points <= lower) & (gradient > 0)) | ((points >= upper) & (gradient < 0))
            gradient = gradient.masked_fill(outwards, 0.0)
        self._first.lerp_(gradient, 1 - _BETA_1)
        self._second.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        scale = (self._second / (1 - _BETA_2**self._number)).sqrt_().add_(1e-300)
        move = (self._first / scale).mul_(1 / (1 - _BETA_1**self._number)).clamp_(-_CLIP, _CLIP)
        moved = points - move.mul_(self._sizes * rate)
        self.points = moved if lower is None or upper is None else moved.clamp_(lower, upper)


def refuse_nonfinite(losses: Tensor, tasks: Sequence[str], step: int) -> None:
    """Raise where a loss of any solution is NaN or infinite."""
    bad = ~torch.isfinite(losses)
    if bad.any():
        names = [name for name, wrong in zip(tasks, bad.any(dim=0).tolist(), strict=True) if wrong]
        rows = torch.nonzero(bad.any(dim=1)).ravel().tolist()
        raise NonFiniteError(
            f"losses must be finite; in step {step} those of {listed(names)} are not, in solutions {rows[:10]}. Narrow "
            "the box, or bound the loss where its formula has a pole."
        )
