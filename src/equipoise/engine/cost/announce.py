"""Predict and log a step's gradient cost before computing anything."""

import logging
from collections.abc import Hashable

import torch

from .plan import Plan
from .sizes import free_bytes, in_words

__all__ = ["CostNotice"]

_LOGGER = logging.getLogger("equipoise.engine")
_HEAVY = 0.5  # of the limit: from there on it is a warning


class CostNotice:
    """Logs the plan of a step to ``equipoise.engine`` once, and again when the plan changes.

    A plan has changed if its engine, its passes or the parameters without direct gradients have; another batch size is
    no change. The level is INFO, and WARNING where the gradients take more than half of the memory they may take.

    Example:
        >>> notice = CostNotice()
        >>> plan = Plan("sequential", "no features given", 3, 2.3, 1 << 20)
        >>> notice(plan, None, torch.device("cpu"))
        >>> notice.words(plan)
        'gradients: sequential (no features given), 3 passes; predicted 2.3 plain steps and 1.0 MiB beyond one.'
    """

    def __init__(self) -> None:
        self._said: dict[Hashable, float] = {}  # way -> the most bytes logged for it; inf once it was a warning

    def __call__(self, plan: Plan, limit: float | None, device: torch.device) -> None:
        """Logs a plan, if it has not been logged.

        Args:
            plan: Plan of the step that is about to begin.
            limit: Bytes that gradients may take; None for the device's free memory.
            device: Device of the losses.

        Cost: a microsecond for a network of 100 parameters where there is nothing to log.
        """
        special = tuple((layer.engine, layer.parameters) for layer in plan.layers if layer.engine != "direct")
        way = (plan.engine, plan.passes, special)
        memory, before = plan.memory or 0, self._said.get(way)
        if before is not None and memory <= before:
            return
        allowed = free_bytes(device) if limit is None else limit
        heavy = memory > _HEAVY * allowed
        self._said[way] = float("inf") if heavy else memory
        if heavy:
            holder = f"{device} has free" if limit is None else "memory_limit allows"
            _LOGGER.warning("%s That is more than half of the %s that %s.", self.words(plan), in_words(allowed), holder)
        elif before is None:
            _LOGGER.info("%s", self.words(plan))

    @staticmethod
    def words(plan: Plan) -> str:
        """The plan in one sentence."""
        passes = "1 pass" if plan.passes == 1 else f"{plan.passes} passes"
        cost = "cost not known" if plan.cost is None else f"predicted {plan.cost:.1f} plain steps"
        memory = "memory not known" if plan.memory is None else f"{in_words(plan.memory)} beyond one"
        return f"gradients: {plan.engine} ({plan.reason}), {passes}; {cost} and {memory}."
