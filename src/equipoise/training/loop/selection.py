"""Which of the models that training passed through is the answer, decided on the validation part by a stated rule."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...core.tasks import PerTask, TaskValues, freeze_per_task
from ...errors import SettingError, listed

__all__ = ["Keeper", "MeanImprovement", "MeanLoss", "PerTaskBest", "Selection", "WorstImprovement"]

WHOLE = ""
"""The key of a rule's one score; `PerTaskBest` has one for each task besides."""


@dataclass(frozen=True)
class Selection(ABC):
    """A rule: validation losses -> scores, of which lower is better."""

    words: ClassVar[str]

    @abstractmethod
    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Scores by key.

        Args:
            losses: Task -> validation loss; infinite where it was not finite.
        """

    def check(self, tasks: tuple[str, ...]) -> None:
        """Raises `SettingError` where the rule does not fit the tasks."""
        del tasks

    def patient(self) -> bool:
        """Whether an improvement of a single task counts for early stopping."""
        return False


@dataclass(frozen=True)
class MeanLoss(Selection):
    r"""The lowest weighted mean validation loss, :math:`\sum_i w_i L_i / \sum_i w_i`.

    It suits losses in comparable units, such as shares of variance.

    Args:
        weights: One non-negative number a task, by name or in order; None for equal ones.

    Example:
        >>> MeanLoss({"a": 3, "b": 1}).scores({"a": 1.0, "b": 2.0})
        {'': 1.25}
    """

    words: ClassVar[str] = "lowest mean validation loss"
    weights: TaskValues | None = None

    def __init__(self, weights: PerTask | None = None) -> None:
        object.__setattr__(self, "weights", freeze_per_task(weights, "weights"))
        if self.weights is not None and (min(_numbers(self.weights)) < 0 or not sum(_numbers(self.weights)) > 0):
            raise SettingError(f"`MeanLoss(weights)` needs non-negative weights, not all 0; got {weights!r}.")

    def check(self, tasks: tuple[str, ...]) -> None:
        if self.weights is not None:
            _by_task(self.weights, tasks, "weights")

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        weights = (
            dict.fromkeys(losses, 1.0) if self.weights is None else _by_task(self.weights, tuple(losses), "weights")
        )
        counted = [weight * losses[task] for task, weight in weights.items() if weight > 0]
        return {WHOLE: sum(counted) / sum(weights.values())}


@dataclass(frozen=True)
class _Against(Selection):
    baseline: TaskValues = ()

    def __init__(self, baseline: PerTask) -> None:
        frozen = freeze_per_task(baseline, "baseline")
        if frozen is None or min(_numbers(frozen)) <= 0:
            raise SettingError(
                f"`{type(self).__name__}(baseline)` divides by the validation losses of single-task models, one "
                f"positive number a task; got {baseline!r}."
            )
        object.__setattr__(self, "baseline", frozen)

    def check(self, tasks: tuple[str, ...]) -> None:
        _by_task(self.baseline, tasks, "baseline")

    def _changes(self, losses: Mapping[str, float]) -> list[float]:
        return [losses[task] / base - 1 for task, base in _by_task(self.baseline, tuple(losses), "baseline").items()]


class MeanImprovement(_Against):
    r"""The lowest mean relative change against single-task models, :math:`\frac1k \sum_i (L_i - b_i) / b_i`.

    With the sign turned this is the :math:`\Delta_m` of Maninis et al. (2019), arXiv:1904.08918, on losses.

    Args:
        baseline: Validation loss of a model trained for the task alone, positive, by task name or in order.

    Example:
        >>> MeanImprovement({"a": 2.0, "b": 1.0}).scores({"a": 1.0, "b": 1.1})
        {'': -0.2}
    """

    words: ClassVar[str] = "lowest mean of (validation loss / single-task loss - 1)"

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        changes = self._changes(losses)
        return {WHOLE: sum(changes) / len(changes)}


class WorstImprovement(_Against):
    r"""The lowest worst relative change against single-task models, :math:`\max_i (L_i - b_i) / b_i` (Tchebycheff).

    Args:
        baseline: Validation loss of a model trained for the task alone, positive, by task name or in order.

    Example:
        >>> WorstImprovement({"a": 2.0, "b": 1.0}).scores({"a": 1.0, "b": 1.1})
        {'': 0.1}
    """

    words: ClassVar[str] = "lowest largest of (validation loss / single-task loss - 1)"

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        return {WHOLE: max(self._changes(losses))}


@dataclass(frozen=True)
class PerTaskBest(Selection):
    """For each task the model with its lowest validation loss: as many models as there are different steps among them.

    This is how separate models are judged and flatters a joint one, which cannot be all of them at once; the model
    with the lowest mean loss is kept besides. A copy of the model is held for each.
    """

    words: ClassVar[str] = "for each task the lowest validation loss"

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        return {WHOLE: sum(losses.values()) / len(losses), **losses}

    def patient(self) -> bool:
        return True


class Keeper:
    """Keeps copies of the best models so far.

    Args:
        rule: None keeps nothing: the last model is the answer.

    Attributes:
        best: Key of a score -> lowest score and the step that had it.
        states: Step -> state dict, for the steps in `best`.
        since: Evaluations since any score improved.
    """

    def __init__(self, rule: Selection | None) -> None:
        self.rule = rule
        self.best: dict[str, tuple[float, int]] = {}
        self.states: dict[int, dict[str, Tensor]] = {}
        self.since = 0

    def offer(self, step: int, losses: Mapping[str, float | None], model: nn.Module) -> dict[str, float]:
        """Look at the validation losses of a step, and keep a copy of the model where it is the best.

        Returns:
            The scores; empty without a rule.
        """
        if self.rule is None:
            return {}
        finite = {task: math.inf if value is None else value for task, value in losses.items()}
        scores = self.rule.scores(finite)
        better = [key for key, score in scores.items() if score < self.best.get(key, (math.inf, 0))[0]]
        counted = [key for key in better if not self.rule.patient() or key != WHOLE]
        self.since = 0 if counted else self.since + 1
        if better:
            self.best.update({key: (scores[key], step) for key in better})
            copies = {name: value.detach().clone() for name, value in model.state_dict().items()}
            used = {found for _, found in self.best.values()}
            self.states = {number: state for number, state in self.states.items() if number in used} | {step: copies}
        return scores


def _by_task(values: TaskValues, tasks: tuple[str, ...], argument: str) -> dict[str, float]:
    named = [value for value in values if isinstance(value, tuple)]
    found = dict(named) if named else dict(zip(tasks, _numbers(values), strict=False))
    if found.keys() != set(tasks) or len(values) != len(tasks):
        raise SettingError(
            f"`{argument}` of the selection rule must have one number for each of {listed(tasks)}; got {values!r}."
        )
    return {task: found[task] for task in tasks}


def _numbers(values: TaskValues) -> list[float]:
    return [value[1] if isinstance(value, tuple) else value for value in values]
