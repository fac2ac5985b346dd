"""The p-norm of the weighted losses: between the sum (p = 1) and the worst loss (p to infinity)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.domain import is_positive, refuse_negative_losses
from .linear_scalarization import refuse_negative

__all__ = ["PNorm"]


@dataclass(frozen=True)
class PNorm(LossMethod):
    r"""Weighted p-norm.

    .. math:: \Bigl(\sum_{i=1}^k (w_i L_i)^p\Bigr)^{1/p}, \qquad
              a_i = w_i \left(\frac{w_i L_i}{\|w \circ L\|_p}\right)^{p-1}

    with L_i >= 0 the loss of task i, w_i its weight and a_i its implied weight. p = 1 is
    `LinearScalarization(weights)`; as p grows it tends to the largest w_i L_i. The larger p, the more of a non-convex
    front can be reached.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        Weights as written, 1/k by default: p = 1 is then the mean, and for equal losses L the value is k^(1/p - 1) L,
        down to L/k for large p. Divide the learning rate accordingly.
    Degenerate:
        All losses zero: the gradient is taken as where all w_i L_i are equal. k = 1: w L.
    Errors:
        `LossError` for a negative loss.
    Cost:
        None.
    Source:
        Textbook (Yu 1973; Zeleny 1973), compromise programming.

    Args:
        weights: w, non-negative, by task name or in task order; None for 1/k each.
        p: Order of the norm, at least 1 and finite; the powers are taken relative to the largest term, so none
            overflows.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(PNorm(weights=(1.0, 1.0)), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 4.0])
        tensor([0.6000, 0.8000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Yu (1973); Zeleny (1973)"
    cost: ClassVar[str] = "none"

    weights: PerTask | None = None
    p: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        refuse_negative(self.weights, "PNorm(weights)")
        if not (is_positive(self.p) and self.p >= 1):
            raise SettingError(
                f"`p` must be finite and at least 1; got {self.p!r}. For the largest loss use Tchebycheff."
            )

    def claims(self, k: int) -> frozenset[str]:
        if self.weights is not None:
            return frozenset({"degree"})
        laws = {"permutation", "degree", "single"}
        laws |= {"simplex", "unanimity"} if self.p == 1 or k == 1 else set()
        return frozenset(laws | {"no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.weights is not None:
            return {}
        refuted = {"no_conflict": CounterExample(((1.0,), (-50.0,)))}
        pair = CounterExample(((1.0,), (1.0,)))
        return refuted if self.p == 1 else refuted | {"simplex": pair, "unanimity": pair}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        _, parts, unit, nothing = self._parts(losses, step)
        norm = parts.pow(self.p).sum().pow(1 / self.p)
        return Answer(unit * norm - nothing * norm.detach(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        weights, parts, _, _ = self._parts(losses, step)
        total = parts.pow(self.p).sum()
        return Answer(weights * total.pow(1 / self.p - 1) * parts.pow(self.p - 1), state)

    def _parts(self, losses: Tensor, step: Step) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights, the weighted losses in units of the largest, that unit, and whether all are zero."""
        refuse_negative_losses(losses, step.tasks, "PNorm", "LinearScalarization", why="takes powers")
        weights = torch.full_like(losses.detach(), 1 / len(losses))
        if self.weights is not None:
            weights = step.tasks.vector(self.weights, "weights").to(losses)
        terms = weights * losses
        largest = terms.detach().amax()
        nothing = largest == 0  # then every term counts as one, which has a gradient
        unit = torch.where(nothing, 1.0, largest)
        return weights, terms / unit + nothing, unit, nothing
