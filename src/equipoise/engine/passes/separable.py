"""One pass for all tasks that own their rows of the batch, see `blocks.separable`."""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd.graph import Node

from ..blocks.dense import Jacobian
from ..blocks.joint_rows import JointRows
from ..blocks.separable import SeparableRows, sums_by_task
from ..graph.rowwise import NormSite, RowwiseTrunk
from .backward import run_passes

__all__ = ["collect"]


def collect(
    trunk: RowwiseTrunk, nodes: Sequence[Node], features: Sequence[Tensor], joint: JointRows
) -> tuple[list[SeparableRows], Jacobian | None] | None:
    """Per-task gradients of a trunk from one pass with the sum of all tasks' gradients.

    Args:
        trunk: Layers of the trunk, as `read_rowwise` returns them.
        nodes: Nodes of all activations in the trunk.
        features: Tensors between trunk and heads.
        joint: Gradients of the tasks at the features.

    Returns:
        The linear weights, and the Jacobian of all other parameters (biases, scales, shifts: small), if there are any.
        None where a hook acts on an activation: it may mix rows. The graph is kept.
    """
    k, owner = joint.count, joint.owner
    normalised = {norm: norm.normalised() for norm in trunk.norms if norm.scale is not None}
    used = [(feature, total) for feature, total in zip(features, joint.totals, strict=True) if total is not None]
    leaves = [bias for bias, _ in trunk.biases]
    leaves += [leaf for norm in trunk.norms for leaf in (norm.scale, norm.shift) if leaf is not None]
    edges = [norm.edge for norm in trunk.norms]
    passes = run_passes([list(used)], leaves, trunk.weights, below=edges, retain_graph=True, watch=nodes)
    if passes.hooked:
        return None
    inputs = {site: part.inputs for site, part in zip(trunk.weights, passes.parts, strict=True)}
    deltas = {site: part.deltas[0] for site, part in zip(trunk.weights, passes.parts, strict=True)}
    at_norms = {id(edge): value for edge, value in passes.below[0]}
    weights, small = [], list[tuple[Tensor, Tensor]]()
    for site, delta in deltas.items():
        if delta is not None:
            spread = owner.repeat_interleave(site.rows // len(owner))
            weights.append(SeparableRows(site.parameter, inputs[site], delta, spread, k, site.transposed))
    for bias, site in trunk.biases:
        if (delta := deltas[site]) is not None:
            small.append((bias, sums_by_task(delta, owner, k)))
    for norm, edge in zip(trunk.norms, edges, strict=True):
        if (delta := at_norms.get(id(edge))) is not None:
            small += _of_norm(norm, delta, normalised.get(norm), owner, k)
    if not small:
        return weights, None
    by_leaf = [rows.unbind() for _, rows in small]
    return weights, Jacobian([leaf for leaf, _ in small], [[rows[task] for rows in by_leaf] for task in range(k)])


def _of_norm(
    norm: NormSite, delta: Tensor, normalised: Tensor | None, owner: Tensor, k: int
) -> list[tuple[Tensor, Tensor]]:
    found = []
    for leaf, factor in ((norm.scale, normalised), (norm.shift, None)):
        if leaf is not None:
            flat = delta.reshape(-1, leaf.numel())
            rows = sums_by_task(flat if factor is None else flat * factor, owner, k)
            found.append((leaf, rows.reshape(k, *leaf.shape)))
    return found
