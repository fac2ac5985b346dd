"""``equipoise reproduce``: tables and records, and whose folder it is."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.audits.studies import TriplesRecord
from equipoise.cli.app import app
from equipoise.core.files import LOCK
from equipoise.core.records.studies import CapacityEnd, CapacityRecord, CapacityRow, Spread


def write_triple(folder):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    y = x @ np.linalg.cholesky([[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]).T
    y += 0.2 * generator.normal(size=(200, 3))
    lines = ["x0,x1,x2,a,b,c", *(",".join(f"{v:.6f}" for v in row) for row in np.hstack([x, y]))]
    (folder / "three.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def triple(tmp_path, monkeypatch):
    """A table of three tasks that conflict pairwise (correlations of the same sign cannot be had by flips)."""
    monkeypatch.chdir(tmp_path)
    return write_triple(tmp_path)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The experiment on that table, run once: its folder, and what the program printed."""
    place = write_triple(tmp_path_factory.mktemp("experiment"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = CliRunner().invoke(app, [*ARGUMENTS, "-o", "s"])
    assert done.exit_code == 0, done.stderr
    return place / "s", done


@pytest.fixture
def reproduced(experiment, triple):
    """A copy of it, for the test to change."""
    return shutil.copytree(experiment[0], triple / "s")


ARGUMENTS = ("reproduce", "sarcos", "--data", "three.csv", "--targets", "a,b,c", "--starts", "3", "--directions", "6")


def test_the_experiment_prints_a_table_and_leaves_a_record(run, triple):
    done = run(*ARGUMENTS)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "equipoise-reproduce-sarcos/table.md"
    record = TriplesRecord.model_validate_json((triple / "equipoise-reproduce-sarcos/record.json").read_text())
    assert [entry.width for entry in record.triples] == [1, 2]
    first = record.triples[0]
    assert first.condition == "fails"
    assert first.largest_lead > 0.01
    assert {run.method: len(run.points) for run in first.runs} == {"MGDA": 3, "MGDA-UB": 3, "Tchebycheff": 6}
    assert record.triples[1].condition == "holds"
    assert record.triples[1].largest_lead < 1e-5
    assert "| a, b, c | 1 | fails |" in (triple / "equipoise-reproduce-sarcos/table.md").read_text()


def test_the_same_question_is_not_computed_twice_and_another_one_is_refused(run, reproduced, monkeypatch):
    before = (reproduced / "record.json").read_bytes()
    import equipoise.audits.studies as library

    def refused(*arguments, **named):
        raise AssertionError("computed again")

    monkeypatch.setattr(library, "reproduce_triples", refused)
    again = run(*ARGUMENTS, "-o", "s", "--json")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.encode() == before
    other = run(*ARGUMENTS, "-o", "s", "--seed", "3")
    assert other.exit_code == 2
    assert "--overwrite" in other.stderr


def test_folders_of_others_are_refused_and_left_alone(run, triple):
    (triple / "mine").mkdir()
    (triple / "mine/notes.txt").write_text("keep")
    done = run(*ARGUMENTS, "-o", "mine", "--overwrite")
    assert done.exit_code == 2
    assert sorted(path.name for path in (triple / "mine").iterdir()) == ["notes.txt"]


def test_unknown_triples_and_missing_folders_are_input_errors(run, triple):
    done = run(*ARGUMENTS, "--triple", "a,b,z")
    assert done.exit_code == 2
    assert "'z'" in done.stderr
    assert run("reproduce", "survey", "--data", "nowhere").exit_code == 2
    assert run("reproduce", "survey", "--data", triple).exit_code == 2


def two_tables(folder):
    """A folder of two tables of four targets, one of them in a folder of its own, and one without targets."""
    generator = np.random.default_rng(5)
    (folder / "tables/more").mkdir(parents=True)
    for place in ("tables/one.csv", "tables/more/two.csv", "tables/three.csv"):
        x = generator.normal(size=(80, 3))
        y = x @ generator.normal(size=(3, 4)) + 0.3 * generator.normal(size=(80, 4))
        lines = ["x0,x1,x2,a,b,c,d", *(",".join(f"{v:.6f}" for v in row) for row in np.hstack([x, y]))]
        (folder / place).write_text("\n".join(lines) + "\n")
    named = {"one.csv": ["a", "b", "c", "d"], "more/two.csv": ["a", "b", "c"]}
    (folder / "tables/targets.json").write_text(json.dumps(named))


SURVEY = ("reproduce", "survey", "--data", "tables", "--directions", "2")


def test_the_survey_takes_any_folder_and_says_why_a_table_has_no_numbers(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two_tables(tmp_path)
    done = run(*SURVEY, "--json", "-o", "s")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    sizes = {
        row["data"]: [(r["size"], r["width"], r["subsets"]) for r in rows if r["data"] == row["data"]] for row in rows
    }
    assert sizes["one.csv"] == [(3, 1, 4), (3, 2, 4), (4, 1, 1), (4, 2, 1), (4, 3, 1)]
    assert sizes["more/two.csv"] == [(3, 1, 1), (3, 2, 1)]
    assert [row["note"] for row in rows if row["data"] == "three.csv"] == [
        "no targets named: add 'three.csv' to targets.json"
    ]


def test_an_interrupted_survey_keeps_its_parts_and_ends_with_the_same_record(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two_tables(tmp_path)
    assert run(*SURVEY, "-o", "whole").exit_code == 0
    from equipoise.audits.studies import surveying as library

    judge, calls = library.condition, []

    def stopped(gramian, width):
        calls.append(width)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return judge(gramian, width)

    monkeypatch.setattr(library, "condition", stopped)
    halted = run(*SURVEY, "-o", "s")
    assert halted.exit_code == 130
    assert "the same command goes on" in halted.stderr
    assert len((tmp_path / "s/parts.jsonl").read_text().splitlines()) == 7
    assert "7 of its parts are kept" in run("report", "s").stderr
    with (tmp_path / "s/parts.jsonl").open("a") as file:
        file.write('["torn", [')
    again = run(*SURVEY, "-o", "s")
    assert again.exit_code == 0, again.stderr
    assert len(calls) == 8 + (13 - 7)
    assert (tmp_path / "s/record.json").read_bytes() == (tmp_path / "whole/record.json").read_bytes()
    assert not (tmp_path / "s/parts.jsonl").exists()


def test_an_interrupted_experiment_goes_on(run, triple, experiment, monkeypatch):
    from equipoise.audits.studies import experiment as library

    one, calls = library._triple, []

    def stopped(problem, width, *rest):
        calls.append(width)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return one(problem, width, *rest)

    monkeypatch.setattr(library, "_triple", stopped)
    assert run(*ARGUMENTS, "-o", "s").exit_code == 130
    assert run(*ARGUMENTS, "-o", "s").exit_code == 0
    assert calls == [1, 2, 2]
    assert (triple / "s/record.json").read_bytes() == (experiment[0] / "record.json").read_bytes()


def test_tables_without_named_targets_are_refused_with_what_to_write(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    two_tables(tmp_path)
    (tmp_path / "tables/targets.json").unlink()
    done = run(*SURVEY, "-o", "s")
    assert done.exit_code == 2
    assert "targets.json" in done.stderr
    assert "'more/two.csv', 'one.csv', 'three.csv'" in done.stderr
    (tmp_path / "tables/targets.json").write_text('{"absent.csv": ["a", "b"]}')
    assert "'absent.csv'" in run(*SURVEY, "-o", "s").stderr
    (tmp_path / "tables/targets.json").write_text('{"one.csv": "a"}')
    assert run(*SURVEY, "-o", "s").exit_code == 2
    assert not (tmp_path / "s").exists()


def test_report_shows_what_reproduce_wrote_and_overwrite_goes_both_ways(run, triple, reproduced):
    table = (triple / "s/table.md").read_text()
    (triple / "s/table.md").unlink()
    shown = run("report", "s")
    assert shown.exit_code == 0, shown.stderr
    assert "fails" in shown.stdout
    assert (triple / "s/table.md").read_text() == table
    assert run("report", "s", "--markdown").stdout == table
    assert run("report", "s", "--json").stdout == (triple / "s/record.json").read_text()
    audit = ("audit", "three.csv", "-t", "a,b,c", "--width", "1", "--no-new-rows", "-q", "-o", "s")
    refused = run(*audit)
    assert refused.exit_code == 2
    assert "equipoise reproduce" in refused.stderr
    assert run(*audit, "--overwrite").exit_code == 0
    assert sorted(path.name for path in (triple / "s").iterdir()) == [LOCK, "config.json", "record.json", "report.html"]
    assert run(*ARGUMENTS, "-o", "s").exit_code == 2
    assert run(*ARGUMENTS, "-o", "s", "--overwrite").exit_code == 0
    assert sorted(path.name for path in (triple / "s").iterdir()) == [LOCK, "config.json", "record.json", "table.md"]
    assert (triple / "s/table.md").read_text() == table


def test_a_recorded_training_is_never_replaced(run, triple):
    (triple / "run").mkdir()
    (triple / "run/config.json").write_text('{"written_by": "equipoise", "command": "record"}')
    done = run(*ARGUMENTS, "-o", "run", "--overwrite")
    assert done.exit_code == 2
    assert "recorded training" in done.stderr
    assert [path.name for path in (triple / "run").iterdir()] == ["config.json"]


def test_a_damaged_record_is_refused_by_the_command_that_would_read_it(run, reproduced):
    for text in (b"{}", b'{"triples": 3}', b'{"experiment": "capacity", "rows": []}', b"no JSON", b"\xff"):
        (reproduced / "record.json").write_bytes(text)
        again = run(*ARGUMENTS, "-o", "s")
        assert again.exit_code == 2
        assert "must be one of this version of equipoise" in again.stderr
        assert "--overwrite" in again.stderr


def test_capacity_prints_its_table_and_is_rendered_again(run, triple, monkeypatch):
    spread, none = Spread(mean=0.5, low=0.4, high=0.6), Spread(mean=0.0, low=None, high=None)
    end = CapacityEnd(method="MGDA", losses=(0.2, 0.3, 0.4), lead=Spread(mean=-0.1, low=-0.2, high=0.0))
    row = CapacityRow(
        problem="arm", tasks=("a", "b", "c"), network="8", parameters=35, part="held-out", sums=spread,
        tchebycheff=spread, hidden=none, gap=none, lowest=(0.1, 0.1, 0.1), ends=(end,),
    )  # fmt: skip
    asked = {}

    def made(table, **settings):
        asked.update(settings, tasks=table.tasks)
        return CapacityRecord(data=table.name, sha256=table.sha256, seeds=2, preferences=5, rates=(0.01,), steps=100,
                              rows=(row,))  # fmt: skip

    monkeypatch.setattr("equipoise.fronts.capacity.experiment.reproduce_capacity", made)
    arguments = ("reproduce", "capacity", "--data", "three.csv", "--joints", "a,b,c", "--quick", "-o", "run")
    done = run(*arguments)
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert asked["tasks"] == ("a", "b", "c")
    assert (asked["networks"], asked["seeds"], asked["steps"]) == (((8,), (32,)), 2, 100)
    volume = "0.500 [0.400, 0.600]"
    line = f"| arm | 8 | 35 | held-out | {volume} | {volume} | 0.00 | 0.000 | -0.100 [-0.200, 0.000] |"
    assert line in (triple / "run/table.md").read_text()
    assert line in run("report", "run", "--markdown").stdout
    monkeypatch.setattr("equipoise.fronts.capacity.experiment.reproduce_capacity", None)
    assert run(*arguments).exit_code == 0  # from the record
    monkeypatch.setenv("EQUIPOISE_DATA", str(triple))
    absent = run("reproduce", "capacity", "-o", "other")
    assert absent.exit_code == 2
    assert "set EQUIPOISE_DATA to the folder that holds sarcos/" in absent.stderr
