"""Which of the returned gradients are shared rows, and which belong to one task."""

from collections.abc import Sequence

from torch import Tensor

from .ghost import LinearRows
from .gradients import Own, Part
from .jacobian import Jacobian
from .ownership import Ownership
from .separable import SeparableRows

__all__ = ["sort_rows"]


def sort_rows(
    leaves: Sequence[Tensor],
    rows: Sequence[dict[int, Tensor | None]],
    layers: Sequence[LinearRows | SeparableRows],
    tasks: Sequence[int],
    ownership: Ownership,
) -> tuple[list[Part], Own]:
    """Tells the ownership what came back, and parts shared parameters from others.

    Args:
        leaves: Parameters with gradients of their own.
        rows: For each task, gradients by identity of the leaf.
        layers: Linear layers whose gradients were not formed. They are formed for the tasks that are not yet known to
            reach the layer, one at a time: an output gradient may differ from zero where the weight's does not.
        tasks: Task numbers of the rows.
        ownership: Decides.

    Returns:
        Parts over shared parameters, and the rows of the others.
    """
    for leaf in leaves:
        ownership.reach(leaf, [(task, row.get(id(leaf))) for task, row in zip(tasks, rows, strict=True)])
    used = [leaf for leaf in leaves if any(row.get(id(leaf)) is not None for row in rows)]
    shared = [leaf for leaf in used if ownership.is_shared(leaf)]
    own: Own = []
    for leaf in used:
        if not ownership.is_shared(leaf):
            blocks = [(number, row.get(id(leaf))) for number, row in enumerate(rows)]
            own.append((leaf, [(number, block) for number, block in blocks if block is not None]))
    parts: list[Part] = []
    if shared:
        parts.append(Jacobian(shared, [[row.get(id(leaf)) for leaf in shared] for row in rows]))
    for layer in layers:
        leaf = layer.parameter
        for number, task in enumerate(tasks):
            if ownership.is_settled(leaf):
                break
            ownership.reach(leaf, [(task, layer.row(number))])
        if ownership.is_shared(leaf):
            parts.append(layer)
        else:
            formed = [(number, layer.row(number)) for number in range(len(tasks))]
            own.append((leaf, [(number, block) for number, block in formed if block is not None]))
    return parts, [(leaf, found) for leaf, found in own if found]
