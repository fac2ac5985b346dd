"""A small table on disk, and the program run in this process."""

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli.app import app


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A file of 60 rows: inputs x0..x3, targets a, b and one whose name holds a comma. The test runs beside it."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(3)
    x = generator.normal(size=(60, 4))
    y = x[:, :3] @ generator.normal(size=(3, 3)) + 0.3 * generator.normal(size=(60, 3))
    rows = ['x0,x1,x2,x3,a,b,"c, in cm"']
    rows += [",".join(f"{value:.4f}" for value in row) for row in np.hstack([x, y])]
    path = tmp_path / "toy.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def run():
    """Runs the program: ``run("audit", "toy.csv", ...)``."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])
