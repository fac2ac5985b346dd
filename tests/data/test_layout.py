"""What stands above, beside and around a text table: passed over and said, or named as the cause with what to type."""

import re
import tracemalloc

import numpy as np
import pytest

from equipoise.data import load
from equipoise.errors import DataError
from equipoise.linear import LinearProblem

NUMBERS = np.random.default_rng(0).normal(size=(30, 4)).round(3)
LINES = [",".join(f"{value:.3f}" for value in row) for row in NUMBERS]
HEAD = "x,y,u,v"


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, **({"targets": ["u", "v"]} | options))


def same(table):
    np.testing.assert_array_equal(np.hstack([table.inputs, table.targets]), NUMBERS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n".join(["sep=|", HEAD.replace(",", "|"), *(line.replace(",", "|") for line in LINES)]),
            "'sep=|' names the separator",
        ),
        (
            "\n".join(["# a logger", "", "# version 2", HEAD, *LINES]),
            "Comment lines above the table were skipped: 2.",
        ),
        ("\n".join(["# x,y,u,v", *LINES]), "Columns that were not named"),  # as numpy.savetxt writes a header
        ("\n".join([HEAD, *(line + "," for line in LINES)]), "Each row ends in a separator"),
        ("\n".join([HEAD, *(f'"{n}",{line}' for n, line in enumerate(LINES, 1))]), "as R writes row names"),
        ("\n".join([HEAD, "", *LINES, "", ""]), "Columns that were not named"),
    ],
)
def test_what_is_known_around_a_table_is_passed_over_and_said(tmp_path, text, said):
    table = read(tmp_path, text)
    same(table)
    assert any(said in step for step in table.steps), table.steps


def test_row_names_are_a_column_that_can_be_used(tmp_path):
    text = "\n".join([HEAD, *(f'"{"ab"[n % 2]}",{line}' for n, line in enumerate(LINES))])
    assert read(tmp_path, text).input_names == ("row names=b", "x", "y")


@pytest.mark.parametrize(
    ("lines", "pattern", "follow"),
    [
        (
            ["Report of May", "all sites", HEAD],
            r"begin in line 3.*'Report of May'\. Pass over it: --skip-rows 2",
            {"skip_rows": 2},
        ),
        (
            ["Report of May,,,", HEAD],
            r"one cell, 'Report of May', and looks like a title.*--skip-rows 1",
            {"skip_rows": 1},
        ),
        (
            [HEAD, "kg,m,s,cm"],
            r"line 2 holds no number.*units.*--skip-rows 2 --no-header --names x,y,u,v",
            {"skip_rows": 2, "header": False, "names": HEAD.split(",")},
        ),
    ],
)
def test_titles_and_units_are_named_and_the_advice_works(tmp_path, lines, pattern, follow):
    text = "\n".join([*lines, *LINES])
    with pytest.raises(DataError, match=pattern):
        read(tmp_path, text)
    same(read(tmp_path, text, **follow))


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        ({7: '"1,2,3,4'}, r"a double quote in line 9 opens a text that runs to line 31; is it closed\?"),
        ({7: '"1,2,3,4', 20: '5,6,7,8"'}, r"a double quote in line 9 opens a text that runs to line 22"),
        ({7: "1,2,3"}, r"every row must have 4 cells .* found 3 in line 9 .rows of another length: 1"),
        ({29: "Source: the office"}, r"found 1 in line 31 .*if the table ends there, delete what stands below it"),
    ],
)
def test_rows_that_do_not_fit_are_named_by_their_cause(tmp_path, change, pattern):
    lines = [change.get(place, line) for place, line in enumerate(LINES)]
    with pytest.raises(DataError, match=pattern):
        read(tmp_path, "\n".join([HEAD, *lines]))


def test_markup_and_comments_alone_are_no_table(tmp_path):
    with pytest.raises(DataError, match="is not a table but a page of HTML or XML"):
        read(tmp_path, "<!DOCTYPE html>\n<html><body>404</body></html>")
    with pytest.raises(DataError, match="holds only comment lines"):
        read(tmp_path, "# one\n# two\n")
    with pytest.raises(DataError, match=r"has 2 lines: --skip-rows 5 leaves no table"):
        read(tmp_path, "a,b\n1,2\n", skip_rows=5)


def test_the_separator_and_the_encoding_can_be_named(tmp_path):
    text = "\n".join([HEAD, *LINES]).replace(",", ":").replace("x", "größe")
    same(read(tmp_path, text.encode("cp850"), sep=":", encoding="cp850", inputs=["größe", "y"]))
    with pytest.raises(DataError, match="is damaged ascii"):
        read(tmp_path, text, encoding="ascii")
    with pytest.raises(DataError, match=r"must have two or more columns separated by comma, found one"):
        read(tmp_path, text, sep=",")


def test_blanks_between_columns_of_numbers_and_quoted_texts(tmp_path):
    lines = [f'{line.replace(",", "   ")}\t"car {n % 2}"' for n, line in enumerate(LINES)]
    table = read(tmp_path, "\n".join(["x y u v name", *lines]), sep=" ", inputs=["x", "y", "name"])
    np.testing.assert_array_equal(table.inputs[:, 2], np.arange(30) % 2)
    np.testing.assert_array_equal(table.targets, NUMBERS[:, 2:])


def test_windows_letters_are_read_with_a_warning(tmp_path):
    text = "\n".join([HEAD.replace("x", "€"), *LINES]).encode("cp1252")
    table = read(tmp_path, text)
    assert table.input_names == ("€", "y")
    assert re.search(r"read as Windows-1252 \(byte 0 as '€'\).*--encoding", table.warnings[0])


def test_a_large_table_takes_at_most_three_times_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.data.formats.csv_file._CELLS", 20_000)
    path = tmp_path / "t.csv"
    rows = np.random.default_rng(1).normal(size=(20_000, 20))
    np.savetxt(path, rows, fmt="%.6f", delimiter=",", header=",".join(f"c{n}" for n in range(20)), comments="")
    load(path, targets=["c0", "c1"])  # what is imported stays
    tracemalloc.start()
    table = load(path, targets=["c0", "c1"])
    LinearProblem(table.inputs, table.targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * path.stat().st_size
    np.testing.assert_allclose(table.inputs, rows[:, 2:], atol=1e-6)


def test_blocks_of_rows_are_put_together(tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.data.formats.csv_file._CELLS", 20)
    lines = [*LINES[:20], "5,-,1,2", "9007199254740993,4,2,1", *LINES[20:]]
    table = read(tmp_path, "\n".join([HEAD, *lines]))
    np.testing.assert_array_equal(table.inputs[[*range(20), *range(22, 32)], :2], NUMBERS[:, :2])
    assert table.inputs[20, 1] == pytest.approx(np.mean([*NUMBERS[:, 1], 4]))
    colours = [f"{'red' if n % 3 else 'blue'},{line}" for n, line in enumerate(LINES)]
    table = read(tmp_path, "\n".join(["c," + HEAD, *colours]))
    np.testing.assert_array_equal(table.inputs[:, 0], [float(n % 3 == 0) for n in range(30)])
    assert table.input_names == ("c=blue", "x", "y")
