"""The theorem's test: can weighted sums of the losses reach every Pareto-optimal model of this width?"""

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...core.records.audit import Condition
from ...errors import SettingError
from ..problem.fields import task_names
from ..problem.gramian import RANK_TOLERANCE, checked_gramian, checked_width, correlations
from .signed_graph import colouring, conflict_margin, shortest_conflict

__all__ = ["condition"]


_ZERO_CORRELATION = 1e-12
"""A correlation below this is the rounding of a product over rows."""

_LARGEST_CONDITION = 1e10

_SIGN_TEST = "sign test of the correlations"
_INVERSE_TEST = "sign test of the inverse of the correlations"


def condition(gramian: ArrayLike, width: int, *, tasks: Sequence[str] | None = None, noise: float = 0.0) -> Condition:
    """Whether weighted sums can reach every trade-off of a linear model with a shared layer of width q.

    Hu et al. (NeurIPS 2023, theorems 2 and 3): for full-rank G they do

    * at q = 1 exactly when tasks can be flipped (y_i -> -y_i) so that all correlations of the predictions,
      G_ij / sqrt(G_ii G_jj), are non-negative;
    * at q = k - 1 exactly when the same holds for the inverse of the correlations.

    Flips exist exactly when the signed graph of the correlations has no cycle with a negative product, so
    the test costs O(k^2) after the inverse, and never enumerates signs. For q >= rank G one model is best at
    every task. For 1 < q < rank - 1 theory has no answer. Where G is rank-deficient, the test at q = 1 still
    shows that weights suffice when it holds, but proves nothing when it fails (three tasks in a plane are a
    counterexample), and there is no test at q = rank - 1. Tasks that cannot be predicted at all do not
    count.

    Args:
        gramian: (k, k) Gramian G of the least-squares predictions.
        width: Shared width q >= 1.
        tasks: Names of the k tasks, used in `cycle`. Default ``task0``, ``task1``, ...
        noise: Correlations up to this size may be noise: a conflict is called ``fails`` only if it remains
            without them, else ``undetermined``. In [0, 1).

    Returns:
        The outcome. `margin` is the largest tau such that the correlations of size tau and more are in
        conflict, `cycle` the shortest conflict cycle among these strongest correlations,
        `cycle_correlations` its edges (for the inverse test, entries of the inverse scaled to unit
        diagonal). ``undetermined`` also where the inverse is not to be trusted (condition number of the
        correlations above 1e10).

    Raises:
        GramianError: Not a Gramian.
        SettingError: Width or noise out of range.
        TaskError: Another number of names, doubled names, or a single string.

    Example:
        >>> held = condition([[1.0, -0.2, 0.1], [-0.2, 1.0, -0.3], [0.1, -0.3, 1.0]], 1)
        >>> held.status, held.signs
        ('holds', (1, -1, 1))
        >>> failed = condition([[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]], 1, tasks=("a", "b", "c"))
        >>> failed.status, failed.cycle, failed.margin
        ('fails', ('a', 'b', 'c'), 0.3)
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    names = task_names(tasks, len(matrix), "the Gramian has {} tasks", least=1)
    if isinstance(noise, bool) or not isinstance(noise, Real) or not 0 <= noise < 1:
        raise SettingError(
            f"noise is the size of a correlation, at least 0 and below 1; found {noise!r}. Pass 0.0 for none"
        )
    related = correlations(matrix)
    present = related.diagonal() > 0
    spectrum = np.linalg.eigvalsh(related[np.ix_(present, present)]) if present.any() else np.zeros(0)
    rank = int((spectrum > RANK_TOLERANCE * spectrum[-1]).sum()) if len(spectrum) else 0
    full = rank == int(present.sum())
    if width >= rank:
        return _answer("single point", "comparison of the width with the number of dimensions", rank=rank)
    if width == 1:
        return _signed(related, names, zero=_ZERO_CORRELATION, noise=noise, test=_SIGN_TEST, rank=rank, necessary=full)
    if width < rank - 1 or not full:
        note = (
            "the predictions are linearly dependent, and the test for this width needs them independent"
            if width == rank - 1
            else "no test is known for widths between 1 and the number of dimensions less one"
        )
        return _answer("open", "none", rank=rank, note=note)
    spread = float(spectrum[-1] / spectrum[0])
    if spread > _LARGEST_CONDITION:
        note = f"the condition number of the correlations is {spread:.1e}: their inverse cannot be trusted"
        return _answer("undetermined", _INVERSE_TEST, rank=rank, note=note, necessary=True)
    inverse = np.zeros_like(related)
    inverse[np.ix_(present, present)] = np.linalg.inv(related[np.ix_(present, present)])
    scaled = correlations((inverse + inverse.T) / 2)
    zero = 10 * float(np.finfo(np.float64).eps) * spread
    return _signed(scaled, names, zero=zero, noise=noise, test=_INVERSE_TEST, rank=rank, necessary=True)


def _answer(status: str, test: str, *, rank: int, necessary: bool = False, note: str = "") -> Condition:
    none = {"margin": 0.0, "signs": (), "cycle": (), "cycle_correlations": ()}
    given = {"status": status, "test": test, "necessary": necessary, "rank": rank, "note": note}
    return Condition.model_validate(given | none)


def _signed(
    matrix: Array, names: tuple[str, ...], *, zero: float, noise: float, test: str, rank: int, necessary: bool
) -> Condition:
    """The sign test of a matrix with unit diagonal."""
    signs = colouring(matrix, zero)
    margin = conflict_margin(matrix, signs, zero)
    cycle = shortest_conflict(matrix, signs, margin)
    note = ""
    if margin > 0 and margin <= noise:
        note = f"the conflict is gone if correlations up to {noise:.3g} are noise"
    elif margin > 0 and not necessary:
        note = "the predictions are linearly dependent: weights may suffice although the test fails"
    elif margin == 0 and not necessary:
        note = "the predictions are linearly dependent: the test shows that weights suffice, not that they must"
    return Condition(
        status="holds" if margin == 0 else "undetermined" if margin <= noise else "fails",
        test=test,
        necessary=necessary,
        margin=margin,
        signs=tuple(int(sign) for sign in signs) if margin == 0 else (),
        cycle=tuple(names[i] for i in cycle),
        cycle_correlations=tuple(float(matrix[i, j]) for i, j in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True)),
        rank=rank,
        note=note,
    )
