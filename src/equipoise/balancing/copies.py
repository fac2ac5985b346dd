"""Copying and pickling: parameters are known by identity, so a copy must find the copied parameters."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from ..engine.engine_state import Carried
from ..engine.graph.ownership import Ownership
from ..engine.modes import LastLayer
from ..engine.ranks.roster import Roster
from ..engine.sources.dispatch import Settings
from ..engine.sources.mode import Tools
from ..engine.step.accumulation import Accumulation
from ..errors import StateError
from ..methods.base import Method, State

__all__ = ["STATE", "TRAINED", "Copyable"]

STATE = "state_"
TRAINED = "trained."
"""Prefixes of the keys of a saved state."""


@dataclass(eq=False)
class _Portable:
    """The part of the tools that survives a copy."""

    model: nn.Module | None
    declared: Sequence[Tensor] | None
    reached: dict[str, list[int]]


class Copyable(nn.Module):
    """Holds the tools of a Balancer, and rebuilds them after `copy.deepcopy` and `pickle`.

    A Balancer copied together with its model (in a list, or inside the same module) balances the copy of the model; one
    copied by itself balances the same model as before. Parameters are remembered by name, so a copy behaves as a fresh
    Balancer that has loaded the state; without ``model=`` its next step must show all tasks.
    """

    method: Method
    settings: Settings
    tasks: tuple[str, ...] | None
    trained: nn.ParameterDict
    state: State
    carried: Carried
    accumulation: Accumulation | None
    counts: Counter[str]
    steps: int

    def discard(self) -> None:
        """Forgets the micro-batches that wait for their balance."""
        raise NotImplementedError

    def fix_tasks(self, names: tuple[str, ...]) -> None:
        """Sets the task names."""
        raise NotImplementedError

    def set_up(self, model: nn.Module | None, declared: Sequence[Tensor] | None) -> None:
        """Creates new tools."""
        object.__setattr__(self, "_model", model)  # not a submodule: its parameters are not ours
        self._declared = declared
        self._roster: Roster | None = vars(self).get("_roster")  # ranks that have met stay in step after a failure
        self._tools: Tools | None = Tools(Ownership(model, declared), model)
        self._portable: _Portable | None = None

    @property
    def tools(self) -> Tools:
        """Objects shared by all steps; after a copy, created at first use."""
        if self._tools is None:
            assert self._portable is not None
            portable = self._portable
            self.set_up(portable.model, portable.declared)
            assert self._tools is not None
            if portable.reached:
                self._tools.ownership.restore(portable.reached)
        return self._tools

    @property
    def ownership(self) -> Ownership:
        """Record of which tasks reach which parameter."""
        return self.tools.ownership

    def __getstate__(self) -> dict[str, Any]:
        if self.accumulation is not None and self.accumulation.done:
            raise StateError(
                f"{self.accumulation.done} of {self.accumulation.steps} micro-batches are waiting for their balance, "
                "and graphs cannot be copied. Copy after the optimizer's step."
            )
        reached = self.ownership.reached
        state = {name: value for name, value in self.__dict__.items() if name not in {"_model", "_declared"}}
        return state | {
            "_tools": None,
            "_roster": None,
            "_portable": _Portable(self.__dict__["_model"], self._declared, reached),
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        mode, group, alone = self.settings.gradients, self.__dict__["process_group"], not memo
        memo[id(group)] = group  # a group of ranks is the same for a copy
        if alone:  # nothing else is being copied: the model stays the same
            layer = mode.parameters if isinstance(mode, LastLayer) else ()
            metric = self.settings.metric
            kept = [self.__dict__["_model"], *(self._declared or ()), *layer, metric]
            memo.update({id(thing): thing for thing in kept if thing is not None})
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return twin
