"""Read the losses that users pass, and refuse bad ones by task name."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from ..errors import LossError, SettingError, TaskError, listed

__all__ = [
    "Losses",
    "are_alike",
    "check_names",
    "mean_of",
    "mean_of_some",
    "names_in",
    "numbers_of",
    "read_losses",
    "read_others",
    "stacked",
]

Losses = Mapping[str, Tensor | None] | Sequence[Tensor | None]
"""Losses as users pass them: scalars by task name or in task order, None for an absent task."""

_BY_HAND = 8  # above that nobody writes a sum by hand, and one operation is faster


def names_in(losses: Losses) -> tuple[str, ...]:
    """The names that a first call gives to its tasks: its own, or ``task0``, ``task1``, ... for a sequence."""
    if isinstance(losses, Mapping):
        return tuple(losses)
    return tuple(f"task{number}" for number in range(len(losses))) if isinstance(losses, Sequence) else ()


def check_names(tasks: Sequence[str]) -> tuple[str, ...]:
    """Task names as they were given.

    Raises:
        TaskError: One string in place of a sequence of names, or names that are no strings.
    """
    if isinstance(tasks, str):
        raise TaskError(f"`tasks` must be a sequence of names; got the one string {tasks!r}: write ({tasks!r},).")
    odd = [name for name in tasks if not isinstance(name, str)]
    if odd:
        raise TaskError(
            f"task names must be strings, which are saved and shown; got {', '.join(map(repr, odd))}. Type "
            "{str(name): loss for name, loss in losses.items()}, and tasks=tuple(map(str, names)) where you give them."
        )
    return tuple(tasks)


def read_losses(
    losses: Losses, names: tuple[str, ...], *, differentiable: bool, empty: bool = False
) -> tuple[list[int], list[Tensor]]:
    """The positions of the present tasks, and their losses in task order; with `empty` there may be none.

    Raises:
        TaskError: Names or number do not fit `names`, all task names.
        LossError: A loss is not a scalar tensor, or leads to no parameter though it must be `differentiable`; all
            offenders at once.
    """
    if isinstance(losses, Tensor) or not isinstance(losses, Mapping | Sequence):
        raise LossError(
            "`losses` must be a mapping from task names to scalars, or a sequence of scalars; got "
            f"{_what_it_is(losses)}"
        )
    if not losses:
        raise TaskError("`losses` is empty; at least one task is needed.")
    if isinstance(losses, Mapping):
        known = set(names)
        if losses.keys() != known:
            missing = [name for name in names if name not in losses]
            unknown = [name for name in losses if name not in known]
            shown = ", ".join(map(repr, unknown))  # 0 and '0' must not look the same
            raise TaskError(
                f"the tasks are {listed(names)}; missing: {listed(missing) or 'none'}; unknown: "
                f"{shown or 'none'}. {_way_out(names, losses)}"
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
    if not present and not empty:
        raise TaskError("every task is absent from this step; skip the step instead.")
    if len(present) < len(ordered):
        ordered = [ordered[number] for number in present]
    bad = [row for row, loss in enumerate(ordered) if not _is_fine(loss, differentiable)]
    if bad:
        raise LossError(" ".join(_complaint(names[present[row]], ordered[row], differentiable) for row in bad))
    return present, cast("list[Tensor]", ordered)


def _what_it_is(losses: object) -> str:
    if isinstance(losses, Tensor) and losses.dim() > 0:
        return (
            f"a tensor of shape {tuple(losses.shape)}. If its entries are the tasks' losses, pass list(losses), or "
            "name them: dict(zip(names, losses)). If they are losses of samples, reduce each task's first."
        )
    return f"{type(losses).__name__}. A sum cannot be taken apart again: pass the losses themselves."


def _way_out(names: tuple[str, ...], losses: Mapping[str, object]) -> str:
    if any(not isinstance(name, str) for name in losses):
        return "Task names are strings: {str(name): loss for name, loss in losses.items()}."
    if names == tuple(f"task{number}" for number in range(len(names))) and not losses.keys() & set(names):
        given = repr(tuple(losses))
        return f"The first call gave a sequence: go on in that order, or build the Balancer with tasks={given}."
    return "A task without labels in this step is passed as None."


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
    for loss in losses:  # noqa: SIM110 - a generator would cost a call a loss
        if loss.dim() or loss.dtype != dtype or loss.device != device:
            return False
    return True


def stacked(losses: Sequence[Tensor]) -> Tensor | None:
    """Some scalars as one tensor (k,) with their graph; None where they are not alike and cannot be."""
    return torch.stack(list(losses)) if are_alike(losses) else None


def numbers_of(losses: Sequence[Tensor]) -> Tensor:
    """The values of some scalars, (k,), float64, on the first one's device; not differentiable."""
    if are_alike(losses):
        return torch.stack(list(losses)).detach().double()
    with torch.no_grad():
        return torch.stack([loss.reshape(()).to(losses[0].device).double() for loss in losses])


def mean_of(losses: Sequence[Tensor], stack: Tensor | None = None) -> Tensor:
    """The mean of some scalars; up to 8 are added in order, as one writes it by hand: ``(l1 + l2 + l3) / 3``.

    `stack` is the same as one tensor, if the caller has it.
    """
    if stack is not None or (len(losses) > _BY_HAND and are_alike(losses)):
        return (torch.stack(list(losses)) if stack is None else stack).detach().mean()
    device = losses[0].device
    total, *others = [loss.detach() for loss in losses]
    if not are_alike(losses):
        total, *others = [loss.reshape(()).to(device) for loss in (total, *others)]
    return torch.div(sum(others, total), len(losses))


def mean_of_some(losses: Sequence[Tensor], tasks: Sequence[int], chosen: Sequence[int]) -> Tensor:
    """The mean of the losses of the present `tasks` that are among the `chosen` ones; zero where there is none."""
    if tasks == chosen:
        return mean_of(losses)
    inside = set(chosen)
    kept = [loss for task, loss in zip(tasks, losses, strict=True) if task in inside]
    return mean_of(kept) if kept else torch.zeros_like(losses[0].detach().reshape(()))


def read_others(
    second: Losses | None, third: Losses | None, names: tuple[str, ...], present: Sequence[int]
) -> tuple[list[Tensor] | None, list[Tensor] | None]:
    """The losses of one or two other batches, in task order.

    Raises:
        TaskError: They are not of the tasks at `present`.
        SettingError: A third batch without a second.
    """
    if third is not None and second is None:
        raise SettingError("`third` was given without `second`: two batches are `losses` and `second`.")
    return (
        None if second is None else _read_same_tasks(second, names, present),
        None if third is None else _read_same_tasks(third, names, present),
    )


def _read_same_tasks(losses: Losses, names: tuple[str, ...], present: Sequence[int]) -> list[Tensor]:
    other, values = read_losses(losses, names, differentiable=True)
    if other != list(present):
        shown = [", ".join(f"'{names[i]}'" for i in part) for part in (present, other)]
        raise TaskError(f"both batches must show the same tasks: the first has {shown[0]}; the other has {shown[1]}.")
    return values
