"""``equipoise fit``, ``predict`` and ``report`` on a small table with few epochs."""

import json
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from equipoise.cli.app import app
from equipoise.core.records.fitted import SeedRun, fit_record_from_json

QUICK = ("--epochs", "1", "--hidden", "8", "--seeds", "2", "--trials", "2", "-j", "1", "-q")


def write_table(folder):
    """Numbers, classes, an identifier, gaps; targets: a number, a number with gaps, and classes."""
    draw, n = np.random.default_rng(0), 120
    x = draw.normal(size=(n, 2))
    table = pd.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(n)],
            "heat": x[:, 0],
            "speed": x[:, 1],
            "shift": draw.choice(["day", "night"], n),
            "batch": draw.integers(0, 12, n),
            "price": x[:, 0] * 2 + 0.1 * draw.normal(size=n),
            "days": x[:, 0] - x[:, 1] + 0.2 * draw.normal(size=n),
            "returned": np.where(x[:, 0] + draw.normal(size=n) > 0, "=yes", "no"),
        }
    ).round(4)
    table.loc[::9, "days"] = np.nan
    table.to_csv(folder / "parts.csv", index=False)


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """A folder with the table, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """One fit of the table for the whole file."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_table(folder)
        typed = ["fit", "parts.csv", "--targets", "price,days,returned", "--drop", "id,batch", *QUICK, "-o", "run"]
        return folder, CliRunner().invoke(app, typed)


@pytest.fixture
def fitted(once, tmp_path, monkeypatch):
    """A copy of it, in which the test runs; and what the command printed."""
    folder, done = once
    assert done.exit_code == 0, (done.stderr, done.exception)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return done


def read(folder):
    return fit_record_from_json((folder / "record.json").read_text())


def test_columns_come_first_then_the_answer_and_the_report_last(fitted, tmp_path):
    lines = fitted.stdout.splitlines()
    assert lines[0] == "How I read your columns"
    assert lines[1].split() == ["column", "role", "holds", "missing", "loss", "metric", "what", "was", "done"]
    shown = {line.split()[0]: line for line in lines[2:12] if line}
    assert "mean squared error" in shown["price"]
    assert " 14 " in shown["days"]
    assert "log loss" in shown["returned"]
    assert "area under the ROC curve" in shown["returned"]
    assert lines[-1] == "run/report.html"
    assert lines[-2] == "To predict: equipoise predict run new.csv --out predictions.csv"
    record = read(tmp_path / "run")
    assert [entrant.role for entrant in record.entrants] == ["joint", "weights", "separate", "boosting"]
    assert record.seeds == (0, 1)
    assert (record.failed, record.skipped) == (0, 0)
    assert {len(entrant.runs) for entrant in record.entrants} == {2}
    assert "one model for all 3 targets" in (tmp_path / "run/report.html").read_text().lower()
    assert fitted.stderr == ""


