"""``equipoise audit --group``, ``--time``, ``--no-new-rows``: what is typed is recorded and can be typed again."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from equipoise.cli.app import app


@pytest.mark.parametrize(
    ("options", "partition"),
    [(["--group", "house"], "whole groups (30 groups)"), (["--time", "house"], "rows that follow"), ([], "rows drawn")],
    ids=["group", "time", "random"],
)
def test_rows_are_left_out_as_asked(tmp_path, options, partition):
    record = audited(tmp_path, *options)
    assert partition in record["new_rows"]["partition"]
    assert record["verdicts"][0]["headline"].startswith("On new rows")
    assert " ".join(options) in record["command"]


def test_new_rows_can_be_left_out(tmp_path):
    record = audited(tmp_path, "--no-new-rows")
    assert record["new_rows"] is None
    assert record["command"].endswith("--no-new-rows")
    assert "On new rows" not in (tmp_path / "out" / "report.html").read_text()


def audited(folder, *options):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    columns = {
        "x": x[:, 0],
        "z": x[:, 1],
        "a": x[:, 0] + generator.normal(size=60),
        "b": x[:, 1],
        "house": np.arange(60) // 2,
    }
    pd.DataFrame(columns).to_csv(folder / "t.csv", index=False)
    words = [
        "audit",
        str(folder / "t.csv"),
        "-t",
        "a,b",
        "--width",
        "1",
        "--out",
        str(folder / "out"),
        "--quiet",
        *options,
    ]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    return json.loads((folder / "out" / "record.json").read_text())
