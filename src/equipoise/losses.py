"""Reading what users hand over as losses, and refusing it by name."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .errors import LossError, TaskError, listed

__all__ = ["Losses", "are_alike", "mean_of", "mean_of_some", "numbers_of", "read_losses", "read_same_tasks", "stacked"]

Losses = Mapping[str, Tensor | None] | Sequence[Tensor | None]
"""What users hand over: scalars by task name or in task order, None for an absent task."""

_BY_HAND = 8  # above that nobody writes a sum by hand, and one operation is faster


def read_losses(losses: Losses, names: tuple[str, ...], *, differentiable: bool) -> tuple[list[int], list[Tensor]]:
    """The present losses, in task order.

    Args:
        losses: By name or in order; None for an absent task.
        names: All task names.
        differentiable: Whether each must lead to parameters.

    Returns:
        Positions of the present tasks, and their losses.

    Raises:
        TaskError: Names or number do not fit.
        LossError: A loss is not a scalar tensor, or is detached; all offenders at once.
    """
    if isinstance(losses, Tensor) or not isinstance(losses, Mapping | Sequence):
        raise LossError(
            "`losses` must be a mapping from task names to scalars, or a sequence of scalars; got "
            f"{type(losses).__name__}. A sum cannot be taken apart again: pass the losses themselves."
        )
    if not losses:
        raise TaskError("`losses` is empty; at least one task is needed.")
    if isinstance(losses, Mapping):
        known = set(names)
        missing, unknown = (
            [name for name in names if name not in losses],
            [name for name in losses if name not in known],
        )
        if missing or unknown:
            raise TaskError(
                f"the tasks are {listed(names)}; missing: {listed(missing) or 'none'}; unknown: "
                f"{listed(unknown) or 'none'}. A task without labels in this step is passed as None."
            )
        ordered = [losses[name] for name in names]
    else:
        ordered = list(losses)
        if len(ordered) != len(names):
            raise TaskError(
                f"the tasks are {listed(names)}; got a sequence of {len(ordered)} losses. A task without labels in "
                "this step is passed as None."
            )
    present = [number for number, loss in enumerate(ordered) if loss is not None]
    if not present:
        raise TaskError("every task is absent from this step; skip the step instead.")
    complaints = [
        _complaint(names[i], ordered[i], differentiable) for i in present if not _is_fine(ordered[i], differentiable)
    ]
    if complaints:
        raise LossError(" ".join(complaints))
    return present, [loss for loss in ordered if loss is not None]


def _is_fine(loss: object, differentiable: bool) -> bool:
    return (
        isinstance(loss, Tensor)
        and loss.numel() == 1
        and loss.is_floating_point()
        and (loss.requires_grad or not differentiable)
    )


def _complaint(name: str, loss: object, differentiable: bool) -> str:
    if not isinstance(loss, Tensor):
        return f"task '{name}': a loss must be a tensor; got {type(loss).__name__} {loss!r}."
    if loss.numel() != 1:
        return (
            f"task '{name}': a loss must be a scalar; it has shape {tuple(loss.shape)}. Reduce it first, for example "
            f"losses['{name}'].mean()."
        )
    if not loss.is_floating_point():
        return f"task '{name}': a loss must be a real floating-point number; it is {loss.dtype}."
    return (
        f"task '{name}' has no grad_fn: was it built with torch.tensor(...), detached, or computed under no_grad? "
        "No parameter would learn from it."
    )


def are_alike(losses: Sequence[Tensor]) -> bool:
    """Whether scalars have no axis, one type and one device, so that one operation stacks them all."""
    dtype, device = losses[0].dtype, losses[0].device
    return all(loss.dim() == 0 and loss.dtype == dtype and loss.device == device for loss in losses)


def stacked(losses: Sequence[Tensor]) -> Tensor | None:
    """Some scalars as one tensor (k,) with their graph; None where they are not alike and cannot be."""
    return torch.stack(list(losses)) if are_alike(losses) else None


def numbers_of(losses: Sequence[Tensor]) -> Tensor:
    """The values of some scalars, (k,), float64, on the first one's device; not differentiable."""
    with torch.no_grad():
        if are_alike(losses):
            return torch.stack(list(losses)).double()
        return torch.stack([loss.reshape(()).to(losses[0].device).double() for loss in losses])


def mean_of(losses: Sequence[Tensor]) -> Tensor:
    """The mean of some scalars; up to 8 are added in order, as one writes it by hand: ``(l1 + l2 + l3) / 3``."""
    with torch.no_grad():
        alike = are_alike(losses)
        if len(losses) > _BY_HAND and alike:
            return torch.stack(list(losses)).mean()
        device = losses[0].device
        total, *others = losses if alike else [loss.reshape(()).to(device) for loss in losses]
        for loss in others:
            total = total + loss
        return torch.div(total, len(losses))


def mean_of_some(losses: Sequence[Tensor], tasks: Sequence[int], chosen: Sequence[int]) -> Tensor:
    """The mean over the chosen tasks; zero where there is none.

    Args:
        losses: Of the present tasks.
        tasks: Their numbers.
        chosen: Numbers of the tasks that count.
    """
    if tasks == chosen:
        return mean_of(losses)
    inside = set(chosen)
    kept = [loss for task, loss in zip(tasks, losses, strict=True) if task in inside]
    return mean_of(kept) if kept else torch.zeros_like(losses[0].detach().reshape(()))


def read_same_tasks(losses: Losses, names: tuple[str, ...], present: Sequence[int]) -> list[Tensor]:
    """The losses of another batch, in task order.

    Raises:
        TaskError: They are not of the tasks at `present`.
    """
    other, values = read_losses(losses, names, differentiable=True)
    if other != list(present):
        shown = [", ".join(f"'{names[i]}'" for i in part) for part in (present, other)]
        raise TaskError(f"both batches must show the same tasks: the first has {shown[0]}; the other has {shown[1]}.")
    return values