def test_the_same_command_says_the_same_without_training_again(run, fitted, tmp_path, monkeypatch):
    record, page = ((tmp_path / "run" / name).read_bytes() for name in ("record.json", "report.html"))

    def refused(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("equipoise.training.tables.fit_table.attempted", refused)
    monkeypatch.setattr("equipoise.training.tables.fit_table.boosted", refused)
    command = shlex.split(read(tmp_path / "run").command)[1:]
    again = run(*command, "-q", "-o", "run")
    assert again.exit_code == 0, (again.stderr, again.exception)
    assert again.stdout.splitlines()[-1] == "run/report.html"
    assert ((tmp_path / "run/record.json").read_bytes(), (tmp_path / "run/report.html").read_bytes()) == (record, page)


def test_another_question_on_the_same_folder_is_refused_and_overwriting_is_asked_for(run, fitted, tmp_path):
    arguments = ("fit", "parts.csv", "--targets", "price,days,returned", "--drop", "id,batch", *QUICK, "-o", "run")
    done = run(*arguments, "--method", "cagrad", "--set", "c=0.2")
    assert done.exit_code == 2
    assert "CAGrad(c=0.2" in done.stderr
    assert "--overwrite" in done.stderr
    assert read(tmp_path / "run").entrants[0].method.startswith("LinearScalarization")


def test_report_renders_the_folder_again(run, fitted, tmp_path):
    report = tmp_path / "run/report.html"
    page = report.read_bytes()
    report.write_text("old")
    done = run("report", "run")
    assert done.exit_code == 0
    assert report.read_bytes() == page
    assert done.stdout.splitlines()[-1] == "run/report.html"
    assert run("report", "run", "--json").stdout == (tmp_path / "run/record.json").read_text()
    text = run("report", "run", "--markdown").stdout
    assert text.startswith("# parts.csv: price, days, returned")


def test_predict_takes_columns_in_any_order_and_names_classes(run, fitted, tmp_path):
    table = pd.read_csv("parts.csv").head(20)
    table[["speed", "heat", "shift", "unrelated"]] = table[["speed", "heat", "shift", "id"]]
    shuffled = table[["unrelated", "shift", "speed", "heat"]]
    shuffled.to_csv("new.csv", index=False)
    done = run("predict", "run", "new.csv", "--out", "out.csv", "--probabilities")
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert done.stdout == "out.csv\n"
    assert "'unrelated'" in done.stderr
    found = pd.read_csv("out.csv")
    assert list(found.columns) == ["price", "days", "returned", "returned==yes", "returned=no"]
    assert len(found) == 20
    assert set(found["returned"]) <= {"'=yes", "no"}  # a spreadsheet would take =yes for a formula
    assert "apostrophe" in done.stderr
    assert np.allclose(found[["returned=no", "returned==yes"]].sum(axis=1), 1)
    chosen = np.where(found["returned==yes"] > 0.5, "'=yes", "no")
    assert list(found["returned"]) == list(chosen)
    refused = run("predict", "run", "new.csv", "--out", "out.csv")
    assert (refused.exit_code, "exists" in refused.stderr) == (2, True)
    rows = json.loads(run("predict", "run", "new.csv", "--json").stdout)
    assert {row["returned"] for row in rows} <= {"=yes", "no"}
    assert [row["price"] for row in rows] == pytest.approx(found["price"].tolist())


def test_predict_refuses_a_table_without_an_input_and_writes_nothing(run, fitted, tmp_path):
    pd.read_csv("parts.csv").head(3).drop(columns="heat").to_csv("new.csv", index=False)
    done = run("predict", "run", "new.csv", "--out", "out.csv")
    assert done.exit_code == 2
    assert "'heat' is missing" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_runs_that_failed_are_counted_shown_and_end_with_3(run, mixed, monkeypatch):
    from equipoise.training.tables import fit_table as module

    whole = module.seed_run

    def failing(plan, seed, results):
        found, used = whole(plan, seed, results)
        if plan.role == "separate" and seed == 1:
            found = SeedRun(seed=seed, status="failed", reason="The loss of 'days' was NaN at step 3.")
        return found, used

    monkeypatch.setattr(module, "seed_run", failing)
    done = run("fit", "parts.csv", "--targets", "price,days", "--inputs", "heat,speed", *QUICK, "-o", "run")
    assert done.exit_code == 3, (done.stderr, done.exception)
    assert "Of 8 runs 1 failed" in " ".join(done.stdout.split())
    assert "The loss of 'days' was NaN at step 3." in done.stdout
    assert done.stdout.splitlines()[-1] == "run/report.html"


def test_an_interruption_ends_with_130_and_says_how_to_go_on(run, mixed, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("equipoise.training.tables.fit_table.fit_table", interrupted)
    done = run("fit", "parts.csv", "--targets", "price,days", *QUICK)
    assert done.exit_code == 130
    assert "the same command goes on from there" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.csv", "--targets", "price,days"], "gone.csv"),
        (["parts.csv", "--targets", "price,dayz"], "dayz"),
        (["parts.csv", "--targets", "price,days", "--method", "cagard"], "Closest: 'cagrad'"),
        (["parts.csv", "--targets", "price,days", "--method", "cagrad", "--set", "c=much"], "c must be a number"),
        (["parts.csv", "--targets", "price,days", "--set", "c=1"], "--set"),
        (["parts.csv", "--targets", "price,days", "--hidden", "8,x"], "whole number"),
        (["parts.csv", "--targets", "price,days", "--seeds", "0"], "seeds"),
        (["parts.csv", "--targets", "price,days", "--epochs", "0"], "epochs"),
        (["parts.csv", "--targets", "price,days", "--group", "bach"], "bach"),
        (["parts.csv", "--targets", "price,days", "-o", "."], "not written by equipoise"),
    ],
)
def test_bad_input_is_one_readable_block_and_leaves_nothing(run, mixed, arguments, words):
    done = run("fit", *arguments)
    assert done.exit_code == 2, (done.stdout, done.stderr, done.exception)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in mixed.iterdir()] == ["parts.csv"]


@pytest.mark.parametrize("name", ["report", "predict"])
def test_a_folder_that_holds_no_fit_is_refused(run, mixed, name):
    (mixed / "empty").mkdir()
    done = run(name, "empty", *(["parts.csv"] if name == "predict" else []))
    assert done.exit_code == 2
    assert "empty" in done.stderr


def test_groups_and_methods_reach_the_record(run, mixed):
    done = run(
        "fit", "parts.csv", "--targets", "price,days", "--drop", "id", "--group", "batch", "--method", "cagrad",
        "--set", "c=0.3", *QUICK, "--json", "-o", "run",
    )  # fmt: skip
    assert done.exit_code == 0, (done.stderr, done.exception)
    record = fit_record_from_json(done.stdout)
    assert record.split.kind == "group"
    assert record.entrants[0].method == "CAGrad(c=0.3, rescale='1+c^2')"
    assert record.command == (
        "equipoise fit parts.csv --targets price,days --method cagrad --drop id --group batch --seeds 2 --epochs 1 "
        "--hidden 8 --trials 2 --set c=0.3"
    )
