"""``equipoise runs`` on tables in foreign layouts: against brute force, with seeds, wishes, a study, and bad tables."""

import json
import shlex
import sqlite3

import numpy as np
import pandas as pd
import pytest

from equipoise.core.records.run_table import RunTableRecord


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record_of(folder):
    return RunTableRecord.model_validate_json((folder / "record.json").read_text(encoding="utf-8"))


def brute(losses):
    """Positions of non-dominated rows, and of those that some of many weights pick."""
    front = {j for j, row in enumerate(losses) if not ((losses <= row).all(1) & (losses < row).any(1)).any()}
    weights = np.random.default_rng(0).dirichlet(np.ones(losses.shape[1]) * 0.5, size=40_000)
    return front, set(np.argmin(weights @ losses.T, axis=1).tolist())


def test_a_tracker_export_with_a_maximised_metric_agrees_with_brute_force(run, here):
    """As W&B exports: names of runs, states, nested metric names, gaps of crashed runs."""
    generator = np.random.default_rng(4)
    table = pd.DataFrame(
        {
            "Name": [f"sweep-{i}" for i in range(120)],
            "State": "finished",
            "val/loss": generator.uniform(size=120),
            "val/acc": generator.uniform(size=120) * 100,
            "latency (ms)": generator.uniform(5, 9, size=120),
        }
    )
    table.loc[[3, 50], "val/acc"] = np.nan
    table.loc[9, "val/loss"] = np.inf
    table.to_csv("export.csv", index=False)
    done = run(
        "runs", "export.csv", "--losses", "val/loss,val/acc,latency (ms)", "--maximise", "val/acc", "--config", "Name",
        "-o", "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    record = record_of(here / "out")
    assert record.left_out == {"a loss is missing": 2, "a loss is infinite": 1}
    kept = table.drop(index=[3, 9, 50]).reset_index(drop=True)
    losses = kept[["val/loss", "val/acc", "latency (ms)"]].to_numpy() * [1, -1, 1]
    front, picked = brute(losses / np.ptp(losses, axis=0))
    assert {run.name for run in record.front} == {f"Name={kept['Name'][j]}" for j in front}
    found = {run.name for run in record.front if run.low is not None}
    assert {f"Name={kept['Name'][j]}" for j in picked} <= found
    assert record.picked == len(found)
    assert record.unpicked == record.fronts - record.picked
    for entry in record.front:
        row = kept.set_index(kept["Name"].map("Name={}".format)).loc[entry.name]
        assert entry.losses == pytest.approx(row[["val/loss", "val/acc", "latency (ms)"]].astype(float).tolist())
        if entry.low is None:
            mixed = np.array(entry.mixture_losses) * [1, -1, 1]
            assert (mixed < np.array(entry.losses) * [1, -1, 1]).all()
            assert sum(share for _, share in entry.mixture) == pytest.approx(1.0)
    assert "2 rows left out: a loss is missing." in done.stdout


def test_seeds_make_intervals_and_may_be_unbalanced(run, here):
    generator = np.random.default_rng(1)
    rows = [
        {"lr": lr, "width": width, "seed": seed, "a": a + 0.01 * generator.normal(), "b": b + 0.01 * generator.normal()}
        for (lr, width), (a, b) in {(0.1, 8): (0, 1), (0.1, 64): (0.6, 0.6), (0.001, 64): (1, 0)}.items()
        for seed in range(6)
    ]
    for name, kept in (("even.jsonl", rows), ("uneven.jsonl", rows[:-2])):
        (here / name).write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        done = run("runs", name, "-l", "a,b", "--seed", "seed", "--config", "lr,width", "-o", name[:4])
        assert done.exit_code == 0, done.stderr
    even, uneven = record_of(here / "even"), record_of(here / "unev")
    assert (even.paired, even.runs, uneven.paired, uneven.runs) == (True, (6, 6), False, (4, 6))
    assert any("different seeds" in note for note in uneven.notes)
    for record in (even, uneven):
        middle = next(entry for entry in record.front if entry.name == "lr=0.1, width=64")
        low, high = middle.interval
        assert 0.05 < low <= middle.gap <= high < 0.2
        assert [name for name, _ in middle.mixture] in (
            ["lr=0.1, width=8", "lr=0.001, width=64"], ["lr=0.001, width=64", "lr=0.1, width=8"],
        )  # fmt: skip
        assert record.unpicked == 1
    assert "No weights pick 1 of the 3 non-dominated settings." in done.stdout


def test_single_seeds_are_no_intervals(run, here):
    pd.DataFrame({"c": ["x", "y", "z"], "s": 0, "a": [0, 0.6, 1], "b": [1, 0.6, 0]}).to_csv("t.csv", index=False)
    assert run("runs", "t.csv", "-l", "a,b", "--seed", "s", "--config", "c", "-o", "out").exit_code == 0
    record = record_of(here / "out")
    assert record.resamples == 0
    assert record.front[1].interval is None
    assert record.unpicked == 1


def test_wishes_name_the_run_and_the_mixture(run, here):
    pd.DataFrame({"a": [0, 0.6, 1], "b": [1, 0.6, 0], "acc": [0.5, 0.9, 0.5]}).to_csv("t.csv", index=False)
    done = run("runs", "t.csv", "-l", "a,b", "--bound", "a=0.5", "--ray", "a=1,b=1", "-o", "out")
    assert done.exit_code == 0, done.stderr
    bound, ray = record_of(here / "out").choices
    assert (bound.single, bound.met, bound.single_met) == ("row 1", True, True)
    assert bound.losses == pytest.approx((0.5, 0.5))
    assert dict(bound.members) == pytest.approx({"row 1": 0.5, "row 3": 0.5})
    assert ray.losses == pytest.approx((0.5, 0.5))
    assert ray.single == "row 2"
    done = run("runs", "t.csv", "-l", "a,acc", "--maximise", "acc", "--bound", "acc=0.95", "-o", "high")
    choice = record_of(here / "high").choices[0]
    assert (choice.wish, choice.met, choice.single) == ("acc at least 0.95", False, "row 2")
    assert "No mixture of these runs meets this" in done.stdout
    again = shlex.split(record_of(here / "out").command)
    assert run(*again[1:], "-o", "again").exit_code == 0
    assert (here / "again/record.json").read_bytes() == (here / "out/record.json").read_bytes()


def test_weights_to_try_next_tie_settings_of_the_table(run, here):
    table = pd.DataFrame({"a": [0.0, 0.1, 1.0], "b": [100.0, 30.0, 0.0]})
    table.to_csv("t.csv", index=False)
    assert run("runs", "t.csv", "-l", "a,b", "-o", "out").exit_code == 0
    proposal = record_of(here / "out").next_weights[0]
    assert proposal.between == ("row 2", "row 3")
    values = table.to_numpy() @ proposal.weights
    assert values[1] == pytest.approx(values[2])
    assert values[0] > values[1]


def test_ten_thousand_runs_are_judged_and_a_front_too_long_for_the_record_is_sampled(run, here):
    generator = np.random.default_rng(0)
    pd.DataFrame(generator.uniform(size=(10_000, 3)), columns=list("abc")).to_csv("many.csv", index=False)
    assert run("runs", "many.csv", "-l", "a,b,c", "-o", "many").exit_code == 0
    record = record_of(here / "many")
    assert (record.settings, len(record.others)) == (10_000, 400)
    angle = np.linspace(0, np.pi / 2, 2_000)
    pd.DataFrame({"a": 1 - np.sin(angle), "b": 1 - np.cos(angle)}).to_csv("long.csv", index=False)
    assert run("runs", "long.csv", "-l", "a,b", "-o", "long").exit_code == 0
    record = record_of(here / "long")
    assert (record.fronts, record.picked, record.unpicked) == (2_000, 2_000, 0)
    assert 150 < len(record.front) <= 200


def test_ties_and_one_winner_are_said(run, here):
    pd.DataFrame({"a": [1, 1, 2], "b": [1, 1, 3]}).to_csv("t.csv", index=False)
    done = run("runs", "t.csv", "-l", "a,b", "-o", "out")
    assert done.exit_code == 0, done.stderr
    record = record_of(here / "out")
    assert [entry.name for entry in record.front] == ["row 1", "row 2"]
    assert record.picked == 2
    pd.DataFrame({"a": [1, 2], "b": [1, 3]}).to_csv("won.csv", index=False)
    assert "there is nothing to trade" in run("runs", "won.csv", "-l", "a,b", "-o", "won").stdout
    pd.DataFrame({"a": [1, 1], "b": [3, 3]}).to_csv("same.csv", index=False)
    assert run("runs", "same.csv", "-l", "a,b", "-o", "same").exit_code == 0


def test_the_report_is_rendered_again(run, here):
    pd.DataFrame({"a": [0, 0.6, 1], "b": [1, 0.6, 0], "<b>": [0.5, 0.9, 0.5]}).to_csv("t.csv", index=False)
    assert run("runs", "t.csv", "-l", "a,b,<b>", "-o", "out", "--quiet").exit_code == 0
    page = (here / "out/report.html").read_bytes()
    assert b"<bdi><b></bdi>" not in page
    assert run("report", "out").exit_code == 0
    assert (here / "out/report.html").read_bytes() == page
    text = run("report", "out", "--markdown").stdout
    assert "| row 1 | 0 | 1 |" in text
    (here / "out/record.json").write_text('{"kind": "runs"}')
    done = run("report", "out")
    assert done.exit_code == 2
    assert "must be a record of this version" in done.stderr


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,b\n1,2\n", (), "two or more runs with all losses; found 1 in 1 rows"),
        ("a,b\n1,2\n3,\n", (), "two or more runs with all losses; found 1 in 2 rows"),
        ("a,b\n1,2\nbad,3\n2,4\n4,4\n5,4\n6,1\n7,1\n8,1\n9,1\n10,1\n11,1\n", (), "Column 'a'"),
        ("a,b\n1,2\n2,1\n", ("--losses", "a"), "two or more different columns"),
        ("a,b\n1,2\n2,1\n", ("--losses", "a,c"), "'c', which is no column"),
        ("a,b\n1,2\n2,1\n", ("--maximise", "c"), "--maximise names 'c', not among --losses"),
        ("a,b,s\n1,2,0\n2,1,1\n", ("--seed", "s"), "--config must name the columns that make a setting"),
        ("a,b\n1,2\n2,1\n", ("--ray", "a=1"), "a proportion for every loss"),
        ("a,b\n1,2\n2,1\n", ("--bound", "a"), "--bound must be NAME=NUMBER"),
        ("a,b\n1,2\n2,1\n", ("--bound", "c=1"), "--bound names 'c'"),
        ("a,b\n1,2\n2,1\n", ("--study", "x"), "--study is for Optuna storages"),
        ("a,b\n1,2\n2,1\n", ("--ray", "a=-1,b=1"), "Ray"),
    ],
    ids=["one run", "one complete", "text", "one loss", "no column", "maximise", "seed", "ray", "bound", "other bound",
         "study", "negative ray"],
)  # fmt: skip
def test_tables_that_cannot_be_used_are_refused(run, here, text, options, words):
    (here / "t.csv").write_text(text)
    asked = {"--losses": "a,b"} | dict(zip(options[::2], options[1::2], strict=True))
    done = run("runs", "t.csv", *(word for pair in asked.items() for word in pair), "-o", "out")
    assert done.exit_code == 2, (done.stdout, done.exception)
    assert words in " ".join(done.stderr.split())
    assert not (here / "out").exists()


