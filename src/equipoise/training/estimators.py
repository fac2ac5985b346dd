"""`MultiTaskRegressor` and `MultiTaskClassifier`: one network for several targets, as scikit-learn's estimators."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from ..audits.table_audit import audit
from ..core.records.audit import AuditRecord
from ..core.records.fitted import FitRecord
from ..data.encoding.prepare import MARKS, MISSING
from ..data.reading import Reading
from ..errors import SettingError, listed
from ..methods.base import Method
from .tables.fit_table import FittedTable, fit_table
from .tables.settings import Baseline

__all__ = ["MultiTaskClassifier", "MultiTaskRegressor"]


class _MultiTask(BaseEstimator):  # type: ignore[misc]
    """What both have in common: names for columns, the fit, the records."""

    report_: FitRecord
    _numeric_targets = True
    _fitted: FittedTable
    _audit: AuditRecord | None

    def __init__(
        self,
        method: Method | None = None,
        *,
        hidden: Sequence[int] | None = None,
        width: int | None = None,
        epochs: int | None = None,
        seeds: int = 1,
        trials: int = 4,
        baselines: Sequence[Baseline] = (),
        random_state: Any = 0,
    ) -> None:
        self.method = method
        self.hidden = hidden
        self.width = width
        self.epochs = epochs
        self.seeds = seeds
        self.trials = trials
        self.baselines = baselines
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "report_")

    @property
    def audit_(self) -> AuditRecord:
        """The linear audit of the training table (`equipoise.audit`), made when it is first asked for.

        The estimator keeps its table for that.

        Raises:
            DataError: The table has one target, or rows without every target leave too few.
        """
        check_is_fitted(self)
        if self._audit is None:
            self._audit = audit(self._table, targets=self._targets, inputs=self._inputs, **self._kinds())
        return self._audit

    def _kinds(self) -> Reading:
        """What the targets are, whatever their values look like."""
        return {"numeric": self._targets} if self._numeric_targets else {"categorical": self._targets}

    def _fit(self, X: Any, y: Any, targets: pd.DataFrame, *, flat: bool) -> Self:
        self.__dict__.pop("report_", None)  # what fails from here on leaves no mixture of two fits
        frame = self._frame(X, reset=True)
        check_consistent_length(frame, targets)
        self._inputs = list(frame.columns)
        self._targets = [_free(str(name), self._inputs) for name in targets.columns]
        self._outward: Any = y.columns if isinstance(y, pd.DataFrame) else getattr(y, "name", None)
        self._pandas, self._flat = isinstance(y, pd.DataFrame | pd.Series), flat
        self._table = pd.concat([frame, targets.set_axis(self._targets, axis=1)], axis=1)
        self._audit = None
        if isinstance(self.seeds, bool) or not isinstance(self.seeds, Integral) or self.seeds < 1:
            raise SettingError(f"seeds must be a whole number of 1 or more; found {self.seeds!r}.")
        drawn = self.random_state
        if not isinstance(drawn, Integral):
            drawn = check_random_state(drawn).randint(2**31 - int(self.seeds))
        self._fitted = fit_table(
            self._table,
            targets=self._targets,
            inputs=self._inputs,
            method=self.method,
            seeds=[int(drawn) + number for number in range(int(self.seeds))],
            epochs=self.epochs,
            hidden=self.hidden,
            width=self.width,
            trials=self.trials,
            baselines=self.baselines,
            title=f"{type(self).__name__}: {', '.join(self._targets[:4])}",
            command=f"{self!r}.fit(X, y)",
            **self._kinds(),
        )
        self.report_ = self._fitted.record
        self.n_outputs_ = len(self._targets)
        return self

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Inputs as a table with names; a data frame keeps its columns' types, everything else must be numbers."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            frame = X.reset_index(drop=True)
            return frame.set_axis([str(name) for name in frame.columns], axis=1)
        values = validate_data(
            self, X, reset=reset, ensure_all_finite="allow-nan", dtype="numeric", ensure_min_samples=2 if reset else 1
        )
        return pd.DataFrame(np.asarray(values, dtype=float), columns=[f"x{i}" for i in range(values.shape[1])])

    def _predictions(self, X: Any, *, probabilities: bool = False) -> pd.DataFrame:
        check_is_fitted(self)
        return self._fitted.predict(self._frame(X, reset=False), probabilities=probabilities)

    def _outwards(self, columns: list[Any], X: Any) -> Any:
        """One column a target, in the shape and with the names of the `y` that was fitted."""
        index = X.index if isinstance(X, pd.DataFrame) else None
        if self._flat:
            return pd.Series(columns[0], index=index, name=self._outward) if self._pandas else columns[0]
        if self._pandas:
            frame = pd.DataFrame(dict(enumerate(columns)), index=index)
            return frame.set_axis(self._outward, axis=1)
        return np.column_stack(columns)


def _free(name: str, taken: Sequence[str]) -> str:
    """A name for a target that no input has."""
    while name in taken:
        name = f"{name}_target"
    return name


class MultiTaskRegressor(RegressorMixin, _MultiTask):  # type: ignore[misc]
    """One network for several numeric targets, with scikit-learn's interface.

    A data frame keeps its column types (numbers, classes, dates); an array must hold numbers. NaN in `X` is filled as
    the preparation does; NaN in `y` is a label that is missing: the row then serves the other targets. Of the rows,
    70 % train, 15 % choose the epoch, and 15 % are held out for `report_`.

    Args:
        method: Balancing method; None for the mean of the losses.
        hidden: Widths of the shared layers; None decides by the number of rows.
        width: Width of the shared layer of a linear network that takes part; None for none.
        epochs: Passes over the training rows; None decides by the number of rows.
        seeds: Networks on so many splits of the rows, whose predictions are averaged.
        trials: Trainings among which fixed weights are tuned, where `baselines` names ``weights``.
        baselines: What is trained beside the network for the comparison in `report_`: any of ``weights``,
            ``separate``, ``boosting``. What the validation part prefers then predicts.
        random_state: First seed, a generator of one, or None for another one each time.

    Attributes:
        report_: Record of the fit, for `equipoise.report.render_fit_html`.
        audit_: Record of the linear audit of the same table, made when it is asked for.
        n_features_in_: Number of input columns.
        feature_names_in_: Their names, where `X` had names.
        n_outputs_: Number of targets.

    Raises:
        InputError: The table or a setting cannot be used; a `ValueError`.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(60, 3))
        >>> model = MultiTaskRegressor(hidden=(8,), epochs=2).fit(X, np.c_[X[:, 0] - X[:, 1], X[:, 0] * X[:, 2]])
        >>> model.predict(X).shape
        (60, 2)
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on inputs (n, p) and targets (n, k) or (n,); see the class."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        given = _check_numbers(y)
        numbers = _two_d(given)
        names = _names_of(y, numbers.shape[1])
        return self._fit(X, y, pd.DataFrame(numbers, columns=names), flat=given.ndim == 1)

    def predict(self, X: Any) -> Any:
        """Predictions in the shape of the `y` that was fitted; pandas where that was pandas."""
        found = self._predictions(X)
        return self._outwards([found[name].to_numpy(dtype=float) for name in self._targets], X)


