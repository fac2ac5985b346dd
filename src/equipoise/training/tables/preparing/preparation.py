"""From columns to the numbers that networks are fed: fitted on training rows, stored as JSON, applied to any rows."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ....core.numbers import Array
from ....data.encoding.inputs import MAX_LEVELS
from ....data.encoding.values import as_floats
from ....data.raw import RawTable, refuse
from .columns import Columns, Kind, Target, number_label
from .encoded_columns import FlagColumn, InputColumn, LevelColumns, NumberColumn, Plain, TargetColumn

__all__ = ["OTHER", "Preparation", "class_codes"]

_MOST_EDGES = 128
_ROWS_A_BIN = 8
_MAJORITY = 0.5
_SOFT = 3.0  # robust units at which numbers begin to be compressed
_DATE_PARTS = ("day", "weekday", "month", "hour")
_MISSING, OTHER = "(missing)", "(other)"


class Preparation(Plain):
    """All that is needed to feed rows to a trained network; `model_dump_json` writes it, nothing is pickled.

    Attributes:
        inputs: Input columns, in the order of the table.
        numbers, flags, levels: Encoded columns, in the order of the matrix.
        targets: One a target.
    """

    inputs: tuple[InputColumn, ...]
    numbers: tuple[NumberColumn, ...]
    flags: tuple[FlagColumn, ...]
    levels: tuple[LevelColumns, ...]
    targets: tuple[TargetColumn, ...]

    @classmethod
    def fitted(cls, raw: RawTable, columns: Columns, train: NDArray[np.intp]) -> Self:
        """Fit on the training rows; no other row is looked at.

        Raises:
            DataError: A target or all inputs have a single value in the training rows.
        """
        frame = raw.frame.iloc[train]
        numbers: list[NumberColumn] = []
        flags: list[FlagColumn] = []
        levels: list[LevelColumns] = []
        gaps: set[bytes] = set()
        for name, kind in columns.inputs.items():
            column = frame[name]
            missing = column.isna().to_numpy()
            if kind == "classes":
                levels += _levels(name, column)
                continue
            for part, values in _parts(column, kind).items():
                found = _number(name, part, values)
                if isinstance(found, NumberColumn):
                    numbers.append(found)
                elif found is not None:
                    flags.append(found)
            if missing.any() and not missing.all() and missing.tobytes() not in gaps:
                gaps.add(missing.tobytes())
                levels.append(LevelColumns(column=name, missing=True))
        about, usual = f"Table {raw.name!r}", ("," if raw.decimal_comma else ".", "")
        if not (numbers or flags or levels):
            refuse(about, [f"Inputs must vary; each has one value in the {len(frame)} training rows. Give more rows."])
        problems: list[str] = []
        scales = [_scale(target, frame[target.name], problems) for target in columns.targets]
        refuse(about, problems)
        return cls(
            inputs=tuple(
                InputColumn(
                    name=name, holds=kind, written_in=raw.written_in.get(name, ""), style=raw.styles.get(name, usual)
                )
                for name, kind in columns.inputs.items()
            ),
            numbers=tuple(numbers),
            flags=tuple(flags),
            levels=tuple(levels),
            targets=tuple(scales),
        )

    @property
    def outputs(self) -> dict[str, int]:
        """Target -> outputs of its head."""
        return {target.name: len(target.classes) if target.kind == "classes" else 1 for target in self.targets}

    @property
    def kinds(self) -> dict[str, str]:
        """Target -> kind."""
        return {target.name: target.kind for target in self.targets}

    @property
    def features(self) -> list[NumberColumn | FlagColumn]:
        """Encoded columns that come from numbers."""
        return [*self.numbers, *self.flags]

    @property
    def width(self) -> int:
        """Encoded columns."""
        return len(self.numbers) + len(self.flags) + sum(_width(column) for column in self.levels)

    @property
    def edges(self) -> dict[int, tuple[float, ...]]:
        """Encoded column of numbers -> edges of its piecewise-linear features."""
        return {place: column.edges for place, column in enumerate(self.numbers) if column.edges}

    def encode(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """(rows, width) inputs of a network; columns may stand in any order, others are not looked at."""
        out = np.zeros((len(frame), self.width), dtype=np.float32)
        values = self.values(frame)
        for place, feature in enumerate(self.features):
            out[:, place] = _compressed(feature, values[feature.column, feature.part])
        place = len(self.numbers) + len(self.flags)
        for group in self.levels:
            column = frame[group.column]
            if group.missing:
                out[:, place] = column.isna()
            else:
                codes = _codes(column, group)
                rows = np.flatnonzero(codes >= 0)
                out[rows, place + codes[rows]] = 1
            place += _width(group)
        return out

    def values(self, frame: pd.DataFrame) -> dict[tuple[str, str], Array]:
        """(input column, part) -> its numbers, as yet neither scaled nor filled."""
        return {
            (column.name, part): numbers
            for column in self.inputs
            if column.holds != "classes"
            for part, numbers in _parts(frame[column.name], column.holds).items()
        }

    def unseen(self, frame: pd.DataFrame) -> dict[str, dict[str, int]]:
        """Input column -> class that no training row had -> rows with it."""
        found = {}
        for group in (group for group in self.levels if not group.missing):
            texts = _texts(frame[group.column])
            strange = texts[~texts.isin([*group.levels, *group.rare, _MISSING])].value_counts()
            if len(strange):
                found[group.column] = {str(level): int(count) for level, count in strange.items()}
        return found

    def encode_targets(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """(rows, targets): standardized numbers and places of classes; NaN where there is no label."""
        columns = []
        for target in self.targets:
            if target.kind == "regression":
                columns.append((as_floats(frame[target.name]) - target.mean) / target.deviation)
            else:
                columns.append(class_codes(frame[target.name], target.holds, target.classes))
        return np.column_stack(columns).astype(np.float32)


def class_codes(column: pd.Series, kind: Kind, classes: Sequence[str]) -> Array:
    """(rows,) the place of each row's class; NaN where it is missing or not among `classes`."""
    place = {label: float(number) for number, label in enumerate(classes)}
    texts = column.dropna()
    labels = map(number_label, as_floats(texts).tolist()) if kind == "numbers" else map(str, texts)
    codes = pd.Series([place.get(label, np.nan) for label in labels], index=texts.index, dtype=np.float64)
    return codes.reindex(column.index).to_numpy()


