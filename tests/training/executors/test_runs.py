"""Runs as a list: the same results wherever they run, a dead worker costs its own run only, repeating goes on."""

import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import equipoise as eq
from equipoise.errors import RunFolderError, SettingError
from tests.training.executors.work import dying, failing, plain

SETTINGS = {"steps": 6, "every": 3, "batch_size": 16}


def runs():
    return [
        eq.Run(plain, eq.MGDA(), 0, SETTINGS, "mgda"),
        eq.Run(functools.partial(plain, dropout=0.0), eq.LinearScalarization({"a": 1, "b": 1, "c": 3}), 1, SETTINGS),
        eq.Run(plain, eq.MGDA(), 2, SETTINGS),
    ]


def numbers(outcome):
    return outcome.model_dump(exclude={"seconds"})


def test_the_same_results_whatever_the_number_of_workers_and_a_dead_one_costs_its_own_run(tmp_path):
    alone = eq.run_all(runs())
    mixed = [runs()[0], eq.Run(dying, name="dying"), runs()[1], eq.Run(failing), runs()[2]]
    pooled = eq.run_all(mixed, jobs=2, folder=tmp_path)
    assert [outcome.status for outcome in pooled] == ["done", "died", "done", "failed", "done"]
    assert [numbers(outcome) for outcome in pooled if outcome.status == "done"] == list(map(numbers, alone))
    assert pooled[1].words.startswith("its process died")
    assert pooled[3].words == "ValueError: no such column"
    assert {path.name for path in tmp_path.iterdir()} == {run.key for run in runs()}


def test_finished_runs_are_read_and_failed_ones_tried_again(tmp_path, monkeypatch):
    first = eq.run_all(runs()[:2], folder=tmp_path)
    calls = []
    original = eq.run_all.__globals__["carry_out"]

    def counted(run, *arguments):
        calls.append(run.key)
        return original(run, *arguments)

    monkeypatch.setitem(eq.run_all.__globals__, "carry_out", counted)
    said = []
    again = eq.run_all(runs(), folder=tmp_path, progress=lambda done, total, words: said.append((done, total, words)))
    assert calls == [runs()[2].key]
    assert again[:2] == first
    assert said == [(3, 3, f"{runs()[2].key}: done")]
    (tmp_path / runs()[0].key / "result.json").write_text('{"key": 1}')
    with pytest.raises(RunFolderError, match=r"result\.json.* cannot be read"):
        eq.run_all(runs(), folder=tmp_path)


def test_anything_with_submit_serves():
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1) as executor:
        outcomes = eq.run_all(runs()[:1], executor)
    assert list(map(numbers, outcomes)) == list(map(numbers, eq.run_all(runs()[:1])))
    assert torch.get_num_threads() == before


def test_a_key_is_the_configuration_and_nothing_else():
    optimizer = functools.partial(torch.optim.SGD, lr=0.1)
    base = eq.Run(plain, eq.CAGrad(c=0.4), 0, {"epochs": 2, "optimizer": optimizer})
    same = eq.Run(plain, eq.CAGrad(c=0.4), 0, {"optimizer": optimizer, "epochs": 2}, "another name")
    assert base.key == same.key
    others = [
        eq.Run(failing, eq.CAGrad(c=0.4), 0, base.settings),
        eq.Run(plain, eq.CAGrad(c=0.5), 0, base.settings),
        eq.Run(plain, eq.CAGrad(c=0.4), 1, base.settings),
        eq.Run(plain, eq.CAGrad(c=0.4), 0, {**base.settings, "epochs": 3}),
        eq.Run(plain, eq.CAGrad(c=0.4), 0, {**base.settings, "optimizer": functools.partial(torch.optim.SGD, lr=0.2)}),
        eq.Run(functools.partial(plain, dropout=0.5), eq.CAGrad(c=0.4), 0, base.settings),
    ]
    assert len({base.key, *(run.key for run in others)}) == 7
    with pytest.raises(SettingError, match="object has no text of its own"):
        eq.Run(plain, settings={"steps": object()}).key  # noqa: B018 - it is computed when it is read


def test_doubled_runs_and_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match=r"jobs=0; threads=1\.5; the runs with the keys \['[0-9a-f]{16}'\]"):
        eq.run_all([runs()[0], runs()[0]], jobs=0, threads=1.5)
