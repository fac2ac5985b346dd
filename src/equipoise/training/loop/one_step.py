"""One training step: batch, losses, balance, backward, clip, optimizer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ...balancer import Balancer
from ...core.tasks import Preference
from ...methods.base import GramianMethod, Method
from ...methods.loss import KeptIterates
from ..problem.problem import Problem
from ..problem.sources import Batch
from .clipping import Groups, clip_gradients
from .feeding import Feed

__all__ = ["Stepper", "observes"]

Losses = dict[str, Tensor | None]


def observes(method: Method) -> bool:
    """Whether a method, or the one that it wraps, learns from the losses after the optimizer's step."""
    inner = getattr(method, "method", None)
    return observes(inner) if isinstance(inner, Method) else type(method).observe is not Method.observe


@dataclass(eq=False)
class Stepper:
    """What a step works on; everything here is in a checkpoint or built from the configuration.

    Attributes:
        second: Batches of a stream of their own, for methods that sample twice.
        keeper: Copies of earlier iterates, for `Averaged`.
        empty: Steps in which no task had a labelled sample; nothing was changed in them.
        passes: Backward passes so far: one a step, and the tasks' own.
    """

    problem: Problem
    model: nn.Module
    balancer: Balancer
    optimizer: torch.optim.Optimizer
    schedule: "Schedule"
    feed: Feed
    second: Feed | None
    device: torch.device
    clip: Groups
    amp: torch.dtype | None
    scaler: torch.amp.GradScaler | None
    preference: Preference | None
    keeper: KeptIterates | None
    empty: int = 0
    passes: int = 0

    def __post_init__(self) -> None:
        method = self.balancer.method
        self._observes = observes(method)
        self._twice = isinstance(method, GramianMethod) and method.samples_twice
        self._searches = isinstance(self.optimizer, torch.optim.LBFGS)
        self._epoch = 0

    def resume(self, epoch: int) -> None:
        """Say in which epoch the run goes on."""
        self._epoch = epoch

    def step(self, number: int) -> None:
        """Do step `number`, counted from 0."""
        batch = self.feed.batch(number)
        if self.feed.epoch != self._epoch:
            self._epoch = self.feed.epoch
            self.balancer.end_epoch()
            self.schedule.end_epoch()
        other = None
        if self._twice:
            other = self.feed.batch(number) if self.second is None else self.second.batch(number)
        if self._searches:
            self.optimizer.step(lambda: float(self._backward(batch, other)[0]))
            return
        value, losses = self._backward(batch, other)
        if value is None:
            return
        if self.clip:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            clip_gradients(self.clip)
        if self.keeper is not None and None not in losses.values():
            self.keeper.keep(self.model, losses)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self._observes and None not in losses.values():
            with torch.no_grad():
                again = self._losses(batch)[0]
                self.balancer.observe({task: loss for task, loss in again.items() if loss is not None})

    def _losses(self, batch: Batch) -> tuple[Losses, Any]:
        if self.amp is None:
            outputs = self.problem.outputs(self.model, batch.data)
            return self.problem.losses_of(outputs, batch), outputs
        with torch.autocast(self.device.type, self.amp):
            outputs = self.problem.outputs(self.model, batch.data)
            return self.problem.losses_of(outputs, batch), outputs

    def _backward(self, batch: Batch, other: Batch | None) -> tuple[Any, Losses]:
        self.optimizer.zero_grad()
        losses, outputs = self._losses(batch)
        extra: dict[str, Any] = {}
        if other is not None:
            second = self._losses(other)[0]
            shown = {task for task in losses if losses[task] is not None and second[task] is not None}
            losses = {task: loss if task in shown else None for task, loss in losses.items()}
            extra["second"] = {task: loss if task in shown else None for task, loss in second.items()}
        if not any(loss is not None for loss in losses.values()):
            self.empty += 1
            return None, losses
        if self.problem.features is not None:
            extra["features"] = self.problem.features(outputs)
        if self.preference is not None:
            extra["preference"] = self.preference
        loss = self.balancer(losses, **extra)
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        self.passes += 1 + self.balancer.plan.passes
        return loss.detach(), losses


class Schedule:
    """Learning rates along a run: a factor of the fraction that is done, or a scheduler of PyTorch.

    Args:
        optimizer: Optimizer with the learning rates as they were written.
        factor: ``factor(fraction)`` with the fraction of all steps that are done, in [0, 1).
        scheduler: Function of the optimizer that returns a scheduler of PyTorch.
        per: Clock of the scheduler, which moves each ``"step"``, ``"epoch"`` or ``"evaluation"``.
        steps: Number of steps of the whole run.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        factor: Callable[[float], float] | None,
        scheduler: Callable[[torch.optim.Optimizer], Any] | None,
        per: str,
        steps: int,
    ) -> None:
        self._optimizer, self._factor, self._steps, self._per = optimizer, factor, steps, per
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.scheduler: LRScheduler | ReduceLROnPlateau | None = None if scheduler is None else scheduler(optimizer)

    def before(self, step: int) -> None:
        """Set the rates for a step, counted from 0."""
        if self._factor is not None:
            factor = self._factor(step / self._steps)
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor

    def end_epoch(self) -> None:
        """Move a scheduler that moves each epoch."""
        if self._per == "epoch" and self.scheduler is not None:
            self.scheduler.step()

    def after(self) -> None:
        """Move a scheduler that moves each step."""
        if self._per == "step" and self.scheduler is not None:
            self.scheduler.step()

    def evaluated(self, score: float) -> None:
        """Move a scheduler that moves with each evaluation."""
        if self._per != "evaluation" or self.scheduler is None:
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(score)
        else:
            self.scheduler.step()

    def load(self, state: Any) -> None:
        """Go on from a saved state."""
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state)
