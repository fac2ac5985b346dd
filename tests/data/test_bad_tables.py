"""Every way a table cannot be used: the message names what was found and what to type instead."""

import re

import numpy as np
import pandas as pd
import pytest

from equipoise.data import encode_frame, load
from equipoise.errors import DataError

RNG = np.random.default_rng(0)


def frame(**columns):
    """Two numeric inputs and two targets over 12 rows, with columns added or replaced."""
    base = {name: RNG.normal(size=12) for name in ("x1", "x2", "price", "days")}
    return pd.DataFrame(base | columns)


def refused(table, pattern, **options):
    before = table.copy(deep=True)
    with pytest.raises(DataError, match=pattern) as caught:
        encode_frame(table, **({"targets": ["price", "days"]} | options))
    pd.testing.assert_frame_equal(table, before)
    return str(caught.value)


def test_an_unknown_target_names_the_closest_columns():
    refused(frame(), r"--targets names 'Prise', which is no column\. Closest: 'price'", targets=["Prise", "days"])


def test_an_unknown_target_that_is_like_nothing_lists_the_columns():
    refused(frame(), r"'zzz', which is no column\. Columns: 'x1', 'x2', 'price', 'days'", targets=["zzz", "days"])


def test_all_mistakes_stand_in_one_message():
    message = refused(
        frame(),
        "4 things to put right",
        targets=["prices", "days", "days"],
        inputs=["x3", "x1"],
        drop=["x1"],
    )
    for part in (
        "'prices'",
        "names a column twice: 'days'",
        "--inputs names 'x3'",
        "Named in --inputs and in --drop: 'x1'",
    ):
        assert part in message


def test_a_target_listed_twice_is_refused():
    refused(frame(), r"--targets names a column twice: 'price'", targets=["price", "price"])


def test_one_target_is_too_few():
    refused(frame(), r"two or more tasks, found one: 'price'.*--targets price,\.\.\.", targets=["price"])


def test_no_target_is_too_few():
    refused(frame(), r"--targets is empty", targets=[])


def test_a_text_in_place_of_a_list_of_targets_is_refused_with_the_list_to_write():
    refused(frame(), r"found one text 'price,days': write targets=\['price', 'days'\]", targets="price,days")


def test_a_target_cannot_be_an_input_too():
    refused(frame(), r"Named in --targets and in --inputs: 'price'", inputs=["x1", "price"])


def test_a_constant_target_is_refused_with_its_value():
    refused(frame(price=3.5), r"'price' is constant: '3\.5' in all 12 rows")


def test_a_target_constant_up_to_rounding_is_refused():
    refused(frame(price=np.where(np.arange(12) % 2, 0.3, 0.1 + 0.2)), r"'price' is constant")


def test_a_target_of_one_class_is_constant():
    refused(frame(price="high"), r"'price' is constant: 'high'")


def test_a_target_constant_over_the_complete_rows_is_refused():
    price, days = np.arange(12.0), RNG.normal(size=12)
    price[4:], days[:4] = 2.0, np.nan
    refused(frame(price=price, days=days), r"'price' is constant: '2' in all 8 rows that are complete")


def test_a_free_text_target_is_refused_with_examples():
    texts = [f"note {row}" for row in range(12)]
    refused(frame(price=texts), r"'price' is free text: 12 different values in 12 rows, such as 'note 0', 'note 1'")


def test_a_target_of_numbers_with_stray_texts_names_these():
    values = [str(row) for row in range(11)] + ["<5"]
    pattern = (
        r"'price' holds numbers in 11 of 12 cells, and others: '<5' \(1\).*missing \(--na='<5'\).*--categorical=price"
    )
    refused(frame(price=values), pattern)
    refused(frame(x1=values), pattern.replace("price", "x1"))
    table = encode_frame(frame(price=values), targets=["price", "days"], na=["<5"])
    assert table.rows_used == 11


def test_a_date_target_is_refused():
    refused(frame(price=pd.date_range("2024-01-01", periods=12)), r"'price' holds dates")


def test_infinite_targets_are_refused_by_name():
    refused(frame(days=[np.inf, *range(11)]), r"'days' must be finite, found 1 infinite value. Leave")


def test_infinite_inputs_are_refused_by_name_all_at_once():
    table = frame(x1=[np.inf, -np.inf, *range(10)], x2=[np.inf, *range(11)])
    message = refused(table, r"2 things to put right")
    assert "'x1' must be finite, found 2 infinite values" in message
    assert "'x2' must be finite, found 1 infinite value." in message


