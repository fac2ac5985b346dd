"""``equipoise explore`` on a small table and on a formula problem, with few steps."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli.app import app
from equipoise.core.records.explored import ExploreRecord

QUICK = ("--sums", "2", "--tchebycheff", "1", "--seeds", "2", "-q")
TABLE = ("explore", "parts.csv", "--targets", "price,sold", "--epochs", "1", "--hidden", "4", *QUICK, "-j", "1")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """One exploration of a table of a number and two classes, for the whole file."""
    folder = tmp_path_factory.mktemp("once")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 2)).round(3)
    lines = ["heat,speed,price,sold"]
    lines += [f"{a},{b},{a - b:.3f},{'yes' if a > 0 else 'no'}" for a, b in x]
    (folder / "parts.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, [*TABLE, "-o", "run", "--bound", "price=0.2", "--conditioned", "2"])
    return folder, done


@pytest.fixture
def explored(once, tmp_path, monkeypatch):
    """A copy of it, in which the test runs; and what the command printed."""
    folder, done = once
    assert done.exit_code == 0, (done.stderr, done.exception)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return done


def test_columns_come_first_then_the_answer_and_the_report_last(explored, tmp_path):
    lines = explored.stdout.splitlines()
    assert lines[0] == "How I read your columns"
    assert lines[-1] == "run/report.html"
    record = ExploreRecord.model_validate_json((tmp_path / "run/record.json").read_text())
    assert [task.loss.split(",")[0] for task in record.tasks] == ["mean squared error", "log loss"]
    assert len(record.points) <= 3
    assert record.seeds == (0, 1)
    assert record.failed == 0
    assert record.budget.endswith("shared layers of width 4")
    assert record.rows == (9, 9)
    assert record.chosen[1].wish == "the best sold with price at most 0.2"
    assert set(record.chosen[0].test) == {0, 1}
    assert "--bound price=0.2 --conditioned 2" in record.command
    assert {len(point.runs) for point in record.points} == {2}
    page = (tmp_path / "run/report.html").read_text()
    assert 'type="range"' in page
    assert explored.stderr == ""


def test_the_report_is_rendered_again_from_the_record(explored, run, tmp_path):
    page = (tmp_path / "run/report.html").read_bytes()
    (tmp_path / "run/report.html").unlink()
    again = run("report", "run")
    assert again.exit_code == 0, (again.stderr, again.exception)
    assert (tmp_path / "run/report.html").read_bytes() == page
    assert json.loads(run("report", "run", "--json").stdout)["kind"] == "explore"
    assert run("report", "run", "--markdown").stdout.startswith("# parts.csv: price, sold")


def test_the_same_command_goes_on_and_another_is_refused(explored, run, tmp_path, monkeypatch):
    monkeypatch.setattr("equipoise.fronts.exploring.running.run_all", None)
    record = (tmp_path / "run/record.json").read_bytes()
    again = run(*TABLE, "-o", "run", "--bound", "price=0.2", "--conditioned", "2")
    assert again.exit_code == 0, (again.stderr, again.exception)
    assert (tmp_path / "run/record.json").read_bytes() == record
    other = run(*TABLE, "-o", "run", "--bound", "price=0.3", "--conditioned", "2")
    assert other.exit_code == 2
    assert "wish" in other.stderr


def test_a_formula_problem_needs_no_columns(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("explore", "quad", *QUICK, "--steps", "5", "--reference", "f1=0.2,f2=0.2", "--json")
    assert done.exit_code == 0, (done.stderr, done.exception)
    record = json.loads(done.stdout)
    assert record["problem"].startswith("Quadratic(n=10)")
    assert record["chosen"][1]["wish"] == "nearest to the reference f1 0.2, f2 0.2"
    assert (tmp_path / "equipoise-explore-quad/report.html").is_file()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("quad", "--bound", "f1=1", "--ray", "f1=1,f2=1"), "one of --bound, --reference and --ray"),
        (("quad", "--minimise", "f1"), "--bound"),
        (("quad", "--bound", "speed=1"), "speed"),
        (("quad", "--epochs", "3"), "epochs cannot be used with a formula problem"),
        (("nowhere.csv", "--targets", "a,b"), "nowhere.csv"),
        (("dtlz2", "--sums", "3"), "`sums` must be at least 6 for 3 tasks"),
    ],
    ids=["two wishes", "minimise", "task", "epochs", "file", "sums"],
)
def test_bad_input_is_refused(run, tmp_path, monkeypatch, typed, words):
    monkeypatch.chdir(tmp_path)
    done = run("explore", *typed, "-q")
    assert done.exit_code == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
