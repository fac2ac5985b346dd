"""ARFF files: dense and sparse rows, quotes, levels, and what breaks the format."""

import gzip
import time

import numpy as np
import pytest
from scipy.io import arff

from equipoise.data import load
from equipoise.data.formats.arff_file import _values
from equipoise.errors import DataError

HEAD = """% a comment
@RELATION 'toy set'
@attribute x NUMERIC
@attribute 'wind speed' real
@attribute colour {red, 'light blue', green}
@attribute u integer
@attribute v numeric
@data
"""


def read(tmp_path, text, targets=("u", "v"), name="t.arff", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, targets=list(targets), **options)


def refused(tmp_path, text, pattern):
    with pytest.raises(DataError, match=pattern):
        read(tmp_path, text)


def test_dense_rows_with_quotes_missing_values_and_comments(tmp_path):
    rows = "1,2.5,red,3,1\n% between\n2,?,'light blue',1,4\n\n-1e1 , 0.5 , \"red\" , 7 , 2\n4,1.5,?,5,9\n"
    table = read(tmp_path, HEAD + rows)
    assert table.input_names == ("x", "wind speed", "colour=(missing)", "colour=light blue", "wind speed missing")
    np.testing.assert_array_equal(table.inputs[:, 0], [1, 2, -10, 4])
    np.testing.assert_array_equal(table.inputs[:, 3], [0, 1, 0, 0])
    np.testing.assert_array_equal(table.targets, [[3, 1], [1, 4], [7, 2], [5, 9]])
    assert "relation 'toy set'" in table.source


def test_sparse_rows_mean_zero_or_the_first_level_where_they_say_nothing(tmp_path):
    table = read(tmp_path, HEAD + "{0 1.5, 2 green, 3 2}\n{1 4, 2 'light blue', 4 -1}\n{3 5}\n{ }\n{0 ?, 4 7}\n")
    np.testing.assert_array_equal(table.targets, [[2, 0], [0, -1], [5, 0], [0, 0], [0, 7]])
    np.testing.assert_array_equal(table.inputs[:, 0], [1.5, 0, 0, 0, 0.375])
    assert table.input_names[2:4] == ("colour=green", "colour=light blue")
    np.testing.assert_array_equal(table.inputs[:, 3], [0, 1, 0, 0, 0])


def test_nominal_targets_are_classes(tmp_path):
    head = HEAD.replace("@attribute u integer", "@attribute u {0,1}")
    table = read(tmp_path, head + "1,2,red,0,1\n2,1,green,1,2\n4,7,red,1,5\n")
    assert table.tasks == ("u=1", "v")
    assert table.kinds[0] == "least squares on classes"


def test_names_in_two_pairs_of_quotes_lose_both(tmp_path):
    names = ["\"'dtd'\"", "\"'A'l1\"", "'it\\'s'"]
    head = "\n".join(f"@attribute {name} numeric" for name in names)
    text = f"@relation t\n{head}\n@data\n1,2,3\n4,5,9\n0,1,1\n"
    table = read(tmp_path, text, targets=["dtd", "it's"])
    assert table.input_names == ("'A'l1",)


def test_string_and_date_attributes_are_read_as_what_they_hold(tmp_path):
    kinds = {"s": "string", "d": "date 'yyyy-MM-dd'", "n": "string", "x": "real", "u": "real", "v": "real"}
    text = "\n".join(["@relation t", *(f"@attribute {name} {kind}" for name, kind in kinds.items()), "@data", ""])
    rows = "".join(
        f"'note, {row}','1990-01-0{row + 1}','{row % 3},5',{row * row % 5},{row},{7 - row % 3}\n" for row in range(8)
    )
    table = read(tmp_path, text + rows)
    assert table.input_names == ("n", "x")
    np.testing.assert_array_equal(table.inputs[:3, 0], [0.5, 1.5, 2.5])
    assert [card.role for card in table.columns[:3]] == ["left out", "left out", "input"]
    dated = read(tmp_path, text + rows, date=["d"], inputs=["d", "x"])
    np.testing.assert_array_equal(dated.inputs[:, 0], np.arange(8))


def test_tabs_between_values_are_fine(tmp_path):
    table = read(tmp_path, HEAD + "1\t2\tred\t3\t4\n2\t2.5\t'light blue'\t1\t1\n3\t0\tred\t5\t0\n")
    np.testing.assert_array_equal(table.targets, [[3, 4], [1, 1], [5, 0]])