def _parts(column: pd.Series, kind: Kind) -> dict[str, Array]:
    """The numbers that a column gives."""
    if column.isna().all():  # of whatever type
        return dict.fromkeys(_DATE_PARTS if kind == "dates" else ("",), np.full(len(column), np.nan))
    if kind == "hours":
        return {"": column.dt.total_seconds().to_numpy(dtype=np.float64) / 3600}
    if kind != "dates":
        return {"": as_floats(column)}
    times = column.dt.tz_localize(None) if column.dt.tz is not None else column
    clock = times - times.dt.normalize()
    values = (
        (times - pd.Timestamp(0)).dt.total_seconds() / 86400, times.dt.day_of_week, times.dt.month,
        clock.dt.total_seconds() / 3600,
    )  # fmt: skip
    return {
        part: found.to_numpy(dtype=np.float64, na_value=np.nan) for part, found in zip(_DATE_PARTS, values, strict=True)
    }


def _number(name: str, part: str, values: Array) -> NumberColumn | FlagColumn | None:
    """How one column of numbers is encoded, by its training rows; None where it does not vary."""
    present = values[~np.isnan(values)]
    levels, counts = np.unique(present, return_counts=True)
    if len(levels) < 2:
        return None
    if len(levels) == 2:
        low, high = map(float, levels)
        return FlagColumn(column=name, part=part, low=low, high=high, usual=float(counts[1] > counts[0]))
    median = float(np.median(present))
    quartiles = np.quantile(present, [0.25, 0.75])
    scale = float(quartiles[1] - quartiles[0]) or float(levels[-1] - levels[0]) / 2
    column = NumberColumn(column=name, part=part, median=median, scale=scale)
    if len(levels) > _MOST_EDGES and counts.max() < _MAJORITY * len(present):
        return column
    edges = np.unique(_compressed(column, levels).astype(np.float32))
    most = max(2, min(_MOST_EDGES, len(values) // _ROWS_A_BIN))
    if len(edges) > most + 1:  # spread over the values, not the rows: a majority value would take most of the edges
        edges = edges[np.unique(np.linspace(0, len(edges) - 1, most + 1).round().astype(int))]
    return column.model_copy(update={"edges": tuple(map(float, edges)) if len(edges) > 2 else ()})


def _compressed(column: NumberColumn | FlagColumn, values: Array) -> Array:
    if isinstance(column, FlagColumn):
        flags = np.clip((values - column.low) / (column.high - column.low), -1, 2)
        return np.where(np.isnan(flags), column.usual, flags)
    robust = (np.where(np.isnan(values), column.median, values) - column.median) / column.scale
    return np.asarray(robust / np.sqrt(1 + (robust / _SOFT) ** 2))


def _texts(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), _MISSING).astype(str)


def _levels(name: str, column: pd.Series) -> list[LevelColumns]:
    """The 0/1 columns of one column of classes, by its training rows; none where it does not vary."""
    ranked = _texts(column).value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    if len(ranked) < 2:
        return []
    labels = tuple(map(str, ranked.index))
    kept = MAX_LEVELS - 1 if len(labels) > MAX_LEVELS else len(labels)
    return [LevelColumns(column=name, levels=labels[:kept], rare=labels[kept:])]


def _codes(column: pd.Series, group: LevelColumns) -> NDArray[np.intp]:
    place = {level: number for number, level in enumerate(group.levels)} | dict.fromkeys(group.rare, len(group.levels))
    return np.array([place.get(text, -1) for text in _texts(column)], dtype=np.intp)


def _width(group: LevelColumns) -> int:
    return 1 if group.missing else len(group.levels) + bool(group.rare)


def _scale(target: Target, column: pd.Series, problems: list[str]) -> TargetColumn:
    given = {"name": target.name, "kind": target.kind, "holds": target.holds, "classes": target.classes}
    present = column.dropna()
    if present.nunique() < 2:
        problems.append(
            f"Target {target.name!r} must have two different values in the training part, found {present.nunique()} in "
            f"its {len(present)} labelled rows of {len(column)}. Give more rows, or take it out of --targets."
        )
        return TargetColumn(**given, unit=target.unit)
    if target.kind != "regression":
        return TargetColumn(**given, unit=target.unit)
    values = as_floats(present)
    return TargetColumn(**given, unit=target.unit, mean=float(values.mean()), deviation=float(values.std()))
