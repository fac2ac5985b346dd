"""What a recording says of runs that change nothing, what it survives, and what loaders are asked to do."""

import logging

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.balancing.task_sampling import task_batches
from equipoise.errors import DataError, SettingError
from equipoise.training.recording.folder import read_training
from equipoise.training.recording.run_checks import identical_runs

NAMES = ("a", "b")


def train(folder, method, *, steps=8, optimized=(), values=(1.0, 2.0), **settings):
    """Trains one weight and records every step; returns the notices and the record."""
    weight = torch.ones((), requires_grad=True)
    balancer = eq.Balancer(method, tasks=NAMES, **settings)
    optimizer = torch.optim.SGD([weight, *(balancer.parameters() if optimized else ())], lr=0.1)
    recorder = eq.record(balancer, folder, every=1)
    for _ in range(steps):
        optimizer.zero_grad()
        balancer([value * weight**2 for value in values]).backward()
        if weight.grad is not None and weight.grad.isfinite():
            optimizer.step()
    recorder.close()
    return recorder.notices, read_training(folder)


@pytest.mark.parametrize("kinds", ["regression", {"a": "regression", "b": "classification"}], ids=["equal", "unequal"])
@pytest.mark.parametrize("method", [eq.UncertaintyWeighting, lambda kinds: eq.Averaged(eq.UncertaintyWeighting(kinds))])
def test_trained_weights_that_no_optimizer_moves_are_noticed_with_what_to_type(tmp_path, kinds, method):
    (notice,), _ = train(tmp_path / "still", method(kinds))
    assert notice.kind == "uniform weights"
    assert "add_param_group({'params': balancer.parameters(), 'weight_decay': 0.0})" in notice.remedy
    assert not train(tmp_path / "moves", method(kinds), optimized=True)[0]


def test_fixed_weights_of_a_method_that_trains_nothing_are_no_news(tmp_path):
    assert not train(tmp_path / "fixed", eq.LinearScalarization((1.0, 3.0)))[0]
    assert not train(tmp_path / "worst", eq.Tchebycheff(ideal=None))[0]


@pytest.mark.filterwarnings("ignore:every task of this step was skipped")
@pytest.mark.parametrize("nonfinite", ["propagate", "skip"])
def test_a_run_of_nothing_but_nan_is_noticed(tmp_path, nonfinite):
    nan = float("nan")
    (notice,), record = train(tmp_path / "lost", eq.OMDTchebycheff(), values=(nan, nan), nonfinite=nonfinite)
    assert notice.kind == "failed solves"
    assert (
        f"4 of 4 steps had no proper solution ({'propagated' if nonfinite == 'propagate' else 'empty'} 4)"
        in notice.words
    )
    assert "NaN or inf" in notice.remedy
    _, other = train(tmp_path / "other", eq.DWA(), values=(nan, nan), nonfinite=nonfinite, steps_per_epoch=2)
    assert not identical_runs("lost", record, {"other": other})  # they have no losses in common


def test_a_task_without_labels_in_the_last_micro_batch_does_not_stop_the_recording(tmp_path):
    weight = torch.ones((), requires_grad=True)
    balancer = eq.Balancer(eq.OMDTchebycheff(), tasks=NAMES)
    recorder = eq.record(balancer, tmp_path / "run", every=1, gradients=1)
    for _ in range(3):
        with balancer.accumulate(2):
            balancer({"a": weight**2, "b": 2 * weight}).backward()
            balancer({"a": weight**2, "b": None}).backward()
    recorder.close()
    lines = read_training(tmp_path / "run").lines
    assert [line.step for line in lines] == [1, 2, 3]
    assert lines[0].raw_losses == (1.0, 2.0)
    assert lines[0].gradients is None


def test_a_step_after_going_back_by_one_is_recorded(tmp_path):
    weight = torch.ones((), requires_grad=True)
    balancer = eq.Balancer(eq.OMDTchebycheff(), tasks=NAMES)
    recorder = eq.record(balancer, tmp_path / "run", every=1)
    balancer([weight, 2 * weight])
    saved = balancer.state_dict()
    balancer([weight, 3 * weight])
    balancer.load_state_dict(saved)
    balancer([weight, 4 * weight])
    recorder.close()
    lines = read_training(tmp_path / "run").lines
    assert [(line.step, line.raw_losses[1]) for line in lines] == [(1, 2.0), (2, 4.0)]


class Loader:
    """Counts how often it is begun and how many batches it hands out."""

    def __init__(self, length):
        self.length, self.begun, self.given = length, 0, 0

    def __iter__(self):
        self.begun += 1
        for _ in range(self.length):
            self.given += 1
            yield self.given


@pytest.mark.parametrize(("lengths", "begun"), [((3, 3), (1, 1)), ((1, 3), (3, 1)), ((3, 1), (1, 3)), ((2, 4), (2, 1))])
def test_no_loader_is_begun_more_often_than_needed(lengths, begun):
    loaders = {name: Loader(length) for name, length in zip(NAMES, lengths, strict=True)}
    assert len(list(task_batches(loaders))) == max(lengths)
    assert tuple(loader.begun for loader in loaders.values()) == begun
    assert [loader.given for loader in loaders.values()] == [max(lengths)] * 2


def test_asking_for_batches_draws_no_random_number():
    data = torch.utils.data.DataLoader(torch.arange(4), batch_size=2, shuffle=True)
    before = torch.random.get_rng_state()
    epoch = task_batches({"a": data, "b": [1, 2]})
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(3)
    found = [batches["a"].tolist() for batches in epoch]
    torch.manual_seed(3)
    assert found == [batch.tolist() for batch in data]


def test_loaders_without_batches_are_named_all_at_once_and_those_that_cannot_begin_anew_when_they_do():
    with pytest.raises(DataError, match="'a' has no batch; 'c' has no batch"):
        next(task_batches({"a": [], "b": [1], "c": []}))
    with pytest.raises(SettingError, match="'b' can be walked only once"):
        task_batches({"a": [1], "b": iter([1])})

    class Once:
        walk = None

        def __iter__(self):
            self.walk = self.walk or iter([1])
            return self.walk

    with pytest.raises(DataError, match=r"'a' has no batch when it is started again.*short='absent'"):
        list(task_batches({"a": Once(), "b": [1, 2, 3]}))


def test_notices_go_through_logging_alone(tmp_path, caplog, capsys):
    model = nn.Linear(1, 2)
    balancer = eq.Balancer(eq.OMDTchebycheff(step_size=1e-12), tasks=NAMES)
    recorder = eq.record(balancer, tmp_path / "run", every=1)
    with caplog.at_level(logging.WARNING, logger="equipoise"):
        for _ in range(4):
            balancer(list(model(torch.ones(1, 1)).square().mean(0).unbind()))
        recorder.close()
    assert "All tasks had the same weight" in caplog.text
    assert capsys.readouterr().out == ""
