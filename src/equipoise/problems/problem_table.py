"""Formula problems by name."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from ..errors import SettingError, listed
from .curved import Curved
from .dtlz import DTLZ1, DTLZ2, MaF1
from .dtlz_variants import DTLZ3, DTLZ4, DTLZ5, DTLZ6, DTLZ7
from .formula import FormulaProblem
from .two_bowls import Exponential, Quadratic
from .vlmop import VLMOP3, Schaffer
from .zdt import ZDT1, ZDT2, ZDT3, ZDT4, ZDT6

__all__ = ["named", "table"]

_KINDS: tuple[type[FormulaProblem], ...] = (
    Quadratic, Exponential, Schaffer, ZDT1, ZDT2, ZDT3, ZDT4, ZDT6,
    DTLZ1, DTLZ2, DTLZ3, DTLZ4, DTLZ5, DTLZ6, DTLZ7, MaF1, VLMOP3,
)  # fmt: skip

table: Mapping[str, Callable[..., FormulaProblem]] = MappingProxyType(
    {kind.key: kind for kind in _KINDS} | {f"f{number}": partial(Curved, number) for number in range(1, 7)}
)
"""Name -> what builds the problem in its customary size."""


def named(name: str) -> FormulaProblem:
    """The formula problem of a name, in its customary size.

    Args:
        name: A key of `table`, in any case.

    Raises:
        SettingError: There is no such problem.

    Example:
        >>> named("zdt1"), named("f3")
        (ZDT1(n=30), Curved(number=3, n=6))
    """
    if not isinstance(name, str) or name.lower() not in table:
        raise SettingError(f"there is no formula problem {name!r}; there are {listed(table)}.")
    return table[name.lower()]()