def test_numbers_whose_squares_leave_double_precision_are_refused():
    refused(frame(days=[1e200, *range(11)]), r"'days' holds numbers as large as 1e\+200")
    refused(frame(x1=[1e200, *range(11)]), r"'x1' holds numbers as large as 1e\+200.*another unit")
    refused(frame(x1=np.arange(12) * 1e-200), r"'x1' varies by no more than 1e-199")


def test_a_target_without_any_value_is_refused():
    refused(frame(price=np.nan), r"found none at all in 'price'")


def test_targets_that_are_never_present_together_are_refused_with_their_counts():
    price, days = np.arange(12.0), np.arange(12.0)
    price[:5], days[5:] = np.nan, np.nan
    refused(frame(price=price, days=days), r"found 0 of 12\. Rows with a value: 'price' 7, 'days' 5")


def test_identical_targets_are_named_as_pairs():
    values = RNG.normal(size=12)
    table = frame(price=values, days=values, more=values)
    message = refused(table, r"3 things to put right", targets=["price", "days", "more"])
    assert "Targets 'price' and 'days' are identical" in message
    assert "Targets 'days' and 'more' are identical" in message


def test_more_targets_than_rows_are_refused():
    wide = pd.DataFrame(RNG.normal(size=(4, 7)), columns=list("abcdefg"))
    refused(wide, r"found 5 targets and 4 rows.*lies on its side", targets=list("abcde"))


def test_one_row_is_refused():
    refused(frame().iloc[:1], r"At least two rows of data are needed, found 1")


def test_no_input_left_is_refused_with_the_reasons():
    table = frame(x1=1.0, x2=[f"text {row}" for row in range(12)])
    message = refused(table, r"No input column is left")
    assert "Constant inputs were left out: 'x1'" in message
    assert "--categorical=x2, it would be 11 inputs for 12 rows" in message


def test_two_columns_of_one_name_are_refused():
    table = frame()
    table.columns = ["x1", "x1 ", "price", "days"]
    refused(table, r"found more than once: 'x1'")


def test_two_tasks_of_one_name_are_refused():
    table = frame(price=list("ab" * 6))
    table["price=b"] = RNG.normal(size=12)
    refused(table, r"both be called 'price=b'", targets=["price", "price=b"])


def test_an_unknown_built_in_name_names_the_closest():
    with pytest.raises(DataError, match=r"'linerud' is neither a built-in set nor a file here\. Closest.*'linnerud'"):
        load("linerud")


def test_a_folder_as_data_names_the_tables_in_it(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match=r"must be a file, found the folder .* It holds 'a\.csv': name one of them"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"It holds no table that can be read"):
        load(tmp_path / "empty")


def test_a_mistyped_path_names_the_closest_file(tmp_path):
    (tmp_path / "sales.csv").write_text("x")
    with pytest.raises(DataError, match=r"There is no file .*sale\.csv'\. Closest in its folder: 'sales\.csv'"):
        load(tmp_path / "sale.csv")
    with pytest.raises(DataError, match=r"its folder .*nowhere' does not exist"):
        load(tmp_path / "nowhere" / "sales.csv")


@pytest.mark.parametrize("name", ["table.sav", "table.rds", "table", "table.mat.gz"])
def test_an_unknown_extension_lists_the_known_ones(tmp_path, name):
    path = tmp_path / name
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"must end in \.csv, \.tsv, \.txt, .*\.xlsx.*Export the table as CSV"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"  \n\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("name", ["t.csv", "t.arff"])
def test_an_empty_file_is_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty: it must hold a table"):
        load(path, targets=["a", "b"])


def test_a_file_that_cannot_be_opened_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")

    def denied(self, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", denied)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        load(path)


def test_targets_must_be_named_where_a_file_declares_none(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n4,5,9\n")
    with pytest.raises(DataError, match=re.escape("which columns are the tasks? Name two or more: --targets a,b")):
        load(path)


def test_names_for_a_source_that_has_its_own_are_refused(tmp_path):
    with pytest.raises(DataError, match="'arm' names its own columns"):
        load("arm", names=["a"])
    with pytest.raises(DataError, match="'arm' names its own columns"):
        load("arm", header=False)
    with pytest.raises(DataError, match="names must be a list of column names, found one text 'a,b'"):
        load(tmp_path / "t.csv", names="a,b")


def test_a_column_of_the_declared_target_set_cannot_be_made_an_input():
    with pytest.raises(DataError, match=r"'joint2' belong to the declared targets .* never inputs"):
        load("arm", targets=["joint0", "joint1"], inputs=["position0", "joint2"])


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + ".csv"])
def test_a_name_too_long_for_the_system_is_refused_by_its_start(name):
    with pytest.raises(DataError, match=r"'a{60}'\.\.\. cannot be a file"):
        load(name, targets=["u", "v"])
