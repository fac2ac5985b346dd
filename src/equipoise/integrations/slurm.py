"""Slurm: runs of `equipoise.run_all` as jobs of a cluster, by way of submitit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..core.files import read_file, refusing, replace_file
from ..core.optional import needed
from ..errors import SettingError
from ..training.executors.runs import Run

__all__ = ["SlurmExecutor"]

_ALIVE = frozenset({"PENDING", "RUNNING", "REQUEUED", "CONFIGURING", "COMPLETING", "SUSPENDED", "READY"})


class SlurmExecutor:
    """Runs each call as a job of Slurm; all runs of one `equipoise.run_all` are one job array.

    .. code-block:: python

        executor = eq.integrations.SlurmExecutor(
            "/shared/jobs", timeout_min=240, cpus_per_task=4, slurm_partition="gpu", slurm_array_parallelism=32
        )
        outcomes = eq.run_all(runs, executor, threads=4, folder="/shared/runs")

    A job that reaches its time limit or is preempted is queued again and goes on from its checkpoint. Repeating the
    command reads finished runs, waits for jobs that are still queued or running instead of submitting them twice, and
    submits the others. Needs the extra ``equipoise[slurm]``.

    Args:
        folder: Folder for submitit's files and logs and the numbers of the jobs, on a disk that all machines share.
        cluster: ``"slurm"``; to try it out, ``"local"`` runs the jobs as processes of this machine and ``"debug"`` in
            this process.
        requeues: Number of times that a job is queued again after its time limit.
        settings: Parameters of ``submitit.AutoExecutor``, such as ``timeout_min=60``, ``cpus_per_task=4``,
            ``gpus_per_node=1``, ``slurm_partition="gpu"``.

    Raises:
        SettingError: submitit is not installed, there is no Slurm here, or it does not know a setting.
    """

    def __init__(self, folder: str | Path, *, cluster: str = "slurm", requeues: int = 3, **settings: Any) -> None:
        self._submitit = needed("submitit", "eq.integrations.SlurmExecutor", "submitit", "equipoise[slurm]")
        self._folder = Path(folder)
        with refusing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            limit = {} if cluster == "debug" else {f"{cluster}_max_num_timeout": requeues}
            self._executor = self._submitit.AutoExecutor(self._folder, cluster=cluster, **limit)
            self._executor.update_parameters(**settings)
        except (RuntimeError, ValueError, NameError, AssertionError, TypeError) as error:
            raise SettingError(
                f"submitit cannot work with cluster={cluster!r} and {settings or 'no settings'}: {error} "
                "Use cluster='local' to try it out on this machine."
            ) from error
        kinds = {"slurm": self._submitit.SlurmJob, "local": self._submitit.LocalJob}
        self._kind = kinds.get(cluster)  # jobs of other clusters are not found again
        self._together: list[tuple[_Job, Path | None, Sequence[Any]]] | None = None

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_Job":
        """Submit a call, or find its job that is still queued or running.

        Args:
            function: The function to call.
            arguments: Arguments of the function. Where the first is an `equipoise.Run`, or a sequence of them, the job
                is found again by their keys.

        Returns:
            A job, which has `result`.
        """
        name = _name(arguments)
        note = None if name is None else self._folder / f"{name}.job"
        job = _Job(None if note is None else self._running(note))
        if job.job is None:
            one = (job, note, (_Requeued(function), *arguments))
            if self._together is None:
                self._send([one])
            else:
                self._together.append(one)
        return job

    @contextmanager
    def together(self) -> Iterator[None]:
        """Inside this ``with`` block calls are collected; at its end they become one job array."""
        self._together = []
        try:
            yield
            collected = self._together
        finally:
            self._together = None
        if collected:
            self._send(collected)

    def _send(self, calls: "Sequence[tuple[_Job, Path | None, Sequence[Any]]]") -> None:
        with self._executor.batch():
            jobs = [self._executor.submit(*call) for _, _, call in calls]
        for (job, note, _), found in zip(calls, jobs, strict=True):
            job.job = found
            if note is not None:
                replace_file(note, found.job_id)

    def _running(self, note: Path) -> Any:
        """The job that an earlier command submitted, if it is still queued or running."""
        if self._kind is None or not note.exists():
            return None
        job = self._kind(self._folder, read_file(note).decode().strip())
        job.done(force_check=True)
        return job if job.state.upper().split()[0] in _ALIVE else None


def _name(arguments: Sequence[Any]) -> str | None:
    """The key of a run; of several runs, a hash of their keys."""
    runs = arguments[0] if arguments and isinstance(arguments[0], Sequence) else arguments[:1]
    keys = [run.key for run in runs if isinstance(run, Run)]
    if len(keys) != len(runs) or not keys:
        return None
    return keys[0] if len(keys) == 1 else sha256(" ".join(keys).encode()).hexdigest()[:16]


class _Job:
    """A job that is known once it is submitted."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def result(self) -> Any:
        """Wait for what the function returned; submitit's errors are RuntimeErrors."""
        return self.job.result()


class _Requeued:
    """A call that submitit queues again as it was when Slurm's time limit comes: the run itself has a checkpoint."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        """The submission that takes the place of this one."""
        who = "a job of eq.integrations.SlurmExecutor"
        return needed("submitit.helpers", who, "submitit", "equipoise[slurm]").DelayedSubmission(self, *arguments)
