"""A sweep over preferences that puts its next run where neighbouring losses lie farthest apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.names import doubled
from ..core.numbers import Array, is_whole, real_numbers
from ..core.tasks import Preference, ReferencePoint
from ..errors import DataError, SettingError, TaskError, listed
from ..linear.pools.pool_mixture import PoolMixture, mixture
from ..methods import LinearScalarization, Tchebycheff
from .decision import nondominated

__all__ = ["Sweep", "sweep"]

_NEW = 0.1
"""A run that lands nearer than this share of a gap to points known before does not split it."""
_LEAST = 0.01  # of the weights: less makes no other run
_FLAT = 1e-12  # of the largest range: rounding, and no range


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs, in the order in which they were made.

    Attributes:
        tasks: Names of the k tasks.
        preferences: The preference of each run, m of them.
        losses: (m, k) what training with them gave.
        reasons: m sentences: the corner of a task, or the gap that the run was to split.
        gaps: m pairs of rows between which the run was aimed; None for corners.
        holes: Pairs of rows whose gap a run did not split: for weighted sums a part of the front that no weights
            select among what training finds, or a front in pieces.
        largest_gap: Largest gap that was neither tried nor split, in shares of the losses' ranges.
        words: Why the sweep ended.
    """

    tasks: tuple[str, ...]
    preferences: tuple[Preference, ...]
    losses: Array
    reasons: tuple[str, ...]
    gaps: tuple[tuple[int, int] | None, ...]
    holes: tuple[tuple[int, int], ...]
    largest_gap: float
    words: str

    @property
    def front(self) -> NDArray[np.int64]:
        """Rows that no other dominates."""
        return np.flatnonzero(nondominated(self.losses))

    def mixture(self, preference: Preference) -> PoolMixture:
        """The best mixture of the runs for a preference, and the best single run beside it."""
        return mixture(self.losses, preference, tasks=self.tasks)


