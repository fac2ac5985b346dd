"""When to measure what the optimizer makes of a step, and why it sometimes cannot be measured."""

import math
import time
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...balancer import Balancer
from ...balancing.optimizers.optimizer_steps import BEGUN, running_step
from ...core.losses import read_losses
from ...core.records.training import TakenStep
from ...engine.blocks.task_gradients import Gradients
from ...engine.graph.autograd_graph import leaves_behind
from .gradient_probe import MOST_BYTES
from .step_probe import StepProbe

__all__ = ["Effects"]

_SHARE = 0.01
"""Largest share of the run's time that measurements take, the first of all left out: it warms up."""
_FIRST = 2  # ownership and allocations settle in the first step
_A_LINE = 8  # measurements between two lines, at most

_SEVERAL = "the balancer was called several times for one step of the optimizer"
_NO_STEP = "no optimizer of torch.optim stepped between two calls of the balancer"
_RANKS = "on several ranks steps are not measured"


class Effects:
    """Plans measurements, each a `StepProbe`, so that they take at most 1 % of the time.

    Args:
        wanted: Steps between two measurements; ``"auto"`` chooses them from the measured cost, None for never.
        every: Steps between two lines of the record.
        steps: Steps that were run before.

    Attributes:
        seconds: Time that measurements have taken.
    """

    def __init__(self, wanted: int | Literal["auto"] | None, every: int, steps: int) -> None:
        self._wanted, self._least = wanted, -(-every // _A_LINE)
        self._due = None if wanted is None else steps + _FIRST
        if isinstance(wanted, int):
            self._due = -(-(steps + _FIRST) // wanted) * wanted
        self._probe: StepProbe | None = None
        self._costs: deque[float] = deque(maxlen=5)
        self._warm = False
        self._last: tuple[int, float] | None = None
        self._running: int | None = None
        self._taken: list[TakenStep] = []
        self._why = self._why_without = ""
        self.seconds = 0.0

    def collected(self) -> tuple[tuple[TakenStep, ...], str]:
        """Measurements since the last call, and why the last attempt failed, or the empty string."""
        found, why = tuple(self._taken), self._why
        self._taken, self._why = [], ""
        return found, why

    def end(self) -> None:
        """Ends a measurement that waits for an optimizer's step, or for a second one."""
        probe, self._probe = self._probe, None
        if probe is None:
            return
        found = probe.result()
        self.seconds += probe.seconds
        if self._warm:
            self._costs.append(probe.seconds)
        self._warm = True
        if found is None:
            self._why = _NO_STEP if self._running is None else _SEVERAL
        else:
            self._taken.append(found)
            self._why = self._why_without if found.shared is None else self._why

    def look(self, balancer: Balancer, losses: Any, measured: tuple[Sequence[int], Gradients] | None) -> None:
        """After a call of the balancer: begins a measurement if one is due, and asks the next step for its gradients.

        Args:
            balancer: The Balancer that was called.
            losses: The losses that it was called with.
            measured: Gradients that the record itself measured at this step, with the numbers of their tasks.
        """
        if self._due is None:
            return
        running = None if BEGUN.step is None else running_step()
        again = running is not None and running.number == self._running
        self._running = None if running is None else running.number
        step = balancer.steps
        if step >= self._due or measured is not None:
            held, balancer.tools.hold = balancer.tools.hold, None
            self._plan_next(step)
            if again:
                self._why = _SEVERAL
            elif torch.distributed.is_available() and torch.distributed.is_initialized() and _ranks() > 1:
                self._why = _RANKS
            else:
                self._begin(balancer, losses, measured or (held[-1] if held else None))
        if step + 1 >= self._due and balancer.method.needs != "losses":
            balancer.tools.hold = []

    def _begin(self, balancer: Balancer, losses: Any, found: tuple[Sequence[int], Gradients] | None) -> None:
        ownership, names = balancer.ownership, balancer.tasks or ()
        if found is None and losses is None:
            return
        if found is not None:
            reached = found[1].parameters()
        else:
            reached = leaves_behind(read_losses(losses, names, differentiable=True)[1])
        # in functional code no leaf is a parameter, and all are looked at
        leaves = [leaf for leaf in reached if isinstance(leaf, nn.Parameter) or ownership.is_parameter(leaf)] or reached
        size = sum(leaf.numel() * max(4, leaf.element_size()) for leaf in leaves)
        if size > MOST_BYTES:
            self._why = f"a copy of the parameters takes {size >> 20} MiB, more than {MOST_BYTES >> 20}"
            return
        self._why_without = _why_without(balancer)

        def name_of(leaf: Tensor) -> str:
            return ownership.name(leaf) if ownership.is_parameter(leaf) else f"a parameter of shape {tuple(leaf.shape)}"

        rows, source = ((), None) if found is None else found
        self._probe = StepProbe(balancer.steps, leaves, rows, source, name_of, len(names))

    def _plan_next(self, step: int) -> None:
        if isinstance(self._wanted, int):
            self._due = step + self._wanted - step % self._wanted
            return
        now, distance = time.perf_counter(), 1
        if self._last is not None and self._costs:
            of_a_step = (now - self._last[1]) / max(1, step - self._last[0])
            distance = math.ceil(round(median(self._costs) / _SHARE / max(of_a_step, 1e-9), 6))
            distance = max(distance, self._least)
        self._last, self._due = (step, now), step + distance


def _why_without(balancer: Balancer) -> str:
    if balancer.method.needs == "losses":
        return "the method looks at losses alone, so gradients are at hand only where the record measures them"
    return f"the step's plan was '{balancer.plan.engine}', which keeps no gradients of single tasks"


def _ranks() -> int:
    return torch.distributed.get_world_size()
