"""From each rank's per-task gradients to those of all their rows together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients, Handout, Own, Part
from ..cost.plan import Plan
from ..graph.ownership import Ownership
from ..reals import of_reals, reals
from ..sources.features import FeatureRows
from ..sources.sketch import Sketch, SketchRows
from .joint import Joint
from .roster import Agreed
from .scattered import RankRows, ScatteredRows, products_of

__all__ = ["MergedGradients", "merged", "nothing_here"]


@dataclass(frozen=True, eq=False)
class MergedGradients(Gradients):
    """Gradients of all ranks' rows.

    Attributes:
        bad: Rows with NaN or inf in the gradient of an own parameter on some rank.
        lowest: Smallest exponent of two that a rank used for its passes, where float16 occurs.
    """

    bad: Sequence[int] = ()
    lowest: int = 0

    @property
    def found_power(self) -> int:
        """Exponent with which the next step begins."""
        return self.lowest

    def spots_own(self, ownership: Ownership) -> dict[int, str]:
        """Rows with NaN or inf in the gradient of an own parameter on some rank, with words for a message."""
        here = super().spots_own(ownership)
        return {row: here.get(row, "on another rank") for row in sorted({*self.bad, *here})}

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """First place of NaN or inf in one task's gradient on this rank, as words for a message."""
        if any(part.nonfinite(row) is not None for part in self.parts):
            return f"{super().first_nonfinite(row, ownership)} (on this rank)"
        return "values that are NaN or inf on another rank"

    def only(self, rows: Sequence[int]) -> "MergedGradients":
        """Some of the rows."""
        kept = super().only(rows)
        assert isinstance(kept, MergedGradients)
        place = {row: number for number, row in enumerate(rows)}
        return replace(kept, bad=[place[row] for row in self.bad if row in place])


def nothing_here() -> Gradients:
    """The gradients of a rank without any task."""
    return Gradients([], [], Plan("none", "no task on this rank", 0), 0, mixed=True)


def merged(
    found: Gradients, which: int, joint: Joint, ownership: Ownership, signs: Callable[[Tensor, str, Tensor], Tensor]
) -> Gradients:
    """The gradients of all ranks' rows, one per task of the step.

    Args:
        found: Gradients of this rank's tasks.
        which: Number of the batch that they belong to, for its shares.
        joint: The step that the ranks take together.
        ownership: Record of which parameters are shared; it learns what other ranks know.
        signs: Function that folds a gradient of a named parameter, for sketches.
    """
    part = found.parts[0] if found.parts else None
    factors = torch.tensor(joint.shares[which], dtype=torch.float64) * 2.0**-found.power
    here = [(leaf, [joint.tasks_here[row] for row, _ in rows]) for leaf, rows in found.own]
    columns: list[Tensor] | None = [] if joint.kind in ("features", "sketch") else None
    if joint.kind in ("rows", "layer"):
        jacobian = found.shared
        if joint.kind == "layer":
            columns = list(jacobian.parameters)
        here += [
            (leaf, [joint.tasks_here[row] for row, blocks in enumerate(jacobian.rows) if blocks[number] is not None])
            for number, leaf in enumerate(jacobian.parameters)
        ]
    agreed = joint.roster.agree(
        here,
        columns,
        ownership,
        complete=joint.complete,
        bad=[joint.tasks_here[row] for row in found.nonfinite_own()],
        power=found.power,
    )
    local = replace(found, power=0)
    scale = factors.tolist()
    own = [(leaf, [(joint.places[row], _times(block, scale[row])) for row, block in rows]) for leaf, rows in found.own]
    parts: list[Part]
    if joint.kind == "features":
        assert part is None or isinstance(part, FeatureRows)
        parts = [_features(part, factors, joint, ownership)]
    elif joint.kind == "sketch":
        assert part is None or isinstance(part, SketchRows)
        parts, own = _sketches(part, own, factors, joint, ownership, signs)
    else:
        parts, own = _rows(found.shared, own, factors, joint, agreed, ownership)
    later = found.at_inputs
    plan = joint.described(found.plan)
    row_of = {task: row for row, task in enumerate(joint.tasks)}
    return MergedGradients(
        parts, own, plan, len(joint.tasks), certified=False, mixed=joint.kind in ("rows", "features"),
        by_pass=found.by_pass, reached=None if found.reached is None else list(found.reached),
        at_inputs=None if later is None else _inputs(local, joint, factors),
        bad=[row_of[task] for task in agreed.bad if task in row_of], lowest=agreed.power,
    )  # fmt: skip


