"""Optimizers that call a closure several times per step: fixed weights, and a value that fits the gradient."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...engine.blocks.handout import through_losses
from ...engine.sources.dispatch import Settings
from ...engine.step.context import Balanced, skip_or_raise
from ...engine.step.hand_out import head_weights
from ...engine.step.inject import hand_over
from ...errors import EquipoiseError, EquipoiseWarning
from ...methods import LinearScalarization
from ...methods.base import JacobianMethod, LossMethod, Method
from ...methods.run import Weighed
from .optimizer_steps import OptimizerStep, watch_optimizers

__all__ = ["Calls", "refuse_value", "weighted_value"]


@dataclass(frozen=True, eq=False)
class _Held:
    step: OptimizerStep
    present: tuple[int, ...]
    weights: Tensor


class Calls:
    """Calls of a Balancer within one step of an optimizer.

    Attributes:
        weighted: Whether the user set ``value="weighted"``.
    """

    def __init__(self, method: Method, settings: Settings) -> None:
        watch_optimizers()
        self.weighted = settings.value == "weighted"
        self._method, self._settings = method, settings
        self._held: _Held | None = None
        self._last: OptimizerStep | None = None
        self._told = False

    def __reduce__(self) -> tuple[type["Calls"], tuple[Method, Settings]]:
        return Calls, (self._method, self._settings)  # a copy is called in steps of its own

    def must_fit(self, step: OptimizerStep, *, accumulates: bool) -> bool:
        """Whether the value must be the weighted sum: by setting, or for a line search with a loss method.

        A line search compares values along the gradient, so the two must belong to one function.

        Raises:
            EquipoiseError: Value and gradient cannot belong to one function with these settings.
        """
        if self._settings.value is not None or not step.searches or self._is_mean:
            return self.weighted
        wrong = refuse_value(self._method, {**vars(self._settings), "heads": None})
        wrong += ["it cannot be used within `accumulate`"] if accumulates else []
        if isinstance(self._method, LossMethod) and not wrong:
            return True
        cure = (
            f"value='weighted' would make them fit, and cannot be used here: {'; '.join(wrong)}. Use "
            "line_search_fn=None"
            if wrong
            else "Build it with eq.Balancer(..., value='weighted'), which holds the weights for the step and returns "
            "their sum of the losses, or use line_search_fn=None"
        )
        raise EquipoiseError(
            f"{step.name} with a line search compares values along the gradient, and the mean loss does not have the "
            f"gradient of {self._method!r}. {cure}."
        )

    def again(
        self, step: OptimizerStep, present: Sequence[int], names: Sequence[str], losses: Sequence[Tensor]
    ) -> Tensor | None:
        """The weighted sum of the losses, with the weights of the first call in the same step of the optimizer.

        Args:
            step: Running step of the optimizer.
            present: Numbers of the present tasks.
            names: Names of all tasks.
            losses: Scalars of the present tasks.

        Returns:
            A scalar with the value and the gradient of the sum. None in a first call, or where other tasks are present.

        Raises:
            NonFiniteError: A loss is not finite and ``nonfinite="raise"``.
        """
        held = self._held
        if held is None or held.step != step or held.present != tuple(present):
            return None
        numbers = [float(loss.detach()) for loss in losses]
        bad = [row for row, number in enumerate(numbers) if not math.isfinite(number)]
        if bad and self._settings.nonfinite == "raise":
            here = [names[task] for task in present]
            skip_or_raise("loss", here, [f"'{here[row]}': {numbers[row]}" for row in bad], self._settings)
        value = weighted_value(losses, held.weights)
        if not torch.is_grad_enabled():
            return value
        targets = through_losses([(row, loss, 1.0) for row, loss in enumerate(losses)], held.weights, 1.0)
        return hand_over(value, targets, None, self._method)

    def first(
        self, step: OptimizerStep | None, balanced: Balanced, losses: Sequence[Tensor], otherwise: Tensor
    ) -> Tensor:
        """The value of a first call; its weights are kept for those that follow in the same step of the optimizer.

        Args:
            step: Running step of the optimizer, or None outside of one.
            balanced: Outcome of the call.
            losses: Scalars of the present tasks.
            otherwise: Value to return where the method gave no weights.
        """
        self._held = None
        if not isinstance(balanced.weighed, Weighed):
            return otherwise
        weights = head_weights(balanced.weighed, "weighted") * balanced.factor
        if step is not None:
            self._held = _Held(step, balanced.tasks.present, weights)
        return weighted_value(losses, weights)

    def notice(self, step: OptimizerStep) -> None:
        """Warns once where a closure is called several times per step and every call computes its own weights."""
        if step == self._last and not (self._told or self._settings.value or self._is_mean):
            self._told = True
            warnings.warn(
                f"{step.name} calls the Balancer more than once in a step: each call makes weights of its own, counts "
                "as a step, and returns the mean loss, which is not the function whose gradient it gives. Use "
                "eq.Balancer(..., value='weighted') to hold the weights for the step and return their sum; say "
                "value='mean' if this is wanted.",
                EquipoiseWarning,
                stacklevel=5,  # the closure, which calls a module
            )
        self._last = step

    @property
    def _is_mean(self) -> bool:
        return self._method == LinearScalarization() and self._settings.scale == "mean"


def refuse_value(method: Method, given: Mapping[str, Any]) -> list[str]:
    """Reasons against ``value="weighted"``.

    Args:
        method: Method of the Balancer.
        given: Settings of the Balancer by name; `heads` as the user gave it.
    """
    name, wrong = type(method).__name__, []
    if isinstance(method, JacobianMethod):
        wrong.append(f"{name} gives a direction, which is the gradient of no weighted sum")
    if method.trains:
        wrong.append(f"the weights of {name} are trained, and their gradient is not that of the weighted sum")
    if given["heads"] == "own":
        wrong.append("heads='own' gives heads another gradient: leave it out")
    if given["granularity"] != "model":
        wrong.append(f"granularity='{given['granularity']}' has several sets of weights")
    if given["nonfinite"] == "skip":
        wrong.append("nonfinite='skip' would change the sum within a step")
    return wrong


def weighted_value(losses: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The weighted sum of some losses, as one writes it by hand: ``w1 * l1 + w2 * l2``.

    Example:
        >>> weighted_value([torch.tensor(1.0), torch.tensor(2.0)], torch.tensor([3.0, 0.5]))
        tensor(4.)
    """
    device = losses[0].device
    pairs = zip(losses, weights.tolist(), strict=True)
    terms: list[Tensor] = [loss.detach().reshape(()).to(device) * weight for loss, weight in pairs]
    total, *others = terms
    for term in others:
        total = total + term
    return total
