"""GradNorm: weights trained so that slow tasks get larger gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import LossError, SettingError
from ..base import Answer, CounterExample, GramianMethod, Heads, State, StateTensor, Step

__all__ = ["GradNorm"]


@dataclass(frozen=True)
class GradNorm(GramianMethod):
    r"""Weights that follow the gradient of a criterion of their own.

    .. math:: \min_w \sum_i \big|\, w_i |g_i| - t_i \,\big|, \qquad t_i = \bar m\, r_i^\alpha \text{ (constant)}, \qquad
              \bar m = \frac1k \sum_j w_j |g_j|, \qquad r_i = \frac{L_i / L_i(0)}{\frac1k \sum_j L_j / L_j(0)}

    The step uses the current weights; then
    :math:`w_i \leftarrow \max(w_i - \tfrac{\eta}{k}\, |g_i| \operatorname{sign}(w_i |g_i| - t_i),\, 0)`, divided by the
    sum. The gradients are those of the last shared layer where the Balancer was given one.

    Shapes:
        gramian (k, k) of that layer, losses (k,) -> weights (k,); state ``task_weights``, ``first`` (k,), the losses of
        each task's first step, zero before it.
    Scale:
        Weights sum to 1 (published: k, hence eta / k). The step in w is proportional to |g|, as published: its speed
        depends on the losses' units.
    Degenerate:
        A zero gradient leaves its weight where it is. Should every weight reach 0 in one step, they stay as they were.
        Tasks absent from a step keep their share; the present ones share the rest. k = 1: the gradient.
    Errors:
        `LossError` for a negative loss, or a first loss that is not positive: r_i then says nothing.
    Cost:
        O(k) on the CPU; without ``layer=`` the norms of the whole shared gradient are needed.
    Source:
        Chen et al. (2018), arXiv:1711.02257, eqs. 1-2 and algorithm 1. We differ: weights are kept non-negative, and
        move by plain gradient steps.

    Args:
        alpha: Strength of the pull towards equal training rates, at least 0; 1.5 as published, 0 for equal norms.
        lr: Step size eta of the weights, > 0.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(GradNorm(), [[1.0, 0.0], [0.0, 3.0]])  # the first step is the mean
        tensor([0.5000, 1.5000], dtype=torch.float64)
    """

    heads: ClassVar[Heads] = "weighted"
    on_layer: ClassVar[bool] = True
    source: ClassVar[str] = "Chen et al. (2018), arXiv:1711.02257"
    cost: ClassVar[str] = "O(k) on the CPU"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("task_weights"), StateTensor("first"))

    alpha: float = 1.5
    lr: float = 0.025

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise SettingError(f"`alpha` must be at least 0 and finite; got {self.alpha}.")
        if not 0 < self.lr < float("inf"):
            raise SettingError(f"`lr` must be positive and finite; got {self.lr}.")

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return False

    def init(self, k: int, n: int = 0) -> State:
        del n
        uniform = torch.full((k,), 1 / k, dtype=torch.float64)
        return {"task_weights": uniform, "first": torch.zeros(k, dtype=torch.float64)}

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "unanimity", "single"}
        return frozenset(laws | {"permutation", "no_conflict"} if k == 1 else laws)

    def refutes(self) -> Mapping[str, CounterExample]:
        return {"no_conflict": CounterExample(((9.0, 0.0), (-1.0, 1.0)))}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        if step.losses is None:
            raise LossError("GradNorm compares training rates; give `losses`.")
        losses = step.losses.to(gramian)
        held, first = state["task_weights"].to(gramian), state["first"].to(gramian)
        first = torch.where(first > 0, first, losses)
        named = zip(step.tasks.here, losses.tolist(), first.tolist(), strict=True)
        wrong = [f"{name} = {loss:g} (first {start:g})" for name, loss, start in named if loss < 0 or not start > 0]
        if wrong:
            raise LossError(
                f"GradNorm divides losses by their first values, so they must be positive; got {', '.join(wrong)}."
            )
        mass = held.sum()
        k = len(held)
        current = held / mass if mass > 0 else torch.full_like(held, 1 / k)
        norms = gramian.diagonal().sqrt()
        pulls = current * norms
        progress = losses / first
        rates = progress / progress.mean() if progress.any() else torch.ones_like(progress)
        sides = torch.sign(pulls - pulls.mean() * rates**self.alpha)
        moved = (current - self.lr / k * norms * sides).clamp(min=0.0)
        moved = moved / moved.sum() if moved.any() else current
        after = {"task_weights": moved * mass, "first": first}
        return Answer(current, {name: tensor.to(state[name]) for name, tensor in after.items()})
