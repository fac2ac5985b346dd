"""Atomic steps: a call that fails or is interrupted leaves the Balancer unchanged."""

import warnings
from collections import Counter
from operator import itemgetter
from typing import Any

import torch

from ..engine.cost.plan import Plan
from ..engine.graph.undo import CHANGES, take_back_all
from ..engine.step.context import Balanced
from ..engine.step.parameter_groups import by_group
from ..errors import EquipoiseWarning
from .copies import Copyable
from .optimizers.unmoved import Unmoved
from .step_record import StepRecord

__all__ = ["Whole"]

_MOVED = ("tasks", "state", "last", "plan", "carried", "steps", "accumulation", "_tools", "_portable")
"""Attributes that a step changes; each is replaced, never changed in place."""

_moved = itemgetter(*_MOVED)

_EMPTY = (
    "every task of this step was skipped, so no parameter has a gradient from it; balancer.counts['empty'] counts such "
    "steps. With a GradScaler use nonfinite='propagate': its step() ends in an assertion where no gradient arrived, "
    "and only NaN makes it skip the step and lower its scale."
)


class Whole(Copyable):
    """Restores a Balancer after a call that did not return its scalar.

    That includes forward hooks: where one of them fails, the caller has no scalar, so the step has not happened.
    """

    last: StepRecord | None
    plan: Plan
    steps_per_epoch: int | str | None
    _unmoved: Unmoved
    lost: bool = False  # whether the window that failed cannot be balanced at all

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """One call of the module; see `Balancer.forward`."""
        mine = vars(self)
        before = dict(zip(_MOVED, _moved(mine), strict=True))
        counts, tools = dict(self.counts), mine["_tools"]
        if tools is not None:
            tools.ownership.before = None
        CHANGES.open = []
        modes = (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
        scalar = None
        try:
            scalar = super().__call__(*arguments, **keywords)
        finally:
            if scalar is None:
                take_back_all(modes)
                self._go_back(before, counts)
        return scalar  # nothing is called between the module's return and ours, so no interruption is seen there

    def _go_back(self, before: dict[str, Any], counts: dict[str, int]) -> None:
        vars(self).update(before)
        if self.lost and self.accumulation is not None:
            vars(self).update(accumulation=self.accumulation.emptied(), lost=False)
        self.counts.clear()
        dict.update(self.counts, counts)
        if before["_tools"] is None or self.method.needs == "losses":
            return
        if before["tasks"] is not None:
            before["_tools"].ownership.go_back()
        else:  # a first call: parameters are numbered again, and memory is checked again
            self.set_up(self.__dict__["_model"], self._declared)

    def take_over(self, balanced: Balanced, seconds: float) -> None:
        """Stores the outcome of a completed step."""
        weighed, steps, state, method = balanced.weighed, self.steps + 1, self.state, self.method
        # none of these is a module or a parameter, which nn.Module.__setattr__ would look for each time
        now: dict[str, object] = {"plan": balanced.plan, "carried": balanced.carried, "steps": steps}
        if weighed is not None:
            if weighed.state:
                state = {name: tensor.detach() for name, tensor in weighed.state.items() if name not in self.trained}
            now["last"] = StepRecord(
                balanced.tasks, balanced.losses, weighed, balanced.gramian, seconds, balanced.groups, balanced.reused
            )
        length = self.steps_per_epoch
        if isinstance(length, int) and method.per_epoch and steps % length == 0:
            state = by_group(method.end_epoch, state, len(balanced.carried.groups))
        vars(self).update(now, state=state)
        tally(self.counts, balanced)
        if self.trained:
            self._unmoved.look(dict(self.trained), steps)


def tally(counts: Counter[str], balanced: Balanced) -> None:
    """Counts one step under its status, each skipped task, and products that were computed twice."""
    for name in balanced.skipped:
        counts[f"skipped {name}"] += 1
    if balanced.weighed is not None:
        counts["reused" if balanced.reused else balanced.weighed.status.name] += 1
    elif balanced.skipped:
        counts["empty"] += 1
        warnings.warn(_EMPTY, EquipoiseWarning, stacklevel=2)
    else:
        counts["propagated"] += 1
    if balanced.again:
        counts["products again in float64"] += 1
