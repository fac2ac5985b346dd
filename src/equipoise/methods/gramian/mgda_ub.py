"""MGDA on the gradients at the shared representation: one backward pass less deep, an upper bound only."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..base import Answer, Needs, State, Step
from ..parts.feature_gradients import warn_of_separate_samples
from .mgda import MGDA

__all__ = ["MGDAUB"]


@dataclass(frozen=True)
class MGDAUB(MGDA):
    r"""The min-norm point of the feature gradients.

    .. math:: a = \arg\min_{a \in \Delta} a^\top G_Z\, a, \qquad
              (G_Z)_{ij} = \langle \nabla_Z L_i, \nabla_Z L_j \rangle, \qquad d = J^\top a

    with Z the shared representation, kept per sample (B * width numbers a task). Since :math:`J = \nabla_Z L\, M` with
    M the Jacobian of the trunk, :math:`a^\top G a \le \|M\|^2 a^\top G_Z a`: an upper bound is minimised.

    It does NOT inherit MGDA's descent: with :math:`\nabla_Z L_1 = (0, 1), \nabla_Z L_2 = (-1, -1)` and
    :math:`M M^\top = \operatorname{diag}(1, 4)` the second loss rises. What holds: if M has full row rank, its fixed
    points are Pareto stationary. The norm of the feature combination is no stopping test, because it keeps the
    residuals that no parameter can remove.

    Shapes:
        gramian of the feature gradients (k, k) -> weights (k,) for the parameters' gradients.
    Scale, Degenerate, Errors:
        As `MGDA`, on G_Z; status ``STATIONARY`` speaks of the feature gradients.

    Warns:
        `EquipoiseWarning` where two or more tasks have no sample in common: G_Z is then diagonal, and the weights are
        1/|grad|^2, whatever the trunk makes of them.
    Cost:
        One backward pass through the heads for each task and a single one through the trunk; then O(k^3).
    Source:
        Sener & Koltun (2018), arXiv:1810.04650, section 3.3. Their proof of descent is wrong: x^T y >= 0 does not give
        x^T M y >= 0 (Su, *Notes on MGDA*, 3.3).

    Args:
        zero: The same setting as in `MGDA`.
        normalize: The same setting as in `MGDA`.
        solver: The same setting as in `MGDA`.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(MGDAUB(), [[1.0, -1.0], [-1.0, 2.0]])  # the example above
        tensor([0.6000, 0.4000], dtype=torch.float64)
    """

    needs: ClassVar[Needs] = "features"
    source: ClassVar[str] = "Sener & Koltun (2018), arXiv:1810.04650"
    cost: ClassVar[str] = "O(k^3) on the CPU; one backward pass through the trunk"

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) - {"no_conflict", "stationary"}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        warn_of_separate_samples(gramian, self)
        return super().weights(gramian, state, step)
