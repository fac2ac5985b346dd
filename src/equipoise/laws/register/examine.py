"""One implementation against the laws that its source claims, from the smallest input to the largest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ...errors import EquipoiseError, LawViolation
from ...methods import table
from ...methods.arrays import direction
from ...methods.base import Method
from ..cases import Case, Matrix, families
from ..known_answers import answers
from ..law import laws
from ..trials import trials
from .adapter import Foreign

__all__ = ["COARSE", "Row", "examine", "inputs"]

COARSE = 0.01
"""A law that is missed by more than this part of the direction is broken; by less, it holds approximately."""

_FAULTS = (
    EquipoiseError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of an implementation: a finding, and counted."""

Verdict = Literal["holds", "approximate", "breaks", "fails"]
_DEPENDENT = 1e-6  # smallest singular value of the unit gradients below which they count as dependent

_SMALL: tuple[tuple[tuple[float, ...], ...], ...] = (
    ((1, 0), (0, 1)),
    ((2, 0), (0, 1)),
    ((1, 0), (-1, 1)),
    ((1, 0), (-3, 1)),
    ((1, 0), (-100, 1)),
    ((1, 0, 0), (0, 2, 0), (0, 0, 3)),
    ((1, 0, 0), (-1, 1, 0), (0, -1, 1)),
    ((1, 0, 0), (-1, 1, 0), (-1, -1, 1)),
    ((100, 0, 0), (-1, 1, 0), (-1, -2, 1)),
)


@dataclass(frozen=True)
class Row:
    """One implementation and one law.

    Attributes:
        package: Package that ships it.
        version: Version of that package.
        name: Name in that package.
        method: The method of our table that it is set against.
        law: Name of the law, or ``definition``.
        verdict: ``holds`` (within 1e-7), ``approximate`` (within `COARSE`), ``breaks``, or ``fails`` (it raises).
        inputs: Number of inputs that were tried.
        missed: Number of inputs on which the law is missed.
        smallest: The first input, from small to large, that shows the verdict; empty where the law holds.
        expected: What the law says.
        found: What was found on that input.
        worst: Largest size of a miss over all inputs, relative to the direction; infinite where it raises.
        cause: Cause of misses, from reading and running the code; empty where it is not known.
    """

    package: str
    version: str
    name: str
    method: str
    law: str
    verdict: Verdict
    inputs: int
    missed: int
    smallest: str
    expected: str
    found: str
    worst: float
    cause: str = ""


def inputs(*, quick: bool = False) -> Iterator[Case]:
    """Inputs for two tasks and more, from small to large.

    Args:
        quick: Whether the random families are left out.

    Yields:
        Nine small matrices of whole numbers at five scales, then every family of `equipoise.laws.families` for 2, 3, 5
        and 10 tasks.
    """
    for scale in (1.0, 1e-3, 1e3, 1e-6, 1e6):
        for rows in _SMALL:
            matrix: Matrix = scale * np.array(rows, dtype=np.float64)
            yield Case(f"{scale:g} * {[list(row) for row in rows]}", matrix, np.arange(1.0, len(rows) + 1))
    for k in () if quick else (2, 3, 5, 10):
        yield from families(k, scales=(1.0, 1e-8, 1e8) if k == 3 else (1.0,))


def examine(method: Method, package: str, version: str, name: str, cases: Iterable[Case]) -> list[Row]:
    """Every law that a method claims, and its definition by an answer known by hand.

    Args:
        method: Method of ours, or the adapter of another.
        package: Package that ships it.
        version: Version of the package.
        name: Name of the method there.
        cases: Inputs from small to large. For an adapter those with a gradient of exactly zero are left out, and those
            with dependent gradients where the source defines the method for independent ones only.

    Returns:
        One row a law.
    """
    ours = method.ours if isinstance(method, Foreign) else method
    about = (package, version, name, repr(ours))
    known = _definition(method, ours, about)
    rows = [known] if known else []
    defined = (case for case in cases if not isinstance(method, Foreign) or _defined(method, case))
    runs = [(case, tuple(trials(method, case))) for case in defined]
    for law in laws.values():
        misses: list[tuple[Case, str, float]] = []
        tried = [(case, played) for case, played in runs if law.name in method.claims(len(case.losses))]
        for case, played in tried:
            try:
                law.check_runs(method, played)
            except LawViolation as violation:
                misses.append((case, violation.found, violation.size))
            except _FAULTS as fault:
                misses.append((case, _said(fault), float("inf")))
        if tried:
            rows.append(_row(about, law.name, law.sentence, len(tried), misses))
    cause = method.note if isinstance(method, Foreign) else ""
    return [replace(row, cause=cause) if row.missed else row for row in rows]


def _row(
    about: tuple[str, str, str, str], law: str, expected: str, tried: int, misses: list[tuple[Case, str, float]]
) -> Row:
    worst = max((float(size) for _, _, size in misses), default=0.0)
    shown = next((miss for miss in misses if miss[2] > COARSE), misses[0] if misses else None)
    if shown is None:
        return Row(*about, law, "holds", tried, 0, "", expected, "", 0.0)
    verdict: Verdict = "approximate" if worst <= COARSE else "fails" if np.isinf(shown[2]) else "breaks"
    return Row(*about, law, verdict, tried, len(misses), shown[0].name, expected, shown[1], worst)


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {str(fault).partition(chr(10))[0][:120]}"


def _defined(method: Foreign, case: Case) -> bool:
    norms = np.linalg.norm(case.jacobian, axis=1)
    if not norms.all():
        return False
    units = case.jacobian / norms[:, None]
    return not method.independent or float(np.linalg.svd(units, compute_uv=False).min()) > _DEPENDENT


def _definition(method: Method, ours: Method, about: tuple[str, str, str, str]) -> Row | None:
    """The direction of the first step on the input whose answer is known by hand, up to its length."""
    name = next(name for name, kind in table.items() if kind is type(ours))
    answer = answers.get(name)
    if answer is None or any(getattr(ours, setting) != value for setting, value in answer.settings.items()):
        return None
    wanted = np.array(answer.direction)
    wanted /= np.linalg.norm(wanted)
    rows, losses = [list(row) for row in answer.jacobian], answer.losses
    case = Case(f"{rows}" + (f", losses {list(losses)}" if losses else ""), np.array(rows), np.ones(len(rows)))
    expected = f"along {wanted.round(4).tolist()} ({answer.why})"
    misses: list[tuple[Case, str, float]] = []
    try:
        found = direction(method, answer.jacobian, losses).numpy()
        unit = found / np.linalg.norm(found)
        size = float(np.linalg.norm(unit - wanted))
        if size > max(answer.tolerance, 1e-7):
            misses.append((case, f"along {unit.round(4).tolist()}", size))
    except _FAULTS as fault:
        misses.append((case, _said(fault), float("inf")))
    return _row(about, "definition", expected, 1, misses)
