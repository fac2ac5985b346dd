"""Problems of two gradients in closed form: the answers and certificates of the general solvers, sooner.

Two gradients that are far from parallel and from opposite leave none of the cases for which the solvers take care: no
dependence, no stationary point, no rounding that matters. What is left is a choice between three supports.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.numbers import Array
from .solution import Solution, Status

__all__ = ["TwoGradients", "in_closed_form"]

_APART = 0.999  # largest size of the cosine
_ROUNDING = 1e-12


class TwoGradients(NamedTuple):
    """Two gradients with -0.999 <= cosine <= 0.999.

    Attributes:
        norms: |g_1| and |g_2|, positive.
        cosine: Cosine of their angle.
    """

    norms: tuple[float, float]
    cosine: float

    def min_norm(self) -> Solution:
        """As `min_norm_point`."""
        first, second = self._inverse
        pulls = self._solved(first, second)
        pulls = (max(pulls[0], 0.0), max(pulls[1], 0.0))
        total = first * pulls[0] + second * pulls[1]
        pulls = pulls[0] / total, pulls[1] / total
        products = self._products(pulls)
        value = pulls[0] * products[0] + pulls[1] * products[1]
        gap = max(value - min(products[0] / first, products[1] / second), 0.0)
        weights = first * pulls[0], second * pulls[1]
        size = weights[0] + weights[1]
        return _solution([weights[0] / size, weights[1] / size], gap / value)

    def on_dual_cone(self, points: Array) -> Solution:
        """As `project_on_dual_cone`."""
        rows: list[list[float]] = points.tolist()
        weights, residual = [0.0, 0.0], 0.0
        for row in rows:
            pulls = row[0] * self.norms[0], row[1] * self.norms[1]
            size = abs(pulls[0]) + abs(pulls[1])
            added = (0.0, 0.0)
            if size:
                pulls = pulls[0] / size, pulls[1] / size
                added = self._opposed(self._products(pulls))
                left = self._products((pulls[0] + added[0], pulls[1] + added[1]))
                misses = [abs(one) if more else -one for one, more in zip(left, added, strict=True)]
                residual = max(residual, *misses)
            for i in range(2):
                weights[i] += row[i] + size * added[i] / self.norms[i]
        return _solution(weights, residual)

    def in_ball(self, radius: float) -> Solution:
        """As `descent_in_ball`, for a positive radius."""
        longest = max(self.norms)
        inverse = self._inverse
        slopes = self._products((self.norms[0] / (2 * longest), self.norms[1] / (2 * longest)))
        square = sum(slope * norm for slope, norm in zip(slopes, self.norms, strict=True)) / (2 * longest)
        reach = radius * math.sqrt(square)
        pulls = self._reaching(reach, inverse, slopes)
        products = self._products(pulls)
        worst = min((products[i] + slopes[i]) / inverse[i] for i in range(2))
        total = inverse[0] * pulls[0] + inverse[1] * pulls[1]
        along = (slopes[0] * pulls[0] + slopes[1] * pulls[1]) / total
        across = reach * reach / total
        gap = max(along + across - worst, 0.0) / (abs(along) + across)
        return _solution([0.5 + pulls[i] * longest / self.norms[i] for i in range(2)], gap)

    def nash(self) -> Solution:
        """As `alpha_fair_weights` for alpha = 1: both pulls are the same."""
        pull = 1 / math.sqrt(1 + self.cosine)
        length = math.sqrt(2.0)  # of d, as <a g, d> = 1 for either
        residual = abs(pull * (1 + self.cosine) - 1 / pull) / length
        return _solution([pull / self.norms[0], pull / self.norms[1]], residual)

    @property
    def _inverse(self) -> tuple[float, float]:
        """1/|g| in units of the shorter's."""
        shortest = min(self.norms)
        return shortest / self.norms[0], shortest / self.norms[1]

    def _products(self, pulls: tuple[float, float]) -> tuple[float, float]:
        return pulls[0] + self.cosine * pulls[1], pulls[1] + self.cosine * pulls[0]

    def _solved(self, first: float, second: float) -> tuple[float, float]:
        """The pulls with these products."""
        rest = (1 - self.cosine) * (1 + self.cosine)
        return (first - self.cosine * second) / rest, (second - self.cosine * first) / rest

    def _opposed(self, offsets: tuple[float, float]) -> tuple[float, float]:
        """The z >= 0 with C z + offsets >= 0, complementary."""
        first, second = offsets
        if first >= 0 and second >= 0:
            return 0.0, 0.0
        if first < 0 and second - self.cosine * first >= 0:
            return -first, 0.0
        if second < 0 and first - self.cosine * second >= 0:
            return 0.0, -second
        return self._solved(-first, -second)

    def _reaching(self, reach: float, inverse: tuple[float, float], slopes: tuple[float, float]) -> tuple[float, float]:
        """Pulls of this length whose gradient-wise worst descent is best."""
        if slopes[1] + self.cosine * reach >= (slopes[0] + reach) * inverse[1] / inverse[0]:
            return reach, 0.0
        if slopes[0] + self.cosine * reach >= (slopes[1] + reach) * inverse[0] / inverse[1]:
            return 0.0, reach
        up, off = self._solved(*inverse), self._solved(*slopes)  # both descend alike by t: pulls t * up - off
        bend = inverse[0] * up[0] + inverse[1] * up[1]
        middle = inverse[0] * off[0] + inverse[1] * off[1]
        rest = slopes[0] * off[0] + slopes[1] * off[1] - reach * reach
        t = (middle + math.sqrt(max(middle * middle - bend * rest, 0.0))) / bend
        for _ in range(2):  # the length itself, free of the cancellation in the coefficients
            pulls = t * up[0] - off[0], t * up[1] - off[1]
            products = self._products(pulls)
            t -= (pulls[0] * products[0] + pulls[1] * products[1] - reach * reach) / (
                2 * (up[0] * products[0] + up[1] * products[1])
            )
        pulls = max(t * up[0] - off[0], 0.0), max(t * up[1] - off[1], 0.0)
        products = self._products(pulls)
        length = math.sqrt(pulls[0] * products[0] + pulls[1] * products[1])
        return pulls[0] * reach / length, pulls[1] * reach / length


def in_closed_form(gramian: Array, solve: Callable[[TwoGradients], Solution]) -> Solution | None:
    """The solution for two gradients that are far apart, if its certificate is at rounding; None: ask the solver for k.

    Args:
        gramian: Gramian of the gradients, (k, k).
        solve: Which problem, for example ``TwoGradients.min_norm``.

    Example:
        >>> in_closed_form(np.diag([1.0, 3.0]), TwoGradients.min_norm).value
        array([0.75, 0.25])
        >>> in_closed_form(np.array([[1.0, -1.0], [-1.0, 1.0]]), TwoGradients.min_norm) is None
        True
    """
    if len(gramian) != 2:
        return None
    (first, cross), (_, second) = gramian.tolist()
    if not (first > 0 and second > 0):
        return None
    norms = math.sqrt(first), math.sqrt(second)
    cosine = cross / norms[0] / norms[1]
    if not -_APART <= cosine <= _APART:
        return None
    found = solve(TwoGradients(norms, cosine))
    return found if found.certificate <= _ROUNDING else None


def _solution(weights: list[float], certificate: float) -> Solution:
    return Solution(np.array(weights), Status.SOLVED, certificate)
