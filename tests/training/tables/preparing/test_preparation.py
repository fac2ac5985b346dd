import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from equipoise.errors import DataError
from equipoise.training.tables.preparing.columns import look_at
from equipoise.training.tables.preparing.preparation import Preparation

from ..tables_of import mixed, raw

TARGETS = ["y", "kind", "up"]
TRAIN = np.arange(0, 80)


def fitted(frame, train=TRAIN, targets=TARGETS):
    table = raw(frame)
    return Preparation.fitted(table, look_at(table, targets=targets), train), table


def test_rows_outside_the_training_part_change_nothing():
    frame = mixed()
    other = frame.copy()
    rest = other.index[80:]
    other.loc[rest, ["x", "z"]] *= 1000
    other.loc[rest, "colour"] = "violet"
    other.loc[rest, "y"] = 1e6
    other.loc[rest, "day"] = pd.Timestamp("1999-12-31")
    assert fitted(frame)[0] == fitted(other)[0]


def test_it_survives_json_to_the_bit():
    preparation, table = fitted(mixed())
    again = Preparation.model_validate_json(preparation.model_dump_json())
    assert again == preparation
    assert np.array_equal(again.encode(table.frame), preparation.encode(table.frame))


def test_columns_in_another_order_are_encoded_alike():
    preparation, table = fitted(mixed())
    assert np.array_equal(preparation.encode(table.frame[sorted(table.frame)]), preparation.encode(table.frame))


def test_numbers_agree_with_scikit_learn_before_they_are_compressed():
    frame = mixed()
    preparation, table = fitted(frame)
    place = [column.column for column in preparation.numbers].index("x")
    soft = preparation.encode(table.frame)[:, place].astype(float)
    robust = soft / np.sqrt(1 - (soft / 3) ** 2)  # the inverse of z / sqrt(1 + (z/3)^2)
    values = frame[["x"]].to_numpy()
    filled = SimpleImputer(strategy="median").fit(values[TRAIN]).transform(values)
    # the scale is that of the values that are there, the imputed ones left out
    expected = RobustScaler().fit(values[TRAIN]).transform(filled)[:, 0]
    assert np.allclose(robust, expected, rtol=1e-5, atol=1e-6)


def test_classes_agree_with_scikit_learn():
    frame = mixed().assign(x=1.0)  # without gaps, whose mark would come first
    preparation, table = fitted(frame)
    (group,) = [column for column in preparation.levels if column.column == "colour"]
    start = len(preparation.features)
    found = preparation.encode(table.frame)[:, start : start + 3]
    encoder = OneHotEncoder(categories=[list(group.levels)], sparse_output=False)
    assert np.array_equal(found, encoder.fit_transform(frame[["colour"]]))


def test_a_class_that_no_training_row_has_is_zero_in_all_columns_and_counted():
    preparation, table = fitted(mixed())
    frame = table.frame.copy()
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[[3, 4], "colour"] = "violet"
    start = len(preparation.features)
    assert np.array_equal(preparation.encode(frame)[[3, 4], start : start + 3], np.zeros((2, 3)))
    assert preparation.unseen(frame) == {"colour": {"violet": 2}}
    assert preparation.unseen(table.frame) == {}


def test_rare_classes_share_one_column():
    names = [f"c{number:03}" for number in range(80)]
    frame = pd.DataFrame({"c": names + names[:60] * 3, "y": np.arange(260.0), "v": np.arange(260.0) ** 2})
    table = raw(frame)
    columns = look_at(table, targets=["y", "v"])
    preparation = Preparation.fitted(table, columns, np.arange(260))
    (group,) = preparation.levels
    assert (len(group.levels), len(group.rare), preparation.width) == (49, 31, 50)
    encoded = preparation.encode(table.frame)
    assert (encoded.sum(axis=1) == 1).all()
    assert encoded[:, -1].sum() == frame["c"].isin(group.rare).sum()
    assert preparation.unseen(table.frame) == {}


def test_edges_lie_at_distinct_values_and_a_majority_value_takes_one():
    gains = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    frame = pd.DataFrame({"few": np.tile(np.arange(10.0), 100), "gain": gains, "y": gains**2, "v": gains - 1})
    preparation, _ = fitted(frame, np.arange(1000), ["y", "v"])
    few, gain = (next(column for column in preparation.numbers if column.column == name) for name in ("few", "gain"))
    assert len(few.edges) == 10
    assert len(gain.edges) == 101  # quantiles of rows would leave about a tenth


def test_a_column_that_does_not_vary_in_the_training_rows_is_not_used():
    frame = mixed()
    frame.loc[:79, "z"] = 1.0
    preparation, _ = fitted(frame)
    assert "z" not in {column.column for column in preparation.features}


def test_dates_become_days_weekday_and_month():
    preparation, table = fitted(mixed())
    values = preparation.values(table.frame)
    first = table.frame["day"].iloc[0]
    assert values["day", "day"][0] == (first - pd.Timestamp("1970-01-01")).days
    assert values["day", "weekday"][0] == first.weekday()
    assert values["day", "month"][0] == first.month
    assert not values["day", "hour"].any()
    assert "hour" not in {column.part for column in preparation.features if column.column == "day"}


def test_targets_are_standardized_by_labelled_training_rows():
    frame = mixed()
    preparation, table = fitted(frame)
    y = frame["y"].to_numpy()
    encoded = preparation.encode_targets(table.frame)
    known = y[TRAIN][~np.isnan(y[TRAIN])]
    assert np.array_equal(np.isnan(encoded[:, 0]), np.isnan(y))
    assert np.allclose(encoded[:, 0], (y - known.mean()) / known.std(), equal_nan=True, atol=1e-6)
    names = np.array(preparation.targets[1].classes)
    assert (names[encoded[:, 1].astype(int)] == frame["kind"]).all()
    assert (encoded[:, 2] == frame["up"]).all()


def test_a_target_of_one_value_in_the_training_part_is_refused_by_name():
    frame = mixed()
    frame["kind"] = ["a"] * 80 + ["b"] * 40
    with pytest.raises(DataError, match="Target 'kind' must have two different values in the training part, found 1"):
        fitted(frame)
