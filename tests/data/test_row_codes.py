"""The columns that say which rows are left out together."""

import numpy as np
import pandas as pd
import pytest

import equipoise as eq
from equipoise.data import encode_frame, load
from equipoise.errors import DataError


def frame(rows=60):
    generator = np.random.default_rng(0)
    columns = {f"x{i}": generator.normal(size=rows) for i in range(3)}
    noise = generator.normal(size=(rows, 2))
    return pd.DataFrame(
        columns
        | {"a": columns["x0"] + noise[:, 0], "b": columns["x1"] + noise[:, 1]}
        | {"house": [f"h{i // 3}" for i in range(rows)], "day": pd.date_range("2024-01-01", periods=rows)}
    )


def test_a_group_is_no_input_and_becomes_a_number_a_row():
    table = encode_frame(frame(), targets=["a", "b"], inputs=None, drop=["day"], group="house")
    assert table.input_names == ("x0", "x1", "x2")
    assert table.groups.tolist() == [i // 3 for i in range(60)]
    assert table.times is None
    assert any("'house'" in step for step in table.steps)


def test_groups_follow_the_rows_that_are_kept():
    holes = frame()
    holes.loc[[0, 1, 2, 10], "a"] = np.nan
    table = encode_frame(holes, targets=["a", "b"], drop=["day"], group="house")
    assert len(table.groups) == table.rows_used == 56
    assert len(set(table.groups.tolist())) == 19


def test_times_are_dates_or_numbers_in_their_order():
    shuffled = frame().sample(frac=1, random_state=0)
    table = encode_frame(shuffled, targets=["a", "b"], drop=["house"], time="day")
    assert table.times.tolist() == (shuffled["day"].rank()).tolist()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "home"}, "--group.*home"),
        ({"group": "house", "time": "day"}, "left out by --group or by --time"),
        ({"time": "house"}, "times must be numbers or dates; found 'h0'"),
        ({"group": ["house"]}, "--group must be the name of one column"),
        ({"group": "a"}, "--group a and in --targets"),
    ],
    ids=["unknown", "both", "text as time", "a list", "a target"],
)
def test_columns_that_cannot_say_it_are_refused(options, words):
    with pytest.raises(DataError, match=words):
        encode_frame(frame(), targets=["a", "b"], **options)


def test_a_row_without_a_group_is_refused():
    holes = frame()
    holes.loc[4, "house"] = None
    with pytest.raises(DataError, match="every row needs a value; 1 of 60 rows have none"):
        encode_frame(holes, targets=["a", "b"], group="house")


def test_an_audit_leaves_out_whole_groups(tmp_path):
    path = tmp_path / "houses.csv"
    frame().to_csv(path, index=False)
    assert load(path, targets=["a", "b"], group="house").groups is not None
    record = eq.audit(path, targets=["a", "b"], drop=["day"], group="house", width=1)
    assert record.new_rows.partition == "whole groups (20 groups)"
    assert "whole groups (20 groups)" in record.verdicts[0].caveat
    record = eq.audit(path, targets=["a", "b"], drop=["house"], time="day", width=1)
    assert record.new_rows.partition == "rows that follow each other in time (60 times)"
