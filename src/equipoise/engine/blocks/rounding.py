r"""Products in float32 where the Gramian that comes of them is well conditioned, in float64 where it is not.

The gradients of a float32 network are themselves known to some 1e-7 of their size, and so are their products: measured
on an MLP, G of the network in float32 and in float64 differ by 3e-8 to 6e-7. Products that are rounded alike add an
error of that kind. It harms where rows nearly depend on one another: with G scaled to a unit diagonal, a relative error
e moves the weights of a method that inverts G by up to :math:`e / \lambda_{\min}`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["can_be_trusted"]

_LIMIT = 1e-4  # of the weights; the estimates are ten times too large or more, so weights are right to about 1e-5


def can_be_trusted(gramian: Tensor, errors: Sequence[Tensor]) -> bool:
    """Whether weights from this Gramian are right, its parts having been rounded.

    Args:
        gramian: (k, k), float64.
        errors: For each rounded part the estimated relative error of each row, (k,).

    Returns:
        Whether the largest error is at most 1e-4 of the smallest eigenvalue of the Gramian scaled to a unit diagonal,
        rows of zeros left out. False where something is not finite.

    Example:
        >>> can_be_trusted(torch.eye(2, dtype=torch.float64), [torch.tensor([1e-6, 2e-6])])
        True
        >>> near = torch.tensor([[1.0, 1 - 1e-7], [1 - 1e-7, 1.0]], dtype=torch.float64)
        >>> can_be_trusted(near, [torch.tensor([1e-6, 2e-6])])
        False
    """
    worst = max((float(error.max()) for error in errors), default=0.0)
    gramian = gramian.cpu()
    sizes = gramian.diagonal().sqrt()
    if not (worst < _LIMIT and bool(torch.isfinite(gramian).all())):
        return False
    present = sizes > 0
    unit = (gramian / (sizes[:, None] * sizes))[present][:, present]
    if not len(unit) or not worst:
        return True
    # eigenvalues are above a number where what is left after taking it off the diagonal has a Cholesky factor
    left = unit - worst / _LIMIT * torch.eye(len(unit), dtype=unit.dtype)
    return not int(torch.linalg.cholesky_ex(left).info)
