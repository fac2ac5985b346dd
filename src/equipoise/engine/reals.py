r"""Gradients as real numbers: a complex one counts as a pair, its real and its imaginary part.

PyTorch's gradient of a real loss at a complex z = x + iy is :math:`\partial L/\partial x + i\,\partial L/\partial y`,
so pairs of reals have the inner products, norms and mixtures of a model that keeps x and y apart.
"""

import torch
from torch import Tensor

__all__ = ["of_reals", "real_count", "reals"]


def reals(block: Tensor) -> Tensor:
    """The numbers of a tensor of any shape and layout, flat and real.

    Example:
        >>> reals(torch.tensor([[1 + 2j]])), reals(torch.ones(1, 1))
        (tensor([1., 2.]), tensor([1.]))
    """
    dense = block.to_dense() if block.is_sparse else block
    if dense.is_complex():
        dense = torch.view_as_real(dense.resolve_conj())
    return dense.reshape(-1)


def real_count(tensor: Tensor) -> int:
    """Count of numbers that `reals` returns."""
    return 2 * tensor.numel() if tensor.is_complex() else tensor.numel()


def of_reals(flat: Tensor, like: Tensor) -> Tensor:
    """Inverse of `reals`: a tensor of the shape and type of `like`; `flat` may be of another type.

    Example:
        >>> of_reals(torch.tensor([1.0, 2.0]), torch.zeros(1, 1, dtype=torch.complex64))
        tensor([[1.+2.j]])
    """
    if like.is_complex():
        flat = torch.view_as_complex(flat.reshape(-1, 2).contiguous())
    return flat.reshape(like.shape).to(like.device, like.dtype)  # `like` may be sharded
