"""Weights that follow the min-norm problem by one unbiased step at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve.simplex import project_to_simplex
from ..base import Answer, GramianMethod, State, StateTensor, Step

__all__ = ["MoDo", "simplex_step", "uniform_dual"]


def uniform_dual(k: int) -> State:
    """The state of a point of the simplex before the first step."""
    return {"dual": torch.full((k,), 1 / k, dtype=torch.float64)}


def simplex_step(state: State, slope: Callable[[Tensor], Tensor], step_size: float) -> tuple[Tensor, State]:
    """One projected gradient step of the present tasks' part of a remembered point of the simplex.

    Args:
        state: Holds ``dual``, (k,), of the present tasks; absent ones keep their part.
        slope: Gradient at shares of sum 1.
        step_size: Positive.

    Returns:
        The present tasks' shares after the step, sum 1, and the state. A present group that has lost all its weight
        moves from equal shares and gets none.

    Example:
        >>> shares, _ = simplex_step(uniform_dual(2), lambda a: torch.tensor([0.0, 1.0]), 0.4)
        >>> shares
        tensor([0.7000, 0.3000], dtype=torch.float64)
    """
    dual = state["dual"]
    mass = dual.sum()
    shares = dual / mass if mass > 0 else torch.full_like(dual, 1 / len(dual))
    moved = shares - step_size * slope(shares)
    after = torch.from_numpy(project_to_simplex((moved - moved.max()).numpy()))
    return after, {**state, "dual": after * mass}


@dataclass(frozen=True)
class MoDo(GramianMethod):
    r"""Multi-objective gradient with double sampling.

    .. math:: \lambda \leftarrow \operatorname{Proj}_\Delta\big(\lambda - \gamma (J_1 J_2^\top + \rho I) \lambda\big),
              \qquad d = J_3^\top \lambda

    J_1, J_2 come from two independent batches, so that the step of :math:`\lambda` is unbiased; J_3 is the batch whose
    losses are balanced. :math:`\lambda` is uniform at the start.

    Shapes:
        cross Gramian J1 J2^T (k, k), need not be symmetric -> weights (k,); state ``dual`` (k,).
    Scale:
        Weights sum to 1. gamma is per squared unit of a gradient: there is no degree, and gamma * |g|^2 far above 1
        throws all weight on one task.
    Degenerate:
        Every step is defined. A zero gradient is left out, and its share is not given to others. Where only one batch
        is at hand, J1 = J2 and the step is biased by the noise of the gradients. k = 1: the gradient.
    Cost:
        O(k^2), and a second batch.
    Source:
        Chen et al. (2023), arXiv:2305.20057, algorithm 1.

    Args:
        gamma: Step size of the weights, positive.
        rho: Pull towards equal weights, at least 0.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(MoDo(gamma=0.1, rho=0.0), [[1.0, 0.0], [0.0, 3.0]])
        tensor([0.5500, 0.4500], dtype=torch.float64)
    """

    source: ClassVar[str] = "Chen et al. (2023), arXiv:2305.20057"
    cost: ClassVar[str] = "O(k^2) and a second batch"
    samples_twice: ClassVar[bool] = True
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("dual"),)

    gamma: float = 0.1
    rho: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.gamma < float("inf"):
            raise SettingError(f"`gamma` must be positive and finite; got {self.gamma}.")
        if not 0 <= self.rho < float("inf"):
            raise SettingError(f"`rho` must be at least 0 and finite; got {self.rho}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return uniform_dual(k)

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "unanimity", "single"}
        return frozenset(laws | {"no_conflict"} if k == 1 else laws)

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        cross = gramian if step.cross_gramian is None else step.cross_gramian
        shares, after = simplex_step(state, lambda dual: cross @ dual + self.rho * dual, self.gamma)
        return Answer(shares, after)
