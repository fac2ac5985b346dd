import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import equipoise as eq
from equipoise.core.files import locked
from equipoise.core.records.fitted import fit_record_from_json
from equipoise.errors import DataError, EquipoiseError, NonFiniteError, RunFolderError, SettingError
from equipoise.training.tables.comparing import running
from equipoise.training.tables.comparing.rules import geometric_mean
from equipoise.training.tables.fit_table import fit_table
from equipoise.training.tables.predicting import predict
from equipoise.training.tables.preparing.columns import look_at
from equipoise.training.tables.preparing.splitting import splits
from equipoise.training.tables.saved import read_fit

from .tables_of import mixed, raw

TINY = {"targets": ["y", "kind", "up"], "epochs": 3, "hidden": (8,), "trials": 2, "seeds": 2}


@pytest.fixture(scope="module")
def frame():
    return mixed(200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fit") / "run"


@pytest.fixture(scope="module")
def fitted(frame, folder):
    return fit_table(frame, **TINY, width=2, folder=folder)


def test_every_entrant_runs_with_every_seed_and_the_record_is_whole(fitted):
    record = fitted.record
    assert [entrant.name for entrant in record.entrants] == ["joint", "weights", "linear", "separate", "boosting"]
    assert all(run.status == "done" for entrant in record.entrants for run in entrant.runs)
    assert (record.split.train, record.split.val, record.split.test, record.split.redrawn) == (140, 30, 30, True)
    assert {task.name: task.labelled for task in record.tasks} == {"y": 160, "kind": 200, "up": 200}
    joint, weights, _, separate, boosting = (entrant.runs[0] for entrant in record.entrants)
    assert (joint.passes, weights.passes, separate.passes, boosting.passes) == (3, 6, 9, 0)
    assert weights.trials == 2
    assert all(loss is None for loss in boosting.val.values())


def test_each_target_is_served_by_the_lowest_validation_loss(fitted):
    networks = [entrant for entrant in fitted.record.entrants if entrant.role != "boosting"]
    for task in ("y", "kind", "up"):
        means = {entrant.name: np.exp(np.mean([np.log(run.val[task]) for run in entrant.runs])) for entrant in networks}
        assert fitted.record.selected[task] == min(means, key=means.get)


def test_the_tuned_weights_are_the_better_trial_on_the_validation_part(fitted):
    joint, weights = fitted.record.entrants[:2]
    for plain, tuned in zip(joint.runs, weights.runs, strict=True):
        worth = [np.prod([run.val[task] for task in run.val]) for run in (plain, tuned)]
        assert worth[1] <= worth[0]
        assert sum(tuned.weights.values()) == pytest.approx(1)
        assert (tuned.weights == dict.fromkeys(tuned.val, 1 / 3)) == (worth[1] == worth[0])  # equal weights are a trial


def test_the_same_call_finds_the_finished_fit_and_predicts_the_same_bits(fitted, frame, folder):
    again = fit_table(frame, **TINY, width=2, folder=folder)
    assert again.record == fitted.record == read_fit(folder)
    expected = fitted.predict(frame, probabilities=True)
    for found in (again.predict(frame, probabilities=True), predict(folder, frame, probabilities=True)):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_fit_whose_record_is_lost_ends_with_the_same_numbers(fitted, frame, folder, tmp_path):
    partly = tmp_path / "partly"
    fit_table(frame, **TINY, width=2, folder=partly)
    (partly / "record.json").unlink()
    for run in ("seed-1-joint", "seed-1-separate-0"):
        (partly / "runs" / run / "checkpoint" / "state.json").unlink()
    again = fit_table(frame, **TINY, width=2, folder=partly)
    strip = {"seconds"}
    for first, second in zip(fitted.record.entrants, again.record.entrants, strict=True):
        assert [run.model_dump(exclude=strip) for run in first.runs] == [
            run.model_dump(exclude=strip) for run in second.runs
        ]
    pd.testing.assert_frame_equal(again.predict(frame), fitted.predict(frame), check_exact=True)


def test_another_call_on_the_folder_is_refused_with_what_differs(fitted, frame, folder):
    del fitted
    with pytest.raises(RunFolderError, match="epochs: 3 there, 4 now"):
        fit_table(frame, **TINY | {"epochs": 4}, width=2, folder=folder)
    changed = frame.assign(x=frame["x"] + 1)
    with pytest.raises(RunFolderError, match=r"content of the data \(sha256\)"):
        fit_table(changed, **TINY, width=2, folder=folder)


def test_overwriting_replaces_a_fit_and_leaves_other_files(frame, tmp_path):
    options = TINY | {"seeds": 1, "baselines": (), "na": ("-999",)}
    first = fit_table(frame, **options, folder=tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert fit_table(frame, **options, folder=tmp_path / "run").record == first.record
    second = fit_table(frame, **options | {"epochs": 2}, folder=tmp_path / "run", overwrite=True)
    assert second.record.entrants[0].runs[0].passes == 2
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    pd.testing.assert_frame_equal(predict(tmp_path / "run", frame), second.predict(frame), check_exact=True)


def test_a_folder_of_others_and_one_that_is_being_written_are_refused(frame, tmp_path):
    options = TINY | {"seeds": 1, "baselines": ()}
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="not written by equipoise"):
        fit_table(frame, **options, folder=tmp_path / "theirs", overwrite=True)
    (tmp_path / "ours").mkdir()
    with locked(tmp_path / "ours"), pytest.raises(RunFolderError, match="is being written by another"):
        fit_table(frame, **options, folder=tmp_path / "ours")


def test_test_rows_influence_no_training_and_no_choice(frame):
    options = TINY | {"seeds": [5], "baselines": ("separate",)}
    first = fit_table(frame, **options)
    table = raw(frame)
    (parts,) = splits(table.frame, look_at(table, targets=options["targets"]), [5], group=None, time=None)
    other = frame.copy()
    other.loc[parts.test, "y"] = -50.0
    other.loc[parts.test, "z"] *= 9
    second = fit_table(other, **options)
    for one, two in zip(first.record.entrants, second.record.entrants, strict=True):
        assert one.runs[0].val == two.runs[0].val
        assert one.runs[0].test != two.runs[0].test
    rows = frame.drop(columns=["y", "kind", "up"])
    pd.testing.assert_frame_equal(first.predict(rows), second.predict(rows), check_exact=True)


def test_the_record_survives_json(fitted, folder):
    text = (folder / "record.json").read_text()
    assert fit_record_from_json(text) == fitted.record
    assert json.loads((folder / "config.json").read_text())["command"] == "fit"
    assert not [path for path in folder.rglob("*") if path.suffix in {".pt", ".pkl", ".pickle", ".joblib"}]


def test_a_method_takes_part_and_is_written_down(frame):
    record = fit_table(frame, **TINY | {"seeds": 1}, method=eq.CAGrad(c=0.4), baselines=("weights",)).record
    joint, weights = record.entrants
    assert (joint.method, joint.words) == (repr(eq.CAGrad(c=0.4)), f"one network, {eq.CAGrad(c=0.4)!r}")
    assert weights.runs[0].passes == 6  # equal weights are trained too: the joint network is none of them
    assert joint.runs[0].test != weights.runs[0].test


@pytest.fixture
def joint_diverges(monkeypatch):
    def fit(problem, *arguments, **options):
        if problem.name == "joint":
            raise NonFiniteError("the loss 'y' is nan at step 3")
        return running_fit(problem, *arguments, **options)

    running_fit = running.fit
    monkeypatch.setattr(running, "fit", fit)


@pytest.mark.usefixtures("joint_diverges")
def test_a_training_that_diverges_is_counted_and_the_others_stand(frame):
    record = fit_table(frame, **TINY | {"seeds": 1}, baselines=("weights", "separate")).record
    joint, weights, separate = (entrant.runs[0] for entrant in record.entrants)
    assert (joint.status, joint.reason) == ("failed", "joint: NonFiniteError: the loss 'y' is nan at step 3")
    assert (weights.status, weights.settings["failed trainings"]) == ("done", joint.reason)
    assert (separate.status, record.failed) == ("done", 1)
    assert "joint" not in record.selected.values()


@pytest.mark.usefixtures("joint_diverges")
def test_where_nothing_can_be_trained_the_reasons_are_told(frame):
    with pytest.raises(EquipoiseError, match=r"no network could be trained with all seeds. joint: NonFiniteError"):
        fit_table(frame, **TINY | {"seeds": 1}, baselines=())


def test_one_target_is_trained_without_what_it_makes_no_sense_to_compare(frame):
    record = fit_table(frame, **TINY | {"targets": ["y"], "seeds": 1}).record
    assert [entrant.name for entrant in record.entrants] == ["joint", "boosting"]


def test_announcement_and_progress_come_in_order(frame):
    told = []
    fit_table(
        frame, **TINY | {"seeds": 1}, baselines=(),
        announce=lambda card, tasks: told.append((card.rows, len(tasks))),
        progress=lambda done, total, words: told.append((done, total, words)),
    )  # fmt: skip
    assert told == [(200, 3), (0, 1, "seed 0: joint")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": [1, 1]}, r"seeds=\[1, 1\]"),
        ({"epochs": 0, "trials": 0}, r"epochs=0 .*trials=0"),
        ({"hidden": ()}, r"hidden=\(\)"),
        ({"baselines": ("boost",)}, r"baselines=\['boost'\]"),
    ],
    ids=["seeds", "twice", "several", "hidden", "baselines"],
)
def test_settings_out_of_range_are_refused_before_anything_is_read(options, words):
    with pytest.raises(SettingError, match=words):
        fit_table("no such file.csv", **options)


