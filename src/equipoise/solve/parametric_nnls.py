"""Parametric non-negative least squares, solved for the parameter that attains a level."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.numbers import Array
from .nnls import Complementarity, Mask, solve_positive

__all__ = ["Level", "LevelPath"]

_EPS = float(np.finfo(np.float64).eps)
_JOINT = 12  # exchanges of support and level together, before the safeguarded search
_SEARCH = 200

Level = Callable[[Array, Array], float | None]
"""For the line t * first - second of one support: the t that the answer has on it, or None."""


class LevelPath(NamedTuple):
    """The solutions z(t) of z >= 0, M z + e - t s >= 0, complementary, with M = C + s s^T: piecewise linear in t."""

    kernel: Complementarity  # of M, regular even where the gradients hold 0 in their hull
    inverse: Array  # s, (k,), positive: one over the gradients' norms, in units of the largest
    offset: Array  # e, (k,)

    def line(self, basic: Mask) -> tuple[Array, Array] | None:
        """On a support: z(t) = t * first - second."""
        support = basic.nonzero()[0]
        if not len(support):
            return None
        right = np.array([self.inverse, self.offset])
        if len(support) == len(basic):
            system = solve_positive(self.kernel.matrix, right.T)
            return None if system is None else (system[0][:, 0], system[0][:, 1])
        system = solve_positive(self.kernel.matrix.take(support, 0).take(support, 1), right.take(support, 1).T)
        if system is None:
            return None
        lines = np.zeros((2, len(basic)))
        lines[:, support] = system[0].T
        return lines[0], lines[1]

    def find(self, level: Level) -> tuple[Array, Mask, bool] | None:
        """The z at the t that `level` asks for, its support, whether it is unique; None where exchanges do not end.

        Guess a support, take its t, exchange what has the wrong sign.
        """
        k = len(self.offset)
        first = self.offset / self.inverse  # where on the path each entry would enter alone
        basic = first <= sorted(first.tolist())[(k - 1) // 2]  # the lower half; np.median takes 20 microseconds
        fewest, patience = k + 1, 4
        for _ in range(_JOINT):
            line = self.line(basic)
            t = None if line is None else level(*line)
            if line is None or t is None:
                return None
            value = t * line[0] - line[1]
            slack = self.kernel.matrix @ value + (self.offset - t * self.inverse)
            noise = 8 * k * _EPS * (1.0 + abs(t) + float(np.add.reduce(np.abs(value))))
            wrong = np.where(basic, value < 0, slack < -noise)
            count = int(np.count_nonzero(wrong))
            if not count:
                outside = slack[~basic]
                unique = not len(outside) or float(outside.min()) > noise
                return value, basic, unique or self.kernel.full_rank
            if count < fewest:
                fewest, patience = count, 4
            elif patience:
                patience -= 1
            else:
                wrong[: wrong.nonzero()[0][-1]] = False
            basic = basic ^ wrong
            if not basic.any():
                basic[int(np.argmin(first))] = True  # the path begins with this entry
        return None

    def search(self, level: Level, excess: Callable[[Array], float]) -> tuple[Array, Mask, bool, bool]:
        """The same by bracketing, and whether it ended: `excess` rises along the path, each piece proposes its t."""
        low = float((self.offset / self.inverse).min())  # there z = 0
        width = max(1.0, abs(low))
        high = np.inf
        t = low + width
        start: Mask | None = None
        for _ in range(_SEARCH):
            found = self.kernel.solve(self.offset - t * self.inverse, start)
            start = basic = found.basic
            over = excess(found.value)
            if over > 0:
                high = t
            else:
                low = t
            line = self.line(basic)
            proposed = None if line is None else level(*line)
            if line is not None and proposed is not None:
                value = proposed * line[0] - line[1]
                shift = float(np.abs(value - found.value).max())
                if shift <= 4 * _EPS * len(value) * float(np.abs(value).max(initial=0.0)):
                    return np.maximum(value, 0.0), basic, found.unique, True
            if np.isfinite(high) and high - low <= 2 * _EPS * max(abs(low), abs(high)):
                return found.value, basic, found.unique, found.solved
            if proposed is not None and low < proposed < high:
                t = proposed
            elif np.isfinite(high):
                t = 0.5 * (low + high)
            else:
                width *= 4
                t = low + width
        return found.value, basic, found.unique, False
