"""diabetes: body mass, blood pressure and the progress of the disease a year later, from age, sex and blood serum.

| | |
|---|---|
| rows | 442 patients |
| inputs | age (years), sex (1 or 2), s1 to s6 (serum: cholesterol, LDL, HDL, ratio, log triglycerides, sugar)
| | tasks | bmi, bp, disease progression |
| units | kg/m^2, mm Hg, a score without unit |
| licence | none stated for the data; distributed with scikit-learn (BSD 3-Clause) |
| source | Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, Annals of Statistics 32 (2004) |

The set was published with one target, disease progression. Here body mass and blood pressure, inputs there,
are tasks as well, so that there is something to trade; figures do not compare with those of the one-target
set.
"""

import numpy as np

from ..raw import Card, RawTable
from .bundled import bundled_table

__all__ = ["CARD", "read_diabetes"]

CARD = Card(
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


def read_diabetes() -> RawTable:
    """The columns as bundled with scikit-learn, in their own units."""
    from sklearn.datasets import load_diabetes  # noqa: PLC0415 - slow to import, and only needed here

    bunch = load_diabetes(scaled=False)
    order = [position for position, name in enumerate(bunch.feature_names) if name not in CARD.tasks]
    order += [bunch.feature_names.index(task) for task in CARD.tasks[:2]]
    # published with four decimals; earlier versions of scikit-learn bundle 11 values that are off in their last bit
    values = np.column_stack([bunch.data[:, order], bunch.target]).round(4)
    names = [*(bunch.feature_names[position] for position in order), CARD.tasks[2]]
    step = "Body mass (bmi) and blood pressure (bp), inputs where the set was published, are tasks here."
    return bundled_table(CARD, names, values, step)
