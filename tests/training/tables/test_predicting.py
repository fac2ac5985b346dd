import numpy as np
import pandas as pd
import pytest

from equipoise.errors import DataError, RunFolderError
from equipoise.training.tables.fit_table import fit_table
from equipoise.training.tables.predicting import predict

from .tables_of import mixed


@pytest.fixture(scope="module")
def frame():
    return mixed(150, seed=1).assign(weight=lambda table: [f"{value:.2f} kg" for value in table["z"]])


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("predict") / "run"
    fit_table(frame, targets=["y", "kind", "up"], epochs=2, hidden=(8,), seeds=2, baselines=("separate",), folder=place)
    return place


@pytest.fixture
def rows(frame):
    return frame.drop(columns=["y", "kind", "up"]).head(9)


def test_predictions_have_the_targets_types_and_the_rows_index(folder, rows):
    rows.index = pd.Index(range(100, 109))
    found = predict(folder, rows, probabilities=True)
    assert list(found.columns) == ["y", "kind", "kind=high", "kind=low", "kind=mid", "up", "up=False", "up=True"]
    assert found.index.equals(rows.index)
    assert (found["y"].dtype, found["up"].dtype) == (np.float64, np.bool_)
    shares = found[["kind=high", "kind=low", "kind=mid"]]
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares.idxmax(axis=1) == "kind=" + found["kind"].astype(str)).all()
    assert (found["up"] == (found["up=True"] > 0.5)).all()


def test_columns_in_another_order_and_further_ones_change_no_bit(folder, rows):
    expected = predict(folder, rows)
    found = predict(folder, rows[sorted(rows, reverse=True)].assign(extra=1, y=0.0))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found.attrs["notes"][:2] == (
        "Columns that the training did not have were not used: 'extra'.",
        "Targets in the table were not looked at: 'y'.",
    )


def test_a_file_gives_the_same_as_its_frame(folder, rows, tmp_path):
    rows.to_csv(tmp_path / "new.csv", index=False)
    pd.testing.assert_frame_equal(predict(folder, tmp_path / "new.csv"), predict(folder, rows), check_exact=True)


def test_missing_values_and_unseen_classes_are_said_and_counted(folder, rows):
    rows = rows.assign(colour=["violet", "violet", *rows["colour"][2:]], z=[np.nan, *rows["z"][1:]])
    notes = predict(folder, rows).attrs["notes"]
    assert "Missing inputs were filled as in training: 'x' (2 rows), 'z' (1 row)." in notes
    assert any("Input 'colour' holds 'violet' in 2 rows: no training row had that" in note for note in notes)


BAD = {
    "missing": (lambda rows: rows.drop(columns=["x", "flag"]), r"'x' is missing[\s\S]*'flag' is missing"),
    "renamed": (lambda rows: rows.rename(columns={"colour": "color"}), "'colour' is missing. Is it 'color' here"),
    "text for numbers": (lambda rows: rows.assign(x="high"), "Column 'x' cannot be read as numbers; it holds 'high'"),
    "infinite": (lambda rows: rows.assign(x=np.inf), "Input 'x' must be finite, found 9 infinite values"),
    "days for dates": (lambda rows: rows.assign(day=19000), "Column 'day' cannot be read as dates"),
    "time of day": (
        lambda rows: rows.assign(day="18:30"),
        "Input 'day' must hold dates as in training, found times of day",
    ),
    "day or month": (lambda rows: rows.assign(day="03/04/2024"), "day or month first"),
    "another unit": (
        lambda rows: rows.assign(weight="3 lb"),
        "Input 'weight' had the unit 'kg' in training, found 'lb'",
    ),
    "no unit": (lambda rows: rows.assign(weight=3.0), "Input 'weight' had the unit 'kg' in training"),
    "flag": (lambda rows: rows.assign(flag=3), "Input 'flag' must hold true/false as in training"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_does_not_fit_is_refused_with_what_was_found(case, folder, rows):
    change, words = BAD[case]
    with pytest.raises(DataError, match=words):
        predict(folder, change(rows))


def test_dates_in_another_notation_mean_the_same(folder, rows):
    rows = rows.assign(day=rows["day"].dt.strftime("%Y-%m-%d"))
    again = rows.assign(day=pd.to_datetime(rows["day"]))
    pd.testing.assert_frame_equal(predict(folder, rows), predict(folder, again), check_exact=True)


def test_a_folder_without_a_fit_and_a_damaged_one_are_refused(folder, rows, tmp_path):
    with pytest.raises(RunFolderError, match="holds no finished fit"):
        predict(tmp_path, rows)
    place = folder / "networks" / "networks.json"
    text = place.read_text()
    place.write_text(text.replace('"median"', '"middle"', 1))
    try:
        with pytest.raises(RunFolderError, match="damaged, or of another version"):
            predict(folder, rows)
    finally:
        place.write_text(text)


@pytest.mark.parametrize(
    ("price", "cell", "other"),
    [
        ([f"{value:,} EUR" for value in range(700, 1_190_701, 10_000)], "1,250 EUR", "1250 EUR"),
        ([f"{value / 1000:.3f}".replace(".", ",") for value in range(700, 1300, 5)], "1,250", "1,25"),
    ],
    ids=["thousands", "decimals"],
)
def test_a_single_number_is_read_as_in_training_though_it_could_mean_two(price, cell, other, tmp_path):
    frame = mixed(120).assign(price=[*price[1::2], *price[::2]])  # in order it would be a counter
    place = tmp_path / "run"
    fit_table(frame, targets=["y", "up"], epochs=2, hidden=(4,), seeds=1, baselines=(), folder=place)
    rows = frame.head(1).drop(columns=["y", "up"])
    found, expected = (predict(place, rows.assign(price=value)) for value in (cell, other))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    larger = predict(place, rows.assign(price=cell.replace("1,", "9,")))
    assert larger.iloc[0, 0] != found.iloc[0, 0]  # it matters what the cell means


def test_a_decimal_mark_that_differs_from_the_training_is_refused(tmp_path):
    frame = mixed(120).assign(price=[f"{value / 100:.2f}".replace(".", ",") for value in range(120)])
    fit_table(frame, targets=["y", "up"], epochs=1, hidden=(4,), seeds=1, baselines=(), folder=tmp_path / "run")
    rows = frame.head(3).drop(columns=["y", "up"])
    with pytest.raises(DataError, match="'price'"):
        predict(tmp_path / "run", rows.assign(price=["1.25", "2.5", "0.75"]))


def test_columns_without_any_value_are_filled_and_no_rows_are_refused(folder, rows):
    empty = rows.assign(day=None, x=None, colour=None, flag=None)
    notes = predict(folder, empty).attrs["notes"]
    assert notes == (
        "Missing inputs were filled as in training: 'x' (9 rows), 'colour' (9 rows), 'day' (9 rows), 'flag' (9 rows).",
    )
    with pytest.raises(DataError, match="At least one row is needed, found none"):
        predict(folder, rows.head(0))
