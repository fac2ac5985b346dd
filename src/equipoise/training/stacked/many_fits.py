"""Several runs of `equipoise.fit` that differ in seed and weights, in one vectorized step."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...core.numbers import Array
from ...core.tasks import Tasks
from ...methods.base import Method
from ...methods.loss import LinearScalarization
from ..loop.ending import finish
from ..loop.fitted import Fitted
from ..loop.run import Run
from ..loop.settings import Settings, settle
from ..problem.problem import Problem
from ..problem.sources import Loader
from ..resuming.randomness import own_generators
from .copies import Copies, make_copies

__all__ = ["STACKABLE", "Together", "fit_together"]

_LOGGER = logging.getLogger("equipoise")
STACKABLE = frozenset(
    {"batch_size", "device", "epochs", "every", "optimizer", "patience", "schedule", "select", "steps"}
)
"""Settings of `fit` that runs of one stack may have."""
_WARM, _TIMED = 3, 10


@dataclass(frozen=True, eq=False)
class Together:
    """What became of runs that were to be trained together.

    Attributes:
        fitted: One result a run; None where the run is to be trained by itself.
        words: Manner of the training, with the measurement, or why it was not together.
    """

    fitted: list[Fitted | None]
    words: str


def fit_together(
    problem: Problem,
    runs: Sequence[tuple[LinearScalarization, int]],
    settings: Mapping[str, Any],
    *,
    ratio: Callable[[float, float], float] = lambda alone, stacked: alone / stacked,
) -> Together:
    """Train runs of one problem together, if a measurement says that it is faster.

    The losses of float32 models agree with those of `fit` to about 1e-5, relative: the products are summed in another
    order. Order of the data, initialisation, schedule, evaluation and selection are those of `fit`.

    Args:
        problem: Model, losses and data.
        runs: Method and seed of each run.
        settings: Arguments of `fit`, of `STACKABLE`.
        ratio: Turns the seconds of a step of all runs, one after another and stacked, into the speedup that decides.
    """
    nothing: list[Fitted | None] = [None] * len(runs)
    if isinstance(problem.sources["train"], Loader):
        return Together(nothing, "one after another: a loader deals its batches itself")
    began = time.perf_counter()
    made = [_made(problem, method, seed, settings) for method, seed in runs]
    first = made[0]
    batches = [run.stepper.feed.batch(0) for run in made]
    copies = make_copies(problem, [run.model for run in made], first.asked.optimizer, batches)
    if copies.reason:
        return Together(nothing, f"one after another: {copies.reason}")
    stack = _Stack(problem, made, copies, [method for method, _ in runs])
    steps = first.config.steps
    timed = min(steps, _WARM + _TIMED)
    marks = []
    for _ in range(timed):
        marks.append(time.perf_counter())
        if not stack.step():
            return Together(nothing, "one after another: no task had a labelled sample in a batch")
    stacked = (time.perf_counter() - marks[timed - min(timed, _TIMED)]) / min(timed, _TIMED)
    alone = _seconds_of_a_step(_made(problem, *runs[0], settings), timed) * len(runs)
    faster = ratio(alone, stacked)
    words = f"{faster:.1f} times as fast as one after another (measured on {min(timed, _TIMED)} steps)"
    if faster <= 1:
        return Together(nothing, f"one after another: a stack of {len(runs)} would be {words}")
    _LOGGER.info("%d runs are trained together, %s.", len(runs), words)
    while stack.done < steps and stack.going:
        if not stack.step():
            return Together(nothing, "one after another: no task had a labelled sample in a batch")
    share = (time.perf_counter() - began) / len(runs)
    found: list[Fitted | None] = []
    for run, failed in zip(made, stack.failed, strict=True):
        fitted = None if failed else finish(run, None)
        found.append(fitted and _with_seconds(fitted, share))
    return Together(found, f"in a stack of {len(runs)}, {words}")


class _Stack:
    """Runs whose models step together; each keeps its own data order, lines and selection."""

    def __init__(
        self, problem: Problem, runs: Sequence[Run], copies: Copies, methods: Sequence[LinearScalarization]
    ) -> None:
        self._runs, self._copies = runs, copies
        names = Tasks(problem.tasks)
        self._weights = np.array(
            [
                np.full(len(names.names), np.nan)
                if method.weights is None
                else names.vector(method.weights, "weights").numpy()
                for method in methods
            ]
        )
        self._mean = np.isnan(self._weights).any(axis=1)
        self.done, self.failed, self.going = 0, [False] * len(runs), True
        self._clear()

    def step(self) -> bool:
        """One step of all; False where it cannot be done together: an optimizer would move a run without a loss."""
        runs, copies = self._runs, self._copies
        for run in runs[:1]:
            run.schedule.before(self.done)
        copies.set_rates([float(group["lr"]) for group in runs[0].stepper.optimizer.param_groups])
        losses, present = copies.losses([run.stepper.feed.batch(self.done) for run in runs])
        values, there = losses.detach().cpu().numpy(), present.cpu().numpy()
        if not there.any(axis=1).all():
            return False
        weights = np.where(self._mean[:, None], 1 / there.sum(axis=1, keepdims=True), self._weights) * there
        finite = np.isfinite(values).all(axis=1)
        self.failed = [failed or not fine for failed, fine in zip(self.failed, finite, strict=True)]
        copies.step(losses, torch.from_numpy(weights).to(losses))
        kept = np.where(there, values, 0.0)
        self._sums += np.stack([kept, weights * kept, weights])
        self._counts += there
        self.done += 1
        config = runs[0].config
        if self.done % config.every == 0 or self.done == config.steps:
            self._evaluate()
        return True

    def _evaluate(self) -> None:
        last = self.done == self._runs[0].config.steps
        for number, run in enumerate(self._runs):
            if run.status or self.failed[number]:
                continue
            for own, group in zip(run.stepper.optimizer.param_groups, self._copies.rates, strict=True):
                own["lr"] = group
            run.done = run.stepper.passes = self.done
            counts = self._counts[number]
            run.sums.load({"sums": self._sums[:, number].tolist(), "steps": [counts.tolist()] * 2})
            run.evaluate(self.done)
            run.status = "done" if last else run.status
            run.model.train()
        self.going = any(not run.status and not bad for run, bad in zip(self._runs, self.failed, strict=True))
        self._clear()

    def _clear(self) -> None:
        self._sums: Array = np.zeros((3, *self._weights.shape))
        self._counts: Array = np.zeros(self._weights.shape)


def _made(problem: Problem, method: Method, seed: int, settings: Mapping[str, Any]) -> Run:
    chosen = {name: value for name, value in settings.items() if name != "device"}
    asked = Settings(**chosen, seed=seed)
    device = settings.get("device")
    with own_generators(int(seed), torch.device(device or "cpu")):
        run = Run(problem, method, asked, *settle(problem, method, asked), device)
    run.model.train()
    return run


def _seconds_of_a_step(run: Run, steps: int) -> float:
    counted = min(steps, _TIMED)
    began = time.perf_counter()
    for number in range(steps):
        if number == steps - counted:
            began = time.perf_counter()
        run.schedule.before(number)
        run.stepper.step(number)
        run.sums.note(run.balancer.last)
    return (time.perf_counter() - began) / counted


def _with_seconds(fitted: Fitted, seconds: float) -> Fitted:
    fitted.cost = replace(fitted.cost, seconds=seconds)
    return fitted
