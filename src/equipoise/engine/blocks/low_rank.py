r"""Tasks whose gradients at the features are linear combinations of others: as many passes as the rank.

If :math:`Z_t = \sum_b c_{tb} Z_b` over basis tasks b, the same holds for every parameter behind the features, so
:math:`J = C J_b` and :math:`G = C G_b C^\top`. Only basis tasks go back through the trunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..reals import real_count, reals
from .part import Kept, Part

__all__ = ["Dependence", "MixedRows", "find_dependence"]

_TOLERANCE = 8.0  # units of rounding of the features' type, relative to the gradient's norm
_FLOOR = 64.0  # units of rounding of float64, in which the check itself is computed
_FOLD = 4096
_SUSPICIOUS = 1e-10  # smallest eigenvalue of the normalised Gramian below which the gradients are read in full


@dataclass(frozen=True, eq=False)
class Dependence:
    """Linear dependence of all tasks' gradients on those of some tasks.

    Attributes:
        basis: Numbers of the r basis tasks, ascending.
        coefficients: (k, r) coefficients of every task's gradient in the basis, float64.
    """

    basis: tuple[int, ...]
    coefficients: Tensor


@dataclass(frozen=True, eq=False)
class MixedRows:
    """k rows that are linear combinations of r basis rows.

    Attributes:
        part: The r rows of the basis.
        coefficients: (k, r) coefficients of every row in the basis, float64.
    """

    part: Part
    coefficients: Tensor

    @property
    def parameters(self) -> Sequence[Tensor]:
        """Parameters of the basis rows."""
        return self.part.parameters

    def gramian(self) -> Tensor:
        """(k, k) Gramian C G_b C^T, float64."""
        gramian = self.part.gramian()
        coefficients = self.coefficients.to(gramian.device)
        return coefficients @ gramian @ coefficients.T

    def combine(self, weights: Tensor) -> Sequence[Tensor | None]:
        """The basis rows, combined with weights C^T w."""
        return self.part.combine(self.coefficients.to(weights).T @ weights)

    def along(self, step: Sequence[Tensor]) -> Tensor | None:
        """(k,) inner products with a step, float64; None where the basis rows are not kept."""
        if not isinstance(self.part, Kept):
            return None
        products = self.part.along(step)
        return None if products is None else self.coefficients.to(products.device) @ products

    def only(self, rows: Sequence[int]) -> "MixedRows":
        """Some of the rows."""
        return MixedRows(self.part, self.coefficients[list(rows)])

    def of(self, parameters: Sequence[Tensor]) -> "MixedRows":
        """Some of the parameters."""
        return MixedRows(self.part.of(parameters), self.coefficients)

    def nonfinite(self, row: int) -> tuple[Tensor | str, int, int] | None:
        """As `Part.nonfinite`, for the first affected basis row that this row uses."""
        used = torch.nonzero(self.coefficients[row]).ravel().tolist()
        return next((spot for number in used if (spot := self.part.nonfinite(number)) is not None), None)


def find_dependence(at_features: Sequence[Sequence[Tensor | None]], features: Sequence[Tensor]) -> Dependence | None:
    """Looks for tasks that are linear combinations of others at the features.

    A combination counts where it leaves at most 1e-6 of the gradient's norm in float32 (8 units of rounding) and
    1.4e-14 in float64 (64): truncation at any coarser level would remove the small directions that min-norm weights
    depend on.

    Args:
        at_features: One list per task of its gradients at the feature tensors; None stands for zero.
        features: Tensors between trunk and heads.

    Returns:
        The dependence, or None where the gradients are independent (or not finite, or all zero). Cost: some thousand
        numbers of each gradient are read; all of them only where those look dependent.
    """
    if len(at_features) < 2:
        return None
    for view in (_sampled, _folded):  # what is independent in part is independent
        seen = torch.stack([view(_laid_out(row, features)) for row in at_features]).double()
        norms = seen.norm(dim=1, keepdim=True)
        norms = torch.where(torch.isfinite(norms), norms, torch.nan)
        unit = seen / norms.clamp_min(torch.finfo(torch.float64).tiny)
        cosines = (unit @ unit.T).cpu()  # one copy from the device
        if not bool(torch.isfinite(cosines).all()) or float(torch.linalg.eigvalsh(cosines)[0]) > _SUSPICIOUS:
            return None
    whole = torch.stack([_laid_out(row, features) for row in at_features]).double()
    kind = torch.promote_types(features[0].real.dtype, torch.float32)
    return _reduce(whole, max(_TOLERANCE * torch.finfo(kind).eps, _FLOOR * torch.finfo(torch.float64).eps))


def _reduce(rows: Tensor, tolerance: float) -> Dependence | None:
    """Pivoted orthogonalisation: the largest remaining row joins the basis."""
    norms = rows.norm(dim=1, keepdim=True)
    left = rows / norms.clamp_min(torch.finfo(torch.float64).tiny)
    chosen: list[int] = []
    for _ in range(len(rows)):
        lengths = left.norm(dim=1)
        pivot = int(lengths.argmax())
        if float(lengths[pivot]) <= tolerance:
            break
        direction = left[pivot] / lengths[pivot]
        for _ in range(2):  # the second time removes what rounding left
            left = left - (left @ direction)[:, None] * direction
        chosen.append(pivot)
        left[chosen] = 0.0
    basis = sorted(chosen)
    if not basis or len(basis) == len(rows):
        return None
    coefficients = torch.linalg.lstsq(rows[basis].T, rows.T).solution.T.contiguous()
    coefficients[basis] = torch.eye(len(basis), dtype=torch.float64, device=rows.device)
    missing = (rows - coefficients @ rows[basis]).norm(dim=1, keepdim=True)
    if bool((missing > tolerance * norms).any()):
        return None
    return Dependence(tuple(basis), coefficients)


def _laid_out(gradients: Sequence[Tensor | None], features: Sequence[Tensor]) -> Tensor:
    """One row over all features."""
    pieces = [
        torch.zeros(real_count(feature), dtype=feature.real.dtype, device=feature.device)
        if gradient is None
        else reals(gradient.detach())
        for gradient, feature in zip(gradients, features, strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat([piece.to(pieces[0]) for piece in pieces])


def _sampled(row: Tensor) -> Tensor:
    """About two thousand numbers from the middle of a row."""
    return row.narrow(0, max(0, (len(row) - _FOLD // 2) // 2), min(len(row), _FOLD // 2))


def _folded(row: Tensor) -> Tensor:
    """A row added up modulo 4096, which preserves every dependence and rarely creates one."""
    whole = len(row) // _FOLD * _FOLD
    total = row[:whole].view(-1, _FOLD).sum(dim=0) if whole else torch.zeros(_FOLD, dtype=row.dtype, device=row.device)
    total[: len(row) - whole] += row[whole:]
    return total