def _inputs(found: Gradients, joint: Joint, factors: Tensor) -> Callable[[Tensor, Sequence[int]], Handout]:
    """Gradients of inputs, which only this rank has."""

    def later(weights: Tensor, numbers: Sequence[int]) -> Handout:
        place = {row: number for number, row in enumerate(numbers)}
        kept = [number for number, row in enumerate(joint.places) if row in place]
        assert found.at_inputs is not None
        chosen = [place[joint.places[number]] for number in kept]
        return found.at_inputs(weights[chosen] * factors[kept].to(weights), kept) if kept else []

    return later


def _features(part: FeatureRows | None, factors: Tensor, joint: Joint, ownership: Ownership) -> RankRows:
    """Gramians at the features add: every sample is a coordinate of its own, and lies on one rank."""
    k = len(joint.tasks)
    shares = factors / joint.wire.size
    total = torch.zeros(k, k, dtype=torch.float64, device=joint.wire.place(joint.device))
    if part is not None and joint.places:
        products = part.gramian().to(total.device) * torch.outer(shares, shares).to(total.device)
        places = torch.tensor(joint.places, device=total.device)
        total[places[:, None], places] = products
    total = joint.wire.sum(total)
    parameters = _parameters(part, [], ownership)
    return RankRows(parameters, _symmetric(total), part, joint.places, factors)


def _parameters(part: Part | None, more: Sequence[Tensor], ownership: Ownership) -> list[Tensor]:
    """Parameters of a part; all that are known on a rank without any, where other ranks have some."""
    return [*([] if part is None else part.parameters), *more] or list(ownership.named().values())


def _sketches(
    part: SketchRows | None,
    own: Own,
    factors: Tensor,
    joint: Joint,
    ownership: Ownership,
    signs: Callable[[Tensor, str, Tensor], Tensor],
) -> tuple[list[Part], Own]:
    """Sketches with the same signs add, as the gradients do."""
    assert isinstance(joint.mode, Sketch)
    total = torch.zeros(len(joint.tasks), joint.mode.s, dtype=torch.float64, device=joint.wire.place(joint.device))
    for number, place in enumerate(joint.places):
        if part is not None:
            total[place] += part.values[number].to(total.device) * factors[number]
    kept: Own = []
    moved: list[Tensor] = []
    for leaf, rows in own:
        if not ownership.is_shared(leaf):
            kept.append((leaf, rows))
            continue
        moved.append(leaf)
        for place, block in rows:  # this rank did not know that another task reaches it
            total[place] += signs(block, ownership.name(leaf), leaf).to(total.device)
    total = joint.wire.sum(total / joint.wire.size)
    return [SketchRows(total, _parameters(part, moved, ownership))], kept


def _rows(
    jacobian: Jacobian, own: Own, factors: Tensor, joint: Joint, agreed: Agreed, ownership: Ownership
) -> tuple[list[Part], Own]:
    """Rows of all parameters that are shared now, and the gradients of the others."""
    scale, blocks = factors.tolist(), dict[str, dict[int, Tensor]]()
    for number, leaf in enumerate(jacobian.parameters):
        pairs = [(row, line[number]) for row, line in enumerate(jacobian.rows)]
        blocks[ownership.name(leaf)] = {
            joint.places[row]: _times(block, scale[row]) for row, block in pairs if block is not None
        }
    inside = set(agreed.columns)
    alone: Own = []
    for leaf, rows in own:
        name = ownership.name(leaf)
        if ownership.is_parameter(leaf) and name in inside:
            blocks.setdefault(name, {}).update(rows)
        elif joint.kind == "rows" or not ownership.is_shared(leaf):
            alone.append((leaf, rows))
    if joint.kind == "rows" and not joint.averages:
        alone = _own_of_all(alone, joint, agreed, ownership)
    groups: dict[torch.dtype, list[str]] = {}
    for name in agreed.columns:
        groups.setdefault(joint.roster.known[name].dtype, []).append(name)
    parts = [_columns(names, dtype, blocks, joint, ownership) for dtype, names in groups.items()]
    return parts, alone


