"""Models of one `Problem` that are trained together and chosen anew from what the validation part has seen."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch

from ...core.numbers import Array, is_whole
from ...core.progress import Progress
from ...errors import DataError, LossError, NonFiniteError, SettingError, listed
from ...training.loop.evaluation import evaluate
from ...training.loop.feeding import make_feed
from ...training.problem.problem import Problem
from ...training.problem.sources import Items, Loader
from ...training.stacked.copies import make_copies, put_values
from .archive import Archive
from .criteria import Scale
from .targets import Target

__all__ = ["JointTraining", "TrainingOptions", "TrainingSettings", "cosine"]

_MEMORY = 0.9  # of the running mean of batch losses
_EVALUATIONS = 25
_HELD = 1e8  # numbers in the models kept for the choice


def cosine(fraction: float) -> float:
    """A learning-rate factor that falls from 1 to 0 along half a cosine."""
    return (1 + math.cos(math.pi * fraction)) / 2


class TrainingOptions(TypedDict, total=False):
    """The fields of `TrainingSettings`, all of which may be left out."""

    batch_size: int | None
    optimizer: Callable[..., torch.optim.Optimizer] | None
    schedule: Callable[[float], float] | None
    every: int | None
    device: str | torch.device | None
    progress: Progress | None


@dataclass(frozen=True, eq=False)
class TrainingSettings:
    """How models of a `Problem` are trained; see `find_set`."""

    batch_size: int | None = 256
    optimizer: Callable[..., torch.optim.Optimizer] | None = None
    schedule: Callable[[float], float] | None = None
    every: int | None = None
    device: str | torch.device | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        counts = {"batch_size": self.batch_size, "every": self.every}
        wrong = [
            f"{name}={value!r} (a whole number of at least 1, or None)"
            for name, value in counts.items()
            if value is not None and not is_whole(value, least=1)
        ]
        functions = {"optimizer": self.optimizer, "schedule": self.schedule, "progress": self.progress}
        wrong += [
            f"{name}={value!r} (a function, or None)"
            for name, value in functions.items()
            if value is not None and not callable(value)
        ]
        if wrong:
            raise SettingError(f"settings of the training are out of range: {'; '.join(wrong)}.")

    def refuse(self, kind: str) -> None:
        """Raise where a setting differs from its default: formula problems have no data and optimizers of their own."""
        default = TrainingSettings()
        changed = [name for name, value in vars(self).items() if value != getattr(default, name)]
        if changed:
            raise SettingError(f"{listed(changed)} are settings for an eq.Problem; this is {kind}. Leave them out.")


class JointTraining:
    r"""K models of a problem, each with weights of its own on the losses of common batches.

    What decides the weights is an estimate of the losses on the part that judges (validation, or training where there
    is none): a running mean of the batch losses, corrected by what that part said at the last evaluation (by the
    difference; by the ratio where losses are positive and that part's are lower). So limits and rays are aimed at where
    they are judged, and gradients are those of training.

    Args:
        problem: Model, losses and data.
        count: Number of models K.
        steps: Number of steps to come.
        seed: Seed of the models, in turn, and of the data's order.
        scale: Ideal and sizes of the losses.
        settings: Batch size, optimizer and what else belongs to the training.

    Attributes:
        part: Name of the part that judges.
        copies: The K models, stacked where that can be.
        archive: Models seen at evaluations that no other dominates.
        rows: Labelled rows of each task in the judging part.
    """

    def __init__(
        self, problem: Problem, count: int, steps: int, seed: int, scale: Scale, settings: TrainingSettings
    ) -> None:
        self.problem, self.scale, self.part = problem, scale, "val" if "val" in problem.sources else "train"
        self._settings, self._steps, self.number = settings, steps, 0
        self._every = min(steps, settings.every or max(1, steps // _EVALUATIONS))
        models = [problem.make_model() for _ in range(count)]
        odd = [type(model).__name__ for model in models if not isinstance(model, torch.nn.Module)]
        if odd:
            raise SettingError(f"`make_model` must return a torch.nn.Module; it returned {odd[0]}.")
        if next(models[0].parameters(), None) is None:
            raise SettingError(f"there is nothing to train: {type(models[0]).__name__} has no parameters.")
        self._device = torch.device(settings.device or next(models[0].parameters()).device)
        models = [model.to(self._device).train() for model in models]
        train = problem.sources["train"]
        lies = train if isinstance(train, Items | Loader) else train.to(self._device)
        # a loader's batch is taken from an iterator of its own, so that the training sees all of them
        trial = make_feed(lies, settings.batch_size, seed, self._device).batch(0)
        self._feed = make_feed(lies, settings.batch_size, seed, self._device)
        self.copies = make_copies(problem, models, settings.optimizer, [trial])
        self._rates = self.copies.rates
        self._schedule = settings.schedule or cosine
        width = sum(value.numel() for value in models[0].parameters())
        self.archive = Archive(count * width, steps, seed, kept=int(np.clip(_HELD / max(width, 1), 2 * count, 300)))
        self._mean: Array | None = None
        self.rows: dict[str, int] = {}
        self._refuse_constant(trial)
        self.measured = self.measure(self.part)
        self._gap = np.zeros_like(self.measured)
        self._lowest, self._evaluated = self.measured.min(axis=0), -1

    def descend(self, steps: int, pull: Callable[[Array, float], Array]) -> None:
        """Train for some steps; `pull` turns estimated losses (K, k) and the share of these steps into weights."""
        tasks = self.problem.tasks
        for number in range(steps):
            self.copies.set_rates([rate * self._schedule(self.number / self._steps) for rate in self._rates])
            losses, present = self.copies.losses([self._feed.batch(self.number)])
            values, there = losses.detach().cpu().numpy(), present.cpu().numpy()
            if not np.isfinite(values).all():
                bad = [task for i, task in enumerate(tasks) if not np.isfinite(values[:, i]).all()]
                raise NonFiniteError(
                    f"losses must be finite; in step {self.number} those of {listed(bad)} are not, in models "
                    f"{np.flatnonzero(~np.isfinite(values).all(axis=1))[:10].tolist()}. Lower the learning rate."
                )
            self.number += 1
            if there.any():
                estimate = self._estimate(values, there)
                self.scale.see(estimate)
                weights = pull(estimate, number / steps) * there
                sums = weights.sum(axis=1, keepdims=True)
                weights = weights / np.where(sums > 0, sums, 1.0)
                self.copies.step(losses, torch.from_numpy(weights).to(losses))
            if self.number % self._every == 0 or self.number == self._steps:
                self._evaluate()

    def choose(self, target: Target) -> Array:
        """Go on from the best models seen; where there are too few, the others go on as they are.

        Returns:
            Losses of the models on the judging part (K, k).
        """
        count = len(self.copies.models)
        self._evaluate()
        losses, points = self.archive.prune()
        rows = target.choose(losses, count)
        now = self.copies.values()
        self.copies.restart(torch.cat([points[torch.from_numpy(rows)], now[len(rows) :]]))
        self.measured = np.concatenate([losses[rows], self.measured[len(rows) :]])
        # a model taken up again is as far from its training losses as the others are
        self._gap = np.repeat(np.median(self._gap, axis=0, keepdims=True), count, axis=0)
        self._mean = self.measured - self._gap
        return self.measured

    def measure(self, part: str) -> Array:
        """Losses (K, k) of all models on one part, in evaluation mode.

        Raises:
            DataError: A task without a labelled row.
            NonFiniteError: A loss is not finite.
        """
        source, tasks = self.problem.sources[part], self.problem.tasks
        found = [evaluate(self.problem, model, source, self._device) for model in self.copies.models]
        rows = found[0].rows
        empty = [task for task in tasks if not rows[task]]
        if empty:
            raise DataError(f"the {part} part must have a labelled row of every task; it has none of {listed(empty)}.")
        bad = [task for task in tasks if any(one.losses[task] is None for one in found)]
        if bad:
            raise NonFiniteError(f"losses must be finite; on the {part} part those of {listed(bad)} are not.")
        if part == self.part:
            self.rows = rows
        return np.array([[one.losses[task] for task in tasks] for one in found], dtype=np.float64)

    def model(self, values: torch.Tensor) -> torch.nn.Module:
        """A model of its own with these parameters, in evaluation mode."""
        made = copy.deepcopy(self.copies.models[0])
        for parameter in made.parameters():  # what was copied may be a view of all models
            parameter.data = parameter.data.clone()
        put_values(made, values)
        return made.eval()

    def _estimate(self, values: Array, there: Any) -> Array:
        first = values if self._mean is None else self._mean
        memory = 0.0 if self._feed.length == 1 else _MEMORY  # batches of all rows are not noisy
        self._mean = np.where(there, memory * first + (1 - memory) * values, first)
        estimate = self._mean + self._gap
        if min(values.min(), self.measured.min()) >= 0:
            # a mean that lags behind falling losses lies above them: a share of it never falls below 0
            at_last = self.measured - self._gap
            share = self.measured / np.where(at_last > 0, at_last, 1.0)
            estimate = np.where((self._gap < 0) & (at_last > 0), self._mean * share, estimate)
        return np.asarray(estimate)

    def _evaluate(self) -> None:
        if self._evaluated == self.number:
            return
        self._evaluated = self.number
        self.measured = self.measure(self.part)
        if self._mean is not None:
            self._gap = self.measured - self._mean
        # estimates may have been too low: what counts for good is measured
        self._lowest = np.minimum(self._lowest, self.measured.min(axis=0))
        self.scale.ideal = self._lowest.copy()
        self.archive.add(self.measured, self.copies.values().cpu())
        self.archive.prune()
        if self._settings.progress is not None:
            lowest = zip(self.problem.tasks, self.measured.min(axis=0), strict=True)
            words = ", ".join(f"{task} {value:.4g}" for task, value in lowest)
            self._settings.progress(self.number, self._steps, f"lowest on {self.part}: {words}")

    def _refuse_constant(self, batch: Any) -> None:
        losses, present = self.copies.losses([batch])
        flat = []
        for i, task in enumerate(self.problem.tasks):
            slopes: tuple[Any, ...] = ()
            if losses.requires_grad:
                total = losses[:, i].sum()
                slopes = torch.autograd.grad(total, self.copies.trained, retain_graph=True, allow_unused=True)
            if present[:, i].any() and not any(slope is not None and slope.any() for slope in slopes):
                flat.append(task)
        if flat:
            raise LossError(
                f"every loss must depend on the parameters; {listed(flat)} have no gradient at the start. Leave them "
                "out, or check that they are computed from the outputs."
            )
