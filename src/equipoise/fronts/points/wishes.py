"""K preferences as K criteria, with multipliers of their own: what each solution descends, which point serves it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.numbers import Array
from ...core.tasks import Bounds, Preference, Ray, ReferencePoint, Tasks
from ...errors import LossError, PreferenceError, listed
from ...methods import LinearScalarization, Tchebycheff
from ...methods.parts.ideal import utopia_shift
from ..sets.criteria import Scale

__all__ = ["LEGS", "Wishes", "wishes_and_scouts"]

LEGS = (0.0, 0.4, 0.7, 1.0)
"""Shares of the steps between which each solution continues from the point that serves it best."""

_SOFT, _SHARP = 0.1, 0.01
_DUAL_RATE = 0.05
_PRICE_RATE = 0.02
_PENALTY = 50.0
_PENALTY_ALONE = 0.1  # share of the steps before prices move
_MARGIN = 2e-4  # of the size of a loss: aimed at below a limit, so that the limit itself holds
_AUGMENTED = 1e-4  # of points equally high on a ray, the one that no other dominates
_LOWEST = -40.0  # of a log multiplier below the largest: the task takes no part


class Wishes:
    r"""One preference a solution.

    ``LinearScalarization(w)`` descends w . f. ``Tchebycheff``, ``ReferencePoint`` and ``Ray`` minimise
    :math:`\max_i h_i`, :math:`h_i = (f_i - c_i) / p_i`, with the weights

    .. math:: q_i \propto a_i \exp(h_i / \mu), \qquad \log a_i \leftarrow \log a_i + \eta\, (h_i - q \cdot h) / \mu

    (exponential multipliers: at rest all h_i with a weight are equal, for any mu, so the point is exact and not only
    within mu log k). Of a Tchebycheff criterion c is the utopia point and its augmentation :math:`\rho` adds
    :math:`\rho / p_i` to the weights. ``Bounds`` descend :math:`\sum_{free} f_i / s_i` by an augmented Lagrangian,

    .. math:: q_j = \max(0, \lambda_j + \rho\, g_j), \quad g_j = (f_j - b_j) / s_j, \quad
              \lambda_j \leftarrow \max(0, \lambda_j + \eta \rho\, g_j)

    Args:
        preferences: K of them.
        tasks: Names of the k losses.
        scale: Ideal and sizes of the losses.
        slack: Share of a limit by which a point that is chosen may miss it: where a search comes by a limit only at a
            few points, one just above it may be far better than the best one below.

    Raises:
        PreferenceError: Another kind, or a length that does not fit.

    Source:
        Tseng & Bertsekas (1993) for exponential multipliers; Hestenes (1969), Rockafellar (1973) for the Lagrangian.
    """

    def __init__(
        self, preferences: Sequence[Preference], tasks: tuple[str, ...], scale: Scale, slack: float = 0.0
    ) -> None:
        self.preferences, self._scale, self._slack = tuple(preferences), scale, slack
        self._tasks, names = tasks, Tasks(tasks)
        count, k = len(preferences), len(tasks)
        self._linear, self._bounded = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self._rays = np.zeros(count, dtype=bool)
        self._fixed = np.zeros((count, k))  # weights of sums; weights of free tasks under bounds
        self._origin, self._pace = np.zeros((count, k)), np.ones((count, k))  # c and p; p = 0 where sizes decide
        self._running = np.zeros(count, dtype=bool)  # c is the ideal, less a share of its size
        self._shift = np.zeros((count, 1))
        self._added = np.zeros((count, 1))  # rho
        self._limits = np.full((count, k), np.inf)
        for row, wish in enumerate(preferences):
            if isinstance(wish, LinearScalarization):
                self._linear[row] = True
                self._fixed[row] = 1 / k if wish.weights is None else names.vector(wish.weights, "weights").numpy()
            elif isinstance(wish, Tchebycheff):
                weights = np.ones(k) if wish.weights is None else names.vector(wish.weights, "weights").numpy()
                self._pace[row] = 1 / np.maximum(weights, 1e-9 * weights.max())
                self._running[row], self._added[row] = wish.ideal == "running", wish.augmented
                self._shift[row] = utopia_shift(wish.utopia, wish.ideal)
                if not isinstance(wish.ideal, str | None):
                    ideal = names.vector(wish.ideal, "ideal").numpy()
                    self._origin[row] = ideal - self._shift[row] * np.abs(ideal)
            elif isinstance(wish, ReferencePoint):
                self._origin[row] = names.vector(wish.losses, "losses").numpy()
                self._pace[row] = 0.0
            elif isinstance(wish, Ray):
                self._rays[row] = True
                self._pace[row] = names.vector(wish.losses, "losses").numpy()
            elif isinstance(wish, Bounds):
                limits, free = wish.split(tasks)
                self._bounded[row], self._limits[row], self._fixed[row] = True, limits, np.array(free) / sum(free)
            else:
                kinds = "LinearScalarization, Tchebycheff, ReferencePoint, Ray or Bounds"
                raise PreferenceError(f"each of `preferences` must be {kinds}; got {wish!r}.")
        self._minmax = ~(self._linear | self._bounded)
        self._log = np.zeros((count, k))
        self._prices = np.zeros((count, k))
        self._plain = self._linear.any() or self._bounded.any()
        self._counted = np.isfinite(self._limits)

    def pull(self, losses: Array, share: float) -> Array:
        """Weights (K, k) that the solutions descend; `share` of the steps is done."""
        if self._rays.any() and losses.min() < 0:
            self._refuse_negative(losses)
        weights = np.zeros_like(losses)
        if self._minmax.any():
            weights = self._soft_maximum(losses, share)
        if self._plain:
            weights[self._linear] = self._fixed[self._linear]
            if self._bounded.any():
                weights[self._bounded] = self._lagrangian(losses, share)[self._bounded]
        return weights

    def choose(self, losses: Array, size: int) -> NDArray[np.int64]:
        """For each preference the row that serves it best; rows may repeat."""
        del size
        return np.array([int(np.argmin(self.criterion(losses, row))) for row in range(len(self.preferences))])

    def criterion(self, losses: Array, row: int) -> Array:
        """What a preference minimises, at losses (rows, k); for bounds that are missed, the miss far above the rest."""
        if self._linear[row]:
            return np.asarray(losses @ self._fixed[row])
        if self._bounded[row]:
            value = ((losses - self._scale.ideal) / self._scale.size) @ self._fixed[row]
            miss = self.miss(losses, row)
            return np.where(miss > 0, 1e6 * (1 + miss), value)
        origin, pace = self._heights_of(row)
        heights = (losses - origin) / pace
        added = max(_AUGMENTED / heights.shape[1], float(self._added[row, 0]))
        return np.asarray(heights.max(axis=1) + added * heights.sum(axis=1))

    def miss(self, losses: Array, row: int) -> Array:
        """(rows,) by how many sizes of its loss the worst limit is missed, beyond the slack; 0 where all are met."""
        slack = self._slack * np.where(self._counted[row], np.abs(self._limits[row]), 0.0)
        over = (losses - self._limits[row] - slack) / self._scale.size
        return np.asarray(np.maximum(over.max(axis=1), 0.0))

    def limits(self, row: int) -> Array:
        """(k,) limits of a preference; inf where there is none."""
        return np.asarray(self._limits[row])

    def _heights_of(self, row: int) -> tuple[Array, Array]:
        origin = self._utopia(row) if self._running[row] else self._origin[row]
        return origin, np.where(self._pace[row] > 0, self._pace[row], self._scale.size)

    def _utopia(self, rows: int | slice) -> Array:
        """What running ideals are measured from: (k,) for one row, (K, k) for all."""
        ideal = self._scale.ideal
        return np.asarray(ideal - self._shift[rows] * np.abs(ideal))

    def _soft_maximum(self, losses: Array, share: float) -> Array:
        size = self._scale.size
        origin = np.where(self._running[:, None], self._utopia(slice(None)), self._origin)
        pace = np.where(self._pace > 0, self._pace, size)
        # heights without unit: the steepest task spans its size
        unit = (size / pace).min(axis=1, keepdims=True)
        heights = (losses - origin) / (pace * unit)
        softness = _SOFT * (_SHARP / _SOFT) ** min(2 * share, 1.0)
        exponents = self._log + heights / softness
        exponents -= exponents.max(axis=1, keepdims=True)
        shares = np.exp(exponents)
        shares /= shares.sum(axis=1, keepdims=True)
        mean = (shares * heights).sum(axis=1, keepdims=True)
        self._log += np.clip(_DUAL_RATE * (heights - mean) / softness, -1.0, 1.0)
        self._log = np.maximum(self._log - self._log.max(axis=1, keepdims=True), _LOWEST)
        return np.asarray((shares + self._added) / pace)

    def _lagrangian(self, losses: Array, share: float) -> Array:
        size = self._scale.size
        over = np.where(self._counted, (losses - self._limits) / size + _MARGIN, 0.0)
        pushed = np.where(self._counted, np.maximum(self._prices + _PENALTY * over, 0.0), 0.0)
        if share > _PENALTY_ALONE:  # prices paid for a start far from the limits would take long to fall
            raised = self._prices + _PRICE_RATE * _PENALTY * np.clip(over, -0.1, 0.1)
            self._prices = np.where(self._counted, np.maximum(raised, 0.0), 0.0)
        return np.asarray((self._fixed + pushed) / size)

    def _refuse_negative(self, losses: Array) -> None:
        below = (losses < 0) & self._rays[:, None]
        if below.any():
            names = [name for i, name in enumerate(self._tasks) if below[:, i].any()]
            raise LossError(
                f"a `Ray` needs losses of at least 0; those of {listed(names)} fall to {losses[below].min():.6g}. Use "
                "eq.ReferencePoint, or add a constant to these losses."
            )


def wishes_and_scouts(wanted: Sequence[Preference], tasks: tuple[str, ...], scale: Scale, slack: float = 0.0) -> Wishes:
    """The wishes, and one more for each loss alone.

    So the ideal, and with it every unit, does not depend on the other wishes.
    """
    scouts = [LinearScalarization(row) for row in np.eye(len(tasks)).tolist()]
    return Wishes([*wanted, *scouts], tasks, scale, slack)
