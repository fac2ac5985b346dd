"""Where a table may come from: packed files, pipes, the web, files that pandas reads; all of them bounded."""

import bz2
import gzip
import inspect
import io
import lzma
import sys
import threading
import zipfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from equipoise.data import load
from equipoise.data.formats.source import fetch
from equipoise.errors import DataError

NUMBERS = np.random.default_rng(0).normal(size=(20, 4)).round(3)
FRAME = pd.DataFrame(NUMBERS, columns=["x", "y", "u", "v"])
CSV = FRAME.to_csv(index=False).encode()
TARGETS = ["u", "v"]


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def same(table):
    np.testing.assert_array_equal(np.hstack([table.inputs, table.targets]), NUMBERS)
    return table


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv.gz", gzip.compress(CSV, mtime=0)),
        ("t.csv.bz2", bz2.compress(CSV)),
        ("t.csv.xz", lzma.compress(CSV)),
        ("t.csv.zip", zipped(t__csv=CSV)),
        ("t.zip", zipped(t__csv=CSV, about__names=b"a note")),
        ("t.data", CSV),
        ("t.dat", CSV.replace(b",", b" ")),
        ("named_wrong.csv", gzip.compress(CSV, mtime=0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # packed bytes hold the time
)
def test_packed_files_and_other_endings_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    same(load(tmp_path / name, targets=TARGETS))


def test_an_archive_of_several_tables_is_refused_with_their_names(tmp_path):
    (tmp_path / "t.zip").write_bytes(zipped(a__csv=CSV, b__csv=CSV))
    with pytest.raises(DataError, match=r"must hold one table, found 2 files: 'a\.csv', 'b\.csv'"):
        load(tmp_path / "t.zip", targets=TARGETS)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("t.csv.gz", gzip.compress),
        ("t.csv.xz", lzma.compress),
        ("t.csv.bz2", bz2.compress),
        ("t.zip", lambda c: zipped(t__csv=c)),
    ],
)
def test_what_unpacks_to_more_than_the_limit_is_refused_with_the_limit(tmp_path, monkeypatch, name, pack):
    monkeypatch.setattr("equipoise.data.formats.source.LIMIT", len(CSV) - 1)
    (tmp_path / name).write_bytes(pack(CSV))
    with pytest.raises(DataError, match=rf"holds more than {len(CSV) - 1:,} bytes once unpacked.*plain file"):
        load(tmp_path / name, targets=TARGETS)
    (tmp_path / "plain.csv").write_bytes(CSV)
    same(load(tmp_path / "plain.csv", targets=TARGETS))


def test_a_matlab_file_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.mat"
    cells = np.empty(1, dtype=object)
    cells[0] = np.zeros(10**6)
    savemat(path, {"X": np.zeros((1000, 1000)), "cells": cells}, do_compression=True)
    assert path.stat().st_size < 300_000
    monkeypatch.setattr("equipoise.data.formats.mat_file.LIMIT", 10**6)
    with pytest.raises(DataError, match=r"unpacks to more than 1,000,000 bytes"):
        load(path, targets=TARGETS)


def test_a_sparse_matrix_that_would_fill_the_memory_when_dense_is_refused(tmp_path):
    path = tmp_path / "t.mat"
    savemat(path, {"X": csc_array((10**6, 10**6))})
    with pytest.raises(DataError, match=r"must fit into .* bytes as numbers .* found X \(1000000, 1000000\)"):
        load(path, targets=TARGETS)


def test_a_sparse_matrix_with_indices_outside_is_refused(tmp_path):
    path, matrix = tmp_path / "t.mat", csc_array(np.eye(6)[:, :4])
    matrix.indices[2] = 77
    savemat(path, {"X": matrix})
    with pytest.raises(DataError, match=r"is damaged: a sparse matrix|is not a MATLAB file, or is damaged"):
        load(path, targets=TARGETS)


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(CSV, mtime=0))))
    assert same(load("-", targets=TARGETS)).name == "stdin"
    arff = b"% note\n@relation t\n" + b"".join(b"@attribute %s real\n" % name for name in (b"x", b"y", b"u", b"v"))
    body = b"@data\n" + b"\n".join(CSV.splitlines()[1:])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(arff + body)))
    same(load("-", targets=TARGETS))


def test_a_pipe_by_its_path_is_read_once(tmp_path):
    import os

    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CSV,))
    writer.start()
    same(load(path, targets=TARGETS))
    writer.join()


def test_an_address_is_read_and_a_failure_is_named(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV, mtime=0))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert same(load(f"{address}/t.csv.gz?raw=1", targets=TARGETS)).name == "t.csv.gz"
        with pytest.raises(
            DataError, match=r"cannot be reached: .*Not Found.*Download it first|cannot be reached: File"
        ):
            load(f"{address}/gone.csv", targets=TARGETS)
        server.shutdown()
    with pytest.raises(DataError, match="must begin with http:// or https://"):
        fetch("s3://bucket/t.csv")
    with pytest.raises(DataError, match="must begin with http:// or https://"):
        fetch("file:///etc/passwd")


def test_stata_files_are_read(tmp_path):
    FRAME.to_stata(tmp_path / "t.dta", write_index=False)
    same(load(tmp_path / "t.dta", targets=TARGETS))


@pytest.mark.parametrize("kind", ["parquet", "xlsx", "feather"])
def test_files_that_need_another_package_are_read_or_name_it(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    try:
        if kind == "xlsx":
            with pd.ExcelWriter(path) as book:
                FRAME.to_excel(book, index=False)
                FRAME.head(2).to_excel(book, sheet_name="other", index=False)
        else:
            getattr(FRAME, f"to_{kind}")(path)
    except ImportError:
        path.write_bytes(zipped(**{"xl/workbook__xml": b""}) if kind == "xlsx" else b"PAR1")
        with pytest.raises(
            DataError, match=r"needs a package that is not installed.*pip install 'equipoise\[tables\]'"
        ):
            load(path, targets=TARGETS)
        return
    table = same(load(path, targets=TARGETS))
    assert kind != "xlsx" or "The first sheet, 'Sheet1', was read; others were not: 'other'." in table.steps


@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx", "t.dta", "t.zip", "t.xls", "t.feather"])
def test_other_content_under_such_a_name_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"no such file at all, but long enough to be looked at" * 9)
    with pytest.raises(DataError, match=r"is not a|needs a package|must end in"):
        load(tmp_path / name, targets=TARGETS)


def test_every_format_has_one_line_in_the_table_and_one_signature():
    from equipoise.data.formats.catalogue import FORMATS, FormatReader

    wanted = list(inspect.signature(FormatReader.__call__).parameters)[1:]
    assert {ending: list(inspect.signature(read).parameters) for ending, read in FORMATS.items()} == dict.fromkeys(
        FORMATS, wanted
    )
