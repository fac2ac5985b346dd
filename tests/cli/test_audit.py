"""``equipoise audit`` and ``equipoise report`` on a small file."""

import json
import shlex
import sys

import pytest

from equipoise.core.records.audit import AuditRecord

from .conftest import AUDIT


def test_the_result_is_on_stdout_and_its_last_line_is_the_report(run, table):
    done = run("audit", table, "--targets", "a,b", "--width", "1")
    assert done.exit_code == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == "equipoise-audit-toy-csv-a-b-width-1/report.html"
    page = (table.parent / last).read_text()
    record = AuditRecord.model_validate_json((table.parent / last).with_name("record.json").read_text())
    assert record.verdicts[0].headline.split(":")[0] in done.stdout
    assert record.verdicts[0].about.width == 1
    assert [task.name for task in record.tasks] == ["a", "b"]
    assert record.title in page
    assert record.command == f"equipoise audit {table} --targets a,b --width 1"


def test_without_a_width_every_width_is_audited(run, table):
    done = run("audit", table, "--targets", "a", "--targets", "b", "--targets", "c, in cm", "-o", "out")
    assert done.exit_code == 0, done.stderr
    record = AuditRecord.model_validate_json((table.parent / "out/record.json").read_text())
    assert [verdict.about.width for verdict in record.verdicts] == [1, 2, 3]
    assert [task.name for task in record.tasks] == ["a", "b", "c, in cm"]
    assert record.verdicts[-1].status == "nothing_to_trade"
    assert "Nothing is left to trade from width 3 on." in done.stdout


def test_the_command_in_the_record_repeats_the_audit(run, table):
    arguments = ("--targets", "a", "--targets", "c, in cm", "--drop", "x3", "--seed", "5", "--bootstraps", "2")
    assert run("audit", "toy.csv", *arguments, "-o", "one", "--width", "1").exit_code == 0
    record = AuditRecord.model_validate_json((table.parent / "one/record.json").read_text())
    words = shlex.split(record.command)
    assert words[0] == "equipoise"
    assert run(*words[1:], "-o", "two").exit_code == 0
    for name in ("record.json", "report.html", "config.json"):
        assert (table.parent / "one" / name).read_bytes() == (table.parent / "two" / name).read_bytes()


def test_json_is_the_record_and_nothing_else_on_stdout(run, table):
    done = run("audit", table, "--targets", "a,b", "--width", "1", "--no-new-rows", "--json", "-o", "out")
    assert done.exit_code == 0
    assert done.stdout == (table.parent / "out/record.json").read_text()
    assert AuditRecord.model_validate_json(done.stdout)
    assert done.stderr.splitlines()[-1] == "out/report.html"


def test_the_same_command_renders_again_without_computing(run, audited, audit_of_table, monkeypatch):
    page = (audited / "report.html").read_bytes()
    (audited / "report.html").unlink()

    def refused(*args, **kwargs):
        raise AssertionError("computed again")

    monkeypatch.setattr("equipoise.audits.table_audit.audit", refused)
    again = run(*AUDIT)
    assert again.exit_code == 0, again.exception
    assert again.stdout == audit_of_table[1].stdout
    assert (audited / "report.html").read_bytes() == page


def test_another_configuration_or_changed_data_is_refused(run, audited, table):
    arguments = ("audit", "toy.csv", "--targets", "a,b", "-o", "out")
    done = run(*arguments, "--width", "2")
    assert done.exit_code == 2
    assert "width: 1 there, 2 now" in done.stderr
    table.write_text(table.read_text() + "1,2,3,4,5,6,7\n")
    done = run(*arguments, "--width", "1")
    assert done.exit_code == 2
    assert "sha256" in done.stderr
    assert run(*arguments, "--width", "2", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.csv", "--targets", "a,b"], "gone.csv"),
        (["toy.csv", "--targets", "a,bb"], "bb"),
        (["toy.csv", "--targets", "a"], "two"),
        (["toy.csv", "--targets", "a,a"], "'a'"),
        (["toy.csv", "--targets", "a,b", "--width", "0"], "width"),
        (["toy.csv", "--targets", "a,b", "-o", "toy.csv/where"], "is a file"),
        (["toy.csv", "--targets", "a,b", "-o", "toy.csv"], "is a file"),
        (["toy.csv", "--targets", "a,b", "-o", "."], "not written by equipoise"),
    ],
)
def test_bad_input_is_one_readable_block_and_leaves_nothing(run, table, arguments, words):
    done = run("audit", *arguments)
    assert done.exit_code == 2, (done.stdout, done.stderr, done.exception)
    assert done.stderr.splitlines()[-1].strip()
    assert "error: " in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert [path.name for path in table.parent.iterdir()] == ["toy.csv"]


def test_quiet_leaves_stderr_empty(run, table):
    done = run("audit", table, "--targets", "a,b", "--width", "1", "-q")
    assert done.exit_code == 0
    assert done.stderr == ""


def test_report_renders_a_folder_again(run, audited):
    report = audited / "report.html"
    page = report.read_bytes()
    report.write_text("old")
    done = run("report", "out")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "out/report.html"
    assert report.read_bytes() == page
    record = json.loads(run("report", "out", "--json").stdout)
    assert record["command"].startswith("equipoise audit")


