"""``equipoise rewards`` on small files: the record against the library, three formats, files that are refused."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

import equipoise as eq
from equipoise.core.records.rewards import RewardsRecord


def frame(seed=0, prompts=30, size=6, steps=(1, 2, 3)):
    generator = np.random.default_rng(seed)
    parts = []
    for step in steps:
        good = generator.normal(size=prompts * size)
        parts.append(
            pd.DataFrame(
                {
                    "step": step,
                    "prompt": [f'Question {i}, "quoted"\nand more' for i in range(prompts) for _ in range(size)],
                    "completion": "text",
                    "helpful": 5 * good,
                    "short": -0.9 * good + 0.3 * generator.normal(size=len(good)),
                    "format": (generator.normal(size=len(good)) > 1).astype(float),
                    "advantage": 0.0,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def files(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="Parquet needs the extra `tables`")
    monkeypatch.chdir(tmp_path)
    table = frame()
    table.to_parquet("log.parquet")
    table.to_csv("log.csv", index=False)
    lines = (json.dumps(row) for row in table.to_dict("records"))
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


ASKED = ("--group", "prompt", "--rewards", "helpful,short,format")


def record_of(folder):
    return RewardsRecord.model_validate_json((folder / "record.json").read_text(encoding="utf-8"))


def test_the_record_says_what_the_library_says(run, files):
    done = run("rewards", "log.parquet", *ASKED, "--weights", "1,2,1", "-o", "out")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "out/report.html"
    record, table = record_of(files / "out"), frame()
    rewards, groups = table[["helpful", "short", "format"]], list(zip(table["step"], table["prompt"], strict=True))
    present = eq.rewards.effect(rewards, groups, [1, 2, 1])
    assert np.allclose(record.present.alignment, present.alignment)
    assert np.allclose(record.present.high, present.interval[:, 1] / present.size)
    found = eq.rewards.weights(rewards, groups)
    assert np.allclose(record.balanced.weights, 3 * found.raw_weights / found.raw_weights.sum())
    assert np.allclose(record.correlation, found.covariance)
    assert (record.rows, record.groups, record.collapsed) == (540, 90, found.collapsed)
    assert [line.step for line in record.steps] == [1, 2, 3]
    first = eq.rewards.weights(rewards[table["step"] == 1], table["prompt"][table["step"] == 1])
    assert np.allclose(record.steps[0].weights, first.weights)
    assert "'short' falls under the present weights." in done.stdout
    assert record.balanced.status == "all rise"
    assert record.held_out.margin < record.balanced.margin + 0.2


def test_weights_found_on_half_of_the_groups_are_measured_on_the_others(run, files):
    table = frame(seed=1, steps=(1,))
    table[["helpful", "short", "format"]] = np.random.default_rng(5).normal(size=(len(table), 3))
    table.to_csv("noise.csv", index=False)
    assert run("rewards", "noise.csv", *ASKED, "-o", "out").exit_code == 0
    record = record_of(files / "out")
    assert record.held_out is not None
    assert record.held_out.weights == record.balanced.weights
    assert record.held_out.alignment != record.balanced.alignment


def test_three_formats_give_one_record(run, files):
    texts = []
    for kind in ("parquet", "csv", "jsonl"):
        done = run("rewards", f"log.{kind}", *ASKED, "-o", kind)
        assert done.exit_code == 0, done.stderr
        kept = record_of(files / kind).model_dump(exclude={"data", "sha256", "command", "notes"})
        texts.append(json.dumps(kept, sort_keys=True))
    assert len(set(texts)) == 1


def test_several_files_are_one_log_and_the_command_repeats_itself(run, files):
    for step, part in frame().groupby("step"):
        part.to_parquet(f"completions_{step:05d}.parquet")
    names = sorted(str(path.name) for path in files.glob("completions_*.parquet"))
    assert run("rewards", *names, *ASKED, "-o", "several").exit_code == 0
    assert run("rewards", "log.parquet", *ASKED, "-o", "one").exit_code == 0
    several, one = record_of(files / "several"), record_of(files / "one")
    assert several.files == 3
    assert several.balanced == one.balanced
    assert several.steps == one.steps
    words = shlex.split(several.command)
    assert run(*words[1:], "-o", "again").exit_code == 0
    assert (files / "again/record.json").read_bytes() == (files / "several/record.json").read_bytes()


def test_gdpos_normalisation_is_another_update(run, files):
    assert run("rewards", "log.csv", *ASKED, "--normalize", "-o", "out").exit_code == 0
    record, table = record_of(files / "out"), frame()
    groups = list(zip(table["step"], table["prompt"], strict=True))
    found = eq.rewards.effect(table[["helpful", "short", "format"]], groups, [1, 1, 1], "normalize_then_sum")
    assert np.allclose(record.present.alignment, found.alignment)
    assert record.aggregation == "normalize_then_sum"


def test_reports_are_rendered_again_as_html_markdown_and_json(run, files):
    done = run("rewards", "log.csv", *ASKED, "-o", "out", "--json")
    assert done.exit_code == 0
    assert RewardsRecord.model_validate_json(done.stdout) == record_of(files / "out")
    page = (files / "out/report.html").read_bytes()
    (files / "out/report.html").unlink()
    again = run("report", "out")
    assert again.exit_code == 0
    assert (files / "out/report.html").read_bytes() == page
    assert b"Over training" in page
    text = run("report", "out", "--markdown").stdout
    assert "| helpful | 1 |" in text
    assert "spare the search for weights" in text
    assert "better policy" not in text


def test_a_folder_of_another_question_is_refused_and_a_training_is_safe(run, files):
    assert run("rewards", "log.csv", *ASKED, "-o", "out").exit_code == 0
    assert run("rewards", "log.csv", *ASKED, "-o", "out").exit_code == 0
    done = run("rewards", "log.csv", *ASKED, "--weights", "1,2,3", "-o", "out")
    assert done.exit_code == 2
    assert "differs in weights" in done.stderr
    assert run("rewards", "log.csv", *ASKED, "--weights", "1,2,3", "-o", "out", "--overwrite").exit_code == 0
    (files / "foreign").mkdir()
    (files / "foreign/mine.txt").write_text("mine")
    assert run("rewards", "log.csv", *ASKED, "-o", "foreign", "--overwrite").exit_code == 2
    assert [path.name for path in (files / "foreign").iterdir()] == ["mine.txt"]


def _without_variance(table):
    return table.assign(helpful=1.0, short=2.0, format=0.0)


def _with_gaps(table):
    table.loc[table.index[:7], "short"] = np.nan
    table.loc[table.index[7:9], ["helpful", "short", "format"]] = np.nan
    return table


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (_without_variance, (), "No reward varies in any group"),
        (lambda table: table.assign(format=table["helpful"]), (), "'helpful' and 'format' are the same in every row"),
        (lambda table: table[table["prompt"] == table["prompt"][0]], (), "6 completions in 1 group"),
        (_with_gaps, (), "2 of 180 rows hold no reward at all and are left out"),
        (
            lambda table: table.assign(short=-5 * table["helpful"]).drop(columns="format"),
            "no format",
            "No update raises",
        ),
        (lambda table: table.sample(frac=1, random_state=0), (), "180 completions in 30 groups"),
    ],
    ids=["collapsed", "doubled", "one group", "gaps", "opposed", "other order"],
)
def test_odd_files_are_read_and_said(run, files, change, options, words):
    change(frame(steps=(1,))).to_csv("odd.csv", index=False)
    asked = ("--group", "prompt", "--rewards", "helpful,short") if options else ASKED
    done = run("rewards", "odd.csv", *asked, "-o", "out")
    assert done.exit_code == 0, done.stderr
    assert words in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda table: table, ("--rewards", "helpful,shrot"), "'shrot', which is no column. Closest: 'short'"),
        (lambda table: table, ("--rewards", "helpful"), "two or more different columns; found 'helpful'"),
        (lambda table: table, ("--weights", "1,2"), "one finite number for each of the 3 rewards"),
        (lambda table: table, ("--weights", "1,a,2"), "--weights must be numbers"),
        (lambda table: table, ("--group", "completion_id"), "--group names 'completion_id'"),
        (lambda table: table, ("--step", "time"), "--step names 'time'"),
        (lambda table: table.assign(short="good"), (), "Column 'short'"),
        (lambda table: table.assign(short=np.nan), (), "'short' hold no number in any row"),
        (lambda table: table.assign(prompt=range(len(table))), (), "found 180 groups for 180 rows"),
    ],
    ids=["typo", "one reward", "few weights", "words", "group", "step", "text", "empty", "no groups"],
)
def test_files_that_cannot_be_used_are_refused_before_anything_is_written(run, files, change, options, words):
    change(frame(steps=(1,))).to_csv("bad.csv", index=False)
    named = dict(zip(options[::2], options[1::2], strict=True))
    asked = {"--group": "prompt", "--rewards": "helpful,short,format"} | named
    done = run("rewards", "bad.csv", *(word for pair in asked.items() for word in pair), "-o", "out")
    assert done.exit_code == 2, done.stdout
    assert words in " ".join(done.stderr.split())
    assert not (files / "out").exists()


def test_names_are_text_on_the_page(run, files):
    evil = "</script><img src=x onerror=alert(1)>"
    frame(steps=(1, 2)).rename(columns={"helpful": evil}).to_parquet("evil.parquet")
    done = run("rewards", "evil.parquet", "-g", "prompt", "-r", f"{evil},short", "-o", "out")
    assert done.exit_code == 0, done.stderr
    page = (files / "out/report.html").read_text(encoding="utf-8")
    assert evil not in page
    assert "&lt;img src=x" in page


def test_prompts_may_be_messages_and_rewards_may_be_true_or_false(run, files):
    table = frame(steps=(1,), prompts=6)
    table["prompt"] = [[{"role": "user", "content": text}] for text in table["prompt"]]
    table["format"] = [None if i == 0 else bool(value) for i, value in enumerate(table["format"])]
    table.to_parquet("chat.parquet")
    done = run("rewards", "chat.parquet", *ASKED, "-o", "out")
    assert done.exit_code == 0, (done.stderr, done.exception)
    record = record_of(files / "out")
    assert record.groups == 6
    assert record.missing == (0, 0, 1)
    assert record.held_out is None  # too few groups


def test_many_steps_are_put_together(run, files):
    frame(prompts=2, size=4, steps=range(150)).to_csv("long.csv", index=False)
    assert run("rewards", "long.csv", *ASKED, "-o", "out").exit_code == 0
    record = record_of(files / "out")
    assert len(record.steps) == 60
    assert sum(line.rows for line in record.steps) == record.rows
    assert any("150 steps are judged in 60 stretches" in note for note in record.notes)
