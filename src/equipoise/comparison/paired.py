"""Differences of two entrants over paired seeds: mean, interval, tests, and what so many seeds can show.

Each seed draws a split of the same rows, so the differences are correlated: with independent ones the variance of
their mean is S^2 / n, here it is about S^2 (1 / n + n_test / n_train). Nadeau and Bengio (2003), Machine Learning 52,
section 3, "corrected resampled t-test". The correction supposes a correlation of n_test / (n_train + n_test) between
two splits; if that is right and differences are normal, the statistic has Student's distribution with n - 1 degrees
of freedom exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from ..errors import SettingError

__all__ = ["LEVEL", "POWER", "Paired", "detectable", "paired", "power", "seeds_needed"]

LEVEL = 0.05
"""Two-sided level of tests; intervals cover 1 - LEVEL."""
POWER = 0.8
"""Chance with which a difference that is called detectable is detected."""
_MOST_SEEDS = 200
_ROUNDING = 1e-12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_QUANTILES, _MASSES = (_NODES + 1) / 2, _WEIGHTS / 2
"""Quantiles of the observed spread over which a power is integrated."""


@dataclass(frozen=True)
class Paired:
    """The mean of paired differences and how well it is known.

    Attributes:
        n: Number of pairs.
        mean: Mean of the differences.
        low, high: 95 % interval of the mean; None where none can be given: fewer than two pairs, or differences that
            are equal up to rounding, whose spread says nothing.
        error: Standard error of the mean, corrected for overlap; None likewise.
        spread: Standard deviation between seeds, S; None with one pair.
        overlap: n_test / n_train where splits overlap, else 0.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    error: float | None
    spread: float | None
    overlap: float

    def p_below(self) -> float:
        """One-sided p-value for "the mean is below zero"; 1 where there is no interval."""
        return 1.0 if self.error is None else float(stats.t.cdf(self.mean / self.error, self.n - 1))

    def p_above(self) -> float:
        """One-sided p-value for "the mean is above zero"; 1 where there is no interval."""
        return 1.0 if self.error is None else float(stats.t.sf(self.mean / self.error, self.n - 1))


def paired(differences: Sequence[float], overlap: float) -> Paired:
    """The mean of paired differences with its interval.

    Args:
        differences: One a seed, finite, at least one.
        overlap: Rows of the test part over rows of the training part, where every seed splits the same rows anew; 0
            where the differences are independent.

    Raises:
        SettingError: No difference, one that is not finite, or a negative overlap.

    Example:
        >>> found = paired([-0.2, -0.1, -0.15], overlap=0.0)
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (-0.15, -0.274, -0.026)
        >>> paired([-0.2, -0.1, -0.15], overlap=0.2).low < found.low
        True
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or not 0 <= overlap < math.inf:
        raise SettingError(
            f"paired needs finite differences, one a seed, and an overlap of 0 or more; found {differences!r} and "
            f"overlap={overlap!r}."
        )
    n, mean = len(values), float(values.mean())
    spread = float(values.std(ddof=1)) if n > 1 else None
    if spread is None or spread <= _ROUNDING * max(1.0, abs(mean)):
        return Paired(n, mean, None, None, None, spread, overlap)
    error = spread * math.sqrt(1 / n + overlap)
    half = float(stats.t.isf(LEVEL / 2, n - 1)) * error
    return Paired(n, mean, mean - half, mean + half, error, spread, overlap)


def power(difference: float, n: int, spread: float, overlap: float) -> float:
    """Chance that the test at `LEVEL` finds a true difference of this size.

    Args:
        difference: True mean of the differences.
        n: Seeds, two or more.
        spread: Standard deviation between seeds.
        overlap: Ratio of test to training rows, as in `paired`.

    Example:
        >>> round(power(0.0, 5, 1.0, 0.2), 3)
        0.05
    """
    shift = abs(difference) / (spread * math.sqrt(1 / n + overlap))
    edges = float(stats.t.isf(LEVEL / 2, n - 1)) * np.sqrt(stats.chi2.ppf(_QUANTILES, n - 1) / (n - 1))
    # given the observed spread the mean is normal; scipy's noncentral t is NaN far out, where few seeds lead
    return float(_MASSES @ (special.ndtr(shift - edges) + special.ndtr(-shift - edges)))


def detectable(n: int, spread: float, overlap: float) -> float:
    """The smallest true difference that n seeds find with the chance `POWER`.

    Example:
        >>> round(detectable(10, 1.0, 0.0), 2)  # the usual paired t-test
        1.0
    """
    most = spread
    while power(most, n, spread, overlap) < POWER:
        most *= 2
    return float(optimize.brentq(lambda difference: power(difference, n, spread, overlap) - POWER, 0.0, most))


def seeds_needed(difference: float, spread: float, overlap: float) -> int | None:
    """The fewest seeds that find a true difference with the chance `POWER`; None if 200 do not.

    More seeds split the same rows again, so with overlap there are differences that no number of seeds can show.

    Example:
        >>> seeds_needed(1.0, 1.0, 0.0), seeds_needed(0.5, 1.0, 0.2)
        (10, None)
    """
    if not difference > 0 or power(difference, _MOST_SEEDS, spread, overlap) < POWER:
        return None
    low, high = 1, _MOST_SEEDS  # power rises with n: low is too few, high is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, middle, spread, overlap) >= POWER else (middle, high)
    return high
