"""Ray's protocol, with Ray's own errors and without its cluster, which a small machine has no room for."""

import sys

import pytest

import equipoise as eq
from equipoise.errors import SettingError
from tests.training.executors.work import failing, plain

SETTINGS = {"steps": 4, "every": 2, "batch_size": 16}


@pytest.fixture
def ray(monkeypatch):
    """Calls are made when their result is asked for; what Ray was told is kept in `told`."""
    ray = pytest.importorskip("ray", reason="the extra `ray` brings it")
    from ray.exceptions import WorkerCrashedError

    told = {"init": [], "options": [], "shutdown": 0}

    class Remote:
        def __init__(self, function):
            self.function = function

        def remote(self, *arguments):
            return lambda: self.function(*arguments)

    def get(call):
        if any(outcome.status == "failed" for outcome in call()):  # as if the process had died of it
            raise WorkerCrashedError
        return call()

    monkeypatch.setattr(ray, "is_initialized", lambda: bool(told["init"]))
    monkeypatch.setattr(ray, "init", lambda **settings: told["init"].append(settings))
    monkeypatch.setattr(ray, "shutdown", lambda: told.update(shutdown=told["shutdown"] + 1))
    monkeypatch.setattr(ray, "remote", lambda **options: told["options"].append(options) or Remote)
    monkeypatch.setattr(ray, "get", get)
    return told


def test_runs_are_tasks_and_a_dead_one_costs_itself(ray):
    with eq.integrations.RayExecutor(cpus=2, gpus=0.5, retries=1, address="auto") as executor:
        outcomes = eq.run_all([eq.Run(plain, eq.MGDA(), 0, SETTINGS), eq.Run(failing)], executor)
    alone = eq.run_all([eq.Run(plain, eq.MGDA(), 0, SETTINGS)])
    assert [outcome.status for outcome in outcomes] == ["done", "died"]
    assert outcomes[0].losses == alone[0].losses
    assert outcomes[1].words.startswith("RuntimeError: WorkerCrashedError: ")
    assert ray == {
        "init": [{"address": "auto"}],
        "options": [{"num_cpus": 2, "num_gpus": 0.5, "max_retries": 1}] * 2,
        "shutdown": 1,
    }


def test_a_missing_ray_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r"RayExecutor needs ray, .* pip install 'equipoise\[ray\]'"):
        eq.integrations.RayExecutor()
