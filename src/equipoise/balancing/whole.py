"""A step happens whole or not at all, wherever an error or an interruption strikes."""

from collections import Counter
from typing import Any

from ..engine.graph.undo import begin, take_back_all
from ..methods.base import Method
from .copies import Copyable

__all__ = ["Whole"]

_MOVED = ("tasks", "state", "last", "plan", "carried", "steps", "accumulation", "_tools", "_portable")
"""Attributes that a step moves; each is replaced, never changed in place."""


class Whole(Copyable):
    """Puts a Balancer back to where it stood before a call that did not return its scalar.

    That includes forward hooks: where one of them fails, the caller has no scalar, so the step has not happened.
    """

    method: Method
    counts: Counter[str]
    lost: bool = False  # whether the window that failed cannot be balanced at all

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """One call of the module; see `Balancer.forward`."""
        attributes = vars(self)
        before = {name: attributes[name] for name in _MOVED}
        counts = dict(self.counts)
        tools = None if self.method.needs == "losses" else before["_tools"]
        known = None if tools is None else tools.ownership.remembered()
        modes = begin()
        scalar = None
        try:
            scalar = super().__call__(*arguments, **keywords)
        finally:
            if scalar is None:
                take_back_all(modes)
                self._go_back(before, counts, known)
        return scalar  # nothing is called between the module's return and ours, so no interruption is seen there

    def _go_back(self, before: dict[str, Any], counts: dict[str, int], known: dict[str, Any] | None) -> None:
        vars(self).update(before)
        if self.lost and self.accumulation is not None:
            vars(self).update(accumulation=self.accumulation.emptied(), lost=False)
        self.counts.clear()
        dict.update(self.counts, counts)
        if known is not None and before["tasks"] is not None:
            vars(before["_tools"].ownership).update(known)
        elif known is not None:  # a first call: parameters are numbered anew, and memory is looked at anew
            self.set_up(self.__dict__["_model"], self._declared)
