"""Aligned-MTL on the gradients at the shared representation."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..base import Answer, Needs, State, Step
from ..parts.feature_gradients import warn_of_separate_samples
from .aligned_mtl import AlignedMTL

__all__ = ["AlignedMTLUB"]


@dataclass(frozen=True)
class AlignedMTLUB(AlignedMTL):
    r"""The alignment of `AlignedMTL`, computed from the feature gradients.

    .. math:: G_Z = V S V^\top, \qquad a = \sqrt{s}\, V S^{-1/2} V^\top w, \qquad d = J^\top a

    with :math:`(G_Z)_{ij} = \langle \nabla_Z L_i, \nabla_Z L_j \rangle` over the shared representation Z, per sample.
    The aligned feature gradients are orthogonal and equally long; the parameters' gradients need not be.

    Shapes:
        gramian of the feature gradients (k, k) -> weights (k,) for the parameters' gradients.
    Scale, Degenerate, Accuracy:
        As `AlignedMTL`, on G_Z.

    Warns:
        `EquipoiseWarning` where the tasks have no sample in common: the weights are then 1/|grad| in shape.
    Cost:
        One backward pass through the heads for each task and a single one through the trunk; then O(k^3).
    Source:
        Senushkin et al. (2023), arXiv:2305.19000.

    Args:
        task_weights: The same setting as in `AlignedMTL`.
        scale: The same setting as in `AlignedMTL`.
        rank_tolerance: The same setting as in `AlignedMTL`.

    Example:
        >>> import equipoise as eq
        >>> eq.weights(AlignedMTLUB(), [[1.0, 1.0], [1.0, 1.0]])
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    needs: ClassVar[Needs] = "features"
    source: ClassVar[str] = "Senushkin et al. (2023), arXiv:2305.19000"
    cost: ClassVar[str] = "O(k^3) on the CPU; one backward pass through the trunk"

    def claims(self, k: int) -> frozenset[str]:
        return super().claims(k) - {"no_conflict"}

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        warn_of_separate_samples(gramian, self)
        return super().weights(gramian, state, step)
