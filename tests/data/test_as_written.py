"""Numbers, dates and marks as people, spreadsheets and other countries write them: the values that come out."""

import numpy as np
import pandas as pd
import pytest

from equipoise.data import encode_frame, load
from equipoise.data.encoding.spelled import spelled
from equipoise.errors import DataError

RNG = np.random.default_rng(4)
ROWS = 40
Y = RNG.normal(size=(ROWS, 2)).round(3)


def read(tmp_path, cells, separator=";", **options):
    """A table with one input column, its cells as they are given, repeated to 40 rows."""
    cells = [cells[row % len(cells)] for row in range(ROWS)]
    lines = [
        f"x{separator}u{separator}v",
        *(f"{cell}{separator}{u}{separator}{v}" for cell, (u, v) in zip(cells, Y, strict=True)),
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load(path, targets=["u", "v"], **options)


@pytest.mark.parametrize(
    ("cells", "values", "note"),
    [
        (["34.6%", "-2%", "0.5%"], [34.6, -2, 0.5], "unit '%' taken off"),
        (["€ 34.56", "-€ 2", "€3.5"], [34.56, -2, 3.5], "unit '€' taken off"),
        (["$1,234.50", "$12", "-$7,000"], [1234.5, 12, -7000], "unit '$' taken off; decimal '.', thousands ','"),
        (["USD 5", "USD 7.5", "USD -1"], [5, 7.5, -1], "unit 'USD' taken off"),
        (["12 kg", "7.5 kg", "-1 kg"], [12, 7.5, -1], "unit 'kg' taken off"),
        (["\u22121.5", "2", "\u22123"], [-1.5, 2, -3], "minus signs of another kind read"),
        (["(1,234.5)", "12", "(7)"], [-1234.5, 12, -7], "minus signs of another kind read; decimal '.', thousands ','"),
        (["5-", "7", "2.5-"], [-5, 7, -2.5], "minus signs of another kind read"),
        (["12_345", "1_000", "7"], [12345, 1000, 7], "decimal '.', thousands '_'"),
        (["12'345.5", "1'000", "7"], [12345.5, 1000, 7], "decimal '.', thousands \"'\""),
        (["12\u202f345,5", "1\u202f000", "7"], [12345.5, 1000, 7], "decimal ',', thousands ' '"),
        (["1.234.567", "13.031", "284"], [1234567, 13031, 284], "decimal ',', thousands '.'"),
        (["1.234,5", "7,25", "-3"], [1234.5, 7.25, -3], "decimal ','"),
        (["5", "-", "2"], [5, np.nan, 2], "'-' taken as missing; gaps filled with the mean and marked"),
        (["5", "None", "2"], [5, np.nan, 2], "'None' taken as missing; gaps filled with the mean and marked"),
        (["5", "#DIV/0!", "2"], [5, np.nan, 2], "'#DIV/0!' taken as missing; gaps filled with the mean and marked"),
        (
            ["5%", "n.a.", "2%"],
            [5, np.nan, 2],
            "unit '%' taken off; 'n.a.' taken as missing; gaps filled with the mean and marked",
        ),
        ([" 1e3 ", "2.5E-1", "+4"], [1000, 0.25, 4], ""),
    ],
)
def test_a_number_is_read_however_it_is_written(tmp_path, cells, values, note):
    table = read(tmp_path, cells)
    column = table.columns[0]
    assert (column.name, column.role, column.holds) == ("x", "input", "numbers")
    assert column.done.replace("\u202f", " ") == note
    expected = np.array([values[row % len(values)] for row in range(ROWS)], dtype=float)
    expected[np.isnan(expected)] = np.nanmean(expected)
    np.testing.assert_allclose(table.inputs[:, 0], expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("cells", "pattern"),
    [
        (["5", "7", "<1", "8"], r"'x' holds numbers in 30 of 40 cells, and others: '<1' \(10\)"),
        (["5%", "7%", "8", "9%"], r"'x' holds numbers with '%' in 30 of 40 cells, and others: '8' \(10\)"),
        (["1", "2", "3", "4+"], r"others: '4\+' \(10\).*--categorical=x"),
        ([f"€{n}.5{'MK'[n % 2]}" for n in range(40)], r"holds numbers with '€[MK]' in 20 of 40 cells, and others: '€"),
        ([f"{n} {unit}" for n in range(6) for unit in ("g", "kg")], r"holds numbers with '(g|kg)' in \d+ of 40 cells"),
        (
            [f"{n}.{100 + n}" for n in range(1, 30)] + ["284"],
            r"'1\.101': a decimal point \(1\.101\) or a point between thousands",
        ),
    ],
)
def test_a_column_that_is_nearly_numbers_is_refused_where_it_is_used(tmp_path, cells, pattern):
    with pytest.raises(DataError, match=pattern):
        read(tmp_path, cells)


def test_points_between_thousands_are_read_as_the_caller_says(tmp_path):
    cells = [f"{n}.{100 + n}" for n in range(1, 30)] + ["284"]
    assert read(tmp_path, cells, thousands=".").inputs[0, 0] == 1101
    assert read(tmp_path, cells, decimal=".").inputs[0, 0] == 1.101
    assert read(tmp_path, cells[:29], thousands=".").inputs[0, 0] == 1101
    assert read(tmp_path, cells[:29]).inputs[0, 0] == 1.101  # nothing but decimals, all with three digits


def test_none_is_a_class_among_classes(tmp_path):
    table = read(tmp_path, ["None", "brick", "stone", "brick"])
    assert table.input_names == ("x=None", "x=stone")


@pytest.mark.parametrize(
    "cells", [["1.2.3", "1.2.4"], ["10.0.0.1", "10.0.0.2"], ["A4", "A5"], ["1st", "2nd"], ["12/4", "3/4"]]
)
def test_what_only_looks_like_a_number_is_a_class(tmp_path, cells):
    assert read(tmp_path, cells).columns[0].holds == "classes"


def test_classes_as_asked_keep_their_zeros(tmp_path):
    table = read(tmp_path, ["01", "2", "01", "1"], categorical=["x"])
    assert table.input_names == ("x=1", "x=2")
    assert table.columns[0].done == "taken as classes, as asked; 2 0/1 columns"


@pytest.mark.parametrize(
    ("cells", "values", "note"),
    [
        (["2024-01-01", "2024-03-01", "2024-01-02"], [0, 60, 1], "days since 2024-01-01"),
        (["31.12.2023", "01.01.2024", "02.01.2024"], [0, 1, 2], "days since 2023-12-31"),
        (["12/31/2023", "01/01/2024", "01/02/2024"], [0, 1, 2], "days since 2023-12-31"),
        (["31DEC2023", "01JAN2024", "02JAN2024"], [0, 1, 2], "days since 2023-12-31"),
        (["2024-01-01 12:00", "2024-01-02 00:00", "2024-01-03 18:00"], [0.5, 1, 2.75], "days since 2024-01-01"),
        (["20240101", "20240103", "20240102"], [0, 2, 1], "days since 2024-01-01"),
        (["08:30", "23:15:00", "0:00"], [8.5, 23.25, 0], "hours"),
        (["18.00.00", "1.30.00"], [18, 1.5, 18], "hours"),
    ],
)
def test_dates_are_left_out_with_a_word_and_become_numbers_where_asked(tmp_path, cells, values, note):
    table = read(tmp_path, cells, date=["x"])
    np.testing.assert_allclose(table.inputs[:3, 0], values)
    assert table.columns[0].done == note
    if "20240101" not in cells:
        with pytest.raises(DataError, match=r"No input column is left.*--date=x"):
            read(tmp_path, cells)


def test_day_or_month_first_is_never_guessed(tmp_path):
    with pytest.raises(DataError, match=r"'x' holds '01/02/2024': day or month first\? Write dates as 2024-01-31"):
        read(tmp_path, ["01/02/2024", "03/04/2024"], date=["x"])
    with pytest.raises(DataError, match=r"'x' cannot be read as dates, all in one way: it holds 'later', 'soon'"):
        read(tmp_path, ["soon", "later"], date=["x"])


def test_numbers_in_the_texts_of_a_data_frame_are_read_too():
    frame = pd.DataFrame({"x": ["1,5", "2,25", "-"] * 10, "u": Y[:30, 0], "v": [f"{v}%" for v in Y[:30, 1]]})
    table = encode_frame(frame, targets=["u", "v"])
    np.testing.assert_array_equal(table.targets[:, 1], Y[:30, 1])
    np.testing.assert_array_equal(table.inputs[:3, 0], [1.5, 2.25, 1.875])


def test_na_names_further_marks(tmp_path):
    table = read(tmp_path, ["5", "unknown", "-999.0", "3"], na=["unknown", "-999"])
    np.testing.assert_array_equal(table.inputs[:4, 0], [5, 4, 4, 3])
    assert table.columns[0].missing == 20


@pytest.mark.parametrize("digits", [1_000, 100_000])
def test_a_cell_of_many_digits_is_no_number_and_takes_no_time(digits):
    assert spelled("1" * digits + "x") is None


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"sep": "::"}, r"--sep must be one character"),
        ({"decimal": "x"}, r"--decimal must be a point or a comma; found 'x'"),
        ({"thousands": ",", "decimal": ","}, r"--thousands and --decimal must differ"),
        ({"skip_rows": -1}, r"--skip-rows must be a whole number"),
        ({"encoding": "klingon"}, r"--encoding must be one that Python knows"),
        ({"na": "x"}, r"na must be a list, found one text 'x': write na=\['x'\]"),
        ({"numeric": ["x"], "categorical": ["x"]}, r"--numeric and --categorical both name 'x'"),
        ({"numeric": ["z"]}, r"--numeric names 'z', which is no column"),
        ({"numeric": ["x"]}, r"'x' cannot be read as numbers; it holds 'a', 'b'"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(tmp_path, options, pattern):
    with pytest.raises(DataError, match=pattern):
        read(tmp_path, ["a", "b"], **options)
    with pytest.raises(TypeError, match="there is no option 'seperator'"):
        read(tmp_path, ["a", "b"], seperator=";")
