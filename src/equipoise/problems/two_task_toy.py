"""The two-task landscape that the papers on conflicting gradients draw their paths on."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from ..core.numbers import Array
from ..errors import SettingError

__all__ = ["CAGRAD_STARTS", "NASH_STARTS", "TwoTaskToy"]

CAGRAD_STARTS = ((-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0))
"""Starts of Liu et al. (2021), figure 2; both losses as they are."""
NASH_STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
"""Starts of Navon et al. (2022), figure 1; the first loss times 0.1."""
_FLOOR = 5e-6  # below this the logarithm is cut off


@dataclass(frozen=True)
class TwoTaskToy:
    r"""Two losses on the plane: two log-shaped valleys above the line :math:`x_2 = 0`, two bowls below it.

    .. math::
        L_i(x) = s_i \big( c_1(x_2)\, (\ln \max(|u_i|, 5\cdot10^{-6}) + 6) + c_2(x_2)\, (q_i - 20) \big)

        c_1 = \max(\tanh(x_2/2), 0), \quad c_2 = \max(-\tanh(x_2/2), 0)

        u_1 = -\tfrac{x_1 + 7}{2} + \tanh x_2, \quad u_2 = \tfrac{3 - x_1}{2} - \tanh x_2 + 2, \quad
        q_{1,2} = \tfrac1{10} \big( (x_1 \mp 7)^2 + \tfrac1{10} (x_2 + 8)^2 \big)

    with :math:`s_i` the scale of loss i. A start in the upper half must cross a valley of one task, where that task's
    gradient is thousands of times the other's. The Pareto set lies in the bowls, between :math:`x_1 = -7` and 7.

    Shapes:
        points (..., 2) -> losses (..., 2), jacobians (..., 2, 2): row i is the gradient of loss i.
    Scale:
        Losses have no unit; unscaled they lie between -20 and about 10 in the region that the papers draw.
    Degenerate:
        At a kink the gradient is one-sided, with the maximum taken to be active: on :math:`x_2 = 0` both halves count,
        and at :math:`|u_i| = 5 \cdot 10^{-6}` the logarithm still has a slope. Inside the cut-off it has none, and
        none at :math:`u_i = 0`.
    Source:
        Liu et al. (2021), *Conflict-averse gradient descent*, arXiv:2110.14048, appendix; scaled by 0.1 in Navon et
        al. (2022), arXiv:2202.01017. We differ: the gradients are written out.

    Args:
        scales: One positive factor a loss.

    Example:
        >>> toy = TwoTaskToy()
        >>> toy.mean_optimum().round(2)
        array([ 0.  , -8.36])
        >>> toy.losses([7.0, -8.0]).round(2)
        array([-19.99,  -0.4 ])
    """

    scales: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.scales) != 2 or not all(0 < scale < math.inf for scale in self.scales):
            raise SettingError(f"`scales` must be two positive finite numbers, one a loss; got {self.scales!r}.")

    def losses(self, points: ArrayLike) -> Array:
        """Both losses.

        Args:
            points: Points of the plane, (..., 2).

        Returns:
            Losses of both tasks, (..., 2).
        """
        first, second = _coordinates(points)
        upper, lower, valleys, bowls, *_ = _parts(first, second)
        found: Array = (upper[..., None] * valleys + lower[..., None] * bowls) * self.scales
        return found

    def jacobians(self, points: ArrayLike) -> Array:
        """Both gradients.

        Args:
            points: Points of the plane, (..., 2).

        Returns:
            (..., 2, 2); entry i, j is the derivative of loss i in coordinate j.
        """
        first, second = _coordinates(points)
        upper, lower, valleys, bowls, raised, arguments = _parts(first, second)
        half = np.tanh(second / 2)
        slope = (1 - half**2) / 2
        upper_slope, lower_slope = np.where(half >= 0, slope, 0.0), np.where(half <= 0, -slope, 0.0)
        cut = np.abs(arguments) >= _FLOOR
        steep = np.where(cut, np.sign(arguments) / np.where(cut, np.abs(arguments), 1.0), 0.0)
        bend = (1 - raised**2)[..., None] * np.array([1.0, -1.0])
        offsets = first[..., None] - np.array([7.0, -7.0])
        found = np.empty((*first.shape, 2, 2))
        found[..., 0] = upper[..., None] * (-0.5 * steep) + lower[..., None] * offsets / 5
        found[..., 1] = (
            upper_slope[..., None] * valleys
            + upper[..., None] * steep * bend
            + lower_slope[..., None] * bowls
            + (lower * (second + 8) / 50)[..., None]
        )
        scaled: Array = found * np.array(self.scales)[:, None]
        return scaled

    def mean_optimum(self) -> Array:
        r"""The minimum of the mean loss: (0, -8.36) unscaled.

        Returns:
            (2,); :math:`x_1 = 7 (s_1 - s_2) / (s_1 + s_2)`, and :math:`x_2` to rounding.
        """
        optimum: Array = self.pareto_points([0.5])[0]
        return optimum

    def pareto_points(self, shares: ArrayLike) -> Array:
        r"""Minimisers of :math:`w L_1 + (1 - w) L_2`: the Pareto set, along which w runs from 0 to 1.

        For a given :math:`x_2 < 0` the weighted bowls have their minimum in :math:`x_1` where the weighted offsets
        cancel; what is left is one equation in :math:`x_2`, solved by bisection.

        Args:
            shares: (m,), each w in [0, 1].

        Returns:
            Points of the Pareto set, (m, 2).
        """
        asked = np.asarray(shares, dtype=np.float64)
        if asked.ndim != 1 or not ((asked >= 0) & (asked <= 1)).all():
            raise SettingError(f"`shares` must be a vector of numbers in [0, 1]; got {shares!r}.")
        points = np.empty((len(asked), 2))
        for row, share in zip(points, asked, strict=True):
            weights = np.array([share, 1 - share])
            pull = weights * self.scales
            row[0] = 7 * (pull[0] - pull[1]) / pull.sum()
            row[1] = brentq(self._slope_down, -40.0, -2.0, args=(row[0], weights), xtol=1e-14)
        return points

    def _slope_down(self, second: float, first: float, weights: Array) -> float:
        return float(weights @ self.jacobians([first, second])[:, 1])


def _coordinates(points: ArrayLike) -> tuple[Array, Array]:
    array = np.asarray(points, dtype=np.float64)
    if not array.ndim or array.shape[-1] != 2:
        raise SettingError(f"`points` must have two coordinates on the last axis; got shape {array.shape}.")
    return array[..., 0], array[..., 1]


def _parts(first: Array, second: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
    """c_1, c_2, both valleys, both bowls, tanh x_2, and u_1, u_2; the last axis counts the tasks."""
    half, raised = np.tanh(second / 2), np.tanh(second)
    arguments = np.stack([-(first + 7) / 2 + raised, (3 - first) / 2 - raised + 2], axis=-1)
    valleys = np.log(np.maximum(np.abs(arguments), _FLOOR)) + 6
    offsets = first[..., None] - np.array([7.0, -7.0])
    bowls = (offsets**2 + 0.1 * (second[..., None] + 8) ** 2) / 10 - 20
    return np.maximum(half, 0.0), np.maximum(-half, 0.0), valleys, bowls, raised, arguments
