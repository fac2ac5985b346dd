"""One Gramian and one set of weights per module or tensor."""

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
    """Outcome of a method, group by group.

    Attributes:
        targets: Each shared parameter with its direction.
        weighed: Weights (groups of this step, k), the state of all groups, and the worst status and certificate. A task
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
    """The state with a first axis of groups, extended to more groups.

    Args:
        method: Method that the state belongs to.
        state: State of `before` groups; ignored where that is 0.
        k: Number of tasks.
        before: Number of groups in `state`.
        after: Number of groups to return.
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
        method: Method without trained state.
        gradients: Gradients of the present tasks, scaled.
        ownership: Record of the parameters' names.
        state: State of all tasks; the first axis holds the groups in `known`.
        step: Task names and numbers of the step.
        known: Names of the groups so far.
        granularity: Kind of group: a module, a tensor, or the whole model.
        unscale: Factor that undoes the scale of the passes.
        factor: Factor of the direction.
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
    """A change of the method's state, applied to every group.

    Args:
        move: Function from one group's state to its new state.
        state: State of the method, with a first axis of groups where there are groups.
        groups: Number of groups; 0 for a state without that axis.
    """
    if not groups:
        return move(state)
    moved = [move({name: tensor[place] for name, tensor in state.items()}) for place in range(groups)]
    return {name: torch.stack([one[name] for one in moved]) for name in state}
