"""Four classic routes to the min-norm point, to be compared with the exact solve in `min_norm`.

None of them is exact after finitely many steps in general; each says by its certificate how far it came, and keeps the
curve of its duality gap. A route takes G (k, k) with largest diagonal entry 1 and yields the weights after each step,
from 1/k on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .equilibrate import as_gramian
from .solution import Solution, Status

__all__ = ["Route", "averaging", "frank_wolfe", "min_norm_by", "routes", "smooth", "softmax"]

Vector = NDArray[np.float64]
_EPS = float(np.finfo(np.float64).eps)
_NEWTON_STEPS = 60
_LARGEST_SHARPNESS = 1e14  # beyond, 1/lambda drowns in the rounding of G
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Route(Solution):
    """A solution, with its gap after every iteration.

    Attributes:
        gaps: (iterations + 1,), the duality gap a^T G a - min_i (G a)_i at the start and after every iteration, in
            units of the largest squared gradient norm. It bounds half the suboptimality of a^T G a from above.
    """

    gaps: Vector = field(default_factory=lambda: np.zeros(0))


def frank_wolfe(gramian: Vector) -> Iterator[Vector]:
    r"""Frank-Wolfe with the line search in closed form.

    .. math:: t = \arg\min_i (G a)_i, \quad
              \gamma = \operatorname{clip}\Big(\frac{(a - e_t)^\top G a}{(a - e_t)^\top G (a - e_t)}, 0, 1\Big), \quad
              a \leftarrow (1 - \gamma) a + \gamma e_t

    Exact after one step for two tasks that start at equal weights. In general the gap falls like O(1/t): where the
    optimum lies inside a face, the iterates zigzag. Source: Su, *Notes on MGDA*, eq. 18; Sener & Koltun (2018),
    algorithm 2; Jaggi (2013).
    """
    weights = np.full(len(gramian), 1 / len(gramian))
    while True:
        yield weights
        products = gramian @ weights
        toward = int(np.argmin(products))
        away = weights - np.eye(len(weights))[toward]
        curvature = float(away @ gramian @ away)
        step = min(max(float(away @ products) / curvature, 0.0), 1.0) if curvature > 0 else 0.0
        weights = weights - step * away
        weights = np.maximum(weights, 0.0) / np.maximum(weights, 0.0).sum()


def averaging(gramian: Vector) -> Iterator[Vector]:
    r"""The same rule for the vertex with the step 1/(t+1): a is the mean of the start and all vertices visited.

    .. math:: a \leftarrow a + \frac{1}{t + 1} (e_{i} - a), \qquad i = \arg\min_j (G a)_j, \quad t = 1, 2, \dots

    The gap falls like O(log t / t). Source: Su, *Notes on MGDA*, eq. 12, which is this rule.
    """
    weights, count = np.full(len(gramian), 1 / len(gramian)), 0
    while True:
        yield weights
        count += 1
        toward = np.eye(len(weights))[int(np.argmin(gramian @ weights))]
        weights = weights + (toward - weights) / (count + 1)


def smooth(gramian: Vector) -> Iterator[Vector]:
    r"""The softmin smoothing of the primal, made sharper step by step: lambda is 0 (equal weights), 1, 4, ... 1e14.

    .. math:: \min_{a \in \Delta} \tfrac12 a^\top G a + \frac1\lambda \sum_i a_i \log a_i
        \quad\Longleftrightarrow\quad u = J^\top a,\; a = \operatorname{softmax}(-\lambda J u)

    Each value of lambda is solved by Newton's method in log a, from the last one's solution; the plain fixed point
    oscillates. At a solution the value lies within :math:`2 \log(k) / \lambda` of the optimum. Source: Su, *Notes on
    MGDA*, eqs. 8-10.
    """
    logits = np.zeros(len(gramian))
    yield _simplex_point(logits)
    sharpness = 1.0
    while sharpness <= _LARGEST_SHARPNESS:
        logits = _newton(gramian, logits, sharpness)
        yield _simplex_point(logits)
        sharpness *= 4


def softmax(gramian: Vector) -> Iterator[Vector]:
    r"""Gradient descent on unconstrained logits, until no step descends.

    .. math:: a = \operatorname{softmax}(b), \qquad
              b \leftarrow b - \eta\, a \circ (G a - (a^\top G a)\, 1)

    with eta doubled after a step that lowers a^T G a by at least half of what the gradient predicts, and halved
    otherwise. Not convex in b; the gradient vanishes at every vertex, so there is no rate. Source: Su, *Notes on MGDA*,
    eqs. 19-20.
    """
    logits, step = np.zeros(len(gramian)), 1.0
    weights = _simplex_point(logits)
    while True:
        yield weights
        products = gramian @ weights
        value = float(weights @ products)
        slope = weights * (products - value)
        for _ in range(60):
            candidate = logits - step * slope
            moved = _simplex_point(candidate)
            if float(moved @ gramian @ moved) <= value - step * float(slope @ slope):
                logits, weights, step = candidate - candidate.max(), moved, 2 * step
                break
            step /= 2
        else:
            return  # rounding hides any further descent


routes: MappingProxyType[str, Callable[[Vector], Iterator[Vector]]] = MappingProxyType(
    {"frank-wolfe": frank_wolfe, "averaging": averaging, "smooth": smooth, "softmax": softmax}
)
"""Name -> route; each yields weights, `frank-wolfe` and `averaging` for ever."""


def min_norm_by(route: str, gramian: object, *, iterations: int = 1000, tolerance: float = 1e-10) -> Route:
    r"""The min-norm point by a classic route: weights that make :math:`a^\top G a` small on the simplex.

    Args:
        route: ``"frank-wolfe"``, ``"averaging"``, ``"smooth"`` or ``"softmax"``.
        gramian: (k, k), in squared units of a gradient.
        iterations: Most steps; for ``"smooth"`` so many values of lambda.
        tolerance: The relative duality gap at which to stop.

    Returns:
        Weights (k,), non-negative, sum 1. ``certificate`` as in `min_norm_point`: the gap over a^T G a, or over
        :math:`(\sum_i a_i |g_i|)^2` at a stationary point. Status ``ITERATION_LIMIT`` where the tolerance was not
        reached.
        A zero gradient is itself the answer: its weight is 1.

    Raises:
        GramianError: Not a Gramian.

    Cost:
        O(k^2) an iteration (``"smooth"``: about four O(k^3) solves), 10 to 40 microseconds each for k = 10.

    Example:
        >>> found = min_norm_by("frank-wolfe", [[1.0, 0.0], [0.0, 3.0]])
        >>> found.value, found.iterations
        (array([0.75, 0.25]), 1)
    """
    matrix = as_gramian(gramian)
    squares = np.diagonal(matrix)
    zero = squares == 0
    if zero.any():
        return Route(zero / zero.sum(), Status.STATIONARY, certificate=0.0, gaps=np.zeros(1))
    scaled = matrix / squares.max()
    norms = np.sqrt(scaled.diagonal())
    gaps: list[float] = []
    for weights in routes[route](scaled):
        products = scaled @ weights
        value = max(float(weights @ products), 0.0)
        gap = max(value - float(products.min()), 0.0)
        gaps.append(gap)
        scale = float(weights @ norms) ** 2  # what the value would be if no gradient cancelled another
        stationary = value <= 64 * len(scaled) * _EPS * scale
        if stationary or gap <= tolerance * value or len(gaps) > iterations:
            break
    if stationary:
        status, certificate = Status.STATIONARY, gap / scale
    else:
        status, certificate = Status.SOLVED if gap <= tolerance * value else Status.ITERATION_LIMIT, gap / value
    return Route(weights, status, certificate, iterations=len(gaps) - 1, gaps=np.array(gaps))


def _simplex_point(logits: Vector) -> Vector:
    raised = np.exp(logits - logits.max())
    weights: Vector = raised / raised.sum()
    return weights


def _newton(gramian: Vector, logits: Vector, sharpness: float) -> Vector:
    """Minimises a^T G a / 2 + sum(a log a) / lambda over a = softmax(logits), from `logits`."""

    def objective(at: Vector) -> float:
        point = _simplex_point(at)
        entropy = float(point @ np.log(np.maximum(point, _TINY)))
        return float(point @ gramian @ point) / 2 + entropy / sharpness

    for _ in range(_NEWTON_STEPS):
        weights = _simplex_point(logits)
        logits = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        slope = gramian @ weights + logits / sharpness
        residual = slope - weights @ slope
        if np.abs(np.sqrt(weights) * residual).max() <= 4 * _EPS:
            break
        # (A^1/2 G A^1/2 + I/lambda) y = A^1/2 (nu - slope), symmetric and well scaled, then the step in log a
        root = np.sqrt(weights)
        system = root[:, None] * gramian * root[None, :] + np.eye(len(root)) / sharpness
        free, pushed = np.linalg.solve(system, np.stack([-root * slope, root], axis=1)).T
        level = -float(root @ free) / float(root @ pushed)
        inner = free + level * pushed
        # y / root loses the digits of a vanishing weight, the equation itself those of a weight that stays
        vanishing = sharpness * weights < 1
        step = np.where(
            vanishing,
            sharpness * (level - slope - gramian @ (root * inner)),
            inner / np.where(vanishing, 1.0, root),
        )
        before, fraction = objective(logits), min(1.0, 5.0 / max(float(step.max()), 1e-300))
        while fraction > 1e-8 and objective(logits + fraction * step) > before + 16 * _EPS:
            fraction /= 2
        logits = logits + fraction * step
        if np.abs(fraction * root * step).max() <= 1e-14:
            break
    return logits
