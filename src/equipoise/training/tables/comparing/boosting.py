"""The bar from outside: scikit-learn's gradient boosting, one model a target, with its defaults."""

from collections.abc import Mapping
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from ....core.records.fitted import SeedRun
from ..preparing.preparation import OTHER, Preparation
from .parts import measured

__all__ = ["boosted"]

_TINY = 1e-15  # probability of a class that no training row has


def boosted(
    frame: pd.DataFrame, preparation: Preparation, split: Mapping[str, NDArray[np.int64]], seed: int
) -> SeedRun:
    """Train on training and validation rows together, and measure on the test rows.

    Nothing is selected, so the validation rows serve the training too; there is no validation loss. Missing values stay
    missing, and classes are categories of their own. Losses are in the units of `task_loss`.
    """
    start = perf_counter()
    inputs = _columns(frame, preparation)
    targets = preparation.encode_targets(frame).astype(np.float64)
    train, test = np.concatenate([split["train"], split["val"]]), split["test"]
    losses: dict[str, float | None] = {}
    metrics: dict[str, float | None] = {}
    for place, target in enumerate(preparation.targets):
        rows, asked = (part[~np.isnan(targets[part, place])] for part in (train, test))
        known = targets[asked, place]
        if not len(asked):
            losses[target.name] = metrics[target.name] = None
            continue
        with threadpool_limits(limits=1):
            if target.kind == "regression":
                predicted = HistGradientBoostingRegressor(random_state=seed).fit(
                    inputs.iloc[rows], targets[rows, place]
                )
                scores = predicted.predict(inputs.iloc[asked])
                losses[target.name] = float(np.square(scores - known).mean())
            else:
                codes = targets[rows, place].astype(int)
                model = HistGradientBoostingClassifier(random_state=seed).fit(inputs.iloc[rows], codes)
                scores = np.full((len(asked), max(2, len(target.classes))), _TINY)
                scores[:, model.classes_] = np.clip(model.predict_proba(inputs.iloc[asked]), _TINY, 1)
                losses[target.name] = float(-np.log(scores[np.arange(len(asked)), known.astype(int)]).mean())
                scores = scores[:, 1] if target.kind == "binary" else scores
        metric = measured(target.kind, scores, known)
        metrics[target.name] = metric if np.isfinite(metric) else None
    return SeedRun(
        seed=seed,
        val=dict.fromkeys(losses),
        test=losses,
        metric=metrics,
        seconds=perf_counter() - start,
        settings={"settings": "scikit-learn's defaults", "rows": "training and validation rows together"},
    )


def _columns(frame: pd.DataFrame, preparation: Preparation) -> pd.DataFrame:
    """Inputs as scikit-learn reads them: numbers with gaps, classes as categories of the training rows."""
    columns: dict[str, pd.Series] = {}
    values = preparation.values(frame)
    for feature in preparation.features:
        columns[f"{feature.column} {feature.part}"] = pd.Series(values[feature.column, feature.part])
    for group in preparation.levels:
        if not group.missing:
            columns[group.column] = _category(frame[group.column], frozenset(group.levels))
    return pd.DataFrame(columns)


def _category(column: pd.Series, known: frozenset[str]) -> pd.Series:
    texts = column.astype(object).map(lambda text: str(text) if str(text) in known else OTHER, na_action="ignore")
    return texts.astype("category").reset_index(drop=True)
