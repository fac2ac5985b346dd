"""Recording a training that is the user's own: one line before the loop, nothing inside it."""

import logging
import math
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..._version import __version__
from ...balancer import Balancer
from ...balancing.step_record import StepRecord
from ...core.losses import read_losses
from ...core.records.training import GradientLine, Kind, Notice, Numbers, Place, StepLine, TrainingConfig
from ...errors import RunFolderError, SettingError
from ...methods.base import GramianMethod, JacobianMethod
from .folder import LineFile, check_folder, read_neighbours, read_training, write_config
from .gradient_probe import MOST_BYTES, describe_gradients, measure_gramian, numbers
from .run_checks import identical_runs, notices

__all__ = ["Recorder", "record"]

_LOGGER = logging.getLogger("equipoise")
_PLACES: dict[str, Place] = {"features": "features", "sketch": "sketch", "last layer": "one layer"}  # by engine
_STEPS_PER_PASS = 150
"""A measurement is k backward passes and a Gramian, measured at 0.8 k steps: one in 150 k steps costs about 0.5 %."""
_FIRST_WORD = 4
"""Lines before the first notice; later ones at 8, 16, ... lines and at the end."""


def record(
    balancer: Balancer,
    folder: str | Path,
    every: int = 50,
    *,
    gradients: int | Literal["auto"] | None = "auto",
    overwrite: bool = False,
) -> "Recorder":
    """Writes down what a Balancer does, for ``equipoise report FOLDER``.

    Call it once, before the loop; the loop itself stays as it is. At step 1 and every `every` steps one line is
    added to ``records.jsonl``: losses raw and weighted, weights, status, counts, seconds, and the tasks' gradients
    where they are known. What is wrong with a run (see `equipoise.runs.noop`) is said once, by the logger
    ``equipoise``.

    Methods on gradients have the gradients at hand. For loss methods they are measured, at step 1 and every
    `gradients` steps, by one backward pass a task over the losses' graph.

    Args:
        balancer: Whose steps.
        folder: New, empty, or of the same training, which then goes on there.
        every: Steps between lines, at least 1.
        gradients: Steps between measurements for loss methods, rounded up to a multiple of `every`; ``"auto"`` for
            150 k steps with k tasks (about 0.5 % of the time), None for never.
        overwrite: Replace an earlier recording in the folder.

    Returns:
        The recorder. It need not be kept; `Recorder.close` ends the recording and has the last word on notices.

    Raises:
        RunFolderError: The folder is not ours, holds another training, is being written, or cannot be written. Nothing
            was changed.
        SettingError: A setting is out of range.

    Cost:
        Without a line due: 2 to 5 microseconds a step, and no tensor is read. A line copies losses, weights and Gramian
        to the host; the first copy waits for the device. On a CPU a line takes 0.3 ms. With a model of 2 million
        parameters (steps of 35 ms) that is 0.02 % of the time, and 0.5 % more for measured gradients.

    Example:
        >>> import tempfile, equipoise as eq
        >>> balancer = eq.Balancer(eq.LinearScalarization(), tasks=("a", "b"))
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> recorder = eq.record(balancer, folder)
        >>> weight = torch.ones(2, requires_grad=True)
        >>> balancer({"a": weight.sum(), "b": weight.square().sum()}).backward()
        >>> recorder.close()
        >>> sorted(path.name for path in folder.iterdir())
        ['config.json', 'records.jsonl']
    """
    wrong = [] if isinstance(every, int) and every >= 1 else [f"every={every!r} (at least 1)"]
    if not (gradients in ("auto", None) or (isinstance(gradients, int) and gradients >= 1)):
        wrong.append(f"gradients={gradients!r} (at least 1, 'auto', or None)")
    if wrong:
        raise SettingError(f"settings of eq.record are out of range: {'; '.join(wrong)}.")
    return Recorder(balancer, Path(folder), every, gradients, overwrite)


