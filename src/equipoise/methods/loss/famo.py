"""Fast adaptive multi-task optimization: every task's loss should fall at the same relative rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import LossError, SettingError
from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative, is_positive, refuse_losses

__all__ = ["FAMO"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam as in torch.optim


@dataclass(frozen=True)
class FAMO(LossMethod):
    r"""Weights on the logarithms of the losses, moved towards tasks that improve slowly.

    .. math:: \frac1c \sum_i z_i \log D_i, \qquad z = \operatorname{softmax}(\xi), \quad D_i = L_i - b_i + \epsilon,
              \quad c = \sum_i z_i / D_i\ \text{held constant}

    with L_i the loss of task i and b_i its lowest possible value. The implied weights z_i / (c D_i) sum to 1. After
    the step the losses are seen once more, and the logits xi take a step of Adam along

    .. math:: \nabla_\xi = \operatorname{softmax}'(\xi)^\top \bigl(\log D^{\text{before}} - \log D^{\text{after}}\bigr)
              + \gamma \xi

    so a task that fell faster than the others loses weight.

    Which losses are "after": those that the next step brings (no extra cost; with mini-batches they carry the noise
    of two batches), unless `Balancer.observe(losses)` gives those of the same batch at the new parameters.

    Shapes:
        losses (k,) -> scalar; state ``logits``, Adam's ``first``, ``second`` and ``moves``, ``before`` (log D of the
        step not yet observed, else NaN), ``lowest`` (b): each (k,).
    Scale:
        Weights sum to 1. Where b = 0 and epsilon is small beside the losses, they do not change with the unit.
    Degenerate:
        A task without an unobserved step (new, or absent before) keeps its logit; the others move among themselves.
        k = 1: the loss itself.
    Errors:
        `LossError` where D is not positive.
    Cost:
        O(k); one more forward pass where losses are observed on the same batch.
    Source:
        Liu et al. (2023), arXiv:2306.03792, algorithm 1 and the authors' default settings.

    Args:
        gamma: Weight decay of the logits, at least 0; pulls towards equal z.
        lr: Learning rate of the logits' Adam, > 0.
        min_losses: b, one number a task below every loss; None for 0.
        floor: epsilon, at least 0, in the unit of a loss.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(FAMO(floor=0.0), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 1.0])  # in proportion to 1/L
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2023), arXiv:2306.03792"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = tuple(
        StateTensor(name, merge="mean") for name in ("logits", "first", "second", "moves", "before", "lowest")
    )

    gamma: float = 1e-3
    lr: float = 0.025
    min_losses: PerTask | None = None
    floor: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "min_losses", freeze_per_task(self.min_losses, "min_losses"))
        if not (is_non_negative(self.gamma) and is_positive(self.lr) and is_non_negative(self.floor)):
            raise SettingError(
                f"`lr` must be positive, `gamma` and `floor` at least 0, all finite; got gamma={self.gamma!r}, "
                f"lr={self.lr!r}, floor={self.floor!r}."
            )

    def init(self, k: int, n: int = 0) -> State:
        del n
        zeros = {name: torch.zeros(k, dtype=torch.float64) for name in ("logits", "first", "second", "moves", "lowest")}
        return {**zeros, "before": torch.full((k,), torch.nan, dtype=torch.float64)}

    def claims(self, k: int) -> frozenset[str]:
        laws = {"unanimity", "simplex"} | ({"single", "no_conflict"} if k == 1 else set())
        if self.min_losses is None:
            laws |= {"permutation", "single"} | ({"degree", "task_scale"} if self.floor == 0 else set())
        return frozenset(laws)

    def degree(self) -> float | None:
        return 1.0 if self.floor == 0 and self.min_losses is None else None

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.min_losses is not None:
            return {}
        return {"no_conflict": CounterExample(((3.0, 0.0), (-1.0, 1.0)))}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        answer = self.implied_weights(losses.detach(), state, step)
        distances = losses - answer.state["lowest"] + self.floor
        # the weights times the distances, held constant, are z / c
        return answer._replace(value=(answer.value * distances.detach() * distances.log()).sum())

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        lowest = torch.zeros_like(losses)
        if self.min_losses is not None:
            lowest = step.tasks.vector(self.min_losses, "min_losses").to(losses)
        distances = losses - lowest + self.floor
        refuse_losses(
            distances > 0,
            losses,
            step.tasks,
            "FAMO takes logarithms of the losses above `min_losses` (0 by default), so every loss must lie above it",
            "a lower `min_losses`, or LinearScalarization",
        )
        now = distances.log()
        state = self._moved(state, now)
        # z_i / D_i over their sum, through logarithms: 1 / D_i alone may overflow
        return Answer(torch.softmax(state["logits"] - now, dim=0), {**state, "before": now, "lowest": lowest})

    def observe(self, losses: Tensor, state: State) -> State:
        distances = losses - state["lowest"] + self.floor
        bad = ~(distances > 0)
        if bad.any():
            raise LossError(
                f"FAMO observed losses that are not above `min_losses` (0 by default): numbers "
                f"{torch.nonzero(bad).ravel().tolist()} are {losses[bad].tolist()}. Use a lower `min_losses`, or "
                "LinearScalarization."
            )
        state = self._moved(state, distances.log())
        return {**state, "before": torch.full_like(state["before"], torch.nan)}

    def _moved(self, state: State, after: Tensor) -> State:
        """The state with the logits moved of the tasks whose last step has not been observed yet."""
        known = ~state["before"].isnan()
        if known.all():
            return {**state, **self._adam(state, after)}
        if not known.any():
            return state
        moved = self._adam({name: tensor[known] for name, tensor in state.items()}, after[known])
        return {**state, **{name: state[name].masked_scatter(known, tensor) for name, tensor in moved.items()}}

    def _adam(self, state: State, after: Tensor) -> State:
        """One step of Adam on the logits."""
        logits, moves = state["logits"], state["moves"] + 1
        shares, fall = torch.softmax(logits, dim=0), state["before"] - after
        slope = shares * (fall - (shares * fall).sum()) + self.gamma * logits
        first = torch.lerp(state["first"], slope, 1 - _BETA1)
        second = torch.lerp(state["second"], slope.square(), 1 - _BETA2)
        size = (second / (1 - _BETA2**moves)).sqrt() + _EPSILON
        rate = self.lr / (1 - _BETA1**moves)
        return {"logits": logits - rate * first / size, "first": first, "second": second, "moves": moves}
