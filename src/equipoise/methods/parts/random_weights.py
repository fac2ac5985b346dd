"""Random weights on the simplex: the draws behind random loss weighting and random gradient weighting."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Distribution", "random_weights"]

Distribution = Literal["normal", "uniform", "truncated normal", "random normal", "dirichlet", "one-hot", "subset"]


def random_weights(
    distribution: Distribution,
    k: int,
    generator: np.random.Generator,
    *,
    normalize: Literal["softmax", "sum"] = "softmax",
) -> NDArray[np.float64]:
    """One draw of weights.

    Args:
        distribution: Distribution of z, one entry a task: ``"normal"`` N(0, 1); ``"uniform"`` on [0, 1]; ``"truncated
            normal"`` N(0, 1) cut to [-2, 2]; ``"random normal"`` N(m_i, s_i^2) with m_i from N(0, 1) and s_i from [0,
            1] uniform, drawn anew as well; ``"dirichlet"`` uniform on the simplex; ``"one-hot"`` one task alone;
            ``"subset"`` each task with probability 1/2, not all absent.
        k: Number of tasks.
        generator: Source of randomness; its state advances.
        normalize: ``"softmax"`` of z, or z over its sum (``"uniform"`` only). The last three distributions lie on
            the simplex already, ``"subset"`` after division by its count.

    Returns:
        Weights (k,), non-negative, sum 1.

    Source:
        Lin et al. (2022), arXiv:2111.10603.

    Example:
        >>> random_weights("one-hot", 3, np.random.default_rng(0))
        array([0., 0., 1.])
    """
    if distribution == "dirichlet":
        point: NDArray[np.float64] = generator.dirichlet(np.ones(k))
        return point
    if distribution == "one-hot":
        corner: NDArray[np.float64] = np.eye(k)[int(generator.integers(k))]
        return corner
    if distribution == "subset":
        chosen = generator.random(k) < 0.5
        while not chosen.any():
            chosen = generator.random(k) < 0.5
        equal: NDArray[np.float64] = chosen / chosen.sum()
        return equal
    if distribution == "normal":
        drawn = generator.normal(size=k)
    elif distribution == "truncated normal":
        from scipy.special import ndtr, ndtri  # noqa: PLC0415 - slow to import (scipy.stats: half a second)

        # by the inverse of the distribution function
        drawn = np.asarray(ndtri(generator.uniform(ndtr(-2.0), ndtr(2.0), size=k)), dtype=np.float64)
    elif distribution == "random normal":
        means, deviations = generator.normal(size=k), generator.random(k)
        drawn = generator.normal(means, deviations)
    else:
        drawn = generator.random(k)
    raised = drawn if normalize == "sum" else np.exp(drawn - drawn.max())
    weights: NDArray[np.float64] = raised / raised.sum()
    return weights
