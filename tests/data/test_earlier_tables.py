"""What a table inherits from an earlier one of its kind: marks of numbers, and dates that stay dates."""

import numpy as np
import pandas as pd
import pytest

from equipoise.data.encoding.decimals import decide
from equipoise.data.encoding.prepare import prepared
from equipoise.data.raw import RawTable
from equipoise.data.reading import checked_reading


@pytest.mark.parametrize(
    ("before", "cell", "style"),
    [
        ((".", ","), "1,250", (".", ",")),
        ((",", ""), "1,250", (",", "")),
        ((".", ""), "1,250", (".", ",")),
        ((",", "."), "1.250", (",", ".")),
        ((",", ""), "1.250", (",", ".")),
        ((",", ""), "1250", (".", "")),
    ],
    ids=["thousands", "decimals", "no marks yet", "points", "points between thousands", "whole"],
)
def test_numbers_that_could_mean_two_are_read_as_before(before, cell, style):
    found = decide({"price": [cell]}, checked_reading({}), decimal_comma=False, styles={"price": before})
    assert (found.styles, found.unclear) == ({"price": style}, {})


def test_another_decimal_mark_than_before_is_unclear():
    found = decide({"price": ["1.25"]}, checked_reading({}), decimal_comma=False, styles={"price": (",", "")})
    assert found.styles == {}
    assert "had the decimal mark ',' before, and holds '1.25' now" in found.unclear["price"]


def test_what_the_caller_says_counts_more_than_what_was_before():
    reading = checked_reading({"decimal": ","})
    found = decide({"price": ["1,250"]}, reading, decimal_comma=False, styles={"price": (".", ",")})
    assert found.styles == {"price": (",", "")}


def test_units_and_marks_of_a_table_are_told():
    frame = pd.DataFrame({"price": ["1,250.5 EUR", "12 EUR"], "plain": [1.0, 2.0]})
    found = prepared(RawTable(frame, "toy", ""), checked_reading({}))
    assert (found.written_in, found.styles) == ({"price": "EUR"}, {"price": (".", ",")})


def test_columns_named_as_dates_stay_times_where_asked():
    frame = pd.DataFrame({"day": ["2024-01-31", "2024-03-01"], "stamp": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    reading = checked_reading({"date": ["day", "stamp"]})
    kept = prepared(RawTable(frame, "toy", ""), reading, times=True).frame
    assert kept["day"].tolist() == [pd.Timestamp("2024-01-31"), pd.Timestamp("2024-03-01")]
    assert kept["stamp"].equals(frame["stamp"])
    days = prepared(RawTable(frame, "toy", ""), reading).frame
    assert np.array_equal(days["day"], [0.0, 30.0])


def test_dates_of_two_meanings_are_unclear_where_times_are_asked_for():
    frame = pd.DataFrame({"day": ["03/04/2024", "05/06/2024"]})
    assert "day or month first" in prepared(RawTable(frame, "toy", ""), checked_reading({}), times=True).unclear["day"]
    assert prepared(RawTable(frame, "toy", ""), checked_reading({})).unclear == {}