# -- Optuna -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(here):
    """A storage with one study of two objectives, the second maximised; some trials pruned or failed."""
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: the extra `tune` brings it")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(
        study_name="mine", storage="sqlite:///study.db", directions=["minimize", "maximize"],
        sampler=optuna.samplers.RandomSampler(seed=0),
    )  # fmt: skip

    def objective(trial):
        x = trial.suggest_float("lr", 0.0, 1.0)
        trial.set_user_attr("note", "kept")
        if trial.number == 5:
            raise RuntimeError("out of memory")
        return x, x**0.5

    made.optimize(objective, n_trials=15, catch=(RuntimeError,))
    return made


@pytest.mark.filterwarnings("ignore")
def test_a_study_is_read_with_its_directions_and_not_changed(run, here, study):
    before = (here / "study.db").read_bytes()
    done = run("runs", "sqlite:///study.db", "-o", "out")
    assert done.exit_code == 0, (done.stderr, done.exception)
    record = record_of(here / "out")
    assert record.losses == ("value0", "value1")
    assert record.maximised == ("value1",)
    assert (record.rows, record.left_out) == (15, {"a loss is missing": 1})
    assert record.fronts == 14
    assert record.picked == 14
    done = run("runs", "study.db", "--study", "mine", "--config", "lr", "-o", "named")
    assert done.exit_code == 0, done.stderr
    assert record_of(here / "named").front[0].name.startswith("lr=")
    assert (here / "study.db").read_bytes() == before
    assert done.stdout.count("ERROR") == 0