def test_sparse_rows_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.data.formats.arff_file.LIMIT", 8 * 5 * 3 - 1)
    refused(
        tmp_path, HEAD + "{0 1}\n{1 1}\n{2 green}\n", r"would take 120 bytes for 3 rows and 5 attributes; at most 119"
    )


def test_time_to_read_a_row_grows_linearly_with_its_length(tmp_path):
    def longest_match(blanks):
        text = "'q',a" + " " * blanks + "b,1,2"
        started = time.process_time()
        _values(text, 1, "t")
        return time.process_time() - started

    longest_match(1000)
    assert longest_match(1_000_000) < 2  # quadratic time would be a day


def test_gzip_and_latin_1_are_fine(tmp_path):
    text = HEAD.replace("colour", "größe") + "1,2,red,0,1\n2,1,green,1,2\n4,7,red,1,5\n"
    table = read(tmp_path, gzip.compress(text.encode("latin-1")), name="t.arff.gz")
    assert "größe=green" in table.input_names
    assert "Latin-1" in table.warnings[0]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (HEAD + "1,2,red,3\n", r"line 9: a row must have 5 values, one an attribute, found 4"),
        (HEAD + "1,2,pink,3,4\n2,2,red,1,1\n", r"'colour' must hold its declared levels .* found 'pink'"),
        (HEAD + "1,two,red,3,4\n", r"attribute 'wind speed' must hold numbers: .*'two'"),
        (HEAD + "1,2,'red,3,4\n", r"line 9: a quote is not closed"),
        (HEAD + "{0 1, 9 4}\n", r"line 9: a sparse row .* index from 0 to 4, found '9 4'"),
        (HEAD + "{0 1, x 4}\n", r"line 9: a sparse row .* found 'x 4'"),
        (HEAD + "{0 1, ² 4}\n", r"line 9: a sparse row .* found '² 4'"),
        (HEAD + "{0 1, -1 4}\n", r"line 9: a sparse row .* found '-1 4'"),
        (HEAD + "{0 1, 99999999999999999999 4}\n", r"line 9: a sparse row .* index from 0 to 4"),
        (HEAD + "{1 1, 1 4}\n", r"line 9: a sparse row must name each index once, found 1 twice"),
        (HEAD.replace("@data", ""), r"must declare attributes and then '@data', found 5 attributes"),
        ("a,b\n1,2\n", r"line 1: an ARFF head holds @relation, @attribute and @data, found 'a,b'"),
        ("@relation t\n@data\n1\n", r"found 0 attributes and no data"),
        ("@relation t\n@attribute x\n@data\n", r"line 2: '@attribute name type' was expected"),
        (
            "@relation t\n@attribute x relational\n@data\n",
            r"line 2: attribute 'x' must be numeric.* found 'relational'",
        ),
        ("@relation t\n@attribute x floaty\n@data\n", r"line 2: attribute 'x' must be numeric.* found 'floaty'"),
        (HEAD.replace("attribute v", "attribute u") + "1,2,red,3,4\n", r"found more than once: 'u'"),
        (HEAD, r"At least two rows of data are needed, found 0"),
    ],
)
def test_what_breaks_the_format_is_refused_with_its_line(tmp_path, text, pattern):
    refused(tmp_path, text, pattern)


@pytest.mark.parametrize(("file", "targets"), [("enb", ["Y1", "Y2"]), ("rf1", ["CHSI2_48H__0", "DLDI4_48H__0"])])
def test_mulan_files_read_as_scipy_reads_them(data_folder, file, targets):
    path = data_folder / "mulan" / f"{file}.arff"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    with path.open() as handle:
        records, meta = arff.loadarff(handle)
    table = load(path, targets=targets)
    assert table.rows == table.rows_used == len(records)
    for position, task in enumerate(targets):
        name = next(attribute for attribute in meta.names() if attribute.strip("'") == task)
        np.testing.assert_array_equal(table.targets[:, position], records[name])
    for position, name in enumerate(table.input_names):
        if name.endswith(" missing"):
            continue
        expected = records[next(attribute for attribute in meta.names() if attribute.strip("'") == name)]
        expected = np.where(np.isnan(expected), np.nanmean(expected), expected)
        np.testing.assert_allclose(table.inputs[:, position], expected, rtol=1e-13)
