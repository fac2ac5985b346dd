"""The length of a vector of losses, and its direction, without squares that over- or underflow."""

import torch
from torch import Tensor

__all__ = ["ROUNDING", "direction_and_length"]

ROUNDING = 64 * torch.finfo(torch.float64).eps
"""A part of a vector that is shorter than this share of it is what rounding has left."""


def direction_and_length(vector: Tensor) -> tuple[Tensor, Tensor]:
    """The unit vector, and the Euclidean length.

    Args:
        vector: Vector of finite entries, (k,).

    Returns:
        (k,) of length 1, and a scalar; zeros for a vector of zeros. Both differentiable where it is not all zeros.

    Example:
        >>> direction_and_length(torch.tensor([3e-300, -4e-300], dtype=torch.float64))
        (tensor([ 0.6000, -0.8000], dtype=torch.float64), tensor(5.0000e-300, dtype=torch.float64))
    """
    largest = vector.detach().abs().amax()
    near_one = vector / torch.where(largest > 0, largest, 1.0)
    length = torch.linalg.vector_norm(near_one)
    return near_one / length.clamp(min=0.5), length * largest  # a length is 0, or at least 1
