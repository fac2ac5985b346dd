"""Exact per-task gradients by reverse mode, in the fewest passes."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..blocks.dense import Jacobian
from ..blocks.joint_rows import JointRows
from ..blocks.low_rank import MixedRows, find_dependence
from ..blocks.task_gradients import Gradients, Own, Part
from ..cost.plan import LayerPlan, Plan, choose_sites, memory_limit, predict, predict_sequential
from ..graph.autograd_graph import Graph, read_graph
from ..graph.head_inputs import Head
from ..graph.hooks import has_hooks, tensor_hooks_off
from ..graph.linear_layers import LinearSite
from ..graph.ownership import Ownership
from ..graph.rowwise import RowwiseTrunk, read_rowwise
from ..graph.trunk_and_heads import split
from .backward import Start, run_passes, takes_batches
from .heads import differentiate_heads, feature_gradients
from .partition import sort_rows
from .separable import collect
from .streaming import stream

__all__ = ["EXACT_ENGINES", "Gradients", "Own", "Plan", "differentiate", "feature_gradients"]

EXACT_ENGINES = ("ghost", "rank", "separable")
"""Engines that `differentiate` may use beside plain passes; all give the same numbers."""


@dataclass(frozen=True, eq=False)
class _Step:
    """Inputs shared by the engines of one step."""

    losses: Sequence[Tensor]
    tasks: Sequence[int]
    ownership: Ownership
    graph: Graph
    retain_graph: bool
    jacobian: bool
    memory: int | None
    allow: Collection[str]
    announce: Callable[[Plan], Plan]


def differentiate(
    losses: Sequence[Tensor],
    tasks: Sequence[int],
    ownership: Ownership,
    *,
    features: Sequence[Tensor] = (),
    complete: bool = True,
    retain_graph: bool = False,
    jacobian: bool = False,
    memory: int | None = None,
    allow: Collection[str] = EXACT_ENGINES,
    graph: Graph | None = None,
    announce: Callable[[Plan], Plan] = lambda plan: plan,
) -> Gradients:
    """Gradients of each loss with respect to every parameter behind it, by the cheapest exact engine.

    With `features`, and where every shared parameter lies behind them, heads are differentiated first and the trunk
    then gets the gradients at the features (two-phase); otherwise each loss gets one full pass (sequential). In both:

    - tasks that own their rows of the batch, in a trunk that treats rows separately: one pass (two-phase only);
    - tasks whose gradients at the features depend linearly on others' get no pass (two-phase only);
    - linear layers with few rows keep output gradients and never form weight gradients (ghost);
    - gradients that do not fit into `memory` are streamed: products layer by layer, then one weighted backward.

    Args:
        losses: Scalars of the present tasks.
        tasks: Numbers of the present tasks.
        ownership: Record of which parameters are shared; it learns from the gradients.
        features: Tensors between trunk and heads, or none.
        complete: Whether all tasks are present.
        retain_graph: Whether the graph is needed afterwards.
        jacobian: Whether `Gradients.shared` is wanted: then every gradient is formed and kept.
        memory: Bytes that per-task gradients may take; four fifths of the free memory if None.
        allow: Names from `EXACT_ENGINES` that may be used.
        graph: The losses' graph, if it has been read already.
        announce: Function called with the plan before the passes through shared parameters; returns the plan to keep.

    Returns:
        The gradients; parameters that no task uses do not appear. `Gradients.plan` names the engine, the reason and the
        predicted cost. At most (1 + 2k)/3 plain steps in all, counted in arithmetic (streaming: 2/3 more),
        and k times the parameters in memory.

    Raises:
        InputError: A feature has no graph.
        SettingError: No engine fits into `memory`.
    """
    graph = read_graph(losses) if graph is None else graph
    leaves = list(graph.leaves.values())
    ownership.meet(leaves, complete=complete)
    step = _Step(losses, tasks, ownership, graph, retain_graph, jacobian, memory, () if jacobian else allow, announce)
    with tensor_hooks_off(leaves):
        if not features:
            return _sequential(step, "no features given")
        parts = split(losses, features, graph, ownership)
        if parts.obstacle:
            return _sequential(step, f"not two-phase: {parts.obstacle}")
        return _two_phase(step, features, parts.trunk, parts.heads)


# ------------------------------------------------------------------------------------------------------ two orders


def _sequential(step: _Step, reason: str) -> Gradients:
    leaves, sites, layers = _engines(step, list(step.graph.leaves.values()), len(step.losses))
    sources: list[Start] = [[(loss, torch.ones_like(loss))] for loss in step.losses]
    k = len(step.losses)

    def backward(weights: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        upstream = [weight.to(loss).reshape(loss.shape) for weight, loss in zip(weights, step.losses, strict=True)]
        with tensor_hooks_off(parameters):
            return list(torch.autograd.grad(step.losses, parameters, upstream, retain_graph=True, allow_unused=True))

    needed = sum(layer.memory for layer in layers)
    limit = memory_limit(step.memory, needed, step.losses[0].device)
    if needed > limit and not step.jacobian:
        everything = [*leaves, *(site.parameter for site in sites)]
        step.announce(_streaming_plan(step, step.graph, "in pieces", k, needed, limit))
        found = stream(step.graph, sources, everything, sites, step.tasks, step.ownership, limit, backward)
        return Gradients(
            [found.rows], found.own, _streaming_plan(step, step.graph, found.how, found.passes, needed, found.memory), k
        )
    cost = predict_sequential(step.graph, step.losses, sites)
    plan = step.announce(Plan("sequential", reason, k, cost, needed, layers))
    passes = run_passes(sources, leaves, sites, retain_graph=step.retain_graph)
    parts, own = sort_rows(leaves, passes.rows, passes.parts, step.tasks, step.ownership)
    return Gradients(parts, own, plan, k)


def _two_phase(step: _Step, features: Sequence[Tensor], trunk: Graph, heads: Sequence[Head]) -> Gradients:
    k = len(step.losses)
    rows, at_features, joint = differentiate_heads(
        step.losses, features, heads, step.graph, apart="separable" in step.allow and k > 1
    )
    every_head = list({key: leaf for head in heads for key, leaf in head.leaves.items()}.values())
    head_parts, own = sort_rows(every_head, rows, [], step.tasks, step.ownership)
    assert not head_parts, "shared parameters lie behind the features"
    del rows
    reason = "every shared parameter lies behind the features"
    with tensor_hooks_off(features):  # hooks on the features have already acted on the heads' gradients
        if joint is not None:
            read, note = _separable(step, features, trunk, joint)
            if read is not None:
                return Gradients(read[0], own + read[1], read[2], k)
            reason += note
            at_features = joint.apart()
        return _through_trunk(step, features, trunk, at_features, own, reason)


def _through_trunk(
    step: _Step,
    features: Sequence[Tensor],
    trunk: Graph,
    at_features: list[list[Tensor | None]],
    own: Own,
    reason: str,
) -> Gradients:
    k = len(at_features)
    behind = [leaf for key, leaf in trunk.leaves.items() if key in step.graph.leaves]
    dependence = None
    if "rank" in step.allow and behind and all(step.ownership.is_settled(leaf) for leaf in behind):
        dependence = find_dependence(at_features, features)
        if dependence is not None and any(has_hooks(node, before=False) for node in trunk.activations()):
            dependence = None  # they need not be linear
    tasks, all_rows = list(step.tasks), at_features
    if dependence is not None:
        at_features = [at_features[row] for row in dependence.basis]
        tasks = [tasks[row] for row in dependence.basis]
        reason += f"; {k - len(tasks)} of {k} tasks are linear combinations of others there (to rounding)"
    sources: list[Start] = [
        [(feature, gradient) for feature, gradient in zip(features, row, strict=True) if gradient is not None]
        for row in at_features
    ]
    leaves, sites, layers = _engines(step, behind, len(sources))
    needed = sum(layer.memory for layer in layers)
    limit = memory_limit(step.memory, needed, step.losses[0].device)
    parts: Sequence[Part]
    if needed > limit and not step.jacobian and behind:

        def backward(weights: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
            mixed = Jacobian(features, at_features).combine(weights)
            used = [(feature, block) for feature, block in zip(features, mixed, strict=True) if block is not None]
            with tensor_hooks_off([*features, *parameters]):
                return list(_plain(used, parameters)) if used else [None] * len(parameters)

        step.announce(_streaming_plan(step, trunk, "in pieces", len(sources), needed, limit))
        found = stream(trunk, sources, behind, sites, tasks, step.ownership, limit, backward)
        parts, more = [found.rows], found.own
        plan = _streaming_plan(step, trunk, found.how, found.passes, needed, found.memory)
    else:
        if dependence is None:
            for row in at_features:
                row.clear()  # each pass frees its own gradients
        keep, batched = step.retain_graph or dependence is not None, takes_batches(trunk.nodes)
        watch = [] if dependence is None else trunk.activations()
        cost = predict(step.graph, trunk.nodes, len(sources), sites)
        plan = step.announce(Plan("two-phase", reason, len(sources), cost, needed, layers))
        passes = run_passes(sources, leaves, sites, retain_graph=keep, batched=batched, watch=watch)
        if passes.hooked:  # it need not be linear
            return _through_trunk(replace(step, allow=("ghost",)), features, trunk, all_rows, own, reason)
        parts, more = sort_rows(leaves, passes.rows, passes.parts, tasks, step.ownership)
    if dependence is not None:
        parts = [MixedRows(part, dependence.coefficients) for part in parts]
    return Gradients(parts, own + more, plan, k)


def _separable(
    step: _Step, features: Sequence[Tensor], trunk: Graph, joint: JointRows
) -> tuple[tuple[list[Part], Own, Plan] | None, str]:
    """The separable engine's gradients and plan, or None and a note for the plan."""
    read = read_rowwise(step.graph, trunk, features)
    if not isinstance(read, RowwiseTrunk):
        return None, f"; tasks own their rows, but {read}"
    held = joint.count * sum(b.numel() * b.element_size() for b in trunk.leaves.values() if b.dim() < 2)
    held += sum(site.rows * site.fan_out * site.parameter.element_size() for site in read.weights)
    reason = "every row of the batch belongs to one task, and the trunk treats rows by themselves"
    before = predict(step.graph, trunk.nodes, 1, ())
    said = step.announce(Plan("separable", reason, 1, before, held))
    found = collect(read, trunk.activations(), features, joint)
    if found is None:
        return None, "; tasks own their rows, but a hook acts on an activation"
    weights, small = found
    k = joint.count
    leaves = [] if small is None else list(small.parameters)
    rows = [] if small is None else small.rows
    by_task: list[dict[int, Tensor | None]] = [{} for _ in range(k)]
    for row, blocks in zip(by_task, rows, strict=False):
        row.update((id(leaf), block) for leaf, block in zip(leaves, blocks, strict=True))
    parts, own = sort_rows(leaves, by_task, weights, step.tasks, step.ownership)
    name = step.ownership.name
    held = sum(part.delta.numel() * part.delta.element_size() for part in weights)
    kept = sum(k * leaf.numel() * leaf.element_size() for leaf in leaves)
    layers = (
        LayerPlan("separable", tuple(name(w.parameter) for w in weights), "each task owns its rows", held),
        LayerPlan("separable", tuple(map(name, leaves)), "sums over each task's rows", kept),
    )
    work = predict(step.graph, trunk.nodes, 1, (), products=sum(part.multiplications() for part in weights))
    plan = Plan(
        "separable",
        reason,
        1,
        said.cost if said.cost is None or work is None or before is None else said.cost + work - before,
        held + kept,
        tuple(layer for layer in layers if layer.parameters),
    )
    return (parts, own, plan), ""


