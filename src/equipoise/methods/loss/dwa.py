"""Dynamic weight average: a task whose loss falls slowly gets more weight."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import LossError, SettingError
from ..base import Answer, State, StateTensor, Step, WeightedSum
from ..parts.domain import is_positive

__all__ = ["DWA"]

_LARGEST = torch.finfo(torch.float64).max / 4


@dataclass(frozen=True)
class DWA(WeightedSum):
    r"""Weights from the ratio of the last two epochs' mean losses.

    .. math:: a = \operatorname{softmax}(r / T), \qquad r_i = \bar L_i(e - 1) / \bar L_i(e - 2)

    in epoch e, with the bar the mean over an epoch's steps and T the temperature. Uniform for the first two epochs.

    Shapes:
        losses (k,) -> scalar; state ``total``, ``count``, ``last``, ``earlier``, ``epochs`` (k,).
    Scale:
        Weights sum to 1 (published: k); they do not change with the losses' units.
    Degenerate:
        A task seen in fewer than two epochs has r = 1; so has one whose earlier mean is zero. A task absent for a
        whole epoch keeps its history. k = 1: the loss itself.
    Errors:
        `LossError` at the end of an epoch whose mean loss is negative: a ratio then says nothing. `ClockError` (from
        the Balancer) without an epoch clock.
    Cost:
        None.
    Source:
        Liu, Johns & Davison (2019), arXiv:1803.10704, eq. 7.

    Args:
        T: Temperature, > 0; 2 as published. Large T gives equal weights.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(DWA(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # no history yet
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu, Johns & Davison (2019), arXiv:1803.10704"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        StateTensor("total", merge="sum"),
        StateTensor("count", merge="sum"),
        StateTensor("last", merge="mean"),
        StateTensor("earlier", merge="mean"),
        StateTensor("epochs"),
    )

    T: float = 2.0

    def __post_init__(self) -> None:
        if not is_positive(self.T):
            raise SettingError(f"`T` is a temperature and must be positive and finite; got {self.T!r}.")

    @property
    def per_epoch(self) -> bool:
        return True

    def init(self, k: int, n: int = 0) -> State:
        del n
        names = [tensor.name for tensor in self.state_tensors]
        return {name: torch.zeros(k, dtype=torch.float64) for name in names}

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        del step
        known = (state["epochs"] >= 2) & (state["earlier"] > 0)
        ratio = torch.where(known, state["last"] / state["earlier"], 1.0)
        weights = torch.softmax((ratio / self.T).clamp(max=_LARGEST), dim=0)  # two infinities would make NaN
        state = {**state, "total": state["total"] + losses, "count": state["count"] + 1}
        return Answer(weights, state)

    def end_epoch(self, state: State) -> State:
        seen = state["count"] > 0
        means = torch.where(seen, state["total"] / state["count"], state["last"])
        if (means < 0).any():
            raise LossError(
                "DWA compares loss ratios, so an epoch's mean loss must not be negative; the epoch means of tasks "
                f"number {torch.nonzero(means < 0).ravel().tolist()} (from 0) are {means[means < 0].tolist()}. "
                "Use a method that allows any sign, for example LinearScalarization."
            )
        return {
            "total": torch.zeros_like(means),
            "count": torch.zeros_like(means),
            "last": means,
            "earlier": torch.where(seen, state["last"], state["earlier"]),
            "epochs": state["epochs"] + seen,
        }
