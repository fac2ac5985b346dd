"""Ray: runs of `equipoise.run_all` on a cluster."""

from collections.abc import Callable
from typing import Any, Self

from ..core.optional import needed

__all__ = ["RayExecutor"]


class RayExecutor:
    """Runs each call as a task of Ray, on this machine or on a cluster.

    .. code-block:: python

        with eq.integrations.RayExecutor(cpus=4, gpus=1, address="auto") as executor:
            outcomes = eq.run_all(runs, executor, threads=4, folder="/shared/runs")

    The folder must lie on a disk that all machines share. Repeating the command goes on where it was interrupted:
    finished runs are read from the folder, begun ones go on from their checkpoints. Needs the extra ``equipoise[ray]``.

    Args:
        cpus: Number of CPUs that Ray reserves for each run.
        gpus: Number of GPUs that Ray reserves for each run; a fraction shares one.
        retries: Number of times that Ray starts a run again whose machine or process died; it then goes on from its
            checkpoint.
        settings: Arguments of ``ray.init``, such as ``address="auto"``; used where Ray is not running yet.

    Raises:
        SettingError: Ray is not installed.
    """

    def __init__(self, *, cpus: float = 1, gpus: float = 0, retries: int = 0, **settings: Any) -> None:
        self._ray = needed("ray", "eq.integrations.RayExecutor", "ray", "equipoise[ray]")
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
        self._settings = settings
        self._started = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "_Task":
        """Begin a call on some machine of the cluster.

        Args:
            function: The function to call.
            arguments: Arguments of the function.

        Returns:
            A task, which has `result`.
        """
        if not self._ray.is_initialized():
            self._ray.init(**self._settings)
            self._started = True
        return _Task(self._ray, self._ray.remote(**self._options)(function).remote(*arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave Ray, if this executor started it."""
        if self._started:
            self._ray.shutdown()
            self._started = False


class _Task:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def result(self) -> Any:
        """Wait for what the function returned.

        Raises:
            RuntimeError: The function raised, or its process or machine died.
        """
        try:
            return self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