@pytest.mark.filterwarnings("ignore")
def test_storages_without_the_study_are_refused_and_left_alone(run, here, study):
    for source, options, words in (
        ("sqlite:///nothing.db", (), "no file"),
        ("study.db", ("--study", "mime"), "no study 'mime'. Closest: 'mine'"),
        ("other.db", (), "cannot be read as an Optuna storage"),
        ("text.db", (), "must be a database of SQLite"),
    ):
        with sqlite3.connect(here / "other.db") as base:
            base.execute("create table if not exists t (a int)")
        (here / "text.db").write_text("a,b\n1,2\n")
        before = (here / "other.db").read_bytes()
        done = run("runs", source, *options, "-o", "out")
        assert done.exit_code == 2, (source, done.stdout, done.exception)
        assert words in " ".join(done.stderr.split())
        assert (here / "other.db").read_bytes() == before
        assert not (here / "nothing.db").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_study_exported_as_a_table_gives_the_same_front(run, here, study):
    study.trials_dataframe().to_csv("trials.csv", index=False, sep=";", decimal=",")
    assert run("runs", "study.db", "-o", "study").exit_code == 0
    asked = ("-l", "values_0,values_1", "--maximise", "values_1", "--config", "number")
    done = run("runs", "trials.csv", *asked, "-o", "table")
    assert done.exit_code == 0, done.stderr
    one, other = record_of(here / "study"), record_of(here / "table")
    assert [entry.losses for entry in one.front] == [entry.losses for entry in other.front]
    assert [entry.low for entry in one.front] == [entry.low for entry in other.front]
    assert other.front[0].name.startswith("number=")


def test_many_losses_are_judged_up_to_a_number_of_settings(run, here):
    generator = np.random.default_rng(0)
    names = list("abcdef")
    good = generator.dirichlet(np.ones(6), size=12)
    behind = good[generator.integers(12, size=300)] + generator.uniform(0.01, 1, size=(300, 6))
    pd.DataFrame(np.vstack([good, behind]), columns=names).to_csv("some.csv", index=False)
    done = run("runs", "some.csv", "-l", ",".join(names), "-o", "out")
    assert done.exit_code == 0, done.stderr
    record = record_of(here / "out")
    assert record.settings == record.fronts == 12
    assert "Of 312 runs the 300 dominated ones were left out at once." in record.notes
    pd.DataFrame(generator.normal(size=(900, 6)), columns=names).to_csv("many.csv", index=False)
    done = run("runs", "many.csv", "-l", ",".join(names), "-o", "many")
    assert done.exit_code == 2
    assert "Judge up to 4 of them at a time" in done.stderr