def sweep(
    train: Callable[[Preference], ArrayLike],
    tasks: Sequence[str],
    *,
    runs: int = 20,
    criterion: Literal["tchebycheff", "linear"] = "tchebycheff",
    gap: float = 0.05,
    known: Sweep | None = None,
    origin: Literal["utopia", "zero"] = "utopia",
) -> Sweep:
    r"""Train with one preference after another, each aimed at the largest gap of the front so far.

    The first k runs weigh one task each (the others at 1 %); with three and more tasks, k others leave one out. Then,
    with losses in shares of their ranges, the two neighbours of the front that lie farthest apart are taken, and the
    next run aims between them:

    * ``"linear"``: at weights in which no mixture of the runs beats a point below the middle of the gap: the dual
      prices of :math:`\max t : a^\top L \le \text{middle} - t \cdot \text{ranges}` over mixtures a, which for two tasks
      is the normal of the chord (Cohon, 1978). Only supported points are ever found.
    * ``"tchebycheff"``: at the ray from the lowest losses, or from zero, through the middle of the gap. Reaches concave
      parts.

    Where a weighted sum does not split its gap, training may have missed what is there, and the gap is tried once more
    halfway between the weights of its ends (the geometric mean). A gap that its runs did not split is a hole: it is
    listed, and not tried again.

    Args:
        train: Function from a preference (`Tchebycheff` or `LinearScalarization`) to the k losses of training with it,
            on the data on which the front is to be judged.
        tasks: k names, at least 2.
        runs: Largest number of runs, at least 2 for two tasks and 2 k for more.
        criterion: Kind of preference.
        gap: The sweep ends when no untried gap is larger than this share of the ranges.
        known: An earlier sweep of the same tasks that is gone on with: its runs come first and are not made again, and
            its holes are tried once more, with this criterion. `runs` then counts the new ones and may be 0.
        origin: Start of the rays: ``"utopia"``, a little below the lowest losses so far, or ``"zero"``. In training on
            other data than is judged, losses may fall below any utopia; zero needs positive losses.

    Raises:
        SettingError: Settings out of range.
        DataError: `train` returns something else than k finite numbers; runs made before are lost only if you keep
            none of them in `train`.

    Example:
        >>> import equipoise as eq
        >>> def train(preference):
        ...     return eq.front.find_points("expo", [preference], steps=100).losses[0]
        >>> found = sweep(train, ["f1", "f2"], runs=5)
        >>> len(found.losses), found.reasons[2]
        (5, 'between runs 0 and 1')
    """
    names = tuple(str(name) for name in tasks)
    k = len(names)
    if k < 2 or doubled(names):
        raise TaskError(f"`tasks` must be at least two different names; got {listed(names)}.")
    first = 0 if known is not None else k if k == 2 else 2 * k
    fine = criterion in ("tchebycheff", "linear") and origin in ("utopia", "zero")
    if not is_whole(runs, least=first) or not fine or not 0 < gap < 1:
        raise SettingError(
            f"`runs` must be a whole number of at least {first}, `criterion` 'tchebycheff' or 'linear', `origin` "
            f"'utopia' or 'zero', `gap` between 0 and 1; got runs={runs!r}, criterion={criterion!r}, "
            f"origin={origin!r}, gap={gap!r}."
        )
    if known is not None and known.tasks != names:
        raise TaskError(f"`known` is a sweep of {listed(known.tasks)}; these tasks are {listed(names)}.")
    preferences: list[Preference] = [] if known is None else list(known.preferences)
    reasons: list[str] = [] if known is None else list(known.reasons)
    gaps: list[tuple[int, int] | None] = [] if known is None else list(known.gaps)
    rows: list[Array] = [] if known is None else list(known.losses)
    most = len(rows) + runs

    def make(preference: Preference, reason: str, between: tuple[int, int] | None = None) -> None:
        found = real_numbers(train(preference), "what `train` returns", DataError, f"return {k} losses")
        if found.shape != (k,) or not np.isfinite(found).all():
            raise DataError(f"`train` must return {k} finite losses; for {preference!r} it gave {found.tolist()}.")
        preferences.append(preference)
        reasons.append(reason)
        gaps.append(between)
        rows.append(found)

    for i, name in enumerate(names if known is None else ()):
        corner = np.where(np.arange(k) == i, 1.0, 0.01)
        make(LinearScalarization(tuple((corner / corner.sum()).tolist())), f"the corner of {name!r}")
    for i, name in enumerate(names if k > 2 and known is None else ()):  # for two tasks the corner of the other
        rest = np.where(np.arange(k) == i, 0.01, 1.0)
        make(LinearScalarization(tuple((rest / rest.sum()).tolist())), f"all but {name!r}")
    holes: list[tuple[int, int]] = []
    words = f"all {runs} runs were made"
    largest = 0.0
    while True:
        losses = np.array(rows)
        edges = [(size, pair) for size, pair in _gaps(losses) if not _is_hole(losses, pair, holes)]
        largest = edges[0][0] if edges else 0.0
        if largest <= gap or len(rows) >= most:
            words = words if largest > gap else f"no gap that a run could split is larger than {gap:g} of the ranges"
            break
        size, pair = edges[0]
        aims = [_aimed(losses, pair, criterion, names, origin)]
        aims += _halfway(preferences, pair, aims[0]) if criterion == "linear" else []
        # a run may split its gap elsewhere than between the ends: then the same would be aimed at once more
        for aim in [aim for aim in aims if aim not in preferences][: most - len(rows)]:
            make(aim, f"between runs {pair[0]} and {pair[1]}", pair)
            near = np.sqrt((((losses - rows[-1]) / _ranges(losses)) ** 2).sum(axis=1)).min()
            if near >= _NEW * size and nondominated(np.array(rows))[-1]:
                break
        else:
            holes.append(pair)
    return Sweep(names, tuple(preferences), np.array(rows), tuple(reasons), tuple(gaps), tuple(holes), largest, words)


def _ranges(losses: Array) -> Array:
    front = losses[nondominated(losses)]
    ranges = np.ptp(front, axis=0)
    size = np.abs(losses).max(axis=0)
    return np.asarray(np.where(_flat(ranges), np.where(size > 0, size, 1.0), ranges))


