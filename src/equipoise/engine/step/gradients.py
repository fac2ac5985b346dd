"""The gradients of a step: of one process, or of all ranks that take it together."""

from collections.abc import Sequence

from torch import Tensor

from ...errors import EquipoiseError
from ...methods.base import JacobianMethod
from ..blocks.task_gradients import Gradients
from ..cost.memory import refuse_above
from ..graph.inspection import hold_statistics
from ..graph.shards import Behind, inside_pipeline
from ..ranks.merging import merged, nothing_here
from ..ranks.sharded import merged_shards, plan_of_shards, shard_gradients
from ..sources.dispatch import gradients_of
from ..sources.sketch import Sketch
from .context import Context

__all__ = ["gradients_here", "merged_over_ranks", "refuse_shards", "step_gradients"]


def step_gradients(
    now: Context, losses: Sequence[Tensor] | None = None, which: int = 0, *, jacobian: bool = False
) -> Gradients:
    """Per-task gradients of one batch of a step, one row per task of the step.

    Args:
        now: Inputs of the step.
        losses: Losses of another batch of the step.
        which: Number of that batch.
        jacobian: Whether single gradients are used, and not only their products and mixtures.
    """
    joint = now.joint
    losses = now.losses if losses is None else losses
    if joint is None:
        found = gradients_here(now, losses, jacobian=jacobian)
        return merged_over_ranks(found, which, now) if found.merged else found
    with joint.telling(now.tools.ownership):
        found = gradients_here(now, losses, which, jacobian=True)
    return merged_over_ranks(found, which, now)


def merged_over_ranks(found: Gradients, which: int, now: Context) -> Gradients:
    """This rank's gradients as those of all ranks' rows."""
    joint, ownership = now.joint, now.tools.ownership
    if found.merged:
        whole = isinstance(now.method, JacobianMethod) or now.second is not None
        return merged_shards(found, now.step.tasks.present, joint, ownership, whole=whole)
    assert joint is not None
    tools, mode = now.tools, joint.mode

    def folded(block: Tensor, name: str, leaf: Tensor) -> Tensor:
        assert isinstance(mode, Sketch)
        return mode.signs(tools.kept).folded(block, name, leaf, mode.s)

    return merged(found, which, joint, ownership, folded)


def gradients_here(now: Context, losses: Sequence[Tensor], which: int = 0, *, jacobian: bool = False) -> Gradients:
    """The gradients of this rank's tasks; of sharded parameters the pieces of the merged ones."""
    if not losses:
        return nothing_here()
    _refuse_pipeline()
    tools = now.tools
    version = tools.ownership.version
    behind = tools.shards.behind(losses, version)
    if behind is not None:
        return _shards_here(now, losses, which, behind)
    features = now.features if now.second is None else ()  # those of the first batch are not behind the other ones
    found = gradients_of(
        now.method, losses, now.here, tools, now.settings, now.carried.power,
        features=features, keep=now.retain_graph, jacobian=jacobian,
    )  # fmt: skip
    if version != tools.ownership.version and tools.shards.behind(losses, tools.ownership.version) is not None:
        raise EquipoiseError(
            "parameters are sharded now that were not in the steps before, so this step's gradients would be lost. "
            "Build the Balancer after fully_shard(model)."
        )
    return found


def _shards_here(now: Context, losses: Sequence[Tensor], which: int, behind: Behind) -> Gradients:
    tools, joint, tasks = now.tools, now.joint, now.here
    if joint is None:  # several ranks have done it before they met
        refuse_shards(now, 1)
    tools.ownership.meet([*behind.parameters, *behind.others], complete=now.complete)
    plan = plan_of_shards(losses, behind, tools.ownership)
    if plan.memory is not None:
        limit = now.settings.memory_limit
        refuse_above(limit, plan.memory, len(losses), now.settings.gradients, losses[0].device, flat=True)
    tools.notice(plan, now.settings.memory_limit, losses[0].device)
    hold_statistics(tools.model)
    keep = now.retain_graph or now.settings.mode == "recompute"
    shares = [1.0] * len(losses) if joint is None else joint.shares[which]
    wire = None if joint is None else joint.wire
    return shard_gradients(losses, shares, tasks.present, behind, tools.ownership, plan, wire, retain_graph=keep)


def refuse_shards(now: Context, ranks: int) -> None:
    """Raises where per-task gradients of sharded parameters are not right, before any pass.

    Args:
        now: Inputs of the step.
        ranks: Number of ranks whose batches make the step.
    """
    _refuse_pipeline()
    tools, mode = now.tools, now.settings.gradients
    behind = tools.shards.behind(now.losses, tools.ownership.version)
    if behind is None:
        return
    if now.method.needs == "features" or mode.merges != "rows" or mode.remembers:
        way = f"{now.method!r}" if now.method.needs == "features" else f"gradients={mode!r}"
        raise EquipoiseError(
            f"{way} is not built for parameters that FSDP2 shards: use gradients=eq.Exact() with another method, or "
            "DistributedDataParallel."
        )
    tools.ownership.meet([*behind.parameters, *behind.others], complete=now.complete)
    tools.shards.refuse(now.losses, behind, tools.ownership.name, ranks)


def _refuse_pipeline() -> None:
    if inside_pipeline():
        raise EquipoiseError(
            "this loss function runs inside a pipeline schedule, where a rank sees one stage of the model: per-task "
            "gradients over pipelines are not shown to be right yet. Use FSDP2 or DistributedDataParallel."
        )
