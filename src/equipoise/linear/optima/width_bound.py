"""The width at which one model is as good as any mixture of narrower ones, known before any search."""

from math import isqrt

from ..problem.gramian import checked_width

__all__ = ["width_as_any_mixture"]


def width_as_any_mixture(tasks: int, width: int) -> int:
    r"""The width q + floor(sqrt(2k + 1/4) - 3/2), at which one model is at least as good as any mixture at width q.

    "As good" is meant for every task at once. Proof: a mixture of models of width q has the mean projection P, a matrix
    of trace q with eigenvalues from 0 to 1, and some P on the front of these matrices captures at least as much of
    every task. Among those with the same energies there is one with f eigenvalues strictly between 0 and 1, f (f + 1) /
    2 <= k (Pataki, 1998; the trace needs no equation of its own there). They sum to a whole number of at least 1, so P
    has rank at most q + f - 1, and the model that projects on its range captures at least what P does.

    The same rank bound, for the worst projection among k groups, is known from fair principal components
    (Tantipongpipat et al., 2019, arXiv:1902.11281; exactness of one model in special cases: Zalcberg and Wiesel, 2021,
    arXiv:2002.06557); that our balanced model is such a problem is what we add.

    Example:
        >>> [width_as_any_mixture(tasks, 1) for tasks in (2, 3, 5, 6, 10, 15)]
        [1, 2, 2, 3, 4, 5]
    """
    fractional = (isqrt(8 * tasks + 1) - 1) // 2
    return checked_width(width) + fractional - 1
