"""``equipoise reproduce``: tables and records, and whose folder it is."""

import json

import numpy as np
import pytest

from equipoise.audits.studies import TriplesRecord


@pytest.fixture
def triple(tmp_path, monkeypatch):
    """A table of three tasks that conflict pairwise (correlations of the same sign cannot be had by flips)."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    y = x @ np.linalg.cholesky([[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]]).T
    y += 0.2 * generator.normal(size=(200, 3))
    lines = ["x0,x1,x2,a,b,c", *(",".join(f"{v:.6f}" for v in row) for row in np.hstack([x, y]))]
    (tmp_path / "three.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


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


def test_the_same_question_is_not_computed_twice_and_another_one_is_refused(run, triple, monkeypatch):
    assert run(*ARGUMENTS, "-o", "out").exit_code == 0
    before = (triple / "out/record.json").read_bytes()
    import equipoise.audits.studies as library

    def refused(*arguments, **named):
        raise AssertionError("computed again")

    monkeypatch.setattr(library, "reproduce_triples", refused)
    again = run(*ARGUMENTS, "-o", "out", "--json")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.encode() == before
    other = run(*ARGUMENTS, "-o", "out", "--seed", "3")
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


def test_the_survey_says_why_a_set_has_no_row_of_its_own(run, triple, data_folder, monkeypatch):

    from equipoise.audits.studies import surveying as library

    monkeypatch.setattr(library, "SETS", [entry for entry in library.SETS if entry.read is None])
    done = run("reproduce", "survey", "--data", data_folder, "--json", "-o", "s")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {row["note"] for row in rows} == {
        "two tasks: the condition never fails (proved)",
        "each row belongs to one task: there are no shared inputs to survey",
    }
