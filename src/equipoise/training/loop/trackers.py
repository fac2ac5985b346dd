"""Where else numbers go while a model trains: TensorBoard, MLflow, or anything with these three functions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ...core.optional import needed
from ...core.records.fit_runs import FitConfig, FitLine
from ...errors import SettingError

__all__ = ["MLflow", "TensorBoard", "Tracker", "numbers_in"]


class Tracker(Protocol):
    """Told of a run's evaluations, each once: after a resume it may see some again that it has seen before."""

    def start(self, config: FitConfig, step: int) -> None:
        """The run begins, or goes on at a step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers of one evaluation by name, such as ``loss/validation/depth``."""

    def close(self, status: str) -> None:
        """The run is over: ``done``, ``stopped early``, ``interrupted``, ``failed``, ..."""


def numbers_in(line: FitLine) -> dict[str, float]:
    """The numbers of a line by name, for trackers.

    Raw and weighted losses are told apart: ``loss/train raw/a``, ``loss/train weighted/a``, ``loss/validation/a``.
    """
    tables: dict[str, Mapping[str, float | None]] = {
        "loss/train raw": line.train_raw,
        "loss/train weighted": line.train_weighted or {},
        "weight": line.weights or {},
        "loss/validation": line.validation,
        "score": {task or "all": value for task, value in line.scores.items()},
        **{f"metric/{task}": found for task, found in line.metrics.items()},
        "learning rate": {f"group {number}": rate for number, rate in enumerate(line.learning_rates)},
        "cost": {"backward passes": float(line.passes)},
    }
    return {
        f"{table}/{name}": float(value)
        for table, found in tables.items()
        for name, value in found.items()
        if value is not None
    }


class TensorBoard:
    """Writes event files for ``tensorboard --logdir FOLDER``. Needs the extra ``equipoise[tracking]``.

    Args:
        folder: Folder of the event files.
    """

    def __init__(self, folder: str | Path) -> None:
        self._module = needed("torch.utils.tensorboard", "eq.TensorBoard", "tensorboard", "equipoise[tracking]")
        self._folder = str(folder)
        self._writer: Any = None

    def start(self, config: FitConfig, step: int) -> None:
        """Open the folder; what an earlier process wrote behind this step is hidden."""
        self._writer = self._module.SummaryWriter(self._folder, purge_step=step + 1)
        self._writer.add_text("config", f"```\n{config.model_dump_json(indent=2)}\n```", step)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One scalar a number."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self, status: str) -> None:
        """Close the file."""
        self._writer.add_text("status", status)
        self._writer.close()


class MLflow:
    """Logs one MLflow run into an SQLite store. Needs the extra ``equipoise[tracking]``.

    Args:
        store: The SQLite file; it is made if it is not there.
        experiment: Name of the experiment.
        run: Name of the run. A run of this name that is not finished goes on.
    """

    def __init__(self, store: str | Path, experiment: str = "equipoise", run: str = "fit") -> None:
        self._mlflow = needed("mlflow", "eq.MLflow", "mlflow", "equipoise[tracking]")
        self._store, self._experiment, self._run = Path(store).absolute(), experiment, run
        self._client: Any = None
        self._id = ""

    def start(self, config: FitConfig, step: int) -> None:
        """Find the run, or begin it."""
        del step
        self._client = self._mlflow.MlflowClient(f"sqlite:///{self._store}")
        found = self._client.get_experiment_by_name(self._experiment)
        folder = (self._store.parent / f"{self._store.stem}-artifacts").as_uri()
        number = found.experiment_id if found else self._client.create_experiment(self._experiment, folder)
        name = self._run.replace("'", "")
        earlier = self._client.search_runs(
            [number], f"attributes.run_name = '{name}' and attributes.status != 'FINISHED'", max_results=1
        )
        if earlier:
            self._id = earlier[0].info.run_id
            self._client.set_terminated(self._id, "RUNNING")
            return
        self._id = self._client.create_run(number, run_name=name).info.run_id
        for key, value in config.model_dump(mode="json").items():
            self._client.log_param(self._id, key, str(value)[:6000])

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One metric a number; signs that MLflow refuses in names become underscores."""
        metric = self._mlflow.entities.Metric
        allowed = set("_-. /:")
        names = {
            "".join(c if c.isalnum() or c in allowed else "_" for c in name): value for name, value in numbers.items()
        }
        self._client.log_batch(self._id, [metric(name, value, 0, step) for name, value in names.items()])

    def close(self, status: str) -> None:
        """Say how the run ended."""
        ended = {"interrupted": "KILLED", "failed": "FAILED"}.get(status, "FINISHED")
        self._client.set_tag(self._id, "status", status)
        self._client.set_terminated(self._id, ended)


class Together:
    """Several trackers as one."""

    def __init__(self, trackers: Iterable[Tracker]) -> None:
        self.trackers = tuple(trackers)
        missing = [
            f"{tracker!r} has no {name}"
            for tracker in self.trackers
            for name in ("start", "log", "close")
            if not callable(getattr(tracker, name, None))
        ]
        if missing:
            raise SettingError(f"a tracker has the functions start, log and close; {'; '.join(missing)}.")

    def start(self, config: FitConfig, step: int) -> None:
        """Tell all."""
        for tracker in self.trackers:
            tracker.start(config, step)

    def log(self, line: FitLine) -> None:
        """Tell all."""
        if self.trackers:
            numbers = numbers_in(line)
            for tracker in self.trackers:
                tracker.log(line.step, numbers)

    def close(self, status: str) -> None:
        """Tell all."""
        for tracker in self.trackers:
            tracker.close(status)
