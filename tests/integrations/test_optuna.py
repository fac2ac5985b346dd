"""An adaptive search: its trials are runs, it goes on where it was interrupted, several processes share it."""

import functools
import sys

import pytest

import equipoise as eq
from equipoise.errors import SettingError
from tests.integrations.page import run
from tests.training.executors.work import failing, plain

optuna = pytest.importorskip("optuna", reason="the extra `tune` brings it")
SETTINGS = {"steps": 4, "every": 2, "batch_size": 16}


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def suggested(trial):
    weight = trial.suggest_float("weight", 0.1, 0.9)
    return eq.Run(plain, eq.LinearScalarization({"a": weight, "b": 1 - weight, "c": 0.5}), 0, SETTINGS)


def search(place, make_run=suggested, objectives=("a", "b", "c"), trials=3, **settings):
    sampler = optuna.samplers.RandomSampler(seed=settings.pop("seed", 0))
    where = {"storage": place / "journal.log", "folder": place / "runs", "sampler": sampler}
    return eq.integrations.optuna_search(make_run, objectives, **{**where, "trials": trials, **settings})


def test_trials_are_runs_and_their_values_the_validation_losses(tmp_path):
    study = search(tmp_path, at_once=2)
    again = search(tmp_path, seed=1)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
    assert len(study.trials) == 3
    assert study.metric_names == ["a", "b", "c"]
    for trial in study.trials:
        (outcome,) = eq.run_all([suggested(optuna.trial.FixedTrial(trial.params))])
        assert trial.values == pytest.approx([outcome.losses["val"][task] for task in "abc"], rel=1e-12)
        assert (tmp_path / "runs" / trial.user_attrs["run"] / "result.json").is_file()
    with pytest.raises(SettingError, match=r"must minimise \['a'\]; this storage holds one with the objectives"):
        search(tmp_path, objectives=["a"])


def test_a_trial_that_was_interrupted_is_tried_again_with_its_parameters(tmp_path):
    """A search that still lives keeps its own trials."""
    calls = []

    def interrupted(trial):
        calls.append(suggested(trial))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return calls[-1]

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, interrupted, trials=3)
    study = search(tmp_path, trials=1, folder=tmp_path / "elsewhere")  # it cannot know who works on the other
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]

    def looking(trial):  # from inside a search, which is alive
        if trial.number == 2:
            search(tmp_path, trials=1)
        return suggested(trial)

    study = search(tmp_path, looking, seed=1)
    states = {trial.number: trial.state.name for trial in study.trials}
    assert sorted(states.values()) == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    (repeat,) = [trial for trial in study.trials if "again" in trial.user_attrs]
    assert repeat.user_attrs["again"] == 1
    assert repeat.params == study.trials[1].params == {"weight": pytest.approx(dict(calls[1].method.weights)["a"])}


def test_failures_are_trials_with_words_and_scores_may_be_functions(tmp_path):
    def sometimes(trial):
        bad = trial.suggest_categorical("bad", [True, False])
        return eq.Run(failing if bad else functools.partial(plain, 0.0), eq.MGDA(), 0, SETTINGS)

    score = {"worst": lambda outcome: max(outcome.losses["test"].values())}
    study = search(tmp_path, sometimes, score, trials=4, at_once=4)
    assert len(study.trials) == 4  # of two different runs
    found = {trial.params["bad"]: trial for trial in study.trials}
    assert found[True].state.name == "FAIL"
    assert found[True].user_attrs["words"] == "failed: ValueError: no such column"
    (outcome,) = eq.run_all([eq.Run(functools.partial(plain, 0.0), eq.MGDA(), 0, SETTINGS)])
    assert found[False].value == pytest.approx(max(outcome.losses["test"].values()), rel=1e-12)


def test_what_cannot_be_searched_is_refused(tmp_path, monkeypatch):
    with pytest.raises(SettingError, match=r"trials=0 \(a whole.*at_once=1\.5.*objectives='a' \(task names"):
        search(tmp_path, objectives="a", trials=0, at_once=1.5)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingError, match=r"optuna_search needs optuna, .* pip install 'equipoise\[tune\]'"):
        search(tmp_path)


def test_the_scripts_of_the_page_run(tmp_path, monkeypatch, capsys):
    run("many_trainings", tmp_path, monkeypatch)
    assert capsys.readouterr().out.count("done {'depth': ") == 6
    assert len(run("adaptive_search", tmp_path, monkeypatch)["study"].trials) == 6
    assert "{'weight': " in capsys.readouterr().out
