"""Is this machine's arithmetic what the methods rely on? Every method on a Jacobian whose answer is known by hand."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from .._version import __version__
from ..errors import EquipoiseError, LawViolation
from ..methods import table
from ..methods.arrays import direction
from . import check_method

__all__ = ["Checkup", "Environment", "KnownAnswer", "answers", "environment", "examine_methods"]

Rows = tuple[tuple[float, ...], ...]
_TOLERANCE = 1e-12
_REPEATS = 5


@dataclass(frozen=True)
class KnownAnswer:
    """A Jacobian and the direction that a method must return for it in its first step.

    Attributes:
        jacobian: Gradients of the tasks, (k, n).
        direction: (n,), worked out by hand.
        why: Derivation by hand, in a few words.
        losses: Losses of the tasks, (k,), or None for ones.
        settings: Settings of the method that are not its defaults.
        tolerance: Largest relative error allowed.
    """

    jacobian: Rows
    direction: tuple[float, ...]
    why: str
    losses: tuple[float, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = _TOLERANCE


@dataclass(frozen=True)
class Checkup:
    """Result of one method's checkup.

    Attributes:
        name: Name of the method on the command line.
        check: Reason of the known answer, or the number of laws that were checked where no answer is stored.
        error: Relative error of the direction; None where laws were checked.
        milliseconds: Best time of a call; None where laws were checked or the call failed.
        fault: Description of the first failure, or an empty string.
    """

    name: str
    check: str
    error: float | None
    milliseconds: float | None
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the checkup found no fault."""
        return not self.fault


@dataclass(frozen=True)
class Environment:
    """Versions and hardware that the figures depend on.

    Attributes:
        versions: Package -> version; "not installed" where it is absent.
        threads: Threads of PyTorch's CPU kernels.
        devices: Names of the devices that PyTorch sees, the CPU first.
    """

    versions: dict[str, str]
    threads: int
    devices: tuple[str, ...]


_AXES: Rows = ((2.0, 0.0), (0.0, 1.0))
_CLASH: Rows = ((1.0, 0.0), (-1.0, 1.0))
_SAME: Rows = ((1.0, 2.0), (1.0, 2.0))
_EVEN: Rows = ((1.0, 0.0), (0.0, 1.0))
_MEAN = KnownAnswer(_AXES, (1.0, 0.5), "the first step is the mean")
_CUT = KnownAnswer(_CLASH, (0.25, 0.75), "each projected on the plane normal to the other, then the mean")
_AGREED = KnownAnswer(_SAME, (1.0, 2.0), "identical gradients give that gradient")
_SHORTEST = KnownAnswer(_AXES, (0.4, 0.8), "orthogonal gradients: weights ~ 1/|g|^2")
_HALF = 0.5**0.5

