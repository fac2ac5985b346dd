"""New rows of a table -> predictions, by the networks that a fit selected."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.numbers import Array
from ...core.text import joined, plural
from ...data.columns import closest, cut, some
from ...data.encoding.values import as_floats, unfit
from ...data.raw import RawTable, refuse
from ...data.reading import Reading, checked_reading
from ...errors import listed
from .networks.recipe import Recipe
from .preparing.columns import Kind, input_kind
from .preparing.encoded_columns import InputColumn, TargetColumn
from .preparing.preparation import Preparation
from .preparing.source import read_table

__all__ = ["Network", "Predictor"]

_ROWS = 2048  # at once; fixed, so that the same table gives the same bits
_WORDS: Mapping[Kind, str] = {
    "numbers": "numbers", "booleans": "true/false", "classes": "classes", "dates": "dates", "hours": "times of day",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network with its preparation.

    Attributes:
        preparation: Fitted on the training rows of the network's seed.
        recipe: Recipe of the network.
        tasks: Targets that it has heads for.
        serves: Targets that it is used for.
        state: Parameters by name.
    """

    preparation: Preparation
    recipe: Recipe
    tasks: tuple[str, ...]
    serves: tuple[str, ...]
    state: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Predictor:
    """The networks of all seeds; the prediction is the mean of theirs, of classes the mean of the probabilities.

    Attributes:
        networks: Several may serve one target: one for each seed.
        reading: Options about cells in the fit; what is said to `predict` replaces these.
    """

    networks: tuple[Network, ...]
    reading: Reading

    def predict(
        self,
        source: str | os.PathLike[str] | pd.DataFrame,
        *,
        probabilities: bool = False,
        header: bool = True,
        names: Sequence[str] | None = None,
        **reading: Unpack[Reading],
    ) -> pd.DataFrame:
        """Predictions for every row: see `predicting.predict`."""
        preparation = self.networks[0].preparation
        inputs = preparation.inputs
        kinds = {
            "numeric": [column.name for column in inputs if column.holds == "numbers"],
            "categorical": [column.name for column in inputs if column.holds == "classes"],
            "date": [column.name for column in inputs if column.holds in ("dates", "hours")],
        }
        styles = {column.name: column.style for column in inputs if column.holds == "numbers"}
        comma = {"decimal": ","} if any(style[0] == "," for style in styles.values()) else {}
        how = checked_reading({**self.reading, **comma, **kinds, **reading})
        raw = read_table(source, how, header=header, names=names, styles=styles)
        if raw.frame.empty:
            refuse(f"Table {raw.name!r}", ["At least one row is needed, found none."])
        notes = _checked(raw, preparation)
        sums: dict[str, Array] = {}
        used: dict[str, int] = {}
        for network in self.networks:
            model = network.recipe.network(network.preparation, network.tasks)
            model.load_state_dict({name: torch.from_numpy(value) for name, value in network.state.items()})
            model.eval()
            encoded = torch.from_numpy(network.preparation.encode(raw.frame))
            with torch.no_grad():
                found = [model(encoded[start : start + _ROWS]) for start in range(0, max(1, len(encoded)), _ROWS)]
            for target in network.preparation.targets:
                if target.name in network.serves:
                    output = torch.cat([part[target.name][:, 0] for part in found])
                    sums[target.name] = sums.get(target.name, 0.0) + _in_words_of(target, output)
                    used[target.name] = used.get(target.name, 0) + 1
        columns: dict[str, Any] = {}
        for target in preparation.targets:
            mean = sums[target.name] / used[target.name]
            columns |= _shown(target, mean, probabilities=probabilities)
        index = source.index if isinstance(source, pd.DataFrame) else raw.frame.index
        out = pd.DataFrame(columns).set_axis(index, axis=0)
        out.attrs["notes"] = tuple(notes)
        return out


def _in_words_of(target: TargetColumn, output: Tensor) -> Array:
    """(rows,) numbers in the target's unit, or (rows, classes) probabilities."""
    values: Array = output.double().numpy()
    if target.kind == "regression":
        return values[:, 0] * target.deviation + target.mean
    if target.kind == "binary":
        values = np.column_stack([np.zeros(len(values)), values[:, 0]])
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _shown(target: TargetColumn, mean: Array, *, probabilities: bool) -> dict[str, Any]:
    if target.kind == "regression":
        return {target.name: mean}
    classes: list[Any] = list(target.classes)
    if target.holds == "numbers":
        classes = [int(value) if value.is_integer() else value for value in map(float, classes)]
    elif target.holds == "booleans":
        classes = [label == "True" for label in classes]
    most = mean.argmax(axis=1)
    columns: dict[str, Any] = {target.name: pd.Series([classes[place] for place in most])}
    if probabilities:
        columns |= {f"{target.name}={label}": mean[:, place] for place, label in enumerate(target.classes)}
    return columns


def _checked(raw: RawTable, preparation: Preparation) -> list[str]:
    """Compare the columns with those of the fit; what is usable but should be known, one sentence each."""
    frame = raw.frame
    found = list(map(str, frame.columns))
    expected = {column.name: column for column in preparation.inputs}
    targets = [target.name for target in preparation.targets]
    further = [name for name in found if name not in expected and name not in targets]
    problems = []
    for name in [name for name in expected if name not in found]:
        near = closest(name, further, 1)
        problems.append(f"Input {name!r} is missing.{f' Is it {listed(near)} here? Rename it.' if near else ''}")
    present = [column for name, column in expected.items() if name in found]
    problems += [reason for column in present if (reason := _other(raw, column))]
    refuse(f"Table {raw.name!r} does not fit the training", problems)
    notes = [f"Columns that the training did not have were not used: {some(further)}."] if further else []
    notes += (
        [f"Targets in the table were not looked at: {some(given)}."]
        if (given := [name for name in targets if name in found])
        else []
    )
    if gaps := [
        f"{cut(column.name)!r} ({plural(count, 'row')})"
        for column in present
        if (count := int(frame[column.name].isna().sum()))
    ]:
        notes.append(f"Missing inputs were filled as in training: {', '.join(gaps)}.")
    for name, strange in preparation.unseen(frame).items():
        levels = [f"{cut(level)!r} in {plural(count, 'row')}" for level, count in list(strange.items())[:8]]
        more = f" and {len(strange) - 8} more" if len(strange) > 8 else ""
        notes.append(
            f"Input {name!r} holds {joined(levels)}{more}: no training row had that, so it counts as none of the known "
            "classes."
        )
    return notes


def _other(raw: RawTable, column: InputColumn) -> str:
    """Why a column is not what it was in training, or ""."""
    name, values = column.name, raw.frame[column.name]
    if values.isna().all():
        return ""
    if name in raw.unclear:
        return raw.unclear[name]
    kind = input_kind(values)
    if column.holds == "booleans" and kind == "numbers" and set(as_floats(values.dropna()).tolist()) <= {0.0, 1.0}:
        return ""
    if kind != column.holds:
        example = cut(values.dropna().iloc[0])
        return (
            f"Input {name!r} must hold {_WORDS[column.holds]} as in training, found {_WORDS[kind]} such as {example!r}."
        )
    if (unit := raw.written_in.get(name, "")) != column.written_in:
        trained = f"the unit {column.written_in!r}" if column.written_in else "no unit"
        return f"Input {name!r} had {trained} in training, found {repr(unit) if unit else 'no unit'}. Convert it."
    if kind == "numbers" and (reason := unfit(as_floats(values))):
        return f"Input {name!r} {reason}."
    return ""
