"""Record a user's own training loop: one line before the loop, nothing inside it."""

import logging
import math
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ...balancer import Balancer
from ...balancing.step_record import StepRecord
from ...core.files import locked
from ...core.losses import read_losses
from ...core.records.training import GradientLine, Notice, Numbers, Place, StepLine, TrainingConfig
from ...errors import EquipoiseError, SettingError
from .described import describe_training
from .folder import check_folder, open_training, read_neighbours, read_training
from .gradient_probe import MOST_BYTES, describe_gradients, measure_gramian, numbers
from .line_file import LineFile
from .run_checks import identical_runs, notices

__all__ = ["Recorder", "record"]

_LOGGER = logging.getLogger("equipoise")
_PLACES: dict[str, Place] = {"features": "features", "sketch": "sketch", "last layer": "one layer"}  # by engine
_FIRST_WORD = 4
"""Lines before the first notice; later ones at 8, 16, ... lines and at the end."""
_FAILURES = (OSError, EquipoiseError, ValueError, RuntimeError, MemoryError)
"""What may go wrong while a line is made and written; torch says RuntimeError where memory is short."""


def record(
    balancer: Balancer,
    folder: str | Path,
    every: int = 50,
    *,
    gradients: int | Literal["auto"] | None = "auto",
    overwrite: bool = False,
) -> "Recorder":
    """Record what a Balancer does, for ``equipoise report FOLDER``.

    Call it once, before the loop; the loop itself stays as it is. At step 1 and every `every` steps one line is
    added to ``records.jsonl``: losses raw and weighted, weights, status, counts, seconds, and the tasks' gradients
    where they are known. What is wrong with a run is logged once, by the logger
    ``equipoise``.

    Gramian and Jacobian methods compute the gradients anyway. For loss methods they are measured, at step 1 and every
    `gradients` steps, by one backward pass a task over the losses' graph.

    A recording never ends a training. Whatever goes wrong after this call (a full disk, a folder that was deleted) is
    said by the logger, the lines that are lost are counted (`Recorder.lost`, and in the report), and the training goes
    on; lines are written again as soon as that is possible. A forked process is not recorded.

    Args:
        balancer: The Balancer to record.
        folder: New, empty, or of the same training, which then continues there.
        every: Steps between lines, at least 1.
        gradients: Steps between measurements for loss methods, rounded up to a multiple of `every`; ``"auto"`` for
            150 k steps with k tasks (about 0.5 % of the time), None for never.
        overwrite: Replace an earlier recording in the folder.

    Returns:
        The recorder. It need not be kept; `Recorder.close` ends the recording and logs its last notices.

    Raises:
        RunFolderError: The folder is not ours, holds another training, is being written, or cannot be written. Nothing
            was changed.
        SettingError: A setting is out of range.

    Cost:
        Without a line due: 2 to 5 microseconds a step, and no tensor is read. A line copies losses, weights and Gramian
        to the host; the first copy waits for the device. On a CPU a line takes 0.3 ms. With a model of 2 million
        parameters (steps of 35 ms) that is 0.02 % of the time, and 0.5 % more for measured gradients.

    Example:
        >>> import tempfile, torch, equipoise as eq
        >>> balancer = eq.Balancer(eq.LinearScalarization(), tasks=("a", "b"))
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> recorder = eq.record(balancer, folder)
        >>> weight = torch.ones(2, requires_grad=True)
        >>> balancer({"a": weight.sum(), "b": weight.square().sum()}).backward()
        >>> recorder.close()
        >>> sorted(path.name for path in folder.glob("[!.]*"))
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

    It holds no reference to the Balancer and goes when that goes. A copy of the Balancer (`copy.deepcopy`, pickling, a
    forked process) is not recorded: two would write to one file.

    Attributes:
        folder: The folder that it writes to.
        notices: Notices logged so far.
        lost: Lines that were due and could not be written.
    """

    def __init__(
        self, balancer: Balancer, folder: Path, every: int, gradients: int | Literal["auto"] | None, overwrite: bool
    ) -> None:
        self.folder = folder
        self.notices: list[Notice] = []
        self.lost = 0
        self._missing = 0  # of these, since the last line that was written
        self._process = os.getpid()
        self._every, self._gradients, self._overwrite = every, gradients, overwrite
        found = check_folder(folder)
        self._config: TrainingConfig | None = None
        self._measured: int | None = None
        self._file: LineFile | None = None
        tasks = balancer.tasks or (None if found is None or overwrite else found.tasks)
        if tasks is not None:  # otherwise the first step fixes them
            self._open(balancer, tasks)
        elif found is not None:
            with locked(folder, wait=0.0):  # refused now, not at the first step, where another recording writes there
                pass
        self._seen = balancer.last
        self._steps = balancer.steps
        self._began = time.perf_counter()
        self._before: tuple[int, float] | None = None  # step and time of the line before
        self._spent = 0.0
        self._lines = 0
        self._told: set[str] = set()
        self._closed = False
        self._hook = balancer.register_forward_hook(self, with_kwargs=True)
        weakref.finalize(balancer, _close, weakref.ref(self))

    def __call__(self, balancer: Balancer, arguments: tuple[Any, ...], keywords: dict[str, Any], _: object) -> None:
        """Look at one call of the Balancer; write a line if one is due."""
        if balancer.steps == self._steps and balancer.last is self._seen:  # under eval() or no_grad: not a step
            return
        self._steps = balancer.steps
        outcome = None if balancer.last is self._seen else balancer.last
        self._seen = balancer.last
        if self._steps == 1 or self._steps % self._every == 0:
            if os.getpid() != self._process:
                self._tell_once("this process was forked from the one that is recorded, and is not.", logging.INFO)
                return
            now = time.perf_counter()
            try:
                self._write(balancer, arguments[0] if arguments else keywords["losses"], outcome, now)
            except _FAILURES as error:
                self._lose(error)
            else:
                self._written()
            self._spent += time.perf_counter() - now

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _NotRecorded, ()

    def close(self) -> None:
        """End the recording and log the last notices; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hook.remove()
        if os.getpid() != self._process:
            return
        if self._missing:
            _LOGGER.warning("%s: the last %d lines of this recording are lost.", self.folder, self._missing)
        if self._file is None:
            return
        self._say(last=True)
        try:
            self._file.close()
        except OSError as error:
            _LOGGER.warning("%s: the disk may have lost the last lines: %s", self.folder, error)

    def _open(self, balancer: Balancer, tasks: tuple[str, ...]) -> None:
        """Take the folder; refuse it where it holds another training."""
        config, self._measured = describe_training(balancer, tasks, self._every, self._gradients)
        self._config, self._file = open_training(self.folder, config, overwrite=self._overwrite)

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
            lost=self._missing,
        )
        # a line that follows no lost ones looks as it did before there were any to count
        self._file.append(line.model_dump_json(exclude=None if line.lost else {"lost"}).encode() + b"\n")
        self._before = (self._steps, now)

    def _lose(self, error: Exception) -> None:
        """Count a line that could not be written, and log the first of a row."""
        self.lost += 1
        self._missing += 1
        if self._missing == 1:
            _LOGGER.warning(
                "%s: step %d could not be recorded: %s The training goes on; lines that are lost are counted.",
                self.folder,
                self._steps,
                error,
            )

    def _written(self) -> None:
        """Note that a line was written; now and then look for notices."""
        if self._missing:
            _LOGGER.warning(
                "%s: recorded again from step %d on; %d lines are lost.", self.folder, self._steps, self._missing
            )
            self._missing = 0
        if self._file is not None and self._file.moved:
            words = "records.jsonl was moved while the recording runs. Lines still go into the file that was opened."
            self._tell_once(words, logging.WARNING)
        self._lines += 1
        if self._lines >= _FIRST_WORD and self._lines.bit_count() == 1:  # 4, 8, 16, ... lines: reading stays cheap
            self._say(last=False)

    def _tell_once(self, words: str, level: int) -> None:
        if words not in self._told:
            self._told.add(words)
            _LOGGER.log(level, "%s: %s", self.folder, words)

    def _measure(self, balancer: Balancer, losses: Any, rows: Sequence[int]) -> Tensor | None:
        if losses is None:  # `flush`: the micro-batches before it were summed up
            return None
        present, values = read_losses(losses, balancer.tasks or (), differentiable=True)
        place = dict(zip(present, values, strict=True))
        if not place.keys() >= set(rows):  # within `accumulate`: a task that the last micro-batch did not show
            return None
        try:
            gramian = measure_gramian([place[row] for row in rows], balancer.ownership.fixed)
        except (RuntimeError, MemoryError) as error:  # memory is short, most often; the line is worth having without
            self._tell_once(f"gradients could not be measured: {error}", logging.WARNING)
            return None
        if gramian is None:
            self._tell_once(
                f"gradients are not recorded: k gradients take more than {MOST_BYTES >> 20} MiB, or the graph is "
                "compiled and can be walked only once.",
                logging.INFO,
            )
        return gramian

    def _say(self, *, last: bool) -> None:
        """Log notices that are new."""
        try:
            record = read_training(self.folder)
            found = list(notices(record, running=not last))
            if last:
                found += identical_runs(self.folder.name, record, read_neighbours(self.folder, record))
        except _FAILURES as error:
            self._tell_once(f"what was recorded cannot be looked at: {error}", logging.WARNING)
            return
        said = {(notice.kind, notice.subject) for notice in self.notices}
        for notice in found:
            if (notice.kind, notice.subject) not in said:
                self.notices.append(notice)
                level = logging.INFO if notice.kind in ("restarted", "lost lines") else logging.WARNING
                _LOGGER.log(level, "%s: %s %s", self.folder, notice.words, notice.remedy)


class _NotRecorded:
    """Takes the recorder's place in a copied Balancer."""

    def __call__(self, *arguments: object) -> None:
        """Does nothing."""


def _close(reference: "weakref.ref[Recorder]") -> None:
    """Called when the Balancer goes, or the program ends."""
    recorder = reference()
    if recorder is not None:
        recorder.close()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
