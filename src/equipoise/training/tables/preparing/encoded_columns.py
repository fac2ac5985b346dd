"""How each column is turned into numbers, as plain data: the parts of a `Preparation`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .columns import Kind

__all__ = ["FlagColumn", "InputColumn", "LevelColumns", "NumberColumn", "Plain", "TargetColumn"]


class Plain(BaseModel):
    """A frozen record without further keys, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputColumn(Plain):
    """An input column as the table holds it.

    Attributes:
        name: Name in the table's header.
        holds: What its cells are.
        written_in: Unit that stood in every cell, or "".
        style: Decimal mark of its numbers, and mark between thousands or "".
    """

    name: str
    holds: Kind
    written_in: str = ""
    style: tuple[str, str] = (".", "")


class NumberColumn(Plain):
    """A number: z = (x - median) / scale, then z / sqrt(1 + (z/3)^2); a missing x becomes the median.

    Attributes:
        column: Name of the input column.
        part: Part of a date: ``day``, ``weekday``, ``month`` or ``hour``; "" for the column itself.
        median, scale: Median of the training rows, and their range between quartiles, or half the range if it is 0.
        edges: Edges of the network's piecewise-linear features, in the units of the result; empty for none.
    """

    column: str
    part: str
    median: float
    scale: float
    edges: tuple[float, ...] = ()


class FlagColumn(Plain):
    """A column of two values in the training rows, 0 and 1; a missing one becomes the more frequent.

    Attributes:
        column, part: Source, as in `NumberColumn`.
        low, high: The two values.
        usual: 0 or 1.
    """

    column: str
    part: str
    low: float
    high: float
    usual: float


class LevelColumns(Plain):
    """One 0/1 column a class; a class that no training row has is zero in all.

    Attributes:
        column: Input column, of classes, or any whose missing rows are marked.
        levels: Classes in the training rows, the most frequent first.
        rare: Classes in the training rows that share one more column.
        missing: Whether this is the mark of missing rows alone.
    """

    column: str
    levels: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    missing: bool = False


class TargetColumn(Plain):
    """A target: its kind and classes; of a number, mean and standard deviation over labelled training rows."""

    name: str
    kind: Literal["regression", "binary", "classes"]
    holds: Kind
    classes: tuple[str, ...] = ()
    unit: str = ""
    mean: float = 0.0
    deviation: float = 1.0
