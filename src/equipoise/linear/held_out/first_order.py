r"""What theory expects of sharing a layer of width 1 between two tasks, to first order.

Liu, Jung, Li, Feng and Zhao (2026, arXiv:2603.28739) study when auxiliary tasks help a main task: exact conditions for
least squares, and a sufficient one for linear networks of width q at most the number of auxiliary tasks. What stands
here is derived by ourselves, for the case at hand: two tasks, width 1, equal weights, least squares on n rows of p
inputs. Write Y = X B + noise with noise covariance Σ, in inputs of unit covariance; B = s_1 w_1 u^T + s_2 w_2 v^T is
estimated as B + E, the rows of E with covariance Σ / (n - p - 1). Keeping the first singular direction drops
s_2 w_2 v^T, and to first order keeps of E its part tangent to matrices of rank 1: E's component along w_1, and beside
that (p - 1 dimensions) E u u^T. So with λ_2 = s_2^2 the loss of task a changes by

    λ_2 u_b^2 - (p - 1) / (n - p - 1) (Σ_aa - u_a^2 u^T Σ u):

what the layer cannot hold against the noise that is shared. It says that equally strong tasks with uncorrelated noise
and one signal help each other unless one is three times as noisy. Not covered: shrinkage, λ_2 near λ_1, few rows.
"""

import numpy as np

from ...core.numbers import Array

__all__ = ["ENOUGH_ROWS", "expected_changes"]

ENOUGH_ROWS = 5
"""Rows for each input from which the first order is a guide."""


def expected_changes(gramian: Array, targets: Array, rows: int, inputs: int) -> Array | None:
    """(k, k), in [a, b] the change of task a's loss on new rows that is expected where b shares a layer with it.

    `gramian` and `targets` are G and S of least squares on the rows; the part of G that is noise is taken off first.
    None where there are fewer than `ENOUGH_ROWS` rows for each input.

    Example:
        >>> G, S = np.array([[0.51, 0.5], [0.5, 0.51]]), np.eye(2)
        >>> expected_changes(G, S, rows=200, inputs=10).round(4)[0]
        array([ 0.    , -0.0249])
    """
    if rows < ENOUGH_ROWS * inputs or rows <= inputs + 1:
        return None
    noise = (targets - gramian) * rows / (rows - inputs - 1)
    signal = gramian - noise * inputs / rows
    own, level = signal.diagonal(), noise.diagonal()
    apart, joint = own[:, None] - own, np.hypot(own[:, None] - own, 2 * signal)
    lost = np.maximum((own[:, None] + own - joint) / 2, 0.0)
    angle = np.arctan2(2 * signal, apart) / 2
    mine, other = np.cos(angle) ** 2, np.sin(angle) ** 2
    mixed = mine * level[:, None] + 2 * np.cos(angle) * np.sin(angle) * noise + other * level
    changes = lost * other - (inputs - 1) / (rows - inputs - 1) * (level[:, None] - mine * mixed)
    np.fill_diagonal(changes, 0.0)
    return np.asarray(changes)
