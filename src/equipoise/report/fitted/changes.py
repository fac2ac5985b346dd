"""Ratios of losses as a reader sees them: "18 % lower", "2.3 times as high", and their intervals."""

import math

from ...comparison.paired import Paired

__all__ = ["amount", "change", "ratio", "size", "span"]


def change(log: float) -> str:
    """A logarithm of a ratio of losses in words.

    Example:
        >>> change(math.log(0.82)), change(math.log(1.04)), change(math.log(2.3)), change(0.0)
        ('18 % lower', '4 % higher', '2.3 times as high', 'the same')
    """
    if log > math.log(2):
        return f"{_times(log)} times as high"
    shown = _percent(log)
    return "the same" if shown == "0 %" else f"{shown} {'lower' if log < 0 else 'higher'}"


def span(low: float, high: float) -> str:
    """An interval of such logarithms in words.

    Example:
        >>> span(math.log(0.71), math.log(0.95)), span(math.log(0.9), math.log(1.2)), span(0.1, 2.0)
        ('5 % to 29 % lower', '10 % lower to 20 % higher', '11 % higher to 7.4 times as high')
    """
    if high < 0:
        return f"{_percent(high)} to {_percent(low)} lower"
    if low > 0 and high <= math.log(2):
        return f"{_percent(low)} to {_percent(high)} higher"
    return f"{change(low)} to {change(high)}"


def amount(found: Paired) -> str:
    """A mean with its interval, or with the reason why there is none.

    Example:
        >>> amount(Paired(1, math.log(0.5), None, None, None, None, 0.0))
        '50 % lower (one seed: no interval)'
    """
    return f"{change(found.mean)} ({_interval(found)})"


def _interval(found: Paired) -> str:
    if found.low is None or found.high is None:
        return "one seed: no interval" if found.n == 1 else f"equal in all {found.n} seeds: no interval"
    return f"95 % interval: {span(found.low, found.high)}"


def ratio(found: Paired) -> str:
    """A mean as a ratio with its interval, for tables.

    Example:
        >>> ratio(Paired(3, math.log(0.5), math.log(0.25), math.log(1.0), 0.1, 0.2, 0.0))
        '0.50 (0.25 to 1.00)'
    """
    if found.low is None or found.high is None:
        return _number(found.mean)
    return f"{_number(found.mean)} ({_number(found.low)} to {_number(found.high)})"


def size(log: float) -> str:
    """How large a difference is, whichever way: a loss lowered by so much.

    Example:
        >>> size(math.log(1.25)), size(5.0)
        ('20 %', 'a factor of 148')
    """
    return _percent(-abs(log)) if abs(log) < math.log(10) else f"a factor of {_times(abs(log))}"


def _percent(log: float) -> str:
    value = 100 * abs(math.expm1(log))
    if 0 < value < 0.05:
        return "<0.1 %" if value > 1e-9 else "0 %"
    digits = 1 if value < 2 or 99 <= value < 99.95 else 0
    return f"{value:.{digits}f}".removesuffix(".0") + " %"


def _times(log: float) -> str:
    if log > math.log(1e6):
        return "more than a million"
    value = math.exp(log)
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _number(log: float) -> str:
    """A ratio with two decimals, or with three digits where it is small or large."""
    if abs(log) > math.log(1e6):
        return "above a million" if log > 0 else "below a millionth"
    value = math.exp(log)
    return f"{value:.2f}" if 0.1 <= value < 10 else f"{value:.3g}"
