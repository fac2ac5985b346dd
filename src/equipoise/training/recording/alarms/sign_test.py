r"""A sequential sign test: evidence that may be looked at after every observation.

**Null hypothesis.** Before each observation a threshold is fixed from the past alone. An observation above it is a win.
The null says that, given the past, a win has probability at most 1/2 each time, whatever the dependence.

**One bet.** Start with a capital of 1. With a stake :math:`q \in (1/2, 1)` multiply it by :math:`2q` after a win and by
:math:`2(1-q)` after a loss. If a win has conditional probability :math:`p \le 1/2`, the expected factor is
:math:`2qp + 2(1-q)(1-p) = 1 - (2q-1)(1-2p) \le 1`. So the capital is a non-negative supermartingale, and by Ville's
inequality (Ville 1939) :math:`P(\sup_n E_n \ge 1/\alpha) \le \alpha`: it may be looked at as often as one likes.

**All stakes at once.** The mean of supermartingales is one, so no stake need be chosen. Uniform over (1/2, 1), after w
wins and l losses, n = w + l,

.. math:: E(w, l) = 2 \int_{1/2}^1 (2q)^w (2 - 2q)^l \, dq = 2^{n+1} B(w+1, l+1) \, P(\mathrm{Bin}(n+1, 1/2) \le w) .

**An unknown beginning.** Start j of a list of starts gets the share :math:`1/(j(j+1))`, j = 1, 2, ... The shares sum to
1, so the chance that any start j ever has :math:`E_j \ge j(j+1)/\alpha` is at most :math:`\sum_j \alpha / (j(j+1)) \le
\alpha`. With k tasks each is tested at :math:`\alpha/k`. (Testing by betting: Shafer 2021; Waudby-Smith & Ramdas 2024.)
"""

import numpy as np

from ....core.numbers import Array

__all__ = ["SignWatch", "log_evidence", "next_start", "passed"]

_GROWTH = 0.1  # starts lie this share of their distance apart, once that is more than the least distance
_LEAST = 10  # bets before which nothing can pass at any level that is used here


def log_evidence(wins: Array, bets: Array) -> Array:
    """Log E(w, n - w) of the sign test.

    Example:
        >>> log_evidence(np.array([0.0, 1.0, 20.0]), np.array([0.0, 1.0, 20.0])).round(3).tolist()
        [0.0, 0.405, 11.512]
    """
    from scipy.special import bdtr, betaln  # noqa: PLC0415 - building a Balancer imports no scipy

    losses = bets - wins
    with np.errstate(divide="ignore"):
        tail = np.log(bdtr(wins, (bets + 1).astype(int), 0.5))
    found: Array = (bets + 1) * np.log(2.0) + betaln(wins + 1, losses + 1) + tail
    return found


def passed(wins: Array, bets: Array, level: float) -> Array:
    """Whether start j (first axis, from 1) has the evidence j(j+1)/level, for each task (second axis)."""
    number = np.arange(1, len(wins) + 1)[:, None]
    needed = np.log(number * (number + 1.0)) - np.log(level)
    promising = (bets >= _LEAST) & (2 * wins > bets)
    found = np.zeros(wins.shape, dtype=bool)
    if promising.any():
        found[promising] = (
            log_evidence(wins[promising], bets[promising]) >= np.broadcast_to(needed, wins.shape)[promising]
        )
    return found


def next_start(seen: int, least: int) -> int:
    """Observations after which the next start follows one at `seen`; distances are multiples of `least`.

    Example:
        >>> next_start(32, 16), next_start(1000, 16)
        (48, 1096)
    """
    return seen + least * max(1, int(_GROWTH * seen / least))


class SignWatch:
    """The test for signs that do not depend on the start: is something so more often than not, since when?

    Args:
        k: Number of tasks.
        level: Largest chance that any task is ever found, where none should be.
    """

    def __init__(self, k: int, level: float) -> None:
        self._level, self._seen, self._next = level / k, 0, 0
        self._since: list[int] = []
        self._wins, self._bets = np.zeros((0, k)), np.zeros((0, k))
        self.found: dict[int, tuple[int, int, int]] = {}  # task -> step of its start, wins and bets since then

    def add(self, step: int, signs: Array) -> list[int]:
        """One observation a task, 1 or 0, NaN for none; returns tasks that are found now for the first time."""
        if self._seen == self._next:
            self._next = next_start(self._seen, 4)
            self._since.append(step)
            self._wins, self._bets = (np.vstack([a, np.zeros((1, a.shape[1]))]) for a in (self._wins, self._bets))
        self._seen += 1
        self._wins += signs == 1
        self._bets += np.isfinite(signs)
        over = passed(self._wins, self._bets, self._level)
        new = [task for task in np.flatnonzero(over.any(axis=0)).tolist() if task not in self.found]
        for task in new:
            start = int(np.argmax(over[:, task]))
            self.found[task] = (self._since[start], int(self._wins[start, task]), int(self._bets[start, task]))
        return new
