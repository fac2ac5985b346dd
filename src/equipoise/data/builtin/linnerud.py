"""linnerud: twenty men of a fitness club, three exercises, three body measures.

| | |
|---|---|
| rows | 20 |
| inputs | Chins, Situps, Jumps (counts) |
| tasks | Weight, Waist, Pulse |
| units | not stated by the source; the values read as pounds, inches and beats a minute |
| licence | none stated for the data; distributed with scikit-learn (BSD 3-Clause) |
| source | A. C. Linnerud, North Carolina State University; in M. Tenenhaus, La regression PLS (Technip, 1998)
|
"""

import numpy as np

from ..raw import Card, RawTable
from .bundled import bundled_table

__all__ = ["CARD", "read_linnerud"]

CARD = Card(
    name="linnerud",
    about="three body measures from three exercises",
    rows=20,
    inputs=3,
    tasks=("Weight", "Waist", "Pulse"),
    units=("lb", "in", "1/min"),
    source="A. C. Linnerud, in Tenenhaus (1998), as bundled with scikit-learn",
    licence="none stated for the data; scikit-learn is BSD 3-Clause",
    sha256="e3f94834150c2f52842eeb76a23eb6bc1f8916099c1acb22ed767266eb86eee2",
)


def read_linnerud() -> RawTable:
    """The columns as bundled with scikit-learn."""
    from sklearn.datasets import load_linnerud  # noqa: PLC0415 - slow to import, and only needed here

    bunch = load_linnerud()
    values = np.hstack([bunch.data, bunch.target])
    names = (*bunch.feature_names, *bunch.target_names)
    step = "Units are not stated by the source: the values read as pounds, inches and beats a minute."
    return bundled_table(CARD, names, values, step)
