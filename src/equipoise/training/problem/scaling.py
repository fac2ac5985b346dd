"""Targets on one scale: mean and deviation of each task, measured on training rows only."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import DataError, listed

__all__ = ["TargetScale", "target_scale"]


@dataclass(frozen=True)
class TargetScale:
    r"""One task's shift and unit: :math:`z = (y - \mathrm{mean}) / \mathrm{scale}`.

    A mean squared error of z is the share of the training rows' variance that is not explained; times ``scale ** 2`` it
    is in the target's own unit.

    Attributes:
        mean: Mean of the labelled training rows.
        scale: Their standard deviation (divisor n).
        rows: Number of these rows.
    """

    mean: float
    scale: float
    rows: int

    def apply(self, values: Tensor) -> Tensor:
        """Values in units of this scale; NaN stays NaN."""
        return (values - self.mean) / self.scale

    def invert(self, values: Tensor) -> Tensor:
        """Back in the target's own unit."""
        return values * self.scale + self.mean


def target_scale(targets: Mapping[str, Tensor], train: object = None) -> dict[str, TargetScale]:
    """Mean and standard deviation of each task's target, over labelled training rows only.

    Args:
        targets: Task name -> (n,) numbers, NaN where there is no label.
        train: Row numbers of the training part (`Split.train`), or None where the tensors hold nothing else.

    Returns:
        Task name -> its scale.

    Raises:
        DataError: A task without a labelled training row, with one value only, or with an infinite one; all at once.

    Example:
        >>> scales = target_scale({"price": torch.tensor([1.0, 3.0, torch.nan, 100.0])}, train=[0, 1, 2])
        >>> scales["price"]
        TargetScale(mean=2.0, scale=1.0, rows=2)
        >>> scales["price"].apply(torch.tensor([5.0]))
        tensor([3.])
    """
    found, wrong = {}, []
    for name, values in targets.items():
        mine = values.double() if train is None else values.double()[torch.as_tensor(train)]
        mine = mine[~mine.isnan()]
        if not len(mine) or not mine.isfinite().all() or bool((mine == mine[0]).all()):
            what = "no label" if not len(mine) else "an infinite one" if not mine.isfinite().all() else "one value only"
            wrong.append(f"'{name}' has {what}")
            continue
        found[name] = TargetScale(float(mine.mean()), float(mine.std(correction=0)), len(mine))
    if wrong:
        raise DataError(
            f"a target is scaled by its deviation over labelled training rows; {'; '.join(wrong)}. Leave "
            f"{listed(name for name in targets if name not in found)} out, or split the rows differently."
        )
    return found
