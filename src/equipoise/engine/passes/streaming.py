"""Gramians without storing all gradients: products stretch by stretch, then one weighted backward.

The graph is cut between layers. In each stretch every task's gradient goes from one cut to the next; the stretch's
parameter gradients are multiplied and dropped. At any time only k gradients at two cuts and k gradients of one stretch
are held, in place of k gradients of all parameters. Where the graph cannot be cut, parameters are split into groups,
each with k passes of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from ...errors import SettingError
from ..blocks.task_gradients import Own
from ..graph.autograd_graph import Graph
from ..graph.hooks import ours
from ..graph.linear_layers import LinearSite
from ..graph.ownership import Ownership
from ..graph.segments import Stretch, cut_into_stretches
from .backward import Start, run_passes
from .partition import sort_rows

__all__ = ["Streamed", "StreamedRows", "stream"]

Weighted = Callable[[Tensor, Sequence[Tensor]], list[Tensor | None]]


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """Products of rows that were dropped, and a function for their mixtures.

    Attributes:
        parameters: Shared parameters whose gradients were multiplied.
        gramians: (k, k) products of each parameter's gradients, float64.
        backward: Function from weights (k,) and parameters to the weighted gradients, by one pass.
        spoilt: First parameter with NaN or inf for each affected row, with the count of such values and its size.
        rows: Numbers of the original rows that these are.
        count: Number k of original rows.
    """

    parameters: Sequence[Tensor]
    gramians: Sequence[Tensor]
    backward: Weighted
    spoilt: dict[int, tuple[Tensor | str, int, int]]
    rows: Sequence[int]
    count: int

    def gramian(self) -> Tensor:
        """(k, k) sum of the products over the parameters, float64."""
        index = list(self.rows)
        total = torch.zeros(len(index), len(index), dtype=torch.float64)
        for number, gramian in enumerate(self.gramians):
            term = gramian[index][:, index]
            total = term if number == 0 else total + term.to(total.device)
        return total

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted gradients, by one backward pass."""
        whole = torch.zeros(self.count, dtype=weights.dtype, device=weights.device)
        whole[list(self.rows)] = weights
        return self.backward(whole, self.parameters)

    def only(self, rows: Sequence[int]) -> "StreamedRows":
        """Some of the rows."""
        kept = [self.rows[row] for row in rows]
        return StreamedRows(self.parameters, self.gramians, self.backward, self.spoilt, kept, self.count)

    def of(self, parameters: Sequence[Tensor]) -> "StreamedRows":
        """Some of the parameters."""
        wanted = {id(parameter) for parameter in parameters}
        chosen = [number for number, parameter in enumerate(self.parameters) if id(parameter) in wanted]
        return StreamedRows(
            [self.parameters[n] for n in chosen],
            [self.gramians[n] for n in chosen],
            self.backward,
            self.spoilt,
            self.rows,
            self.count,
        )

    def nonfinite(self, row: int) -> tuple[Tensor | str, int, int] | None:
        """First place of NaN or inf in a row, recorded before the row was dropped."""
        return self.spoilt.get(self.rows[row])


@dataclass(frozen=True, eq=False)
class Streamed:
    """Result of a streamed pass.

    Attributes:
        rows: Products over the shared parameters.
        own: Gradients of the other parameters.
        passes: Number of backward passes, without the weighted one.
        how: Description of the cuts or groups, for the plan.
        memory: Largest number of bytes of gradients held at once.
    """

    rows: StreamedRows
    own: Own
    passes: float
    how: str
    memory: int


