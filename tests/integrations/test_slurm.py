"""Jobs by submitit's local executor: results of `run_all`, found again while they run, queued again as they were."""

import sys

import pytest

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.integrations.slurm import _name, _Requeued
from tests.training.executors.work import failing, plain

SETTINGS = {"steps": 4, "every": 2, "batch_size": 16}


def runs():
    return [eq.Run(plain, eq.MGDA(), 0, SETTINGS), eq.Run(failing)]


def numbers(outcome):
    return outcome.model_dump(exclude={"seconds"})


@pytest.fixture(scope="module")
def submitit():
    return pytest.importorskip("submitit", reason="the extra `slurm` brings it")


@pytest.fixture(scope="module")
def done(submitit, tmp_path_factory):
    """One real job, and what it left behind."""
    place = tmp_path_factory.mktemp("slurm")
    executor = eq.integrations.SlurmExecutor(place / "jobs", cluster="local", timeout_min=5)
    return place, eq.run_all(runs()[:1], executor, folder=place / "runs")


def test_a_job_gives_what_the_run_gives_here(done):
    assert list(map(numbers, done[1])) == list(map(numbers, eq.run_all(runs()[:1])))


def test_a_repeated_command_finds_the_job_that_still_runs(done, submitit, monkeypatch):
    """The result of the run is taken away, so only the job knows it; it is said to be running."""
    place, outcomes = done
    executor = eq.integrations.SlurmExecutor(place / "jobs", cluster="local")
    states = iter(["RUNNING", "CANCELLED by 0"])
    monkeypatch.setattr(submitit.LocalJob, "state", property(lambda job: next(states)))
    sent = []
    monkeypatch.setattr(executor, "_send", sent.extend)
    (again,) = eq.run_all(runs()[:1], executor, folder=place / "elsewhere")
    assert numbers(again) == numbers(outcomes[0])
    assert sent == []
    executor.submit(plain, runs()[0])  # its job was cancelled: it is submitted
    assert len(sent) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit leaves its logs open
def test_calls_made_together_are_one_batch(submitit, tmp_path, monkeypatch):
    executor = eq.integrations.SlurmExecutor(tmp_path, cluster="debug")  # calls run here, when a result is asked for
    batches = []
    monkeypatch.setattr(
        executor, "_send", lambda calls: batches.append(len(calls)) or type(executor)._send(executor, calls)
    )
    outcomes = eq.run_all(runs(), executor)
    assert batches == [2]
    assert [(outcome.status, outcome.words) for outcome in outcomes] == [
        ("done", "done"),
        ("failed", "ValueError: no such column"),
    ]
    assert {path.name for path in tmp_path.glob("*.job")} == {f"{run.key}.job" for run in runs()}
    assert _name([runs(), 1]) not in {None, _name([runs()[:1]]), _name([runs()[::-1]])}  # several runs in one call
    assert _name([runs()[:1]]) == _name([runs()[0]]) == runs()[0].key
    assert _name([]) is _name(["text"]) is _name([[]]) is None


def test_a_job_is_queued_again_as_it_was(submitit):
    call = _Requeued(plain)
    again = call.checkpoint(0.0)
    assert (again.function, again.args, again.kwargs) == (call, (0.0,), {})
    assert isinstance(again.function(0.0), eq.Problem)


def test_what_is_missing_is_named(submitit, tmp_path, monkeypatch):
    with pytest.raises(SettingError, match=r'cluster=\'slurm\'.*Could not detect "srun".*cluster=\'local\' to try'):
        eq.integrations.SlurmExecutor(tmp_path)
    with pytest.raises(SettingError, match="wall_minutes"):
        eq.integrations.SlurmExecutor(tmp_path, cluster="local", wall_minutes=5)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(SettingError, match=r"needs submitit, .* pip install 'equipoise\[slurm\]'"):
        eq.integrations.SlurmExecutor(tmp_path)
