"""Diagnostics of task interaction: from inner products of gradients, and from single steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .core.numbers import Array, real_numbers
from .errors import GramianError, InputError, LossError, NonFiniteError, SettingError, TaskError, listed
from .solve.equilibrate import as_gramian
from .solve.min_norm import min_norm_point

__all__ = ["GradientDiagnosis", "StepDiagnosis", "diagnose_gradients", "diagnose_step"]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class GradientDiagnosis:
    r"""Relations between k gradients. All figures are without unit unless stated otherwise.

    Attributes:
        norms: (k,), |g_i|, in units of a gradient.
        cosines: (k, k), cos(g_i, g_j); NaN where one of the two is zero.
        conflicting_share: Pairs with a negative cosine over all pairs of non-zero gradients; NaN without such a pair.
        magnitude_similarity: (k, k), :math:`2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2)`: 1 for equal norms, near 0 where one
            dwarfs the other; NaN where both are zero.
        condition: Largest over smallest singular value of J; inf where the rows are dependent to the rounding of G
            (beyond about 1e7).
        stationarity: |min-norm point of the convex hull| / max |g_i|: 0 at a Pareto-stationary point (from a Gramian
            to about 1e-8), at most 1. A zero gradient makes it 0.
        weights: Weights of the tasks, (k,), as given, or None.
        shares: (k,), :math:`a_i \langle g_i, d \rangle / |d|^2`, the part of the update that each task gives; sum 1,
            and negative for a task that is overruled. None without weights; NaN where d = 0.
        relative_decreases: (k,), :math:`\langle g_i, d \rangle / L_i`: by which part of itself each loss falls, to
            first order, per unit of step size. None without weights or losses; NaN where L_i = 0.
    """

    norms: Array
    cosines: Array
    conflicting_share: float
    magnitude_similarity: Array
    condition: float
    stationarity: float
    weights: Array | None = None
    shares: Array | None = None
    relative_decreases: Array | None = None


def diagnose_gradients(gramian: object, losses: object = None, weights: object = None) -> GradientDiagnosis:
    """Relations between the tasks' gradients from their Gramian, without a backward pass.

    Args:
        gramian: G = J J^T (k, k), array or CPU tensor, in squared units of a gradient.
        losses: Losses of the tasks, (k,), or None.
        weights: a (k,) with d = J^T a, or None.

    Returns:
        The figures of `GradientDiagnosis`.

    Raises:
        GramianError: Not a Gramian.
        InputError: Losses or weights of another length.
        NonFiniteError: NaN or inf among them.

    Cost:
        O(k^3): one min-norm solve and one eigenvalue decomposition.

    Source:
        Cosines and magnitude similarity: Yu et al. (2020), arXiv:2001.06782, definitions 1 and 2.

    Example:
        >>> found = diagnose_gradients([[1.0, -1.0], [-1.0, 4.0]], weights=[0.5, 0.5])
        >>> found.conflicting_share, found.shares
        (1.0, array([0., 1.]))
    """
    matrix = as_gramian(real_numbers(gramian, "`gramian`", GramianError, "pass a (k, k) array or tensor"))
    k = len(matrix)
    norms = np.sqrt(np.diagonal(matrix))
    live = norms > 0
    safe = np.where(live, norms, 1.0)
    both = np.logical_and.outer(live, live)
    cosines = np.where(both, np.clip(matrix / safe[:, None] / safe[None, :], -1.0, 1.0), np.nan)
    cosines[live, live] = 1.0
    pairs = cosines[np.triu_indices(k, 1)]
    pairs = pairs[np.isfinite(pairs)]
    larger = np.maximum.outer(norms, norms)
    ratio = np.divide(np.minimum.outer(norms, norms), larger, out=np.full((k, k), np.nan), where=larger > 0)
    given = None if weights is None else _vector(weights, "weights", k)
    values = None if losses is None else _vector(losses, "losses", k)
    shares = decreases = None
    if given is not None:
        pulls = matrix @ given
        square = float(given @ pulls)
        shares = given * pulls / square if square > 0 else np.full(k, np.nan)
        if values is not None:
            decreases = np.divide(pulls, values, out=np.full(k, np.nan), where=values != 0)
    return GradientDiagnosis(
        norms=norms,
        cosines=cosines,
        conflicting_share=float((pairs < 0).mean()) if len(pairs) else float("nan"),
        magnitude_similarity=2 * ratio / (1 + ratio**2),
        condition=_condition(matrix),
        stationarity=_stationarity(matrix, norms),
        weights=given,
        shares=shares,
        relative_decreases=decreases,
    )


@dataclass(frozen=True, eq=False)
class StepDiagnosis:
    r"""Effect of a step from theta to theta - step_size * d, on the same data.

    Attributes:
        names: Names of the tasks.
        before: Losses (k,) at theta.
        after: (k,), losses behind the step.
        predicted: (k,), change of each loss to first order, -step_size <g_i, d>, in units of the loss.
        curvature: :math:`\int_0^1 \nabla L^\top H(\theta - a \eta d)\, \nabla L\, da` with L the mean loss, its
            gradient taken at theta and H its Hessian along the step.
        relative_curvature: The same over :math:`|\nabla L|^2`, a curvature along the gradient; NaN where that is 0.
    """

    names: tuple[str, ...]
    before: Array
    after: Array
    predicted: Array
    curvature: float
    relative_curvature: float

    @property
    def changes(self) -> Array:
        """(k,), after - before: negative where a loss fell."""
        return self.after - self.before

    @property
    def as_predicted(self) -> NDArray[np.bool_]:
        """(k,), whether each loss moved in the direction that its gradient predicted."""
        found: NDArray[np.bool_] = np.sign(self.changes) == np.sign(self.predicted)
        return found


def diagnose_step(
    losses: Callable[[], Mapping[str, Tensor]],
    parameters: Sequence[Tensor],
    direction: Tensor,
    step_size: float,
    *,
    nodes: int = 3,
) -> StepDiagnosis:
    """Try a step, measure its effect, and undo it.

    Args:
        losses: Computes the losses by task name at the current parameters, on the same data at every call; called
            2 + `nodes` times. The random state is set back before each call, so dropout draws the same masks; buffers
            that a forward pass changes (BatchNorm's running figures) are the caller's: use eval mode.
        parameters: The parameters that the step moves, all of floating type and requiring gradients.
        direction: d, flat, (n,), in the order of `parameters`.
        step_size: eta > 0: the step is theta - eta * d.
        nodes: Gauss-Legendre nodes of the curvature's integral, at least 1; exact for a Hessian that changes along the
            step as a polynomial of degree 2 * nodes - 1.

    Returns:
        The figures; see `StepDiagnosis`. The parameters are as before, to the bit, also after an error.

    Raises:
        InputError: Parameters and direction do not fit, or no losses.
        SettingError: A step size or node count out of range.
        LossError: A loss does not depend on the parameters.

    Cost:
        2 + nodes forward passes, k backward passes, and one backward pass through a backward pass (about three plain
        ones) a node. With k = 2 and 3 nodes about 16 forward-backward passes' time: not for every step.

    Source:
        Multi-task curvature: Yu et al. (2020), arXiv:2001.06782, definition 3. A difference of two gradients would give
        it only if the step were along the mean gradient.

    Example:
        >>> theta = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        >>> found = diagnose_step(lambda: {"a": (theta**2).sum(), "b": theta[0]}, [theta], torch.ones(2), 0.1)
        >>> found.predicted, found.changes
        (array([-0.6, -0.1]), array([-0.58, -0.1 ]))
    """
    numel = sum(parameter.numel() for parameter in parameters)
    if direction.shape != (numel,):
        raise InputError(
            f"`direction` must be flat, one entry for each of the {numel} entries of `parameters`; "
            f"got shape {tuple(direction.shape)}."
        )
    if not step_size > 0 or nodes < 1:
        raise SettingError(f"`step_size` must be positive and `nodes` at least 1; got {step_size} and {nodes}.")
    start = [parameter.detach().clone() for parameter in parameters]
    parts = [part.to(parameter) for part, parameter in zip(_split(direction, parameters), parameters, strict=True)]
    devices = sorted({parameter.get_device() for parameter in parameters if parameter.is_cuda})

    def place(fraction: float) -> None:
        for parameter, origin, part in zip(parameters, start, parts, strict=True):
            # through .data: a graph that the caller holds stays valid, because the values come back to the bit
            parameter.data.copy_(origin if fraction == 0 else origin - fraction * step_size * part)

    def evaluate() -> Mapping[str, Tensor]:
        with torch.random.fork_rng(devices), torch.enable_grad():
            return losses()

    try:
        here = evaluate()
        if not here:
            raise InputError("`losses` returned no task.")
        rows = [_gradient(name, loss, parameters) for name, loss in here.items()]
        slopes = [sum(_inner(g, p) for g, p in zip(row, parts, strict=True)) for row in rows]
        mean = [torch.stack(column).mean(dim=0) for column in zip(*rows, strict=True)]
        positions, shares = np.polynomial.legendre.leggauss(nodes)
        curvature = 0.0
        for position, share in zip((positions + 1) / 2, shares / 2, strict=True):
            place(float(position))
            curvature += float(share) * _curvature(evaluate(), parameters, mean)
        place(1.0)
        with torch.no_grad():
            there = {name: loss.detach() for name, loss in evaluate().items()}
    finally:
        place(0.0)
    if set(there) != set(here):
        raise TaskError(f"`losses` returned the tasks {listed(here)}, then {listed(there)}.")
    square = sum(_inner(part, part) for part in mean)
    return StepDiagnosis(
        names=tuple(here),
        before=np.array([float(loss.detach()) for loss in here.values()]),
        after=np.array([float(there[name]) for name in here]),
        predicted=-step_size * np.array(slopes),
        curvature=curvature,
        relative_curvature=curvature / square if square > 0 else float("nan"),
    )


def _gradient(name: str, loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    if not loss.requires_grad:
        raise LossError(f"the loss of '{name}' does not depend on any parameter: it carries no graph.")
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(found)


def _curvature(losses: Mapping[str, Tensor], parameters: Sequence[Tensor], along: Sequence[Tensor]) -> float:
    """v^T H v of the mean loss at the current parameters."""
    mean = torch.stack([loss.reshape(()) for loss in losses.values()]).mean()
    gradients = torch.autograd.grad(mean, parameters, create_graph=True, allow_unused=True, materialize_grads=True)
    slope = torch.stack([(g * v).sum() for g, v in zip(gradients, along, strict=True)]).sum()
    if not slope.requires_grad:  # linear in the parameters
        return 0.0
    products = torch.autograd.grad(slope, parameters, allow_unused=True, materialize_grads=True)
    return sum(_inner(product, v) for product, v in zip(products, along, strict=True))


def _inner(left: Tensor, right: Tensor) -> float:
    return float((left.double() * right.double()).sum())


def _split(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(flat.detach(), [tensor.numel() for tensor in like])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, like, strict=True)]


def _condition(matrix: Array) -> float:
    values = np.linalg.eigvalsh(matrix)
    return float(np.sqrt(values[-1] / values[0])) if values[0] > len(matrix) * _EPS * values[-1] else float("inf")


def _stationarity(matrix: Array, norms: Array) -> float:
    if not norms.any():
        return 0.0
    weights = min_norm_point(matrix).value
    return float(np.sqrt(max(float(weights @ matrix @ weights), 0.0)) / norms.max())


def _vector(values: object, argument: str, k: int) -> Array:
    vector = real_numbers(values, f"`{argument}`", InputError, "pass one number a task")
    if vector.shape != (k,):
        raise InputError(f"`{argument}` must hold one number for each of the {k} tasks; got shape {vector.shape}.")
    if not np.isfinite(vector).all():
        raise NonFiniteError(f"`{argument}` must be finite; got {vector.tolist()}.")
    return vector
