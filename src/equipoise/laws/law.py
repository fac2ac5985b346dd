"""The laws, one checker each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import LawViolation
from ..methods.base import Method, State, Step
from ..methods.run import Outcome, run_method
from ..solve.min_norm import min_norm_point
from ..types import Tasks
from .cases import Case

__all__ = ["Law", "laws"]

Array = NDArray[np.float64]
_TOLERANCE = 1e-7  # relative to the direction, or to the smallest gradient where the direction is shorter
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        name: As claimed by methods.
        sentence: What must hold.
        check: Raises `LawViolation` where it does not.
    """

    name: str
    sentence: str
    check: Callable[[Method, Case], None]


def _history(method: Method, losses: Array) -> list[Array]:
    """Losses of three steps in which tasks improve at different speeds; of one for a method without memory."""
    speeds = np.arange(1, len(losses) + 1)
    return [losses * fade**speeds for fade in ((1.0, 0.9, 0.8) if method.state_tensors else (1.0,))]


def _play(method: Method, jacobian: Array, history: Sequence[Array]) -> Outcome:
    """The last step of a short run; every step closes an epoch where the method has that clock."""
    state: State = method.init(*jacobian.shape)
    tasks = Tasks(tuple(f"task{i}" for i in range(len(jacobian))))
    rows = torch.from_numpy(np.ascontiguousarray(jacobian))
    for losses in history:
        outcome = run_method(method, rows, state, Step(tasks, torch.from_numpy(np.ascontiguousarray(losses))))
        state = method.end_epoch(outcome.state) if method.per_epoch else outcome.state
    return outcome


def _direction(method: Method, case: Case) -> Array:
    found: Array = _play(method, case.jacobian, _history(method, case.losses)).direction.numpy()
    return found


def _scale(jacobian: Array, direction: Array) -> float:
    norms = np.linalg.norm(jacobian, axis=1)
    smallest = norms[norms > 0].min(initial=np.inf)
    return max(float(np.linalg.norm(direction)), float(smallest) if np.isfinite(smallest) else 0.0)


def _require(condition: bool, law: str, method: Method, case: Case, found: str) -> None:
    if not condition:
        raise LawViolation(f"{method!r} breaks `{law}` on {case.name}: {found}.")


def _require_same(law: str, method: Method, case: Case, found: Array, wanted: Array, jacobian: Array) -> None:
    scale = _scale(jacobian, wanted)
    error = float(np.linalg.norm(found - wanted))
    _require(
        error <= _TOLERANCE * scale,
        law,
        method,
        case,
        f"directions differ by {error:.3g} at size {scale:.3g}",
    )


def _simplex(method: Method, case: Case) -> None:
    weights = _play(method, case.jacobian, _history(method, case.losses)).weights
    if weights is None:
        raise LawViolation(f"{method!r} claims `simplex` but has no weights.")
    smallest, total = float(weights.min()), float(weights.sum())
    _require(smallest >= 0, "simplex", method, case, f"smallest weight {smallest:.3g}")
    _require(abs(total - 1) <= _ROUNDING * len(weights), "simplex", method, case, f"weights sum to {total:.15g}")


def _permutation(method: Method, case: Case) -> None:
    wanted, k = _direction(method, case), len(case.losses)
    for order in (np.arange(k)[::-1], np.roll(np.arange(k), 1)):
        history = [losses[order] for losses in _history(method, case.losses)]
        found = _play(method, case.jacobian[order], history).direction.numpy()
        _require_same("permutation", method, case, found, wanted, case.jacobian)


def _unanimity(method: Method, case: Case) -> None:
    rows = np.tile(case.jacobian[0], (len(case.losses), 1))
    found = _play(method, rows, _history(method, case.losses)).direction.numpy()
    _require_same("unanimity", method, case, found, rows[0], rows)


def _degree(method: Method, case: Case) -> None:
    power = method.degree()
    if power is None:
        raise LawViolation(f"{method!r} claims `degree` but its degree() is None.")
    base = _direction(method, case)
    for factor in (1e-3, 7.0):
        history = [factor * losses for losses in _history(method, case.losses)]
        found = _play(method, factor * case.jacobian, history).direction.numpy()
        _require_same("degree", method, case, found / factor**power, base, case.jacobian)


