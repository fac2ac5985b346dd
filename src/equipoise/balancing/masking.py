"""The mean loss of the labelled samples of a batch."""

import torch
from torch import Tensor

from ..errors import LossError

__all__ = ["masked_mean"]


def masked_mean(per_sample: Tensor, mask: Tensor) -> Tensor | None:
    r"""The mean loss over the labelled samples, or None where this batch has none.

    .. math:: \frac{1}{|M|} \sum_{b \in M} \ell_b, \qquad M = \{b : \mathrm{mask}_b\}

    Pass the result to the Balancer: None tells it that the task is absent from this step, so the task is left out of
    the mean and of the balancing, and its state is untouched. A zero would be a loss of zero.

    An unlabelled sample's loss has no influence and its gradient is exactly 0, so its target may be any number, but not
    NaN: 0 times the NaN inside the loss is NaN again.

    Args:
        per_sample: Losses of shape (B,) or (B, ...), from ``reduction="none"``.
        mask: Boolean tensor, True where there is a label; of the shape of `per_sample`, or of its first axes.

    Returns:
        A scalar, or None. Two booleans are read from the device.

    Raises:
        LossError: Another type or shape, or an unlabelled sample whose loss is NaN or inf while gradients are wanted.

    Example:
        >>> masked_mean(torch.tensor([1.0, 9.0, 3.0]), torch.tensor([True, False, True]))
        tensor(2.)
        >>> masked_mean(torch.tensor([1.0]), torch.tensor([False])) is None
        True
    """
    if mask.dtype != torch.bool:
        raise LossError(f"`mask` must hold truth values; got {mask.dtype}. Write mask > 0, or ~target.isnan().")
    if mask.shape != per_sample.shape[: mask.dim()]:
        raise LossError(
            f"`mask` must have the shape of `per_sample` or of its first axes; got mask {tuple(mask.shape)} for "
            f'{tuple(per_sample.shape)}. Is the loss already reduced? Use reduction="none".'
        )
    if per_sample.requires_grad and not torch.isfinite(per_sample.detach()[~mask]).all():
        raise LossError(
            "unlabelled samples must have a finite loss, because 0 times NaN is NaN in the backward pass; found NaN or "
            "inf. Give missing targets any number before the loss is computed: target.nan_to_num()."
        )
    return per_sample[mask].mean() if mask.any() else None
