"""What every set bundled with scikit-learn becomes: a table with its card's words and checksum."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..raw import Card, RawTable, frame_of, values_sha256

__all__ = ["bundled_table"]


def bundled_table(card: Card, names: Sequence[str], values: NDArray[np.float64], step: str) -> RawTable:
    """The columns of a bundled set.

    Args:
        card: What is known of it; its tasks are the last columns.
        names: Columns, inputs first.
        values: (rows, columns).
        step: What was done to the set as published, or what its source leaves open, in a sentence.

    Returns:
        The table, with a warning where the values are not those that the card was written for.
    """
    return RawTable(
        frame_of({name: values[:, position] for position, name in enumerate(names)}),
        name=card.name,
        source=card.origin,
        declared=card.tasks,
        units=dict(zip(card.tasks, card.units, strict=True)),
        steps=(step,),
        warnings=card.doubts(values),
        sha256=values_sha256(values),
    )