answers: MappingProxyType[str, KnownAnswer] = MappingProxyType(
    {
        "alignedmtl": KnownAnswer(((1.0, 0.0), (0.0, 3.0)), (0.5, 0.5), "both as long as the shorter"),
        "alignedmtlub": _AGREED,
        "averaged": KnownAnswer(_AXES, (1.0, 0.5), "the inner method's first step is the mean"),
        "cagrad": KnownAnswer(_EVEN, (0.7 / 1.16, 0.7 / 1.16), "by symmetry g0 (1 + c) / (1 + c^2), c = 0.4"),
        "cappedmgda": KnownAnswer(
            ((1.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 3.0)),
            (0.5, 0.75, 0.75),
            "the shortest has its cap, the others half of the rest each",
            settings={"cap": 0.5},
        ),
        "config": KnownAnswer(_AXES, (0.75, 0.75), "along (1, 1)/sqrt 2, as long as the mean projection"),
        "cosmos": KnownAnswer(_AXES, (1.0, 0.5), "losses along the preference: the cosine is flat, the mean is left"),
        "covweighting": _MEAN,
        "dbmtl": KnownAnswer(((4.0, 0.0), (0.0, 3.0)), (2.0, 2.0), "g/L, as long as the longest", losses=(1.0, 3.0)),
        "dualproj": KnownAnswer(((1.0, 0.0), (-3.0, 1.0)), (0.0, 0.5), "the mean (-1, 0.5) on the dual cone"),
        "dwa": _MEAN,
        "edm": KnownAnswer(((3.0, 0.0), (0.0, 1.0)), (0.75, 0.75), "two tasks: the bisector, weights ~ 1/|g|"),
        "fairgrad": KnownAnswer(_AXES, (1.0, 1.0), "orthogonal gradients: a = 1/|g|"),
        "epo": KnownAnswer(_AXES, (2.0, 0.0), "the first loss is above the ray of equal losses", losses=(9.0, 1.0)),
        "excessmtl": _MEAN,
        "famo": KnownAnswer(_AXES, (1.5, 0.25), "weights ~ 1/L", losses=(1.0, 3.0), tolerance=1e-7),
        "ferero": KnownAnswer(
            _AXES, (0.8, 0.6), "the first falls faster by 1: falls f + 1 and f, best at f = 0.6", losses=(2.0, 1.0)
        ),
        "geometricloss": KnownAnswer(_AXES, (2.0, 0.25), "weights sqrt(L1 L2) / (2 L)", losses=(1.0, 4.0)),
        "graddrop": KnownAnswer(
            ((3.0, -2.0), (1.0, -4.0)), (2.0, -3.0), "signs agree: purity 1 and 0, nothing dropped"
        ),
        "go4align": KnownAnswer(_AXES, (1.0, 0.5), "equal losses: the mean"),
        "gradientannealing": KnownAnswer(
            ((4.0, 0.0), (0.0, 2.0)), (2.0, 4.0), "factor: largest entry 4 over mean entry 1", settings={"beta": 0.0}
        ),
        "gradnorm": _MEAN,
        "gradvac": _CUT,
        "hypervolumeloss": KnownAnswer(
            _AXES, (1.0, 0.25), "weights 1/(r - L)", losses=(3.0, 2.0), settings={"reference": (5.0, 6.0)}
        ),
        "imtl": KnownAnswer(_AXES, (2 / 3, 2 / 3), "losses as they are at first; equal projections"),
        "imtlg": KnownAnswer(_AXES, (2 / 3, 2 / 3), "orthogonal gradients: weights ~ 1/|g|"),
        "imtll": KnownAnswer(_AXES, (2.0, 1.0), "e^0 = 1 each: the sum"),
        "inversenorm": KnownAnswer(((3.0, 0.0), (0.0, 1.0)), (0.75, 0.75), "weights ~ 1/|g|"),
        "linearscalarization": KnownAnswer(_AXES, (1.0, 0.5), "the mean"),
        "metabalance": KnownAnswer(
            ((1.0, 0.0), (0.0, 4.0)), (0.5, 0.5), "the second as long as the first", settings={"relax": 1.0}
        ),
        "mgda": _SHORTEST,
        "mgdaub": KnownAnswer(((0.0, 1.0), (-1.0, -1.0)), (-0.4, 0.2), "closed form for two: weights (.6, .4)"),
        "moco": KnownAnswer(_AXES, (0.25, 0.875), "one projected step from (.5, .5)", settings={"gamma": 0.5}),
        "modo": KnownAnswer(_EVEN, (0.5, 0.5), "by symmetry"),
        "nashmtl": KnownAnswer(_AXES, (_HALF, _HALF), "the sum of the unit gradients, clipped to length 1"),
        "ntkmtl": KnownAnswer(((7.0, 0.0), (0.0, 1.0)), (2.5, 2.5), "root mean square 5 times the mean unit gradient"),
        "ntkweights": KnownAnswer(((3.0, 0.0), (0.0, 1.0)), (5 / 6, 2.5), "mean trace 5 over 9 and 1"),
        "omdtchebycheff": _MEAN,
        "pbi": KnownAnswer(
            _AXES, (-8 * _HALF, 6 * _HALF), "u + 5 (-1, 1)/sqrt 2, u = (1, 1)/sqrt 2", losses=(3.0, 4.0)
        ),
        "pcd": KnownAnswer(
            ((2.0, 0.0), (0.0, 3.0)), (2**0.5, 2**0.5), "(1, 1), as long as the first", settings={"tau": 1.0}
        ),
        "pcgrad": _CUT,
        "pmgda": KnownAnswer(
            _AXES, (1.0, -0.5), "straight to the ray: (g1 - g2) / 2", losses=(9.0, 1.0), settings={"sigma": 1.0}
        ),
        "pmtl": KnownAnswer(
            _AXES, (1.0, -0.5), "outside the second sector: (g1 - g2) / 2", losses=(2.0, 1.0), settings={"index": 1}
        ),
        "pnorm": KnownAnswer(_AXES, (0.6, 0.4), "weights (1.5, 2)/2.5 / 2", losses=(3.0, 4.0)),
        "relobralo": _MEAN,
        "rgw": _AGREED,
        "rlw": _AGREED,
        "scaleinvariant": KnownAnswer(_AXES, (1.0, 0.25), "weights 1/(2 L)", losses=(1.0, 2.0)),
        "sdmgrad": KnownAnswer(_EVEN, (0.5, 0.5), "by symmetry"),
        "slaw": _MEAN,
        "smoothed": _SHORTEST,
        "smoothtchebycheff": KnownAnswer(_AXES, (1.0, 0.5), "equal losses: equal weights"),
        "softadapt": _MEAN,
        "tchebycheff": KnownAnswer(
            _AXES,
            (2.0, 0.0),
            "the largest loss alone",
            losses=(3.0, 1.0),
            settings={"ideal": (0.0, 0.0), "utopia": 0.0},
        ),
        "tracked": _SHORTEST,
        "uncertaintyweighting": KnownAnswer(_AXES, (1.0, 0.5), "log variance 0: half of each"),
        "upgrad": KnownAnswer(_CLASH, (0.25, 0.75), "(1, 0) on (.5, .5), (-1, 1) on (0, 1), then the mean"),
        "uwso": KnownAnswer(_AXES, (1.0, 0.5), "equal losses: the mean"),
    }
)
"""Name in the table -> answer. A method without one has its laws checked instead."""


