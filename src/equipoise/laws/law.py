"""The laws, one checker each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..core.numbers import Array
from ..errors import LawViolation
from ..methods.base import Method
from ..methods.run import Outcome
from ..solve.min_norm import min_norm_point
from .cases import Case
from .trials import Moment, Trial, play, trials

__all__ = ["Law", "laws"]

_TOLERANCE = 1e-7  # relative to the direction, or to the smallest gradient where the direction is shorter
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes:
        name: Name that methods claim it by.
        sentence: Sentence that says what must hold.
        examine: Raises `LawViolation` where it does not hold in a step of a run.
    """

    name: str
    sentence: str
    examine: Callable[[Method, Trial], None]

    def check(self, method: Method, case: Case) -> None:
        """Examine a method on one input: one step, or the runs of `trials` for a method with memory.

        Args:
            method: Method that claims the law.
            case: Input of the check.

        Raises:
            LawViolation: Naming the method, the law, the input and the run.
        """
        self.check_runs(method, trials(method, case))

    def check_runs(self, method: Method, runs: Iterable[Trial]) -> None:
        """Examine a method on the runs of one input, which several laws may share."""
        for trial in runs:
            self.examine(method, trial)


def _scale(jacobian: Array, direction: Array) -> float:
    norms = np.linalg.norm(jacobian, axis=1)
    smallest = norms[norms > 0].min(initial=np.inf)
    return max(float(np.linalg.norm(direction)), float(smallest) if np.isfinite(smallest) else 0.0)


def _require(condition: bool, law: str, method: Method, trial: Trial, found: str, size: float) -> None:
    if not condition:
        raise LawViolation(f"{method!r} breaks `{law}` on {trial.name}: {found}.", found=found, size=size)


def _require_same(law: str, method: Method, trial: Trial, found: list[Array], wanted: list[Array]) -> None:
    """The same direction in every step of a run."""
    for moment, one, other in zip(trial.moments, found, wanted, strict=True):
        scale = _scale(moment.jacobian[moment.present], other)
        error = float(np.linalg.norm(one - other))
        words, size = f"directions differ by {error:.3g} at size {scale:.3g}", error / scale if scale else error
        _require(error <= _TOLERANCE * scale, law, method, trial, words, size)


def _directions(outcomes: list[Outcome]) -> list[Array]:
    return [outcome.direction.numpy() for outcome in outcomes]


def _simplex(method: Method, trial: Trial) -> None:
    for outcome in trial.outcomes(method):
        weights = outcome.weights
        if weights is None:
            raise LawViolation(f"{method!r} claims `simplex` but has no weights.")
        smallest, total = float(weights.min()), float(weights.sum())
        _require(smallest >= 0, "simplex", method, trial, f"smallest weight {smallest:.3g}", -smallest)
        words = f"weights sum to {total:.15g}"
        _require(abs(total - 1) <= _ROUNDING * len(weights), "simplex", method, trial, words, abs(total - 1))


def _permutation(method: Method, trial: Trial) -> None:
    wanted, k = _directions(trial.outcomes(method)), len(trial.moments[0].losses)
    for order in (np.arange(k)[::-1], np.roll(np.arange(k), 1)):

        def reordered(moment: Moment, order: NDArray[np.intp] = order) -> Moment:
            return Moment(moment.jacobian[order], moment.losses[order], moment.present[order])

        found = _directions(play(method, trial.map(reordered)))
        _require_same("permutation", method, trial, found, wanted)


def _unanimity(method: Method, trial: Trial) -> None:
    alike = trial.map(lambda moment: moment._replace(jacobian=np.tile(moment.jacobian[0], (len(moment.losses), 1))))
    wanted = [moment.jacobian[0] for moment in alike.moments]
    _require_same("unanimity", method, alike, _directions(play(method, alike)), wanted)


def _degree(method: Method, trial: Trial) -> None:
    power = method.degree()
    if power is None:
        raise LawViolation(f"{method!r} claims `degree` but its degree() is None.")
    base = _directions(trial.outcomes(method))
    for factor in (1e-3, 7.0):
        found = [direction / factor**power for direction in _directions(play(method, trial.scaled(factor)))]
        _require_same("degree", method, trial, found, base)


def _no_conflict(method: Method, trial: Trial) -> None:
    for moment, found in zip(trial.moments, _directions(trial.outcomes(method)), strict=True):
        rows = moment.jacobian[moment.present]
        norms = np.linalg.norm(rows, axis=1)
        bound = _TOLERANCE * norms * _scale(rows, found)
        products = rows @ found
        worst = int(np.argmin(products + bound))
        cosine = products[worst] / max(np.linalg.norm(found) * norms[worst], 1e-300)
        words = f"<g_{worst}, d> = {products[worst]:.3g}, cosine {cosine:.3g}"
        _require(bool((products >= -bound).all()), "no_conflict", method, trial, words, -cosine)


