"""Problems given by a formula, with answers known by formula, and the paths that methods take on them."""

from .curved import Curved
from .dtlz import DTLZ1, DTLZ2, MaF1
from .dtlz_variants import DTLZ3, DTLZ4, DTLZ5, DTLZ6, DTLZ7
from .formula import BoxProblem, FormulaProblem, Function
from .paths import Path, descend
from .problem_table import named, table
from .two_bowls import Exponential, Quadratic
from .two_task_toy import CAGRAD_STARTS, NASH_STARTS, TwoTaskToy
from .vlmop import VLMOP3, Schaffer
from .zdt import ZDT1, ZDT2, ZDT3, ZDT4, ZDT6

__all__ = [
    "CAGRAD_STARTS",
    "DTLZ1",
    "DTLZ2",
    "DTLZ3",
    "DTLZ4",
    "DTLZ5",
    "DTLZ6",
    "DTLZ7",
    "NASH_STARTS",
    "VLMOP3",
    "ZDT1",
    "ZDT2",
    "ZDT3",
    "ZDT4",
    "ZDT6",
    "BoxProblem",
    "Curved",
    "Exponential",
    "FormulaProblem",
    "Function",
    "MaF1",
    "Path",
    "Quadratic",
    "Schaffer",
    "TwoTaskToy",
    "descend",
    "named",
    "table",
]