def _columns(
    names: Sequence[str], dtype: torch.dtype, blocks: dict[str, dict[int, Tensor]], joint: Joint, ownership: Ownership
) -> Part:
    """The rows over parameters of one type, merged."""
    wire, k = joint.wire, len(joint.tasks)
    counts = [joint.roster.known[name].numbers for name in names]
    whole = sum(counts)
    width = whole if joint.whole else -(-whole // wire.size) * wire.size
    rows = torch.zeros(k, width, dtype=dtype, device=joint.device)
    start = 0
    for name, count in zip(names, counts, strict=True):
        for row, block in blocks.get(name, {}).items():
            rows[row, start : start + count] = reals(block)
        start += count
    rows /= wire.size
    if joint.whole:
        leaves = joint.roster.leaves(names, ownership)
        wire.sum(rows)
        pieces = [row.split_with_sizes(counts) for row in rows]
        return Jacobian(leaves, [_shaped(line, leaves) for line in pieces])
    values = wire.scattered_sum(rows)
    del rows
    products = _symmetric(wire.sum(products_of(values).to(wire.place(joint.device))))
    if joint.kind == "rows" and not joint.averages:
        return ScatteredRows(joint.roster.leaves(names, ownership), values, products, wire)
    living = ownership.named()
    known = [(name, living[name]) for name in names if name in living]
    here = [[blocks.get(name, {}).get(row) for name, _ in known] for row in range(k)]
    parameters = [leaf for _, leaf in known]
    ones = torch.ones(k, dtype=torch.float64)
    return RankRows(parameters, products, Jacobian(parameters, here), range(k), ones)


def _shaped(pieces: Sequence[Tensor], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Columns of a row as gradients of the parameters' shape, in the type in which they were added."""
    return [
        of_reals(piece, leaf) if leaf.is_complex() else piece.reshape(leaf.shape)
        for piece, leaf in zip(pieces, leaves, strict=True)
    ]


def _own_of_all(own: Own, joint: Joint, agreed: Agreed, ownership: Ownership) -> Own:
    """Gradients of parameters that are not shared, merged on all ranks; inputs stay as they are."""
    here = {ownership.name(leaf): dict(rows) for leaf, rows in own if ownership.is_parameter(leaf)}
    found: Own = [(leaf, rows) for leaf, rows in own if not ownership.is_parameter(leaf)]
    row_of = {task: row for row, task in enumerate(joint.tasks)}
    inside = set(agreed.columns)
    groups: dict[torch.dtype, list[tuple[str, int]]] = {}
    for name, tasks in agreed.pairs.items():
        if name not in inside:
            groups.setdefault(joint.roster.known[name].dtype, []).extend((name, row_of[task]) for task in tasks)
    for dtype, pairs in groups.items():
        counts = [joint.roster.known[name].numbers for name, _ in pairs]
        flat = torch.zeros(sum(counts), dtype=dtype, device=joint.device)
        for (name, row), piece in zip(pairs, flat.split_with_sizes(counts), strict=True):
            block = here.get(name, {}).get(row)
            if block is not None:
                piece.copy_(reals(block))
        joint.wire.sum(flat.div_(joint.wire.size))
        by_name: dict[str, list[tuple[int, Tensor]]] = {}
        for (name, row), piece in zip(pairs, flat.split_with_sizes(counts), strict=True):
            by_name.setdefault(name, []).append((row, piece))
        leaves = joint.roster.leaves(list(by_name), ownership)
        for leaf, entries in zip(leaves, by_name.values(), strict=True):
            found.append((leaf, [(row, _shaped([piece], [leaf])[0]) for row, piece in entries]))
    return found


def _symmetric(products: Tensor) -> Tensor:
    """Rings add the two halves of a symmetric matrix in different orders."""
    return (products + products.T).mul_(0.5)


def _times(block: Tensor, factor: float) -> Tensor:
    """A gradient times its share, in float32 at least; itself where nothing changes."""
    wide = block.to(torch.promote_types(block.dtype, torch.float32))
    return wide if factor == 1 else wide * factor