def _single(method: Method, trial: Trial) -> None:
    alone = trial.map(lambda moment: Moment(moment.jacobian[:1], moment.losses[:1], moment.present[:1]))
    wanted = [moment.jacobian[0] for moment in alone.moments]
    _require_same("single", method, alone, _directions(play(method, alone)), wanted)


def _task_scale(method: Method, trial: Trial) -> None:
    """The unit direction, compared at the length of the direction for the losses as they are."""
    wanted, k = _directions(trial.outcomes(method)), len(trial.moments[0].losses)
    for factors in (np.logspace(-1, 1, k) if k > 1 else np.array([3.0]), np.where(np.arange(k) % 2, 5.0, 0.3)):
        aligned = []
        for before, after in zip(wanted, _directions(play(method, trial.scaled(factors))), strict=True):
            length, other = float(np.linalg.norm(before)), float(np.linalg.norm(after))
            aligned.append(after * (length / other) if other > 0 else after)
        _require_same("task_scale", method, trial, aligned, wanted)


def _stationary(method: Method, trial: Trial) -> None:
    """Both ways: zero in the convex hull of the gradients makes d = 0, and d = 0 only then."""
    for moment, direction in zip(trial.moments, _directions(trial.outcomes(method)), strict=True):
        rows = moment.jacobian[moment.present]
        shortest = min_norm_point(rows @ rows.T).value @ rows
        norms = np.linalg.norm(rows, axis=1)
        unit = float(norms[norms > 0].min(initial=np.inf))
        distance, length = float(np.linalg.norm(shortest)), float(np.linalg.norm(direction))
        inside = distance <= _TOLERANCE * unit
        found = f"0 lies {distance / unit:.3g} from the hull, |d| = {length / unit:.3g}, both over the smallest |g_i|"
        size = (length if inside else distance) / unit
        _require((length <= _TOLERANCE * unit) == inside, "stationary", method, trial, found, size)


def _linear_under_scaling(method: Method, trial: Trial) -> None:
    """d(b + c) = d(b) + d(c) for positive factors b, c of the losses: with degree 1, the law of linearity."""
    k = len(trial.moments[0].losses)
    shares = (np.linspace(0.2, 1.0, k) if k > 1 else np.array([0.5]), np.where(np.arange(k) % 2, 0.9, 0.1))
    first, second, whole = (
        _directions(play(method, trial.scaled(factors))) for factors in (*shares, shares[0] + shares[1])
    )
    added = [one + other for one, other in zip(first, second, strict=True)]
    _require_same("linear_under_scaling", method, trial, added, whole)


laws: MappingProxyType[str, Law] = MappingProxyType(
    {
        law.name: law
        for law in (
            Law("simplex", "the weights of the tasks are non-negative and sum to 1", _simplex),
            Law("permutation", "the order of the tasks does not matter", _permutation),
            Law("unanimity", "where all tasks have the same gradient, the direction is that gradient", _unanimity),
            Law(
                "degree", "multiplying every loss by c > 0 multiplies the direction by c^p, with p = degree()", _degree
            ),
            Law(
                "no_conflict",
                "a step along the direction raises no loss to first order: <g_i, d> >= 0 for every task",
                _no_conflict,
            ),
            Law("single", "with one task, the direction is its gradient", _single),
            Law("task_scale", "multiplying single losses by positive numbers does not turn the direction", _task_scale),
            Law(
                "stationary",
                "the direction is zero where 0 lies in the convex hull of the gradients, and only there",
                _stationary,
            ),
            Law(
                "linear_under_scaling",
                "the direction is linear in positive factors of the losses: d(b + c) = d(b) + d(c)",
                _linear_under_scaling,
            ),
        )
    }
)
"""Name -> law. Tolerance 1e-7 of the direction, or of the smallest gradient where the direction is shorter.

A method with memory must obey in every step of two short runs, one with the same Jacobian throughout and one with
changing ones and an absent task. Factors and orders are those of the whole run; for ``unanimity`` and ``single`` every
step has a gradient of its own. ``task_scale`` tries factors of 0.1 to 10 and compares directions of equal length: two
opposite directions differ, a direction shorter than 1e-7 of the smallest gradient has no unit direction and passes.
``stationary`` calls a vector zero below 1e-7 of the smallest gradient that is not exactly zero.
``linear_under_scaling`` is checked for one pair of vectors of factors between 0.1 and 1; homogeneity is the law
``degree``.
"""