def environment() -> Environment:
    """Versions, threads and devices of this machine.

    Example:
        >>> environment().devices[0]
        'cpu'
    """
    names = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "pydantic", "safetensors", "plotly", "moocore")
    found = {"equipoise": __version__}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    gpus = tuple(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))
    metal = ("mps",) if torch.backends.mps.is_available() else ()
    return Environment(found, torch.get_num_threads(), ("cpu", *gpus, *metal))


def examine_methods() -> tuple[Checkup, ...]:
    """Every method of the table, on the CPU in float64.

    Returns:
        One checkup a method, in the order of the table: the direction against its known answer (relative error at most
        1e-12, where nothing else is stored), or the laws it claims for two and three tasks.

    Cost:
        About a second.
    """
    return tuple(_known(name, answers[name]) if name in answers else _lawful(name) for name in table)


def _known(name: str, answer: KnownAnswer) -> Checkup:
    wanted = np.array(answer.direction)
    try:
        method = table[name](**answer.settings)
        times = []
        for _ in range(_REPEATS):
            start = time.perf_counter()
            found = direction(method, answer.jacobian, answer.losses).numpy()
            times.append(time.perf_counter() - start)
    except (EquipoiseError, ArithmeticError, ValueError, RuntimeError) as refusal:
        return Checkup(name, answer.why, None, None, f"{type(refusal).__name__}: {refusal}")
    error = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    fault = "" if error <= answer.tolerance else f"found {found.round(12).tolist()}, known is {wanted.tolist()}"
    return Checkup(name, answer.why, error, 1e3 * min(times), fault)


def _lawful(name: str) -> Checkup:
    try:
        checks = check_method(table[name](), sizes=(2, 3)).checks
    except LawViolation as violation:
        return Checkup(name, "laws", None, None, str(violation).splitlines()[0])
    return Checkup(name, f"laws: {checks} checks", None, None)
