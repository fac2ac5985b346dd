"""Trackers see every evaluation by name, raw and weighted apart; a missing package is named with what to type."""

import sys

import pytest

import equipoise as eq
from equipoise.errors import SettingError
from tests.training.loop.runs import make_problem


class Kept:
    def __init__(self):
        self.told = []

    def start(self, config, step):
        self.told.append(("start", config.method, step))

    def log(self, step, numbers):
        self.told.append((step, numbers))

    def close(self, status):
        self.told.append(("close", status))


def test_a_tracker_is_told_of_start_evaluations_and_end():
    kept = Kept()
    fitted = eq.fit(make_problem(), eq.LinearScalarization({"a": 2, "b": 1, "c": 1}), steps=4, every=2, trackers=[kept])
    assert kept.told[0] == ("start", repr(eq.LinearScalarization({"a": 2, "b": 1, "c": 1})), 0)
    assert kept.told[-1] == ("close", "done")
    assert [step for step, _ in kept.told[1:-1]] == [2, 4]
    numbers, line = kept.told[2][1], fitted.history[1]
    assert numbers["loss/train raw/a"] == line.train_raw["a"]
    assert numbers["loss/train weighted/a"] == line.train_weighted["a"]
    assert numbers["loss/validation/b"] == line.validation["b"]
    assert numbers["weight/a"] == pytest.approx(2)
    assert numbers["cost/backward passes"] == 4


def test_a_tracker_learns_of_a_failure():
    kept = Kept()

    def failing(line, model):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        eq.fit(make_problem(), steps=2, every=1, trackers=[kept], callbacks=[failing])
    assert kept.told[-1] == ("close", "failed")
    with pytest.raises(SettingError, match="has no start"):
        eq.fit(make_problem(), steps=1, trackers=[object()])


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    for module in ("torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingError, match=r"eq.TensorBoard needs tensorboard, .* pip install 'equipoise\[tracking\]'"):
        eq.TensorBoard(tmp_path)
    with pytest.raises(SettingError, match=r"eq.MLflow needs mlflow, .* pip install 'equipoise\[tracking\]'"):
        eq.MLflow(tmp_path / "runs.db")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_tensorboard_has_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = eq.fit(make_problem(), steps=4, every=2, trackers=[eq.TensorBoard(tmp_path)])
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss/validation/a")]
    assert found == [(line.step, pytest.approx(line.validation["a"], rel=1e-6)) for line in fitted.history]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_numbers_in_its_sqlite_store(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    fitted = eq.fit(make_problem(), steps=4, every=2, trackers=[eq.MLflow(tmp_path / "runs.db", run="first")])
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs.db'}")
    number = client.get_experiment_by_name("equipoise").experiment_id
    (run,) = client.search_runs([number])
    assert run.info.status == "FINISHED"
    assert run.data.tags["status"] == "done"
    history = client.get_metric_history(run.info.run_id, "loss/validation/a")
    assert [(entry.step, entry.value) for entry in history] == [
        (line.step, pytest.approx(line.validation["a"])) for line in fitted.history
    ]
    assert run.data.params["method"] == fitted.config.method
