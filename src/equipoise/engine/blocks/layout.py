"""One order of coordinates for methods that remember the Jacobian, whatever parameters a step shows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import StateError
from ...methods.base import JacobianMethod, State
from ..graph.ownership import Ownership
from .dense import Jacobian

__all__ = ["Layout", "extended", "grown", "laid_out", "taken_apart"]

Layout = tuple[tuple[str, int], ...]
"""Name and size of every parameter that was ever shared, in the order in which they were first shared."""


def extended(layout: Layout, parameters: Sequence[Tensor], ownership: Ownership) -> Layout:
    """The layout with newly shared parameters at the end.

    Raises:
        StateError: A parameter has another size than before.
    """
    known = dict(layout)
    found = [(ownership.name(parameter), parameter.numel()) for parameter in parameters]
    wrong = [f"{name}: {size} numbers, {known[name]} before" for name, size in found if known.get(name, size) != size]
    if wrong:
        raise StateError(f"parameters have changed their size since the method's state began: {'; '.join(wrong)}.")
    return layout + tuple((name, size) for name, size in found if name not in known)


def laid_out(jacobian: Jacobian, layout: Layout, ownership: Ownership) -> Tensor:
    """(k, n) in the layout's order, float64; zeros where this step does not show a parameter."""
    k, starts, total = len(jacobian.rows), _starts(layout), sum(size for _, size in layout)
    device = jacobian.parameters[0].device if jacobian.parameters else torch.device("cpu")
    flat = torch.zeros(k, total, dtype=torch.float64, device=device)
    for number, parameter in enumerate(jacobian.parameters):
        start = starts[ownership.name(parameter)]
        for row in range(k):
            block = jacobian.rows[row][number]
            if block is not None:
                dense = block.to_dense() if block.is_sparse else block
                flat[row, start : start + parameter.numel()] = dense.reshape(-1)
    return flat


def taken_apart(
    direction: Tensor, parameters: Sequence[Tensor], layout: Layout, ownership: Ownership
) -> list[tuple[Tensor, Tensor]]:
    """A flat direction as one block for each parameter of this step."""
    starts = _starts(layout)
    pieces = []
    for parameter in parameters:
        start = starts[ownership.name(parameter)]
        pieces.append((parameter, direction[start : start + parameter.numel()].reshape(parameter.shape).to(parameter)))
    return pieces


def grown(method: JacobianMethod, state: State, k: int, n: int) -> State:
    """The state for n coordinates: what was known stays, new coordinates start as in `init`.

    Args:
        method: Whose.
        state: For as many coordinates or fewer; empty before the first step.
        k: Number of tasks.
        n: Coordinates now.
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
