"""Weights that follow the min-norm problem by one unbiased step at a time."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...errors import SettingError
from ..base import Answer, GramianMethod, State, StateTensor, Step
from ..parts.dual_weights import DUAL_STATE, simplex_step, uniform_dual

__all__ = ["MoDo"]


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
        is given, J1 = J2 and the step is biased by the noise of the gradients. k = 1: the gradient.
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
    state_tensors: ClassVar[tuple[StateTensor, ...]] = DUAL_STATE

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