class Recorder:
    """What `record` returns: a forward hook of the Balancer.

    It holds no reference to the Balancer and goes when that goes. A copy of the Balancer (`copy.deepcopy`, pickling)
    is not recorded: two would write to one file.

    Attributes:
        folder: Where it writes.
        notices: What has been said so far.
    """

    def __init__(
        self, balancer: Balancer, folder: Path, every: int, gradients: int | Literal["auto"] | None, overwrite: bool
    ) -> None:
        self.folder = folder
        self.notices: list[Notice] = []
        self._every, self._gradients, self._overwrite = every, gradients, overwrite
        found = check_folder(folder)
        self._config: TrainingConfig | None = None
        self._measured: int | None = None
        self._file: LineFile | None = None
        tasks = balancer.tasks or (None if found is None or overwrite else found.tasks)
        if tasks is not None:  # otherwise the first step fixes them
            self._open(balancer, tasks)
        self._seen = balancer.last
        self._steps = balancer.steps
        self._began = time.perf_counter()
        self._before: tuple[int, float] | None = None  # step and time of the line before
        self._spent = 0.0
        self._lines = 0
        self._told_unmeasured = False
        self._closed = False
        self._hook = balancer.register_forward_hook(self, with_kwargs=True)
        weakref.finalize(balancer, _close, weakref.ref(self))

    def __call__(self, balancer: Balancer, arguments: tuple[Any, ...], keywords: dict[str, Any], _: object) -> None:
        """Looks at one call of the Balancer; writes a line where one is due."""
        if balancer.steps == self._steps and balancer.last is self._seen:  # under eval() or no_grad: not a step
            return
        self._steps = balancer.steps
        outcome = None if balancer.last is self._seen else balancer.last
        self._seen = balancer.last
        if self._steps == 1 or self._steps % self._every == 0:
            now = time.perf_counter()
            self._write(balancer, arguments[0] if arguments else keywords["losses"], outcome, now)
            self._spent += time.perf_counter() - now

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _NotRecorded, ()

    def close(self) -> None:
        """Ends the recording and says what is to be said of the run; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hook.remove()
        if self._file is not None:
            self._say(last=True)
            self._file.close()

    def _open(self, balancer: Balancer, tasks: tuple[str, ...]) -> None:
        """Takes the folder; refuses it where it holds another training."""
        method = balancer.method
        kind: Kind = "loss method"
        if isinstance(method, JacobianMethod):
            kind = "Jacobian method"
        elif isinstance(method, GramianMethod):
            kind = "Gramian method"
        measured = self._gradients
        if isinstance(measured, str):
            measured = _STEPS_PER_PASS * len(tasks)
        self._measured = None if measured is None else -(-measured // self._every) * self._every
        config = TrainingConfig(
            method=repr(method),
            kind=kind,
            tasks=tasks,
            heads=balancer.settings.heads,
            scale=balancer.settings.scale,
            nonfinite=balancer.settings.nonfinite,
            every=self._every,
            gradients=self._measured if kind == "loss method" else None,
            versions={"equipoise": __version__, "torch": torch.__version__},
        )
        found = check_folder(self.folder)
        if found is None:
            write_config(self.folder, config)
        elif self._overwrite:  # the lock first: another process may be writing there
            self._file = LineFile(self.folder, fresh=True)
            write_config(self.folder, config)
            self._config = config
            return
        elif differing := found.differences(config):
            raise RunFolderError(
                f"the folder {str(self.folder)!r} holds another training. It differs in\n  "
                + "\n  ".join(differing)
                + "\nGive another folder, or overwrite=True to replace that recording."
            )
        self._config = found or config
        self._file = LineFile(self.folder)

    def _write(self, balancer: Balancer, losses: Any, outcome: StepRecord | None, now: float) -> None:
        if self._config is None or self._file is None:
            self._open(balancer, balancer.tasks or ())
        assert self._config is not None
        assert self._file is not None
        k = len(self._config.tasks)
        raw: Numbers = (None,) * k
        weighted: Numbers | None = None
        weights: Numbers | None = None
        gradients: GradientLine | None = None
        groups = 0
        if outcome is not None:
            rows = outcome.present.present
            factors = None if outcome.weights is None else outcome.weights.detach().cpu().numpy()
            if factors is not None and factors.ndim > 1:  # granularity=: one row a group, and no single update
                groups, factors = len(factors), factors.mean(axis=0)
            values = np.zeros(0) if outcome.raw_losses is None else outcome.raw_losses.cpu().numpy()
            raw = numbers(values, rows, k, digits=17)
            if factors is not None:
                weights, weighted = numbers(factors, rows, k, digits=17), numbers(factors * values, rows, k)
            gramian, measured = outcome.gramian, False
            if gramian is None and self._measured and (self._steps == 1 or self._steps % self._measured == 0):
                gramian, measured = self._measure(balancer, losses, rows), True
            if gramian is not None:
                at: Place = "shared parameters" if measured else _PLACES.get(balancer.plan.engine, "shared parameters")
                single = None if groups else factors
                gradients = describe_gradients(gramian, single, rows, k, measured=measured, at=at)
        line = StepLine(
            step=self._steps,
            seconds=round(now - self._began, 6),
            step_seconds=None
            if self._before is None
            else round((now - self._before[1]) / max(1, self._steps - self._before[0]), 7),
            balancer_seconds=None if outcome is None else round(outcome.seconds, 7),
            record_seconds=round(self._spent, 6),
            raw_losses=raw,
            weighted_losses=weighted,
            weights=weights,
            groups=groups,
            gradients=gradients,
            status="NO_OUTCOME" if outcome is None else outcome.status.name,
            certificate=_finite(None if outcome is None else outcome.certificate),
            counts=dict(balancer.counts),
        )
        self._file.append(line)
        self._before = (self._steps, now)
        self._lines += 1
        if self._lines >= _FIRST_WORD and self._lines.bit_count() == 1:  # 4, 8, 16, ... lines: reading stays cheap
            self._say(last=False)

    def _measure(self, balancer: Balancer, losses: Any, rows: Sequence[int]) -> Tensor | None:
        present, values = read_losses(losses, balancer.tasks or (), differentiable=True)
        place = dict(zip(present, values, strict=True))
        if not place.keys() >= set(rows):  # within `accumulate`: a task that the last micro-batch did not show
            return None
        gramian = measure_gramian([place[row] for row in rows], balancer.ownership.fixed)
        if gramian is None and not self._told_unmeasured:
            self._told_unmeasured = True
            _LOGGER.info(
                "%s: gradients are not recorded: k gradients take more than %d MiB, or the graph is compiled and "
                "can be walked only once.",
                self.folder,
                MOST_BYTES >> 20,
            )
        return gramian

    def _say(self, *, last: bool) -> None:
        """Says what has not been said yet."""
        record = read_training(self.folder)
        found = list(notices(record, running=not last))
        if last:
            found += identical_runs(self.folder.name, record, read_neighbours(self.folder, record))
        said = {(notice.kind, notice.subject) for notice in self.notices}
        for notice in found:
            if (notice.kind, notice.subject) not in said:
                self.notices.append(notice)
                level = logging.INFO if notice.kind == "restarted" else logging.WARNING
                _LOGGER.log(level, "%s: %s %s", self.folder, notice.words, notice.remedy)


class _NotRecorded:
    """What stands in a copied Balancer where the original has its recorder."""

    def __call__(self, *arguments: object) -> None:
        """Does nothing."""


def _close(reference: "weakref.ref[Recorder]") -> None:
    """Called when the Balancer goes, or the program ends."""
    recorder = reference()
    if recorder is not None:
        recorder.close()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
