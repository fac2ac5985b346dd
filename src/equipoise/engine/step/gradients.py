"""The gradients of a step: of one process, or of all ranks that take it together."""

from collections.abc import Sequence

from torch import Tensor

from ..blocks.task_gradients import Gradients
from ..ranks.joint import Joint
from ..ranks.merging import merged, nothing_here
from ..sources.dispatch import gradients_of
from ..sources.mode import Tools
from ..sources.sketch import Sketch
from .context import Context

__all__ = ["merged_over_ranks", "step_gradients"]


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
        return _here(now, losses, jacobian=jacobian)
    with joint.telling(now.tools.ownership):
        found = _here(now, losses, jacobian=True)
    return merged_over_ranks(found, which, joint, now.tools)


def merged_over_ranks(found: Gradients, which: int, joint: Joint, tools: Tools) -> Gradients:
    """This rank's gradients as those of all ranks' rows."""
    ownership, mode = tools.ownership, joint.mode

    def folded(block: Tensor, name: str, leaf: Tensor) -> Tensor:
        assert isinstance(mode, Sketch)
        return mode.signs(tools.kept).folded(block, name, leaf, mode.s)

    return merged(found, which, joint, ownership, folded)


def _here(now: Context, losses: Sequence[Tensor], *, jacobian: bool) -> Gradients:
    """The gradients of this rank's tasks."""
    if not losses:
        return nothing_here()
    return gradients_of(
        now.method, losses, now.here, now.tools, now.settings, now.carried.power,
        features=now.features, keep=now.retain_graph, jacobian=jacobian,
    )  # fmt: skip
