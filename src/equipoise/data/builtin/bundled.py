"""The two sets with several targets that scikit-learn bundles: diabetes and linnerud.

diabetes: 442 patients; age, sex (1 or 2) and six blood serum values (cholesterol, LDL, HDL, ratio, log triglycerides,
sugar). It was published with one target, disease progression a year later. Here body mass and blood pressure, inputs
there, are tasks as well, so that there is something to trade; figures do not compare with those of the one-target set.

linnerud: twenty men of a fitness club; counts of three exercises, three body measures. Their units are not stated.
"""

from collections.abc import Sequence

import numpy as np

from ...core.numbers import Array
from ..raw import Card, RawTable, values_sha256

__all__ = ["DIABETES", "LINNERUD", "read_diabetes", "read_linnerud"]

DIABETES = Card(
    name="diabetes",
    about="body mass, blood pressure and disease progression from age, sex and blood serum",
    rows=442,
    inputs=8,
    tasks=("bmi", "bp", "disease progression"),
    units=("kg/m^2", "mm Hg", ""),
    source="Efron, Hastie, Johnstone and Tibshirani (2004), as bundled with scikit-learn",
    licence="none stated for the data; scikit-learn is BSD 3-Clause",
    sha256="f8c61f3ba79a7914cdfa132c2b3431049685a5f6582f3894657172898f012471",
)

LINNERUD = Card(
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


def read_diabetes() -> RawTable:
    """The columns as bundled with scikit-learn, in their own units."""
    from sklearn.datasets import load_diabetes  # noqa: PLC0415 - slow to import, and only needed here

    bunch, last = load_diabetes(scaled=False), DIABETES.tasks[-1]
    # published with four decimals; earlier versions of scikit-learn bundle 11 values that are off in their last bit
    columns = dict(
        zip([*bunch.feature_names, last], np.column_stack([bunch.data, bunch.target]).round(4).T, strict=True)
    )
    names = [name for name in columns if name not in DIABETES.tasks] + list(DIABETES.tasks)
    step = "Body mass (bmi) and blood pressure (bp), inputs where the set was published, are tasks here."
    return _table(DIABETES, names, np.column_stack([columns[name] for name in names]), step)


def read_linnerud() -> RawTable:
    """The columns as bundled with scikit-learn."""
    from sklearn.datasets import load_linnerud  # noqa: PLC0415 - slow to import, and only needed here

    bunch = load_linnerud()
    step = "Units are not stated by the source: the values read as pounds, inches and beats a minute."
    return _table(LINNERUD, [*bunch.feature_names, *bunch.target_names], np.hstack([bunch.data, bunch.target]), step)


def _table(card: Card, names: Sequence[str], values: Array, step: str) -> RawTable:
    columns = {name: values[:, position] for position, name in enumerate(names)}
    return card.table(columns, step, warnings=card.doubts(values), sha256=values_sha256(values))
