"""One Gramian and one set of weights for each module or tensor."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ...methods.base import GramianMethod, State, Step
from ...methods.run import Weighed, run_gramian_method
from ...solve import Status
from ..blocks.task_gradients import Gradients, Handout
from ..graph.ownership import Ownership

__all__ = ["Grouped", "by_group", "group_of", "run_by_group", "stacked"]


class Grouped(NamedTuple):
    """What a method made of a step, group by group.

    Attributes:
        targets: Each shared parameter with its direction.
        weighed: Weights (groups of this step, k); the state of all groups; the worst status and certificate. A task
            counts as left out where every group left it out.
        here: Names of this step's groups.
        known: Names of all groups so far, in the order of the state's first axis.
    """

    targets: Handout
    weighed: Weighed
    here: tuple[str, ...]
    known: tuple[str, ...]


def group_of(name: str, granularity: Literal["model", "module", "tensor"]) -> str:
    """The group that a parameter belongs to.

    Example:
        >>> group_of("trunk.0.weight", "module"), group_of("trunk.0.weight", "tensor")
        ('trunk.0', 'trunk.0.weight')
    """
    return {"model": "", "module": name.rpartition(".")[0], "tensor": name}[granularity]


def stacked(method: GramianMethod, state: State, k: int, before: int, after: int) -> State:
    """The state with one entry a group in front, for more groups than before.

    Args:
        method: Whose.
        state: Of `before` groups; without meaning where that is 0.
        k: Number of tasks.
        before: Groups known.
        after: Groups now.
    """
    fresh = method.init(k)
    grown = {}
    for name, tensor in fresh.items():
        new = tensor.unsqueeze(0).repeat(after - before, *[1] * tensor.dim())
        grown[name] = new if before == 0 else torch.cat([state[name], new.to(state[name].device)])
    return grown


def run_by_group(
    method: GramianMethod,
    gradients: Gradients,
    ownership: Ownership,
    state: State,
    step: Step,
    known: tuple[str, ...],
    granularity: Literal["model", "module", "tensor"],
    unscale: float,
    factor: float,
) -> Grouped:
    """Runs a method on the Gramian of each group of parameters.

    Random methods draw the same numbers in every group of a step.

    Args:
        method: Without trained state.
        gradients: Of the present tasks, scaled.
        ownership: Gives names.
        state: Of all tasks; first axis: the groups in `known`.
        step: Which tasks are present.
        known: Groups so far.
        granularity: What a group is.
        unscale: Undoes the scale of the passes.
        factor: Multiplies the direction.
    """
    members: dict[str, list[Tensor]] = {}
    for parameter in gradients.shared_parameters():
        members.setdefault(group_of(ownership.name(parameter), granularity), []).append(parameter)
    grown = known + tuple(name for name in members if name not in known)
    state = stacked(method, state, len(step.tasks.names), len(known), len(grown))
    after = {name: tensor.clone() for name, tensor in state.items()}
    targets: Handout = []
    outcomes = []
    for name, chosen in members.items():
        block = gradients.of(chosen)
        place = grown.index(name)
        inner = {key: tensor[place] for key, tensor in state.items()}
        weighed = run_gramian_method(method, block.gramian(), inner, step)
        for key, tensor in weighed.state.items():
            after[key][place] = tensor
        outcomes.append(weighed)
        targets += block.combine(weighed.weights * (factor * unscale))
    k = len(step.tasks.present)
    weights = torch.stack([o.weights.cpu() for o in outcomes]) if outcomes else torch.zeros(0, k, dtype=torch.float64)
    status = next((o.status for o in outcomes if not o.status.ok), None)
    status = status or next((o.status for o in outcomes if o.status is not Status.SOLVED), Status.SOLVED)
    certificate = max((float(o.certificate) for o in outcomes), default=0.0)
    left = set.intersection(*[set(o.left_out) for o in outcomes]) if outcomes else set()
    return Grouped(targets, Weighed(weights, after, status, certificate, tuple(sorted(left))), tuple(members), grown)


def by_group(move: Callable[[State], State], state: State, groups: int) -> State:
    """A change of the method's state, made in every group.

    Args:
        move: From one group's state to the next.
        state: With one entry a group in front, where there are groups.
        groups: How many; 0 for a state without groups.
    """
    if not groups:
        return move(state)
    moved = [move({name: tensor[place] for name, tensor in state.items()}) for place in range(groups)]
    return {name: torch.stack([one[name] for one in moved]) for name in state}
