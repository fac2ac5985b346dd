"""The estimators: scikit-learn's own checks, pandas in and out, missing labels, and the records beside them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import equipoise as eq
from equipoise.errors import InputError
from equipoise.report import render_fit_html

QUICK = {"epochs": 1, "hidden": (4,)}


@parametrize_with_checks([kind(epochs=2, hidden=(8,)) for kind in (eq.MultiTaskRegressor, eq.MultiTaskClassifier)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    """Inputs of several kinds, two numeric targets, two targets of classes; row numbers that are no range."""
    draw, n = np.random.default_rng(0), 160
    x = draw.normal(size=(n, 2))
    shift = draw.choice(["day", "night"], n)
    price = 2 * x[:, 0] + (shift == "night") + 0.1 * draw.normal(size=n)
    index = draw.permutation(n) + 1000
    inputs = pd.DataFrame({"heat": x[:, 0], "speed": x[:, 1], "shift": shift}, index=index)
    numbers = pd.DataFrame({"price": price, "days": x[:, 1] - x[:, 0]}, index=index)
    classes = pd.DataFrame({"up": x[:, 0] > 0, "size": np.digitize(x[:, 1], [-0.5, 0.5]) * 10}, index=index)
    return inputs, numbers, classes


def test_it_learns(table):
    inputs, numbers, classes = table
    assert eq.MultiTaskRegressor(epochs=40, hidden=(32,)).fit(inputs, numbers).score(inputs, numbers) > 0.9
    assert eq.MultiTaskClassifier(epochs=40, hidden=(32,)).fit(inputs, classes).score(inputs, classes) > 0.85


def test_pandas_in_pandas_out(table):
    inputs, numbers, classes = table
    found = eq.MultiTaskRegressor(**QUICK).fit(inputs, numbers).predict(inputs.head(7))
    assert list(found.columns) == ["price", "days"]
    assert found.index.equals(inputs.index[:7])
    one = eq.MultiTaskRegressor(**QUICK).fit(inputs, numbers["price"]).predict(inputs.head(7))
    assert one.name == "price"
    assert one.index.equals(inputs.index[:7])
    named = eq.MultiTaskClassifier(**QUICK).fit(inputs, classes)
    found = named.predict(inputs)
    assert found.index.equals(inputs.index)
    assert set(found["size"]) <= {0, 10, 20}
    assert found["up"].dtype == bool
    assert [labels.tolist() for labels in named.classes_] == [[False, True], [0, 10, 20]]


def test_arrays_give_the_same_numbers_as_the_frame_that_holds_them(table):
    inputs, numbers, _ = table
    plain = inputs[["heat", "speed"]]
    of_frame = eq.MultiTaskRegressor(**QUICK).fit(plain, numbers).predict(plain)
    of_array = eq.MultiTaskRegressor(**QUICK).fit(plain.to_numpy(), numbers.to_numpy()).predict(plain.to_numpy())
    assert isinstance(of_array, np.ndarray)
    np.testing.assert_array_equal(of_frame.to_numpy(), of_array)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(table):
    inputs, numbers, _ = table
    first, again, other = (
        clone(eq.MultiTaskRegressor(**QUICK, random_state=seed)).fit(inputs, numbers).predict(inputs)
        for seed in (3, 3, 4)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_probabilities_agree_with_labels(table):
    inputs, _, classes = table
    model = eq.MultiTaskClassifier(**QUICK).fit(inputs, classes)
    for name, labels, likely in zip(classes, model.classes_, model.predict_proba(inputs), strict=True):
        assert likely.shape == (len(inputs), len(labels))
        np.testing.assert_allclose(likely.sum(axis=1), 1)
        assert (labels[likely.argmax(axis=1)] == model.predict(inputs)[name].to_numpy()).all()


def test_missing_labels_and_inputs_are_used_for_what_they_hold(table):
    inputs, numbers, classes = table
    gaps, labels = numbers.copy(), classes.astype(object)
    gaps.iloc[::3, 0], labels.iloc[::4, 1] = np.nan, None
    holed = inputs.copy()
    holed.iloc[::5, 0] = np.nan
    model = eq.MultiTaskRegressor(**QUICK).fit(holed, gaps)
    assert np.isfinite(model.predict(holed).to_numpy()).all()
    assert [task.labelled for task in model.report_.tasks] == [int(gaps.price.notna().sum()), len(gaps)]
    assert set(eq.MultiTaskClassifier(**QUICK).fit(holed, labels).predict(holed)["size"]) <= {0, 10, 20}


@pytest.mark.parametrize("labels", [["NA", "None"], ["", " "], ["1", "2"], ["=a", "b=c"], [1.0, 2.0], ["nan", "x"]])
def test_labels_are_never_taken_for_something_else(table, labels):
    inputs = table[0]
    y = np.array(labels, dtype=object)[(inputs["heat"] > 0).astype(int)]
    model = eq.MultiTaskClassifier(**QUICK).fit(inputs, y)
    assert sorted(model.classes_) == sorted(labels)
    assert set(model.predict(inputs)) <= set(labels)
    np.testing.assert_allclose(model.predict_proba(inputs).sum(axis=1), 1)


def test_a_target_may_be_called_like_an_input(table):
    inputs, numbers, _ = table
    same = numbers.rename(columns={"price": "heat"})
    assert list(eq.MultiTaskRegressor(**QUICK).fit(inputs, same).predict(inputs).columns) == ["heat", "days"]


def test_pipelines_and_cross_validation(table):
    inputs, numbers, _ = table
    line = make_pipeline(StandardScaler(), eq.MultiTaskRegressor(**QUICK))
    found = cross_val_predict(line, inputs[["heat", "speed"]].to_numpy(), numbers.to_numpy(), cv=2)
    assert found.shape == numbers.shape


def test_the_records_beside_it(table):
    inputs, numbers, classes = table
    model = eq.MultiTaskRegressor(**QUICK, seeds=2, baselines=("separate",), method=eq.CAGrad(c=0.3))
    model.fit(inputs, numbers)
    assert [entrant.role for entrant in model.report_.entrants] == ["joint", "separate"]
    assert model.report_.seeds == (0, 1)
    assert "CAGrad(c=0.3" in model.report_.entrants[0].method
    assert "one model for all 2 targets" in render_fit_html(model.report_).lower()
    whole = inputs.reset_index(drop=True).join(numbers.reset_index(drop=True))
    audited = eq.audit(whole, targets=["price", "days"])
    assert (model.audit_.verdicts, model.audit_.tasks) == (audited.verdicts, audited.tasks)
    assert model.audit_ is model.audit_
    assert [task.kind for task in eq.MultiTaskClassifier(**QUICK).fit(inputs, classes).audit_.tasks] == [
        "least squares on classes"
    ] * 2


def test_regression_of_two_values_stays_regression(table):
    inputs = table[0]
    y = np.c_[inputs["heat"] > 0, inputs["speed"]].astype(float)
    found = eq.MultiTaskRegressor(**QUICK).fit(inputs, y).predict(inputs)
    assert len(np.unique(found[:, 0])) > 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"seeds": 0}, "seeds"), ({"seeds": 1.5}, "seeds"), ({"epochs": 0}, "epochs"), ({"baselines": ("best",)}, "best")],
)
def test_settings_that_cannot_be_are_refused(table, settings, words):
    with pytest.raises(InputError, match=words):
        eq.MultiTaskRegressor(**{**QUICK, **settings}).fit(table[0], table[1])


def test_a_fit_that_fails_leaves_no_mixture_of_two(table):
    inputs, numbers, _ = table
    model = eq.MultiTaskRegressor(**QUICK).fit(inputs, numbers)
    with pytest.raises(InputError):
        model.fit(inputs, numbers * 0)  # constant targets
    with pytest.raises(NotFittedError):
        model.predict(inputs)


def test_one_class_and_numbers_as_classes_are_refused(table):
    inputs = table[0]
    with pytest.raises(ValueError, match="'y' has 1 class: 'a'"):
        eq.MultiTaskClassifier(**QUICK).fit(inputs, np.full(len(inputs), "a"))
    with pytest.raises(ValueError, match="Unknown label type"):
        eq.MultiTaskClassifier(**QUICK).fit(inputs, inputs["heat"] / 3)
