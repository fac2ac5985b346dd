"""Weights of rewards from their covariance, and the predicted effect of any weights on each reward."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.numbers import Array, real_numbers
from ..core.tasks import Tasks
from ..errors import SettingError
from ..methods.base import GramianMethod, Method, State, Step
from ..methods.gramian.mgda import MGDA
from ..methods.run import weigh
from ..solve import Status
from ..solve.min_norm import min_norm_point
from .advantages import Advantages, Aggregation, Missing, centred, contributions, predicted

__all__ = ["RewardEffect", "RewardWeights", "effect", "effect_of", "weights"]

Outcome = Literal["all rise", "not all rise", "opposed", "no variance"]

RISES = 1e-9
"""A correlation with the update below this is rounding: the reward does not rise."""


@dataclass(frozen=True, eq=False)
class RewardEffect:
    """What one update is predicted to do to each reward, to first order, in the tabular view of a policy.

    Attributes:
        names: Names of the k rewards.
        change: (k,) Cov(a_j, u) with u the update's advantage: the rise of the expected reward a unit of step size, in
            standard deviations of that reward within groups (in the reward's own unit with ``scale=False``).
        interval: (k, 2) 95 % intervals of `change` over groups, the weights taken as given; None for one group.
        size: Root mean square of the update's advantage over all rows; 0 where it is 0 but for rounding.
        alignment: (k,) correlation of each reward's advantage with the update, 0 for a reward that never varies.
        margin: Smallest `alignment` among rewards that vary; 0 where none does. Above 0 every one rises.
        share: (k,) part of the update's variance that each weighted reward explains; sum 1, negative where a reward
            works against the update. All 0 where the update is 0.
        status: ``all rise``; ``not all rise``: some predicted change is 0 or below; ``opposed``: that is so and no
            update whatever raises all, because a convex combination of the advantages is 0; ``no variance``: every
            group is collapsed.
        rows, groups: Number of completions, and of groups.
        collapsed: Number of groups in which no reward varies: they teach nothing.
        collapsed_by_reward: (k,) number of groups in which this reward does not vary.
        missing: (k,) number of rows without this reward.
    """

    names: tuple[str, ...]
    change: Array
    interval: Array | None
    size: float
    alignment: Array
    margin: float
    share: Array
    status: Outcome
    rows: int
    groups: int
    collapsed: int
    collapsed_by_reward: NDArray[np.intp]
    missing: NDArray[np.intp]


@dataclass(frozen=True, eq=False, kw_only=True)
class RewardWeights(RewardEffect):
    """Weights of k rewards and their predicted effect (see `RewardEffect`).

    Attributes:
        weights: (k,) of the scaled advantages (of the plain ones with ``scale=False``).
        raw_weights: (k,) the same update as weights of the rewards as they are: `weights` over `scale`.
        covariance: (k, k) of the advantages that were weighed: the Gramian.
        scale: (k,) what the advantages were divided by: their standard deviation, or ones.
        solve: What became of the method's solve.
        state: Memory of the method, to be passed to the next call.
    """

    weights: Array
    raw_weights: Array
    covariance: Array
    scale: Array
    solve: Status
    state: State


def weights(
    rewards: Any,
    groups: Iterable[Hashable],
    method: Method | None = None,
    scale: bool = True,
    *,
    names: Sequence[str] | None = None,
    missing: Missing = "raise",
    state: State | None = None,
) -> RewardWeights:
    r"""Weights of several rewards under which all are predicted to rise, where that is possible.

    With r (n, k) the rewards of n completions, :math:`a_{ij} = r_{ij} - \bar r_{g(i) j}` the advantages centred in
    each group and, with `scale`, divided by their standard deviation over the batch,

    .. math:: C = \tfrac1n A^\top A, \qquad \text{change}_j = (C w)_j

    is the first-order change of each expected reward when the policy follows the advantage :math:`A w`: exact for a
    tabular softmax policy whose logits move by the advantage (the natural gradient). So C is a Gramian, and a
    method on Gramians weighs the rewards without a gradient of the model. `MGDA` makes the smallest change of the
    scaled rewards as large as it can be for an update of that size.

    C is a view of the policy as a table. In a network completions share parameters, and the sign of a predicted change
    is no promise. Nothing here says that the policy gets better than under tuned weights: it spares the search for
    weights.

    Args:
        rewards: (n, k), one row a completion: array, tensor or data frame.
        groups: n labels, equal for completions of the same prompt, in any order.
        method: A method on Gramians; ``MGDA()`` by default.
        scale: Whether advantages are divided by their standard deviation over the batch, so that the unit of a reward
            does not matter.
        names: Names of the k rewards; the columns of a data frame, else ``reward0``, ``reward1``, ...
        missing: ``"raise"``, or ``"neutral"``: a NaN counts as the mean of its group.
        state: `RewardWeights.state` of the call before, for a method with memory.

    Returns:
        Weights and their predicted effect. A reward that varies in no group gets the weight 0 from methods that leave
        zero gradients out; where no reward varies, the weights are 1/k and the status ``no variance``.

    Raises:
        DataError: Another shape or number of labels; groups of one row only.
        NonFiniteError: An infinite reward, or a NaN that was not said to be neutral.
        SettingError: `method` is not a method on Gramians.
        TaskError: Names that do not fit.

    Cost: O(n k^2), and the method's solve: 3 ms for k = 8, n = 4,096.

    Source: the predicted change is the covariance law of arXiv:2602.06869; GDPO (arXiv:2601.05242) normalises rewards
        one by one, with fixed weights.

    Example:
        >>> found = weights([[1.0, 0.0], [0.0, 0.6], [0.0, 0.0], [1.0, 0.1]], groups=["p", "p", "q", "q"])
        >>> found.weights.round(3), found.status, found.change.round(3)
        (array([0.5, 0.5]), 'all rise', array([0.209, 0.209]))
    """
    chosen = MGDA() if method is None else method
    if not isinstance(chosen, GramianMethod):
        raise SettingError(
            f"`method` must be an instance of a method on Gramians, such as eq.MGDA() or eq.UPGrad(); found {method!r}."
        )
    found = centred(rewards, groups, names, missing)
    divisors = found.divisors if scale else np.ones(len(found.scale))
    scaled = found.values / divisors
    covariance = scaled.T @ scaled / len(scaled)
    k = len(found.names)
    step = Step(Tasks(found.names), torch.ones(k, dtype=torch.float64))
    weighed = weigh(chosen, torch.from_numpy(covariance), chosen.init(k) if state is None else state, step)
    solved = np.asarray(weighed.weights.numpy(), dtype=np.float64)
    judged = effect_of(found, scaled, scaled * solved)
    return RewardWeights(
        **vars(judged),
        weights=solved,
        raw_weights=solved / divisors,
        covariance=covariance,
        scale=divisors,
        solve=weighed.status,
        state=weighed.state,
    )


def effect(
    rewards: Any,
    groups: Iterable[Hashable],
    weights: Any,
    aggregation: Aggregation = "sum_then_normalize",
    *,
    names: Sequence[str] | None = None,
    missing: Missing = "raise",
) -> RewardEffect:
    """What given weights are predicted to do to each reward, with the advantages made as a framework makes them.

    Args:
        rewards: (n, k), one row a completion: array, tensor or data frame.
        groups: n labels, equal for completions of the same prompt, in any order.
        weights: (k,) of the rewards.
        aggregation: ``"sum_then_normalize"`` (GRPO, TRL's default), ``"normalize_then_sum"`` (GDPO), or ``"scaled"``
            (each reward over its standard deviation in the batch).
        names: Names of the k rewards; the columns of a data frame, else ``reward0``, ``reward1``, ...
        missing: ``"raise"``, or ``"neutral"``: a NaN counts as the mean of its group.

    Returns:
        The predicted change of each reward, in its standard deviations within groups.

    Raises:
        SettingError: Weights of another number or not finite; another aggregation.
        DataError, NonFiniteError, TaskError: As in `weights`.

    Example:
        >>> found = effect([[1.0, 0.0], [0.0, 1.0], [0.5, 0.2]], ["p", "p", "p"], weights=[3.0, 1.0])
        >>> found.status, found.alignment.round(2)
        ('not all rise', array([ 0.99, -0.88]))
    """
    found = centred(rewards, groups, names, missing)
    given = real_numbers(weights, "weights", SettingError, "pass one number a reward")
    if given.shape != (len(found.names),) or not np.isfinite(given).all():
        raise SettingError(
            f"weights must be one finite number for each of the {len(found.names)} rewards; found {given.tolist()}."
        )
    return effect_of(found, found.values / found.divisors, contributions(found, given, aggregation))


def effect_of(found: Advantages, scaled: Array, parts: Array) -> RewardEffect:
    """The effect on advantages (n, k) of an update that is the sum of `parts` (n, k) over the rewards."""
    update = parts.sum(axis=1)
    change, interval = predicted(scaled, update, found.codes)
    deviations = np.sqrt(np.mean(scaled**2, axis=0))
    size = float(np.sqrt(np.mean(update**2)))
    moves = size > 1e-7 * float(np.sqrt(np.mean(parts**2, axis=0)).sum())  # below, the parts cancel but for rounding
    active = deviations > 0
    alignment = np.zeros(len(change))
    if moves:
        alignment[active] = change[active] / deviations[active] / size
    margin = float(alignment[active].min()) if active.any() else 0.0
    share = np.mean(parts * update[:, None], axis=0) / size**2 if moves else np.zeros(len(change))
    return RewardEffect(
        names=found.names,
        change=change,
        interval=interval,
        size=size if moves else 0.0,
        alignment=alignment,
        margin=margin,
        share=share,
        status=_status(scaled[:, active], margin),
        rows=len(scaled),
        groups=found.groups,
        collapsed=int(np.sum(~found.varies.any(axis=1))),
        collapsed_by_reward=np.sum(~found.varies, axis=0),
        missing=found.missing,
    )


def _status(active: Array, margin: float) -> Outcome:
    if not active.shape[1]:
        return "no variance"
    if margin > RISES:
        return "all rise"
    shortest = min_norm_point(active.T @ active / len(active))
    return "opposed" if shortest.status is Status.STATIONARY else "not all rise"
