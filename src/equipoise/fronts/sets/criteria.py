"""Scalar criteria of K solutions at once, as the weights (K, k) that their gradients put on the losses."""

import numpy as np

from ...core.numbers import Array

__all__ = ["Scale", "cover_weights", "tchebycheff_weights", "unit_rows"]


class Scale:
    """Running ideal point, and the size of each loss above it.

    The size is the distance from the ideal to the reference where one is given; else to the running nadir, the largest
    losses among those of the K solutions that no other dominates.

    Args:
        count: Number of losses.
        reference: (k,) or None.
    """

    def __init__(self, count: int, reference: Array | None) -> None:
        self.ideal = np.full(count, np.inf)
        self.nadir = np.full(count, np.inf)
        self._reference = reference

    def see(self, losses: Array) -> None:
        """Take note of the losses (K, k) of this step."""
        self.ideal = np.minimum(self.ideal, losses.min(axis=0))
        if self._reference is not None:
            self.nadir = self._reference
            return
        below = (losses[:, None] <= losses[None]).all(axis=2) & (losses[:, None] < losses[None]).any(axis=2)
        self.nadir = losses[~below.any(axis=0)].max(axis=0)

    @property
    def size(self) -> Array:
        """(k,) positive."""
        floor = 1e-3 * np.maximum(np.abs(self.ideal), np.abs(self.nadir)) + 1e-300
        return np.asarray(np.maximum(self.nadir - self.ideal, floor))

    def normalised(self, losses: Array) -> Array:
        """Losses above the ideal, in units of the size."""
        return np.asarray((losses - self.ideal) / self.size)


def tchebycheff_weights(losses: Array, rays: Array, scale: Scale, softness: float) -> Array:
    r"""Weights of :math:`\mu \log \sum_i \exp(\hat f_i / (\mu\, r_i))`, each solution with its own ray r.

    Args:
        losses: (K, k) losses of the solutions.
        rays: (K, k) positive: proportions of the losses above the ideal that each solution aims at.
        scale: Ideal and sizes.
        softness: Smoothing mu, above 0.

    Source:
        Lin et al. (2024), arXiv:2402.19078, eq. 8, with weights 1/r.
    """
    heights = scale.normalised(losses) / rays
    shares = np.exp((heights - heights.max(axis=1, keepdims=True)) / softness)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True) / rays / scale.size)


def cover_weights(losses: Array, scale: Scale, softness: float) -> Array:
    r"""Weights of the smooth Tchebycheff criterion of a set: each loss is served by the solution that is best at it.

    .. math:: \mu \log \sum_i \exp(s_i / \mu), \qquad s_i = -\mu \log \sum_k \exp(-\hat f_{ki} / \mu)

    Source:
        Lin et al. (2025), arXiv:2405.19650.
    """
    normal = scale.normalised(losses)
    lowest = normal.min(axis=0)
    near = np.exp((lowest - normal) / softness)
    served = near / near.sum(axis=0)
    soft = lowest - softness * np.log(near.sum(axis=0))
    urgent = np.exp((soft - soft.max()) / softness)
    return np.asarray(served * (urgent / urgent.sum()) / scale.size)


def unit_rows(weights: Array) -> Array:
    """Each row divided by its length; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", weights, weights))[:, None]
    return np.asarray(weights / np.where(lengths > 0, lengths, 1.0))