def test_too_few_rows_are_refused(frame):
    few = frame.dropna().iloc[[0, 1]].assign(y=[1.0, 2.0], kind=["a", "b"], up=[True, False])
    with pytest.raises(DataError, match="cannot be divided into training, validation and test rows: every side"):
        fit_table(few, **TINY)


def test_any_number_of_workers_gives_the_same_numbers(frame):
    options = TINY | {"seeds": 1, "baselines": ("separate",)}
    one, two = fit_table(frame, **options), fit_table(frame, **options, jobs=2)
    strip = {"seconds"}
    for first, second in zip(one.record.entrants, two.record.entrants, strict=True):
        assert first.runs[0].model_dump(exclude=strip) == second.runs[0].model_dump(exclude=strip)
    pd.testing.assert_frame_equal(one.predict(frame), two.predict(frame), check_exact=True)


@pytest.mark.parametrize("baselines", [(), ("separate",)], ids=["joint", "separate"])
def test_predictions_have_the_losses_that_the_record_tells(frame, baselines):
    options = TINY | {"seeds": [4], "baselines": baselines}
    fitted = fit_table(frame, **options)
    table = raw(frame)
    columns = look_at(table, targets=options["targets"])
    (parts,) = splits(table.frame, columns, [4], group=None, time=None)
    rows, train = frame.iloc[parts.test], frame["y"].iloc[parts.train]
    found = fitted.predict(rows, probabilities=True)
    told = {
        task: next(e for e in fitted.record.entrants if e.name == fitted.record.selected[task]).runs[0]
        for task in ("y", "kind", "up")
    }
    known = rows["y"].notna()
    error = ((found["y"] - rows["y"])[known] ** 2).mean() / train.var(ddof=0)
    assert told["y"].test["y"] == pytest.approx(error, rel=1e-4)
    true = [found[f"kind={label}"].loc[row] for row, label in rows["kind"].items()]
    assert told["kind"].test["kind"] == pytest.approx(-np.mean(np.log(true)), rel=1e-4)
    assert told["kind"].metric["kind"] == pytest.approx((found["kind"] == rows["kind"]).mean())
    true = [found[f"up={label}"].loc[row] for row, label in rows["up"].items()]
    assert told["up"].test["up"] == pytest.approx(-np.mean(np.log(true)), rel=1e-4)
    assert told["up"].metric["up"] == pytest.approx(roc_auc_score(rows["up"], found["up=True"]))


def test_a_loss_of_nothing_does_not_decide_alone():
    assert geometric_mean({"a": 0.0, "b": 2.0}) > geometric_mean({"a": 1e-9, "b": 1.0})
