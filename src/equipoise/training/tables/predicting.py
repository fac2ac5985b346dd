"""New rows of a table -> predictions, by the networks that a fit saved."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import pandas as pd

from ...data.reading import Reading
from .predictor import Predictor
from .saved import load_predictor

__all__ = ["Predictor", "predict"]


def predict(
    folder: str | os.PathLike[str],
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    probabilities: bool = False,
    header: bool = True,
    names: Sequence[str] | None = None,
    **reading: Unpack[Reading],
) -> pd.DataFrame:
    """Predict the targets of new rows with the networks that a fit saved.

    The table needs the input columns that the fit had, in any order, holding the same: numbers, classes, dates. Further
    columns are not used. Missing values are filled as in training; a class that no training row had counts as none of
    the known ones. Both are said.

    Args:
        folder: Folder of the fit.
        source: A path, an address, ``-`` for standard input, or a data frame.
        probabilities: Whether each class of a target gets a column with its probability, "target=class".
        header: Whether the first row of a text table holds the names.
        names: Names for all columns, in place of the table's own.
        **reading: Options about how cells are read, where they differ from the fit: see `equipoise.data.Reading`.

    Returns:
        One row for each row of the table, one column a target, in the target's own unit or as one of its classes;
        ``attrs["notes"]`` holds what should be known about them, one sentence each.

    Raises:
        DataError: Columns are missing, hold something else than in the fit, or are infinite; all at once.
        RunFolderError: The folder holds no fit that this version can read.
    """
    predictor = load_predictor(Path(folder))
    return predictor.predict(source, probabilities=probabilities, header=header, names=names, **reading)
