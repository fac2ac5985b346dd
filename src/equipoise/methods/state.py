"""Restrict a method's memory to the present tasks of a step, and put it back afterwards."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Method, State

__all__ = ["restore", "restrict"]


def restrict(method: Method, state: State, positions: Sequence[int]) -> State:
    """The state as the tasks at `positions` see it.

    Args:
        method: Declares which axes count tasks.
        state: State of all tasks.
        positions: Positions of the tasks to keep, rising.

    Returns:
        The same tensors with the task axes indexed; trained tensors stay differentiable.

    Example:
        >>> from equipoise.methods import OMDTchebycheff
        >>> method = OMDTchebycheff(dual="gradient")
        >>> restrict(method, method.init(4), [0, 2])["dual"]
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """
    small = dict(state)
    for declared in method.state_tensors:
        for axis in declared.task_axes:
            if len(positions) != small[declared.name].shape[axis]:
                index = torch.tensor(positions, device=small[declared.name].device)
                small[declared.name] = small[declared.name].index_select(axis, index)
    return small


def restore(method: Method, state: State, small: State, positions: Sequence[int]) -> State:
    """The state of all tasks after a step that only some took part in.

    Args:
        method: Declares which axes count tasks.
        state: State of all tasks before the step.
        small: State of the tasks at `positions` after the step.
        positions: Positions of those tasks, rising.

    Returns:
        `state` with the entries of those tasks replaced; the others keep theirs.
    """
    whole = dict(small)
    for declared in method.state_tensors:
        before, after = state[declared.name], small[declared.name]
        if after.shape != before.shape:
            whole[declared.name] = _put(before, after, declared.task_axes, positions)
    return whole


def _put(before: Tensor, after: Tensor, axes: Sequence[int], positions: Sequence[int]) -> Tensor:
    index: list[Tensor | slice] = [slice(None)] * before.dim()
    chosen = torch.tensor(positions, device=before.device)
    for number, axis in enumerate(axes):  # an open mesh, as numpy.ix_ makes it
        index[axis] = chosen.reshape([-1 if other == number else 1 for other in range(len(axes))])
    whole = before.clone()
    whole[tuple(index)] = after
    return whole