def test_report_prints_markdown_and_writes_nothing(run, audited):
    (audited / "report.html").unlink()
    done = run("report", "out", "--markdown")
    assert done.exit_code == 0
    assert done.stdout.startswith("# toy.csv: a, b")
    assert not (audited / "report.html").exists()


def test_report_on_a_foreign_folder_is_refused(run, table):
    done = run("report", ".")
    assert done.exit_code == 2
    assert "not written by equipoise" in done.stderr


def test_an_interrupted_audit_goes_on_and_ends_with_the_same_record(run, table, monkeypatch):
    from equipoise.audits import assemble as library
    from equipoise.audits.widths import resampling

    asked = ("audit", "toy.csv", "-t", "a,b", "--bootstraps", "3", "-q")
    assert run(*asked, "-o", "whole").exit_code == 0
    judge, resample, calls = library.verdict_at, resampling._resample, []

    def stopped(solutions, width, **named):
        calls.append(width)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(solutions, width, **named)

    def counted(*arguments):
        calls.append("resample")
        return resample(*arguments)

    module = sys.modules["equipoise.cli.audit"]
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(library, "verdict_at", stopped)
    halted = run(*asked, "-o", "out")
    assert halted.exit_code == 130
    assert "the same command goes on" in halted.stderr
    names = [json.loads(line)[0] for line in (table.parent / "out/parts.jsonl").read_text().splitlines()]
    assert names == ["resample 0", "resample 1", "resample 2", "width 1"]
    monkeypatch.setattr(resampling, "_resample", counted)
    assert run(*asked, "-o", "out").exit_code == 0
    assert calls == [1, 2, 2]
    for name in ("record.json", "report.html"):
        assert (table.parent / "out" / name).read_bytes() == (table.parent / "whole" / name).read_bytes()
    assert sorted(path.name for path in (table.parent / "out").iterdir()) == [
        ".equipoise-lock",
        "config.json",
        "record.json",
        "report.html",
    ]


def test_a_short_audit_that_is_interrupted_leaves_nothing(run, table, monkeypatch):
    from equipoise.audits import assemble as library

    def stopped(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "verdict_at", stopped)
    assert run("audit", "toy.csv", "-t", "a,b", "-q", "-o", "out").exit_code == 130
    assert not (table.parent / "out").exists()


def test_the_first_output_says_how_each_column_was_read(run, table):
    lines = table.read_text().splitlines()
    cells = lines[2].split(",")
    lines[2] = ",".join(["-", *cells[1:]])
    table.write_text("\n".join(lines) + "\n")
    done = run("audit", table, "--targets", "a,b", "--width", "1", "-o", "out")
    assert done.exit_code == 0, done.stderr
    out = done.stdout.splitlines()
    assert out[0] == "How I read your columns"
    assert out[1].split() == ["column", "role", "holds", "missing", "what", "was", "done"]
    assert out[2].split("  ")[0] == cells_name(lines[0])
    assert "1" in out[2].split()
    assert "'-' taken as missing; gaps filled with the mean and marked" in out[2]
    record = AuditRecord.model_validate_json((table.parent / "out/record.json").read_text())
    assert [card.role for card in record.data.columns].count("target") == 2
    assert record.data.columns[0].missing == 1
    assert "How your columns were read" in (table.parent / "out/report.html").read_text()


def cells_name(header):
    return header.split(",")[0]


def test_options_about_reading_are_followed_recorded_and_repeated(run, table):
    text = table.read_text().replace(".", "@").replace(",", ";").replace("@", ",")
    lines = ["a title", text.splitlines()[0].replace('"c; in cm"', "c"), *text.splitlines()[1:]]
    lines[5] = ";".join(["-999", *lines[5].split(";")[1:]])
    (table.parent / "german.csv").write_text("\n".join(lines) + "\n")
    arguments = ("--sep", ";", "--decimal", ",", "--skip-rows", "1", "--na=-999", "--targets", "a,b", "--width", "1")
    done = run("audit", "german.csv", *arguments, "-o", "one")
    assert done.exit_code == 0, done.stderr
    record = AuditRecord.model_validate_json((table.parent / "one/record.json").read_text())
    assert record.data.columns[0].missing == 1
    config = json.loads((table.parent / "one/config.json").read_text())
    assert config["reading"] == {"sep": ";", "decimal": ",", "na": ["-999"], "skip_rows": 1}
    words = shlex.split(record.command)
    assert run(*words[1:], "-o", "two").exit_code == 0
    assert (table.parent / "one/record.json").read_bytes() == (table.parent / "two/record.json").read_bytes()
    other = run("audit", "german.csv", *arguments[:-2], "--categorical", "x2", "-o", "one")
    assert other.exit_code == 2
    assert "reading" in other.stderr


def test_a_config_and_a_record_of_an_earlier_version_still_load(run, audited):
    for name, key in (("config.json", "reading"), ("record.json", "columns")):
        path = audited / name
        content = json.loads(path.read_text())
        (content if name == "config.json" else content["data"]).pop(key)
        path.write_text(json.dumps(content))
    done = run(*AUDIT)
    assert done.exit_code == 0, done.stderr
    assert run("report", "out").exit_code == 0
