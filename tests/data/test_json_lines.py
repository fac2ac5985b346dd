"""JSON lines: nested keys, absent keys, damage, and the same columns as the CSV."""

import gzip
import io
import json
import sys

import pandas as pd
import pytest

from equipoise.data import load
from equipoise.data.formats.source import fetch
from equipoise.data.loading import read_columns
from equipoise.data.reading import checked_reading
from equipoise.errors import DataError


def read(path):
    return read_columns(str(path), True, None, checked_reading({}))


def write(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def test_nested_and_absent_keys_become_columns_and_gaps(tmp_path):
    path = write(
        tmp_path / "log.jsonl",
        {"step": 1, "loss": {"a": 0.1, "b": None}, "tags": ["x", 2]},
        {"step": 2, "loss": {"a": 0.30000000000000004}, "note": "ü"},
    )
    frame = read(path).frame
    assert list(frame) == ["step", "loss.a", "loss.b", "tags", "note"]
    assert frame["loss.a"].tolist() == [0.1, 0.30000000000000004]
    assert frame["loss.b"].isna().all()
    assert frame["tags"][0] == '["x", 2]'
    assert frame["note"][1] == "ü"


def test_a_table_is_the_same_as_from_csv(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.25, 3.0, 4.0], "y": [1, 0, 0, 1], "z": [0.1, 0.5, 0.3, 0.2]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    write(tmp_path / "t.ndjson", *frame.to_dict("records"))
    one, other = (load(str(tmp_path / name), targets=["y", "z"]) for name in ("t.csv", "t.ndjson"))
    assert (one.inputs == other.inputs).all()
    assert (one.targets == other.targets).all()


def test_packed_and_piped_lines_are_read(tmp_path, monkeypatch):
    text = b'{"a": 1}\n\n{"a": 2}\n'
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(text))
    assert read(tmp_path / "log.jsonl.gz").frame["a"].tolist() == [1, 2]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert read_columns("-", True, None, checked_reading({})).frame["a"].tolist() == [1, 2]


def test_a_last_line_that_was_cut_off_is_left_out_and_said(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": 3', encoding="utf-8")
    raw = read(tmp_path / "log.jsonl")
    assert raw.frame["a"].tolist() == [1, 2]
    assert raw.steps == ("The last line, 3, is cut off and was left out.",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}\n{"a": \n{"a": 2}\n', "line 2: every line must be a JSON object"),
        ('[{"a": 1}]\n', r"line 1: every line must be a JSON object .*found '\[\{"),
        ('[\n {"a": 1}\n]\n', "line 1.*one large array"),
        ('{"a": 1, "a ": 2}\n', "more than once"),
    ],
    ids=["damaged line", "array in a line", "array over lines", "doubled names"],
)
def test_what_is_no_line_of_json_is_refused_by_its_number(tmp_path, text, words):
    (tmp_path / "log.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "log.jsonl")


def test_options_for_files_without_names_are_refused(tmp_path):
    path = write(tmp_path / "log.jsonl", {"a": 1})
    with pytest.raises(DataError, match="names its columns in every line"):
        read_columns(str(path), False, None, checked_reading({}))
    assert fetch(path).suffix == ".jsonl"
