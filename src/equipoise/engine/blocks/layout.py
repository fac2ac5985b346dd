"""A fixed order of coordinates for methods that remember the Jacobian, whatever parameters a step uses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import StateError
from ...methods.base import JacobianMethod, State
from ..graph.ownership import Ownership
from ..reals import of_reals, real_count
from .dense import Jacobian

__all__ = ["Layout", "extended", "grown", "laid_out", "taken_apart"]

Layout = tuple[tuple[str, int], ...]
"""Name and count of real numbers of every parameter that was ever shared, in the order of being first shared."""


def extended(layout: Layout, parameters: Sequence[Tensor], ownership: Ownership) -> Layout:
    """The layout with newly shared parameters at the end.

    Raises:
        StateError: A parameter has another size than before.
    """
    known = dict(layout)
    found = [(ownership.name(parameter), real_count(parameter)) for parameter in parameters]
    wrong = [f"{name}: {size} numbers, {known[name]} before" for name, size in found if known.get(name, size) != size]
    if wrong:
        raise StateError(f"parameters have changed their size since the method's state began: {'; '.join(wrong)}.")
    return layout + tuple((name, size) for name, size in found if name not in known)


def laid_out(jacobian: Jacobian, layout: Layout, ownership: Ownership) -> Tensor:
    """(k, n) Jacobian in the layout's order, float64; zeros where this step does not use a parameter."""
    k, starts, total = len(jacobian.rows), _starts(layout), sum(size for _, size in layout)
    device = jacobian.parameters[0].device if jacobian.parameters else torch.device("cpu")
    flat = torch.zeros(k, total, dtype=torch.float64, device=device)
    for number, parameter in enumerate(jacobian.parameters):
        rows, start = jacobian.real_rows(number), starts[ownership.name(parameter)]
        flat[:, start : start + rows.shape[1]] = rows
    return flat


def taken_apart(
    direction: Tensor, parameters: Sequence[Tensor], layout: Layout, ownership: Ownership
) -> list[tuple[Tensor, Tensor]]:
    """A flat direction, split into one block for each parameter of this step."""
    starts = _starts(layout)
    pieces = []
    for parameter in parameters:
        start = starts[ownership.name(parameter)]
        pieces.append((parameter, of_reals(direction[start : start + real_count(parameter)], parameter)))
    return pieces


def grown(method: JacobianMethod, state: State, k: int, n: int) -> State:
    """The state for n coordinates: old coordinates keep their values, new ones start as in `init`.

    Args:
        method: Method that the state belongs to.
        state: State for at most n coordinates; empty before the first step.
        k: Number of tasks.
        n: Number of coordinates in this step.
    """
    fresh = dict(method.init(k, n))
    for name, before in state.items():
        if before.shape != fresh[name].shape:
            device = before.device
            fresh[name] = fresh[name].to(device)
            fresh[name][tuple(slice(0, size) for size in before.shape)] = before
        else:
            fresh[name] = before
    return fresh


def _starts(layout: Layout) -> dict[str, int]:
    starts, at = {}, 0
    for name, size in layout:
        starts[name] = at
        at += size
    return starts