def stream(
    graph: Graph,
    sources: Sequence[Start],
    leaves: Sequence[Tensor],
    sites: Sequence[LinearSite],
    tasks: Sequence[int],
    ownership: Ownership,
    limit: int,
    backward: Weighted,
) -> Streamed:
    """Products of all rows, with no more gradients held at once than fit into `limit`.

    Args:
        graph: Graph behind the features or the losses.
        sources: Start of each pass.
        leaves: Parameters in the graph.
        sites: Linear layers that take the ghost engine.
        tasks: Task numbers of the passes.
        ownership: Record of which parameters are shared; it learns from the gradients.
        limit: Bytes of gradients that may be held at once.
        backward: Function from weights (k,) and parameters to the weighted gradients.

    Raises:
        SettingError: The k gradients of a single parameter exceed `limit`.
    """
    k = len(sources)
    roots = {id(output): output for source in sources for output, _ in source}
    above = sum(root.numel() for root in roots.values() if isinstance(root, Tensor))
    kept = {id(site.parameter): site.rows * site.fan_out for site in sites}

    def size(leaf: Tensor) -> int:
        return kept.get(id(leaf), leaf.numel())

    stretches = cut_into_stretches(graph, k, limit, above, size)
    in_cuts = not isinstance(stretches, str)
    if isinstance(stretches, str):
        why, stretches = stretches, _groups(leaves, k, limit, size, ownership)
        how = f"{len(stretches)} groups of parameters, k passes each ({why})"
    else:
        how = f"{len(stretches)} stretches of the graph, one after the other"
    found = _products(stretches, in_cuts, sources, sites, tasks, ownership)
    if found is None:
        stretches, in_cuts = _groups(leaves, k, limit, size, ownership), False
        how = f"{len(stretches)} groups of parameters, k passes each (a hook sits on an activation at a cut)"
        found = _products(stretches, in_cuts, sources, sites, tasks, ownership)
        assert found is not None
    parameters, gramians, spoilt, own = found
    rows = StreamedRows(parameters, gramians, backward, spoilt, range(k), k)
    passes = k if in_cuts else k * len(stretches)
    return Streamed(rows, own, passes, how, max(stretch.memory for stretch in stretches))


def _products(
    stretches: Sequence[Stretch],
    in_cuts: bool,
    sources: Sequence[Start],
    sites: Sequence[LinearSite],
    tasks: Sequence[int],
    ownership: Ownership,
) -> tuple[list[Tensor], list[Tensor], dict[int, tuple[Tensor | str, int, int]], Own] | None:
    """Parameters, their products, rows with NaN or inf, own gradients; None where a hook at a cut would act twice."""
    parameters: list[Tensor] = []
    gramians: list[Tensor] = []
    spoilt: dict[int, tuple[Tensor | str, int, int]] = {}
    own: Own = []
    entering = list(sources)
    for number, stretch in enumerate(stretches):
        wanted = {id(leaf) for leaf in stretch.leaves}
        inside = [site for site in sites if id(site.parameter) in wanted]
        ghosts = {id(site.parameter) for site in inside}
        direct = [leaf for leaf in stretch.leaves if id(leaf) not in ghosts]
        above = entering if in_cuts and number else []
        with _hooks_at(above) as changed:
            found = run_passes(entering, direct, inside, below=stretch.below, retain_graph=True)
        if changed:
            return None
        parts, mine = sort_rows(direct, found.rows, found.parts, tasks, ownership)
        own += mine
        for part in parts:
            for parameter in part.parameters:
                one = part.of([parameter])
                gramian = one.gramian()
                parameters.append(parameter)
                gramians.append(gramian)
                for row in torch.nonzero(~torch.isfinite(gramian.diagonal())).ravel().tolist():
                    spot = one.nonfinite(row)
                    if spot is not None:
                        spoilt.setdefault(row, spot)
        if in_cuts:
            entering = found.below
    return parameters, gramians, spoilt, own


@contextmanager
def _hooks_at(sources: Sequence[Start]) -> Iterator[list[str]]:
    """Detects hooks at the start of a pass, where a gradient arrives as another tensor than was sent."""
    changed: list[str] = []
    sent = {value.data_ptr() for source in sources for _, value in source}
    nodes = {output.node for source in sources for output, _ in source if isinstance(output, GradientEdge)}

    def note(gradients: tuple[Tensor | None, ...]) -> None:
        changed.extend("hook" for gradient in gradients if gradient is not None and gradient.data_ptr() not in sent)

    handles = [ours(node.register_prehook, note) for node in nodes]
    try:
        yield changed
    finally:
        for handle in handles:
            handle.remove()


def _groups(
    leaves: Sequence[Tensor], k: int, limit: int, size: Callable[[Tensor], int], ownership: Ownership
) -> list[Stretch]:
    groups: list[Stretch] = []
    group: list[Tensor] = []
    held = 0
    for leaf in leaves:
        needed = k * size(leaf) * leaf.element_size()
        if needed > limit:
            raise SettingError(
                f"{k} gradients of {ownership.name(leaf)} alone take {needed} bytes, and the limit is {limit}: no "
                "exact engine fits. Give more memory, or use an approximation, for example gradients=eq.Sketch(4096)."
            )
        if group and held + needed > limit:
            groups.append(Stretch(group, (), held))
            group, held = [], 0
        group.append(leaf)
        held += needed
    return [*groups, Stretch(group, (), held)]
