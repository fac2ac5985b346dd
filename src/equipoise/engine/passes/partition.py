"""Split of returned gradients into rows of shared parameters and gradients of own ones."""

from collections.abc import Sequence

from torch import Tensor

from ..blocks.dense import Jacobian
from ..blocks.ghost import LinearRows
from ..blocks.separable import SeparableRows
from ..blocks.task_gradients import Own, Part
from ..graph.ownership import Ownership

__all__ = ["sort_rows"]


def sort_rows(
    leaves: Sequence[Tensor],
    rows: Sequence[dict[int, Tensor | None]],
    layers: Sequence[LinearRows | SeparableRows],
    tasks: Sequence[int],
    ownership: Ownership,
) -> tuple[list[Part], Own]:
    """Updates the ownership from the gradients, and separates shared parameters from others.

    Args:
        leaves: Parameters whose gradients were formed.
        rows: Gradients by identity of the leaf, one dictionary per task.
        layers: Linear layers whose gradients were not formed. They are formed for the tasks that are not yet known to
            reach the layer, one at a time: an output gradient may differ from zero where the weight's does not.
        tasks: Task numbers of the rows.
        ownership: Record of which parameters are shared; it learns from the gradients.

    Returns:
        Parts over shared parameters, and the gradients of the others. Cost: one access to each gradient, and k for each
        shared parameter.
    """
    found: dict[int, list[tuple[int, Tensor]]] = {id(leaf): [] for leaf in leaves}
    for number, row in enumerate(rows):  # once over the gradients, not once for each leaf: k heads are k leaves
        for key, block in row.items():
            if block is not None and key in found:
                found[key].append((number, block))
    used = [leaf for leaf in leaves if found[id(leaf)]]
    for leaf in used:
        ownership.reach(leaf, [(tasks[number], block) for number, block in found[id(leaf)]])
    shared: list[Tensor] = []
    own: Own = []
    for leaf in used:
        if ownership.is_shared(leaf):
            shared.append(leaf)
        else:
            own.append((leaf, found[id(leaf)]))
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
            blocks = [(number, block) for number, block in formed if block is not None]
            if blocks:
                own.append((leaf, blocks))
    return parts, own
