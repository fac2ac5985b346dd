"""Runs in a stack end where runs by themselves do: losses, selected step, lines, weights."""

import functools

import pytest
import torch

import equipoise as eq
from equipoise.training.stacked.many_fits import fit_together
from tests.training.executors.work import plain

MAKE = functools.partial(plain, dropout=0.0)
SETTINGS = {
    "steps": 24,
    "every": 6,
    "batch_size": 16,
    "optimizer": functools.partial(torch.optim.Adam, lr=0.02),
    "schedule": lambda fraction: 1 - fraction / 2,
}
RUNS = [
    (eq.LinearScalarization(), 0),
    (eq.LinearScalarization({"a": 1, "b": 2, "c": 3}), 0),
    (eq.LinearScalarization(), 3),
]


def always(alone, stacked):
    return 2.0


@pytest.fixture(scope="module")
def alone():
    return [eq.fit(MAKE(), method, seed=seed, **SETTINGS) for method, seed in RUNS]


def test_the_same_as_one_after_another(alone):
    together = fit_together(MAKE(), RUNS, SETTINGS, ratio=always)
    assert together.words == "in a stack of 3, 2.0 times as fast as one after another (measured on 10 steps)"
    for mine, theirs in zip(together.fitted, alone, strict=True):
        assert (mine.status, mine.best_step, mine.cost.steps, mine.cost.passes, mine.config) == (
            theirs.status, theirs.best_step, theirs.cost.steps, theirs.cost.passes, theirs.config,
        )  # fmt: skip
        for part in ("val", "test"):
            assert mine.losses[part] == pytest.approx(theirs.losses[part], rel=1e-5)
        assert mine.weights == pytest.approx(theirs.weights)
        for ours, their in zip(mine.history, theirs.history, strict=True):
            assert ours.train_raw == pytest.approx(their.train_raw, rel=1e-5)
            assert ours.train_weighted == pytest.approx(their.train_weighted, rel=1e-5)
            assert (ours.step, ours.epoch, ours.learning_rates) == (their.step, their.epoch, their.learning_rates)
        for name, value in theirs.model.state_dict().items():
            assert mine.model.state_dict()[name] == pytest.approx(value, abs=1e-5)


def test_early_stopping_ends_each_run_at_its_own_step():
    settings = {
        **SETTINGS,
        "steps": 60,
        "every": 2,
        "patience": 2,
        "optimizer": functools.partial(torch.optim.SGD, lr=1.0),
    }
    expected = [eq.fit(MAKE(), method, seed=seed, **settings) for method, seed in RUNS]
    found = fit_together(MAKE(), RUNS, settings, ratio=always).fitted
    assert [(one.status, one.cost.steps) for one in found] == [(one.status, one.cost.steps) for one in expected]
    assert len({one.cost.steps for one in expected}) > 1


def test_what_is_slower_together_is_not_trained_together():
    together = fit_together(MAKE(), RUNS, SETTINGS, ratio=lambda alone, stacked: 0.5)
    assert together.fitted == [None] * 3
    assert together.words.startswith("one after another: a stack of 3 would be 0.5 times as fast")


def test_a_run_that_overflows_is_left_to_itself_and_the_others_end():
    wild = {**SETTINGS, "optimizer": functools.partial(torch.optim.SGD, lr=0.05), "schedule": None, "select": None}
    runs = [*RUNS[:2], (eq.LinearScalarization((1e30, 1e30, 1e30)), 0)]
    together = fit_together(MAKE(), runs, wild, ratio=always)
    assert [one is None for one in together.fitted] == [False, False, True]
    expected = eq.fit(MAKE(), runs[1][0], seed=0, **wild)
    assert together.fitted[1].losses["val"] == pytest.approx(expected.losses["val"], rel=1e-5)


def test_run_all_says_how_and_keeps_results(tmp_path, monkeypatch):
    monkeypatch.setitem(fit_together.__kwdefaults__, "ratio", always)
    settings = {name: value for name, value in SETTINGS.items() if name != "schedule"}
    runs = [eq.Run(MAKE, method, seed, settings) for method, seed in RUNS]
    odd = [eq.Run(MAKE, eq.MGDA(), 0, settings), eq.Run(plain, None, 0, settings), eq.Run(plain, None, 1, settings)]
    single = eq.run_all([*runs, *odd])
    found = eq.run_all([*runs, *odd], stack=True, folder=tmp_path)
    assert [outcome.status for outcome in found] == ["done"] * 6
    for mine, theirs in zip(found, single, strict=True):
        assert mine.key == theirs.key
        assert mine.losses["val"] == pytest.approx(theirs.losses["val"], rel=1e-5)
    assert [outcome.words.partition(" (")[0] for outcome in found[2:5]] == [
        "done; in a stack of 3, 2.0 times as fast as one after another",
        "done",
        "done; one after another: the model or a loss draws random numbers, such as dropout",
    ]
    again = eq.run_all([*runs, *odd], stack=True, folder=tmp_path)
    assert again == found


def test_runs_of_a_stack_whose_process_died_are_carried_out_by_themselves(monkeypatch):
    calls = []

    def breaking(function, given, jobs, ended, died):
        for number, (runs, *rest) in given.items():
            calls.append(len(runs))
            ended(number, died(number, "killed") if len(runs) > 1 else function(runs, *rest))

    monkeypatch.setitem(eq.run_all.__globals__, "run_in_processes", breaking)
    settings = {"steps": 4, "batch_size": 16}
    found = eq.run_all([eq.Run(MAKE, None, seed, settings) for seed in (0, 1)], jobs=2, stack=True)
    assert calls == [2, 1, 1]
    assert [(outcome.status, outcome.words) for outcome in found] == [("done", "done")] * 2
