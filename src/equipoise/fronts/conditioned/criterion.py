"""What a step of a conditioned model descends, as weights of the losses at one or several preferences."""

from typing import Literal

import numpy as np

from ...core.numbers import Array
from ..indicators.volume_gradient import layered_gradient

__all__ = ["Criterion", "CriterionName"]

CriterionName = Literal["tchebycheff", "smooth", "linear", "hypervolume"]

_AUGMENTED = 0.01
_SAMPLES = 1024
_ALONE = 0.5  # share of the steps before the hypervolume counts: it alone does not say which preference gets which part


class Criterion:
    r"""A scalarization with a running ideal, written as the weights of its gradient.

    With :math:`h_i = \lambda_i (L_i - z_i) / s_i`, z the lowest losses seen and s their units:

    =============== ================================================================================================
    ``tchebycheff`` :math:`\max_i h_i`
    ``smooth``      :math:`\mu \log \sum_i \exp(h_i / \mu)`, mu a tenth
    ``linear``      :math:`\sum_i \lambda_i L_i / s_i`
    ``hypervolume`` ``smooth`` for half of the steps, by which each preference gets its part of the front; then minus
                    the joint hypervolume of the losses at several preferences, plus a tenth of ``smooth``
    =============== ================================================================================================

    The first two have :math:`0.01 \sum_i L_i / s_i` added, which excludes points that are only weakly optimal. Weights
    of a preference, times s, are scaled to sum 1, so that all preferences take steps of one size.

    Args:
        name: Criterion by name.
        units: (k,) units s of the losses.
        ideal: (k,) z where it is known, or None for the lowest losses seen.
        reference: (k,) reference of the hypervolume, or None.
        seed: Seed of the samples of a hypervolume of more than three losses.
    """

    def __init__(
        self, name: CriterionName, units: Array, ideal: Array | None, reference: Array | None, seed: int
    ) -> None:
        self._name, self.units, self._reference = name, units, reference
        self._fixed = ideal is not None
        self.ideal = np.full(len(units), np.inf) if ideal is None else ideal
        self._draw = np.random.default_rng(seed).random((_SAMPLES, len(units)))

    def weights(self, losses: Array, preferences: Array, done: float) -> Array:
        """Weights (m, k) of losses (m, k); a task that is NaN is absent from the batch and has weight 0.

        Args:
            losses: (m, k) losses at m preferences.
            preferences: (m, k) shares.
            done: Share of the steps that are done.
        """
        present = ~np.isnan(losses)
        if not self._fixed:
            self.ideal = np.fmin(self.ideal, np.fmin.reduce(losses, axis=0))
        shares = np.where(present, preferences, 0.0)
        if self._name == "linear":
            return np.asarray(shares / self.units)
        heights = np.where(present, preferences * (losses - self.ideal) / self.units, -np.inf)
        if self._name == "tchebycheff":
            active = (heights == heights.max(axis=1, keepdims=True)).astype(np.float64)
        else:
            active = np.exp((heights - heights.max(axis=1, keepdims=True)) / 0.1)
        pull = _to_one(active / active.sum(axis=1, keepdims=True) * shares + _AUGMENTED * present)
        if self._name == "hypervolume" and done >= _ALONE and present.all():
            assert self._reference is not None
            scaled, corner = losses / self.units, self._reference / self.units
            joint = -layered_gradient(scaled, corner, layered=True, draw=self._draw).value
            pull = _to_one(_to_one(joint) + 0.1 * pull)
        return np.asarray(pull / self.units)


def _to_one(weights: Array) -> Array:
    """Rows scaled to sum 1; rows of zeros stay."""
    sums = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(sums > 0, sums, 1.0))