def _engines(
    step: _Step, leaves: Sequence[Tensor], passes: int
) -> tuple[list[Tensor], list[LinearSite], tuple[LayerPlan, ...]]:
    """Leaves whose gradients are formed, layers for the ghost engine, and the plan of both."""
    name = step.ownership.name
    sites: list[LinearSite] = []
    reasons = {"the Jacobian was asked for" if step.jacobian else "plain passes": list(leaves)}
    if "ghost" in step.allow:
        open_leaves = [leaf for leaf in leaves if step.ownership.may_be_shared(leaf)]
        sites, reasons = choose_sites(step.graph, open_leaves, passes)
        known = {id(leaf) for leaf in open_leaves}
        alone = [leaf for leaf in leaves if id(leaf) not in known]
        if alone:
            reasons["belongs to one task"] = alone
    ghosts = {id(site.parameter) for site in sites}
    layers = []
    if sites:
        held = sum(passes * site.rows * site.fan_out * site.parameter.element_size() for site in sites)
        names = tuple(name(site.parameter) for site in sites)
        layers.append(LayerPlan("ghost", names, "few rows: products from output gradients are cheaper", held))
    for reason, found in reasons.items():
        count = 1 if reason == "belongs to one task" else passes
        held = sum(count * leaf.numel() * leaf.element_size() for leaf in found)
        if found:
            layers.append(LayerPlan("direct", tuple(map(name, found)), reason, held))
    return [leaf for leaf in leaves if id(leaf) not in ghosts], sites, tuple(layers)


def _streaming_plan(step: _Step, graph: Graph, how: str, passes: float, needed: int, held: int) -> Plan:
    cost = predict(step.graph, graph.nodes, int(passes), (), again=1.0)
    names = tuple(step.ownership.name(leaf) for leaf in graph.leaves.values())
    reason = f"{needed} bytes of gradients do not fit: {how}, then one weighted backward"
    return Plan("streaming", reason, int(passes) + 1, cost, held, (LayerPlan("streamed", names, how, held),))


def _plain(used: Sequence[tuple[Tensor, Tensor]], parameters: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    found: tuple[Tensor | None, ...] = torch.autograd.grad(
        [feature for feature, _ in used],
        parameters,
        [block for _, block in used],
        retain_graph=True,
        allow_unused=True,
    )
    return found
