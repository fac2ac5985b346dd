"""Several tests at once: p-values that keep the chance of any error small."""

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to a level errs in any of them with at most that chance.

    Holm (1979), Scandinavian Journal of Statistics 6: the i-th smallest of k is multiplied by k - i + 1, made rising.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    k, adjusted, largest = len(p_values), [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(k), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (k - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
