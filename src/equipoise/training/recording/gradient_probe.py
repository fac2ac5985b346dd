"""The tasks' gradients at one step, for methods that do not compute them: measured beside the training."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...core.numbers import Array
from ...core.records.training import MOST_PAIRED, GradientLine, Place
from ...engine.blocks.dense import Jacobian
from ...engine.blocks.task_gradients import Gradients, Own
from ...engine.cost.plan import Plan
from ...engine.graph.autograd_graph import leaves_behind
from ...engine.graph.hooks import tensor_hooks_off
from ...engine.graph.inspection import autocast_off

__all__ = ["MOST_BYTES", "describe_gradients", "measure_gradients", "measure_gramian", "numbers"]

MOST_BYTES = 2**30
"""A measurement holds k gradients at once; where these are larger it is left out."""


def measure_gramian(losses: Sequence[Tensor], shared: set[int] | None = None) -> Tensor | None:
    """Inner products of the losses' gradients on shared parameters; see `measure_gradients`.

    Returns:
        (k, k), float64; zeros where nothing is shared. None where gradients cannot be measured.

    Example:
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> measure_gramian([w.sum(), (3 * w[0])])
        tensor([[2., 3.],
                [3., 9.]], dtype=torch.float64)
    """
    found = measure_gradients(losses, shared)
    if found is None:
        return None
    with autocast_off(losses):
        return found.gramian()


def measure_gradients(losses: Sequence[Tensor], shared: set[int] | None = None) -> Gradients | None:
    """The losses' gradients on all parameters; nothing else is touched.

    One backward pass a loss, over a graph that stays; no ``.grad`` is written, no hook of a parameter runs, no random
    number is drawn (a checkpointed layer repeats its own). `shared` holds the ids of the shared parameters; None
    takes those with a gradient from two losses that is not exactly zero.

    Returns:
        The gradients. None where k of them take more than `MOST_BYTES`, or the graph cannot be walked twice (compiled
        with donated buffers).
    """
    # inputs that require grad are not trained; where nothing is a parameter, as in functional code, all are
    leaves = leaves_behind(losses)
    leaves = [leaf for leaf in leaves if isinstance(leaf, nn.Parameter) or id(leaf) in (shared or ())] or leaves
    if len(losses) * sum(leaf.numel() * leaf.element_size() for leaf in leaves) > MOST_BYTES:
        return None
    plan = Plan("by the record", "one backward pass a task", len(losses))
    if not leaves:
        return Gradients([], [], plan, len(losses))
    rows: list[tuple[Tensor | None, ...]] = []
    with tensor_hooks_off(leaves), autocast_off(losses):
        for loss in losses:
            try:
                rows.append(
                    torch.autograd.grad(loss, leaves, torch.ones_like(loss), retain_graph=True, allow_unused=True)
                )
            except RuntimeError as error:
                if "donated buffer" in str(error):
                    return None
                raise
    kept = list(range(len(leaves)))
    if shared is not None:
        kept = [number for number in kept if id(leaves[number]) in shared]
    elif len(losses) > 1:
        kept = _reached_twice(rows)
    part = Jacobian([leaves[number] for number in kept], [tuple(row[number] for number in kept) for row in rows])
    own: Own = [
        (leaf, [(task, block) for task, row in enumerate(rows) if (block := row[number]) is not None])
        for number, leaf in enumerate(leaves)
        if number not in set(kept)
    ]
    return Gradients([part], [(leaf, blocks) for leaf, blocks in own if blocks], plan, len(losses))


def describe_gradients(
    gramian: Tensor, weights: Array | None, rows: Sequence[int], k: int, measured: bool, at: Place
) -> GradientLine:
    """The Gramian (m, m) of the present tasks, those at `rows` among all k, as a line of the record.

    `weights` are theirs, (m,), or None; `measured` says whether the record measured the Gramian.
    """
    matrix = gramian.detach().cpu().numpy().astype(np.float64)
    norms = np.sqrt(np.maximum(np.diagonal(matrix), 0.0))
    shares = to_update = None
    if weights is not None:
        sizes = np.abs(weights) * norms
        pulls, square = matrix @ weights, float(weights @ matrix @ weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = numbers(sizes / sizes.sum(), rows, k)
            to_update = numbers(np.clip(pulls / (norms * np.sqrt(max(square, 0.0))), -1.0, 1.0), rows, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = np.clip(matrix / np.outer(norms, norms), -1.0, 1.0)
    pairs = cosines[np.triu_indices(len(matrix), 1)]
    finite = pairs[np.isfinite(pairs)]
    whole = np.full((k, k), np.nan)
    whole[np.ix_(rows, rows)] = cosines
    upper = whole[np.triu_indices(k, 1)]
    return GradientLine(
        at=at,
        measured="by the record" if measured else "by the method",
        norms=numbers(norms, rows, k) or (),
        shares=shares,
        to_update=to_update,
        cosines=numbers(upper, range(len(upper)), len(upper)) if k <= MOST_PAIRED else None,
        conflicting=float((finite < 0).mean()) if len(finite) else None,
    )


def numbers(values: Array, rows: Sequence[int], k: int, digits: int = 6) -> tuple[float | None, ...]:
    """Values at their positions among k; None elsewhere and where not finite; rounded to `digits` digits.

    Example:
        >>> numbers(np.array([0.5, np.nan]), [0, 2], 3)
        (0.5, None, None)
    """
    found: list[float | None] = [None] * k
    for row, value in zip(rows, values.tolist(), strict=True):
        found[row] = float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return tuple(found)


def _reached_twice(rows: Sequence[Sequence[Tensor | None]]) -> list[int]:
    """Columns in which at least two rows are not exactly zero; the numbers are read in one go."""
    zero = torch.zeros((), dtype=torch.int64)
    counts = [[zero if block is None else block.count_nonzero() for block in row] for row in rows]
    device = next((block.device for row in rows for block in row if block is not None), zero.device)
    table = torch.stack([torch.stack([count.to(device) for count in row]) for row in counts])
    return torch.nonzero((table > 0).sum(dim=0) > 1).ravel().tolist()
