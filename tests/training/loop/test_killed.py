"""kill -9 at a random moment, then the same call: weights, states and records equal to the bit, for every method."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.loop.runs import stateful

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each training is a fork of one process")
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path):
    program = [sys.executable, "-m", "tests.training.loop.killing", str(tmp_path), "7", "1"]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["method"] for line in found] == stateful()
    assert [line["method"] for line in found if line["equal"] != line["kills"]] == []
    assert sum(line["in time"] for line in found) > 0.8 * len(found)  # the others had finished when they were shot at