def _no_conflict(method: Method, case: Case) -> None:
    found = _direction(method, case)
    bound = _TOLERANCE * np.linalg.norm(case.jacobian, axis=1) * _scale(case.jacobian, found)
    products = case.jacobian @ found
    worst = int(np.argmin(products + bound))
    _require(
        bool((products >= -bound).all()),
        "no_conflict",
        method,
        case,
        f"<g_{worst}, d> = {products[worst]:.3g}, cosine "
        f"{products[worst] / max(np.linalg.norm(found) * np.linalg.norm(case.jacobian[worst]), 1e-300):.3g}",
    )


def _single(method: Method, case: Case) -> None:
    rows = case.jacobian[:1]
    found = _play(method, rows, _history(method, case.losses[:1])).direction.numpy()
    _require_same("single", method, case, found, rows[0], rows)


def _task_scale(method: Method, case: Case) -> None:
    """The unit direction, compared at the length of the direction for the losses as they are."""
    wanted, k = _direction(method, case), len(case.losses)
    length = float(np.linalg.norm(wanted))
    for factors in (np.logspace(-1, 1, k) if k > 1 else np.array([3.0]), np.where(np.arange(k) % 2, 5.0, 0.3)):
        history = [factors * losses for losses in _history(method, case.losses)]
        found = _play(method, factors[:, None] * case.jacobian, history).direction.numpy()
        other = float(np.linalg.norm(found))
        aligned = found * (length / other) if other > 0 else found
        _require_same("task_scale", method, case, aligned, wanted, case.jacobian)


def _stationary(method: Method, case: Case) -> None:
    """Both ways: zero in the convex hull of the gradients makes d = 0, and d = 0 only then."""
    shortest = min_norm_point(case.jacobian @ case.jacobian.T).value @ case.jacobian
    norms = np.linalg.norm(case.jacobian, axis=1)
    unit = float(norms[norms > 0].min(initial=np.inf))
    distance, length = float(np.linalg.norm(shortest)), float(np.linalg.norm(_direction(method, case)))
    inside = distance <= _TOLERANCE * unit
    found = f"0 lies {distance / unit:.3g} from the hull, |d| = {length / unit:.3g}, both over the smallest |g_i|"
    _require((length <= _TOLERANCE * unit) == inside, "stationary", method, case, found)


def _linear_under_scaling(method: Method, case: Case) -> None:
    """d(b + c) = d(b) + d(c) for positive factors b, c of the losses: with degree 1, the law of linearity."""
    k = len(case.losses)
    shares = (np.linspace(0.2, 1.0, k) if k > 1 else np.array([0.5]), np.where(np.arange(k) % 2, 0.9, 0.1))

    def scaled(factors: Array) -> Array:
        history = [factors * losses for losses in _history(method, case.losses)]
        found: Array = _play(method, factors[:, None] * case.jacobian, history).direction.numpy()
        return found

    parts = [scaled(share) for share in shares]
    whole = scaled(shares[0] + shares[1])
    _require_same("linear_under_scaling", method, case, parts[0] + parts[1], whole, case.jacobian)


laws: MappingProxyType[str, Law] = MappingProxyType(
    {
        law.name: law
        for law in (
            Law("simplex", "weights are non-negative and sum to 1", _simplex),
            Law("permutation", "the order of the tasks does not matter", _permutation),
            Law("unanimity", "k identical gradients g give d = g", _unanimity),
            Law("degree", "c times all losses gives c^p times the direction, p = degree()", _degree),
            Law("no_conflict", "<g_i, d> >= 0 for every task", _no_conflict),
            Law("single", "one task: d is its gradient", _single),
            Law("task_scale", "positive factors of single losses do not change the unit direction", _task_scale),
            Law("stationary", "d = 0 exactly where 0 lies in the convex hull of the gradients", _stationary),
            Law(
                "linear_under_scaling",
                "as a function of positive factors c of the losses, d(b + c) = d(b) + d(c)",
                _linear_under_scaling,
            ),
        )
    }
)
"""Name -> law. Tolerance 1e-7 of the direction, or of the smallest gradient where the direction is shorter.

``task_scale`` tries factors of 0.1 to 10 and compares directions of equal length: two opposite directions differ, a
direction shorter than 1e-7 of the smallest gradient has no unit direction and passes. ``stationary`` calls a vector
zero below 1e-7 of the smallest gradient that is not exactly zero. ``linear_under_scaling`` is checked for one pair of
vectors of factors between 0.1 and 1; homogeneity is the law ``degree``.
"""
