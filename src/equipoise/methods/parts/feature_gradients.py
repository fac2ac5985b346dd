"""A warning of methods on feature gradients: the tasks have no sample in common."""

import warnings

from torch import Tensor

from ...errors import EquipoiseWarning
from ..base import GramianMethod

__all__ = ["warn_of_separate_samples"]


def warn_of_separate_samples(gramian: Tensor, method: GramianMethod) -> None:
    """Warns where the Gramian of feature gradients is diagonal: the tasks share no sample.

    Args:
        gramian: Gramian of feature gradients kept per sample, (k, k).
        method: Method whose class is named X + UB, after the method X on parameter gradients.

    Warns:
        `EquipoiseWarning` for two or more tasks without a common sample.
    """
    if len(gramian) > 1 and not (gramian - gramian.diagonal().diag()).any():
        name = type(method).__name__
        warnings.warn(
            f"{name} works on feature gradients of single samples, and these tasks have no sample in common: their "
            "Gramian is diagonal, so the weights depend on the norms alone. Use the method on parameter gradients "
            f"instead: {name.removesuffix('UB')}.",
            EquipoiseWarning,
            stacklevel=3,
        )
