"""Weights of an earlier step, used again."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...methods.base import State, Step
from ...methods.run import Weighed
from ..engine_state import Reused
from ..graph.autograd_graph import leaves_behind
from ..graph.ownership import Ownership
from ..passes.exact import Plan

__all__ = ["remembered", "reusable", "weights_again"]


def remembered(weighed: Weighed, heads: Tensor, step: Step) -> Reused:
    """An exact step's weights, to serve again."""
    return Reused(step.tasks.present, tuple(weighed.weights.tolist()), tuple(heads.tolist()), 1)


def reusable(
    losses: Sequence[Tensor], step: Step, ownership: Ownership, n: int, reused: Reused | None
) -> Reused | None:
    """The weights for this step, or None where it has to be exact.

    Args:
        losses: Of the present tasks.
        step: Which those are.
        ownership: Knows which parameters were met.
        n: How many steps one exact Gramian serves.
        reused: From the step before.
    """
    if reused is None or reused.age >= n or reused.present != step.tasks.present:
        return None
    leaves = leaves_behind(losses)
    ownership.meet(leaves, complete=len(step.tasks.present) == len(step.tasks.names))
    known = ownership.reached
    if any(ownership.name(leaf) not in known for leaf in leaves):
        return None
    return replace(reused, age=reused.age + 1)


def weights_again(reused: Reused, state: State) -> tuple[Tensor, Tensor, Plan, Weighed]:
    """Weights of shared parameters and of heads, how they were had, and the record of the step."""
    weights = torch.tensor(reused.weights, dtype=torch.float64)
    heads = torch.tensor(reused.heads, dtype=torch.float64)
    reason = f"APPROXIMATION: weights of {reused.age - 1} steps ago (gradients=Every)"
    # a plain step; with heads of their own, those are passed through once more
    return weights, heads, Plan("reused", reason, 0, 1.0, 0), Weighed(weights, state)
