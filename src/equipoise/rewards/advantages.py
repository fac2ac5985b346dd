"""Rewards of completions, centred in their groups, and what one update is predicted to do to each of them.

The predicted changes are exact for a tabular softmax policy: completion a of a prompt has probability proportional to
exp(theta_a). An update moves theta_a by eta times the advantage u_a (the natural policy gradient), and then the
expected reward j rises by eta Cov(r_j, u) to first order.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ..core.numbers import Array, real_numbers
from ..errors import DataError, NonFiniteError, SettingError, TaskError, listed

__all__ = ["Advantages", "Aggregation", "Missing", "centred", "contributions", "group_sums", "predicted"]

Missing = Literal["raise", "neutral"]
"""A reward that is NaN: an error, or an advantage of 0 in that row (the mean of its group)."""

Aggregation = Literal["scaled", "sum_then_normalize", "normalize_then_sum"]
"""How weighted rewards become one advantage: see `contributions`."""

LEVEL = 0.95
_LARGEST = 1e100
_SMALL = 1e-4  # what GRPO and GDPO add to a standard deviation before they divide by it


@dataclass(frozen=True, eq=False)
class Advantages:
    """Rewards less their group's mean.

    Attributes:
        values: (n, k), exactly 0 where all rows of the group have the same reward.
        codes: (n,) number of each row's group, in the order in which groups first appear.
        varies: (groups, k) whether the reward differs between rows of the group.
        scale: (k,) standard deviation over all rows, 0 for a reward that varies in no group.
        names: Names of the k rewards.
        missing: (k,) number of rows without the reward.
    """

    values: Array
    codes: NDArray[np.intp]
    varies: NDArray[np.bool_]
    scale: Array
    names: tuple[str, ...]
    missing: NDArray[np.intp]

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.varies)

    @property
    def divisors(self) -> Array:
        """(k,) the standard deviations, 1 where a reward does not vary."""
        return np.where(self.scale > 0, self.scale, 1.0)


def centred(
    rewards: Any, groups: Iterable[Hashable], names: Iterable[str] | None = None, missing: Missing = "raise"
) -> Advantages:
    """Centre each reward in its group.

    Args:
        rewards: (n, k), one row a completion: array, tensor or data frame.
        groups: n labels, equal for completions of the same prompt, in any order.
        names: Names of the k rewards; the columns of a data frame, else ``reward0``, ``reward1``, ...
        missing: What a NaN means.

    Raises:
        DataError: Another shape or number of labels; groups of one row only.
        NonFiniteError: An infinite reward, or a NaN that was not said to be neutral.
        TaskError: Names that do not fit.
        SettingError: Another word for `missing`.
    """
    if missing not in ("raise", "neutral"):
        raise SettingError(f'`missing` must be "raise" or "neutral"; found {missing!r}.')
    array = real_numbers(rewards, "rewards", DataError, "pass one row a completion and one column a reward")
    if array.ndim != 2 or not array.size:
        raise DataError(
            f"rewards must have shape (completions, rewards), at least one of each; found shape {array.shape}."
        )
    given = getattr(rewards, "columns", None) if names is None else names
    named = tuple(f"reward{j}" for j in range(array.shape[1])) if given is None else tuple(map(str, given))
    if len(named) != array.shape[1] or len(set(named)) != len(named):
        raise TaskError(f"names must be {array.shape[1]} different ones, one a column; found {listed(named)}.")
    codes = _codes(groups, len(array))
    absent = np.isnan(array)
    wrong = np.isinf(array) if missing == "neutral" else ~np.isfinite(array)
    if wrong.any():
        counts = ", ".join(f"'{name}' in {n} rows" for name, n in zip(named, wrong.sum(axis=0), strict=True) if n)
        hint = "" if np.isinf(array).any() else ' Or pass missing="neutral": such a row counts as its group\'s mean.'
        raise NonFiniteError(f"rewards must be finite; found NaN or inf: {counts}. Leave these rows out.{hint}")
    if np.nanmax(np.abs(array), initial=0.0) > _LARGEST:
        raise DataError(
            f"rewards must be at most {_LARGEST:g} in size: their squares leave float64. Divide them first."
        )
    sizes = np.bincount(codes)
    if sizes.max() == 1:
        raise DataError(
            f"groups must hold two rows or more of the same prompt; found {len(sizes)} groups for {len(codes)} rows, "
            "so every advantage is 0. Pass the labels of the prompts."
        )
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    low = np.minimum.reduceat(np.where(absent, np.inf, array)[order], starts)
    high = np.maximum.reduceat(np.where(absent, -np.inf, array)[order], starts)
    varies = high > low
    shifted = np.where(absent, 0.0, array - np.where(np.isfinite(low), low, 0.0)[codes])  # keeps digits of large means
    present = group_sums((~absent).astype(np.float64), codes)
    means = group_sums(shifted, codes) / np.maximum(present, 1.0)
    values = np.where(absent | ~varies[codes], 0.0, shifted - means[codes])
    unit = np.abs(values).max(axis=0)
    unit[unit == 0] = 1.0
    scale = unit * np.sqrt(np.mean((values / unit) ** 2, axis=0))  # squares of tiny rewards would be 0
    return Advantages(values, codes, varies, scale, named, absent.sum(axis=0))


def _codes(groups: Iterable[Hashable], rows: int) -> NDArray[np.intp]:
    plain = groups.tolist() if hasattr(groups, "tolist") else groups
    numbers: dict[Hashable, int] = {}
    try:
        codes = np.array([numbers.setdefault(label, len(numbers)) for label in plain], dtype=np.intp)
    except TypeError as error:
        raise DataError(f"groups must be labels such as numbers or texts, one a row; {error}.") from error
    if len(codes) != rows:
        raise DataError(f"groups must hold one label for each of the {rows} rows; found {len(codes)}.")
    return codes


def group_sums(values: Array, codes: NDArray[np.intp]) -> Array:
    """(groups, k) sums of the rows of each group."""
    return np.column_stack([np.bincount(codes, weights=column) for column in values.T])


def contributions(advantages: Advantages, weights: Array, aggregation: Aggregation) -> Array:
    """(n, k) what each reward adds to the advantage of each row; their sum over rewards is the update.

    ``scaled``: w_j a_j over its standard deviation in the batch, what `equipoise.rewards.weights` assumes.
    ``sum_then_normalize``: w_j a_j over the standard deviation of the weighted sum in the group (GRPO).
    ``normalize_then_sum``: w_j a_j over the standard deviation of reward j in the group (GDPO, arXiv:2601.05242).
    Both add 1e-4 to a standard deviation of n - 1 degrees of freedom, as TRL does.
    """
    values, codes = advantages.values, advantages.codes
    if aggregation == "scaled":
        return np.asarray(values / advantages.divisors * weights)
    if aggregation not in ("sum_then_normalize", "normalize_then_sum"):
        raise SettingError(
            f'`aggregation` must be "scaled", "sum_then_normalize" or "normalize_then_sum"; found {aggregation!r}.'
        )
    freedom = np.maximum(np.bincount(codes) - 1, 1)[:, None]
    if aggregation == "normalize_then_sum":
        deviation = np.sqrt(group_sums(values**2, codes) / freedom)
        return np.asarray(values / (deviation[codes] + _SMALL) * weights)
    parts = values * weights
    total = parts.sum(axis=1, keepdims=True)
    deviation = np.sqrt(group_sums(total**2, codes) / freedom)
    return np.asarray(parts / (deviation[codes] + _SMALL))


def predicted(scaled: Array, update: Array, codes: NDArray[np.intp]) -> tuple[Array, Array | None]:
    """First-order changes Cov(a_j, u), (k,), and their 95 % intervals over groups, (k, 2).

    The interval takes the groups as drawn at random and the update's weights as given: the standard error of a ratio
    of sums over groups, and Student's t with one degree of freedom less than there are groups. None for one group.
    """
    products = scaled * update[:, None]
    change = products.mean(axis=0)
    sizes = np.bincount(codes)
    count = len(sizes)
    if count < 2:
        return change, None
    apart = group_sums(products, codes) - change * sizes[:, None]
    error = np.sqrt(count / (count - 1) * np.sum(apart**2, axis=0)) / len(update)
    reach = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * error
    return change, np.column_stack([change - reach, change + reach])
