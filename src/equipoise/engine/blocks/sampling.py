"""Inner products of the gradients of two batches, for methods that sample twice."""

import torch
from torch import Tensor

from .dense import Jacobian

__all__ = ["cross_gramian"]

_COLUMNS = 65_536


def cross_gramian(first: Jacobian, second: Jacobian) -> Tensor:
    """J1 J2^T over the parameters that both show.

    Args:
        first: k rows.
        second: k rows, of the same tasks.

    Returns:
        (k, k), float64; row i belongs to gradient i of `first`. Products are accumulated in float64. Not symmetric.

    Example:
        >>> w = torch.zeros(2, requires_grad=True)
        >>> one, two = Jacobian([w], [[torch.tensor([1.0, 2.0])]]), Jacobian([w], [[torch.tensor([3.0, -1.0])]])
        >>> cross_gramian(one, two)
        tensor([[1.]], dtype=torch.float64)
    """
    k = len(first.rows)
    device = first.parameters[0].device if first.parameters else torch.device("cpu")
    total = torch.zeros(k, k, dtype=torch.float64, device=device)
    place = {id(parameter): number for number, parameter in enumerate(second.parameters)}
    for number, parameter in enumerate(first.parameters):
        other = place.get(id(parameter))
        if other is None:
            continue
        for start in range(0, parameter.numel(), _COLUMNS):
            left = _chunk(first, number, parameter, start)
            total += (left @ _chunk(second, other, parameter, start).T).to(device)
    return total


def _chunk(jacobian: Jacobian, number: int, parameter: Tensor, start: int) -> Tensor:
    width = min(_COLUMNS, parameter.numel() - start)
    rows = []
    for row in jacobian.rows:
        block = row[number]
        if block is None:
            rows.append(torch.zeros(width, dtype=torch.float64, device=parameter.device))
        else:
            dense = block.to_dense() if block.is_sparse else block
            rows.append(dense.reshape(-1)[start : start + width].double())
    return torch.stack(rows)