def _flat(ranges: Array) -> NDArray[np.bool_]:
    """Losses that are the same all over the front, but for rounding."""
    return np.asarray(ranges <= _FLAT * ranges.max())


def _gaps(losses: Array) -> list[tuple[float, tuple[int, int]]]:
    """Neighbours on the front, the farthest apart first: pairs whose middle no third point is nearer to than they."""
    rows = np.flatnonzero(nondominated(losses))
    places = losses[rows] / _ranges(losses)
    distance = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2))
    found = []
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            others = np.delete(np.arange(len(rows)), [i, j])
            middle = (places[i] + places[j]) / 2
            nearest = np.sqrt(((places[others] - middle) ** 2).sum(axis=1)).min(initial=np.inf)
            if nearest >= distance[i, j] / 2 > 0:
                found.append((float(distance[i, j]), (int(rows[i]), int(rows[j]))))
    return sorted(found, key=lambda edge: (-edge[0], edge[1]))


def _is_hole(losses: Array, pair: tuple[int, int], holes: list[tuple[int, int]]) -> bool:
    """Whether both ends lie near those of a gap that a run did not split, or are such a gap."""
    places = losses / _ranges(losses)
    for hole in holes:
        width = float(np.linalg.norm(places[hole[0]] - places[hole[1]]))
        for ends in (hole, hole[::-1]):
            apart = np.linalg.norm(places[list(pair)] - places[list(ends)], axis=1)
            if apart.max() <= 2 * _NEW * width:
                return True
    return False


def _halfway(preferences: Sequence[Preference], pair: tuple[int, int], tried: Preference) -> list[Preference]:
    """The weighted sum halfway between those of two runs; none where it was tried, or a run is no weighted sum."""
    weights = [_weights(preference) for preference in (preferences[pair[0]], preferences[pair[1]], tried)]
    if any(found is None for found in weights):
        return []
    one, other, before = (np.maximum(found, _LEAST) for found in weights if found is not None)
    middle = np.sqrt(one * other)
    middle = middle / middle.sum()
    return [] if np.abs(middle - before).max() < _LEAST else [LinearScalarization(tuple(middle.tolist()))]


def _weights(preference: Preference) -> Array | None:
    """Weights of a weighted sum, sum 1."""
    if not isinstance(preference, LinearScalarization) or preference.weights is None:
        return None
    found = np.array([float(weight) for weight in preference.weights if not isinstance(weight, tuple)])
    return np.asarray(found / found.sum())


def _aimed(losses: Array, pair: tuple[int, int], criterion: str, names: tuple[str, ...], origin: str) -> Preference:
    middle, ranges = (losses[pair[0]] + losses[pair[1]]) / 2, _ranges(losses)
    flat = _flat(np.ptp(losses[nondominated(losses)], axis=0))
    if criterion == "linear":
        aim = np.where(flat, middle + ranges, middle)
        weights = mixture(losses, ReferencePoint(tuple(aim.tolist())), tasks=names).next_weights
        return LinearScalarization(_with_flat(weights, flat))
    if origin == "zero":
        if losses.min() <= 0:
            raise SettingError(f"origin='zero' needs positive losses; the lowest is {losses.min():.6g}. Use 'utopia'.")
        return Tchebycheff(weights=_with_flat(1 / middle, flat), ideal=None)
    utopia = losses.min(axis=0) - 0.05 * ranges  # less would ask for the lowest loss seen to be met exactly
    return Tchebycheff(weights=_with_flat(1 / (middle - utopia), flat), ideal=tuple(utopia.tolist()))


def _with_flat(weights: Array, flat: NDArray[np.bool_]) -> tuple[float, ...]:
    """Weights, sum 1; a loss that is the same all over the front gets their mean, for nothing is known of its unit."""
    found = np.where(flat, weights[~flat].mean(), weights)
    return tuple((found / found.sum()).tolist())