class MultiTaskClassifier(ClassifierMixin, _MultiTask):  # type: ignore[misc]
    """One network for several targets that are classes, with scikit-learn's interface.

    As `MultiTaskRegressor`, with labels instead of numbers; None and NaN are labels that are missing.

    Attributes:
        classes_: Labels, sorted; with several targets a list with one array a target.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(60, 3))
        >>> y = np.c_[np.where(X[:, 0] > 0, "up", "down"), np.where(X[:, 1] > X[:, 2], "yes", "no")]
        >>> model = MultiTaskClassifier(hidden=(8,), epochs=2).fit(X, y)
        >>> model.predict(X).shape, [labels.tolist() for labels in model.classes_]
        ((60, 2), [['down', 'up'], ['no', 'yes']])
    """

    _numeric_targets = False

    def fit(self, X: Any, y: Any) -> Self:
        """Train on inputs (n, p) and labels (n, k) or (n,); see the class."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        given = np.asarray(y) if not isinstance(y, pd.DataFrame) else y.to_numpy(dtype=object)
        table = _two_d(_check_numbers(given) if given.dtype.kind == "f" else given)
        labels, columns = [], {}
        for name, column in zip(_names_of(y, table.shape[1]), table.T, strict=True):
            present = ~pd.isna(column)
            known = np.asarray(column[present].tolist()) if column.dtype == object else column[present]
            check_classification_targets(known)
            found = np.unique(known)
            if len(found) < 2:
                raise ValueError(
                    f"a target needs two classes or more; {name!r} has {len(found)} class: {listed(found)}."
                )
            codes = np.full(len(column), -1)
            codes[present] = np.searchsorted(found, known)
            columns[name] = pd.Categorical.from_codes(codes, categories=pd.Index(_texts(found)), ordered=True)
            labels.append(found)
        self._fit(X, y, pd.DataFrame(columns), flat=given.ndim == 1)
        self._labels = labels
        self._codes = [dict(zip(_texts(found), range(len(found)), strict=True)) for found in labels]
        self.classes_ = labels[0] if self._flat else labels
        return self

    def predict(self, X: Any) -> Any:
        """Labels in the shape of the `y` that was fitted; pandas where that was pandas."""
        found = self._predictions(X)
        return self._outwards(
            [
                labels[[codes[str(text)] for text in found[name]]]
                for name, labels, codes in zip(self._targets, self._labels, self._codes, strict=True)
            ],
            X,
        )

    def predict_proba(self, X: Any) -> Any:
        """Probabilities (n, classes) in the order of `classes_`; with several targets a list, one array a target."""
        found = self._predictions(X, probabilities=True)
        each = []
        for name, codes in zip(self._targets, self._codes, strict=True):
            known = [found.get(f"{name}={text}") for text in codes]
            each.append(np.column_stack([np.zeros(len(found)) if column is None else column for column in known]))
        return each[0] if self._flat else each

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, the mean over the targets."""
        given, found = (_two_d(np.asarray(labels)) for labels in (y, self.predict(X)))
        pairs = ((a.tolist(), b.tolist()) for a, b in zip(given.T, found.T, strict=True))
        return float(np.mean([accuracy_score(a, b, sample_weight=sample_weight) for a, b in pairs]))


def _check_numbers(y: Any) -> np.ndarray[Any, Any]:
    """Numbers as float64; NaN stays, infinity is refused."""
    found: np.ndarray[Any, Any] = check_array(
        y, ensure_2d=False, ensure_all_finite="allow-nan", dtype=np.float64, input_name="y", allow_nd=True
    )
    return found


def _two_d(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if values.ndim not in (1, 2):
        raise ValueError(f"y must have one or two dimensions; found the shape {values.shape}.")
    return values[:, None] if values.ndim == 1 else values


def _names_of(y: Any, k: int) -> list[str]:
    if isinstance(y, pd.DataFrame):
        return [str(name) for name in y.columns]
    if isinstance(y, pd.Series) and y.name is not None:
        return [str(y.name)]
    return ["y"] if k == 1 else [f"y{i}" for i in range(k)]


def _texts(labels: Any) -> list[str]:
    """Labels as texts, none of which a table would read as a missing value."""
    plain = [str(label) for label in labels.tolist()]
    doubtful = {*MISSING, *MARKS}
    if len(set(plain)) < len(plain) or any(text in doubtful or text != text.strip() for text in plain):
        return [repr(label) for label in labels.tolist()]
    return plain
