"""Backward passes for chosen parameters and layers, one per task or several at once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from ..blocks.ghost import LinearRows
from ..graph.autograd_graph import is_accumulator
from ..graph.hooks import ours
from ..graph.linear_layers import LinearSite

__all__ = ["Passes", "Start", "arriving", "run_passes", "takes_batches"]

Start = list[tuple[Tensor | GradientEdge, Tensor]]
"""Outputs at which a pass starts, with their gradients."""

_AT_ONCE = 1024  # rows in one matrix product; beyond it larger products are no faster
_BATCHED = {
    f"{name}Backward{number}"
    for number in (0, 1)
    for name in (
        *("Abs", "Add", "Addmm", "Bmm", "Cat", "Celu", "Clamp", "Clone", "Cos", "Div", "Elu", "Exp", "Expand", "Gelu"),
        *("Hardswish", "Hardtanh", "Index", "LeakyRelu", "Log", "LogSigmoid", "LogSoftmax", "MaskedFill", "Max"),
        *("Maximum", "Mean", "Minimum", "Mish", "Mm", "Mul", "NativeDropout", "NativeLayerNorm", "Neg", "Permute"),
        *("Pow", "Relu", "Rsqrt", "Select", "Sigmoid", "Silu", "Sin", "Slice", "Softmax", "Softplus", "Split", "Sqrt"),
        *("Squeeze", "Stack", "Sub", "Sum", "T", "Tanh", "Transpose", "UnsafeView", "Unsqueeze", "View", "Where"),
    )
}


@dataclass(frozen=True, eq=False)
class Passes:
    """Result of several backward passes.

    Attributes:
        rows: Gradients by the identity of the leaf, one dictionary per pass.
        parts: Linear layers of the ghost engine.
        below: Start of the next stretch, one per pass.
        hooked: Whether a hook on a watched activation changed a gradient.
    """

    rows: list[dict[int, Tensor | None]]
    parts: list[LinearRows]
    below: list[Start]
    hooked: bool = False


def takes_batches(nodes: Iterable[Node]) -> bool:
    """Whether every node is known to take several gradients at once without loss."""
    return all(is_accumulator(node) or node.name() in _BATCHED for node in nodes)


def run_passes(
    sources: Sequence[Start],
    leaves: Sequence[Tensor],
    sites: Sequence[LinearSite],
    *,
    below: Sequence[GradientEdge] = (),
    retain_graph: bool,
    batched: bool = False,
    watch: Sequence[Node] = (),
) -> Passes:
    """Runs one backward pass for each source.

    Args:
        sources: Start of each pass; emptied as they are used, unless the graph is retained.
        leaves: Leaves whose gradients are wanted.
        sites: Layers whose output gradients are wanted in place of weight gradients.
        below: Edges at which gradients are wanted for a later stretch.
        retain_graph: Whether the graph is needed after the last pass.
        batched: Whether passes may run together where rows are few (`takes_batches`); ignored with `watch`.
        watch: Nodes of activations at which hooks are detected, for engines that need linear passes or rows that do not
            mix: a hook may break either.

    Returns:
        The gradients; None for a leaf or layer that a pass does not reach.
    """
    inputs = [site.inputs() for site in sites]  # before the graph is freed
    wanted: list[Tensor | GradientEdge] = [*leaves, *(site.edge for site in sites), *below]
    third = len(wanted)
    wanted += [GradientEdge(node, 0) for node in watch]
    if watch:  # a node with nothing wanted behind it shows its gradient after hooks
        wanted += [
            site.parameter
            for site in sites
            if site.node.next_functions[0][0] is None or len(site.node.next_functions) < 3
        ]
    hooked = False
    together = 1
    if batched and sites and not watch and _alike(sources):
        together = max(1, _AT_ONCE // max(site.rows for site in sites))
    first, second = len(leaves), len(leaves) + len(sites)
    brought: list[list[Tensor | None]] = []
    with arriving([site.node for site in sites]) as seen, arriving(watch) as passed:
        for start in range(0, len(sources), together):
            chunk = list(sources[start : start + together])
            keep = retain_graph or start + together < len(sources)
            brought += (
                _several(chunk, wanted, first, seen, keep)
                if len(chunk) > 1
                else [_one(chunk[0], wanted, first, seen, keep)]
            )
            for number, value in passed.items():
                asked = brought[-1][third + number]
                hooked = hooked or asked is None or asked.data_ptr() != value.data_ptr()
            passed.clear()
            brought[-1] = brought[-1][:third]
            if not retain_graph:
                for source in chunk:
                    source.clear()
    return Passes(
        [{id(leaf): value for leaf, value in zip(leaves, values, strict=False)} for values in brought],
        [
            LinearRows(site.parameter, held, [values[first + number] for values in brought], site.transposed)
            for number, (site, held) in enumerate(zip(sites, inputs, strict=True))
        ],
        [
            [(edge, value) for edge, value in zip(below, values[second:], strict=True) if value is not None]
            for values in brought
        ],
        hooked,
    )


@contextmanager
def arriving(nodes: Sequence[Node]) -> Iterator[dict[int, Tensor]]:
    """Records the gradients that arrive at nodes, after hooks on activations, which `autograd.grad` may leave out.

    Autograd returns the gradient at an edge before such hooks where the pass goes on behind it, and after them where it
    ends there; the gradient recorded here is the right one in the first case, and missing in the second.
    """
    seen: dict[int, Tensor] = {}
    handles = []
    for number, node in enumerate(nodes):

        def note(gradients: tuple[Tensor | None, ...], number: int = number) -> None:
            if gradients[0] is not None:
                seen[number] = gradients[0]

        handles.append(ours(node.register_prehook, note))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _one(
    source: Start, wanted: Sequence[Tensor | GradientEdge], first: int, seen: dict[int, Tensor], keep: bool
) -> list[Tensor | None]:
    if not source or not wanted:
        return [None] * len(wanted)
    outputs, gradients = [output for output, _ in source], [gradient for _, gradient in source]
    seen.clear()
    ask: Any = torch.autograd.grad  # it takes tensors and edges in one list, and says otherwise
    found: list[Tensor | None] = list(ask(outputs, wanted, gradients, retain_graph=keep, allow_unused=True))
    for number, value in seen.items():
        found[first + number] = value
    return found


def _several(
    chunk: Sequence[Start], wanted: Sequence[Tensor | GradientEdge], first: int, seen: dict[int, Tensor], keep: bool
) -> list[list[Tensor | None]]:
    outputs = [output for output, _ in chunk[0]]
    stacked = [torch.stack([source[number][1] for source in chunk]) for number in range(len(outputs))]
    reached: list[int] = []

    def backward(*gradients: Tensor) -> Any:
        found = _one(list(zip(outputs, gradients, strict=True)), wanted, first, seen, keep)
        reached[:] = [number for number, value in enumerate(found) if value is not None]
        return tuple(found[number] for number in reached)

    values = torch.vmap(backward)(*stacked)
    seen.clear()
    rows: list[list[Tensor | None]] = [[None] * len(wanted) for _ in chunk]
    for number, value in zip(reached, values, strict=True):
        for row, one in zip(rows, value, strict=True):
            row[number] = one
    return rows


def _alike(sources: Sequence[Start]) -> bool:
    """Whether all passes start at the same outputs, so that their gradients can be stacked."""
    first = [id(output) for output, _ in sources[0]]
    return bool(first) and all([id(output) for output, _ in source] == first for source in sources)
