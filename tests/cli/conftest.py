"""A small table on disk, an audit of it, and the program run in this process."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli.app import app

AUDIT = ("audit", "toy.csv", "-t", "a,b", "--width", "1", "-o", "out")


def write_table(path):
    generator = np.random.default_rng(3)
    x = generator.normal(size=(60, 4))
    y = x[:, :3] @ generator.normal(size=(3, 3)) + 0.3 * generator.normal(size=(60, 3))
    rows = ['x0,x1,x2,x3,a,b,"c, in cm"']
    rows += [",".join(f"{value:.4f}" for value in row) for row in np.hstack([x, y])]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A file of 60 rows: inputs x0..x3, targets a, b and one whose name holds a comma. The test runs beside it."""
    monkeypatch.chdir(tmp_path)
    return write_table(tmp_path / "toy.csv")


@pytest.fixture
def run():
    """Runs the program: ``run("audit", "toy.csv", ...)``."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def audit_of_table(tmp_path_factory):
    """One audit of the table, its command `AUDIT`: the folder, and what the program printed."""
    place = tmp_path_factory.mktemp("audited")
    write_table(place / "toy.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = CliRunner().invoke(app, AUDIT)
    assert done.exit_code == 0, done.stderr
    return place / "out", done


@pytest.fixture
def audited(audit_of_table, table):
    """A copy of that audit beside a copy of the table, for the test to change."""
    return shutil.copytree(audit_of_table[0], table.parent / "out")
