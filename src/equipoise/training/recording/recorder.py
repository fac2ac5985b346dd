"""Record a user's own training loop: one line before the loop, nothing inside it."""

import logging
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ...balancer import Balancer
from ...balancing.step_record import StepRecord
from ...core.files import COUNT, locked
from ...core.records.training import Alarm, Notice, StepLine, TakenStep, TrainingConfig, written
from ...engine.blocks.task_gradients import Gradients
from ...errors import EquipoiseError, SettingError
from .alarms.run_alarms import Alarms
from .described import describe_training
from .effects import Effects
from .folder import check_folder, open_training, read_neighbours, read_training
from .line import describe_step, measure_at
from .line_file import LineFile, StepCount
from .run_checks import NO_DOUBTS, identical_runs, notices

__all__ = ["Recorder", "record"]

_LOGGER = logging.getLogger("equipoise")
_FIRST_WORD = 4
"""Lines before the first notice; later ones at 8, 16, ... lines and at the end."""
_KEPT = 64  # measurements that wait for a line
_FAILURES = (OSError, EquipoiseError, ValueError, RuntimeError, MemoryError)
"""What may go wrong while a line is made and written; torch says RuntimeError where memory is short."""


def record(
    balancer: Balancer,
    folder: str | Path,
    every: int = 50,
    *,
    gradients: int | Literal["auto"] | None = "auto",
    steps_taken: int | Literal["auto"] | None = "auto",
    overwrite: bool = False,
) -> "Recorder":
    """Record what a Balancer does, for ``equipoise report FOLDER``.

    Call it once, before the loop; the loop itself stays as it is. At step 1 and every `every` steps one line is
    added to ``records.jsonl``: losses raw and weighted, weights, status, counts, seconds, and the tasks' gradients
    where they are known. What is wrong with a run is logged once, by the logger
    ``equipoise``.

    Gramian and Jacobian methods compute the gradients anyway. For loss methods they are measured, at step 1 and every
    `gradients` steps, by one backward pass a task over the losses' graph.

    Every few steps it is measured what the optimizer makes of the direction: the inner product of each task's gradient
    with the change of the parameters, which is the first-order change of that loss. What a method promises holds for
    its direction; this measures momentum, second moments and weight decay too. It adds no backward pass: where a step
    has no gradients at hand (loss methods, approximations, passes in pieces), the record says so.

    The losses of all steps go through a sequential test that says which task has stopped improving while the others go
    on, and since when; another says which task the steps go against. At most 1 % of runs give a false alarm, whatever
    their length (`equipoise.training.recording.alarms` states the nulls).

    A recording never ends a training. Whatever goes wrong after this call (a full disk, a folder that was deleted) is
    said by the logger, the lines that are lost are counted (`Recorder.lost`, and in the report), and the training goes
    on; lines are written again as soon as that is possible. A forked process is not recorded.

    Args:
        balancer: The Balancer to record.
        folder: New, empty, or of the same training, which then continues there.
        every: Steps between lines, at least 1.
        gradients: Steps between measurements for loss methods, rounded up to a multiple of `every`; ``"auto"`` for
            150 k steps with k tasks (about 0.5 % of the time), None for never.
        steps_taken: Steps between measurements of the optimizer's step; ``"auto"`` chooses them so that they take at
            most 1 % of the time (the first one, which warms up, left out) and are at most 8 between two lines; None for
            never.
        overwrite: Replace an earlier recording in the folder.

    Returns:
        The recorder. It need not be kept; `Recorder.close` ends the recording and logs its last notices.

    Raises:
        RunFolderError: The folder is not ours, holds another training, is being written, or cannot be written. Nothing
            was changed.
        SettingError: A setting is out of range.

    Cost:
        Without a line or measurement due: 15 to 25 microseconds a step, a third for the tests. A line copies losses,
        weights and Gramian to the host; the first copy waits for the device. On a CPU a line takes 0.5 ms. With a model
        of 2 million parameters (steps of 35 ms) that is 0.03 % of the time, 0.5 % more for measured gradients, and up
        to 1 % for measured steps. Between the call and the optimizer's step of a measured one the record holds the
        step's k gradients and a copy of the parameters (at most a GiB; above it nothing is measured).

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
    if not (steps_taken in ("auto", None) or (isinstance(steps_taken, int) and steps_taken >= 1)):
        wrong.append(f"steps_taken={steps_taken!r} (at least 1, 'auto', or None)")
    if wrong:
        raise SettingError(f"settings of eq.record are out of range: {'; '.join(wrong)}.")
    return Recorder(balancer, Path(folder), every, gradients, steps_taken, overwrite)


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
        self,
        balancer: Balancer,
        folder: Path,
        every: int,
        gradients: int | Literal["auto"] | None,
        steps_taken: int | Literal["auto"] | None,
        overwrite: bool,
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
        self._count: StepCount | None = None
        self._alarms: Alarms | None = None
        self._effects = Effects(steps_taken, every, balancer.steps)
        self._sources: tuple[Sequence[int], Gradients] | None = None  # measured here, at this step
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
        self._taken: tuple[TakenStep, ...] = ()  # to be written with the next line, as are
        self._rings: tuple[Alarm, ...] = ()
        self._rang = False  # whether the last line held an alarm
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
        if os.getpid() != self._process:
            self._tell_once("this process was forked from the one that is recorded, and is not.", logging.INFO)
            return
        losses, before = arguments[0] if arguments else keywords["losses"], self._effects.seconds
        try:
            self._effects.end()
            if outcome is not None and self._alarms is not None:
                self._alarms.note(self._steps, outcome)
            if self._count is not None:
                self._count.set(self._steps)
        except _FAILURES as error:
            self._tell_once(f"a step could not be looked at in full: {error}", logging.WARNING)
        if self._steps == 1 or self._steps % self._every == 0:
            now = time.perf_counter()
            try:
                self._write(balancer, losses, outcome, now)
            except _FAILURES as error:
                self._lose(error)
            else:
                self._written()
            self._spent += time.perf_counter() - now
        sources, self._sources = self._sources, None
        try:
            self._effects.look(balancer, losses, sources)
        except _FAILURES as error:
            self._tell_once(f"the optimizer's step is not measured: {error}", logging.WARNING)
        self._spent += self._effects.seconds - before

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _NotRecorded, ()

    def close(self) -> None:
        """End the recording and log the last notices; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hook.remove()
        self._effects.end()
        if os.getpid() != self._process:
            return
        if self._missing:
            _LOGGER.warning("%s: the last %d lines of this recording are lost.", self.folder, self._missing)
        if self._file is None:
            return
        self._say(last=True)
        try:
            self._file.close()
            if self._count is not None:
                self._count.close()
        except OSError as error:
            _LOGGER.warning("%s: the disk may have lost the last lines: %s", self.folder, error)

    def _open(self, balancer: Balancer, tasks: tuple[str, ...]) -> None:
        """Take the folder; refuse it where it holds another training."""
        config, self._measured = describe_training(balancer, tasks, self._every, self._gradients)
        self._config, self._file = open_training(self.folder, config, overwrite=self._overwrite)
        self._alarms = Alarms(len(tasks))
        try:
            self._count = StepCount(self.folder / COUNT)
        except OSError as error:
            self._tell_once(f"steps between lines are not counted: {error}", logging.WARNING)

    def _write(self, balancer: Balancer, losses: Any, outcome: StepRecord | None, now: float) -> None:
        if self._config is None or self._file is None:
            self._open(balancer, balancer.tasks or ())
        assert self._config is not None
        assert self._file is not None
        found: Gradients | None = None
        self._sources = None
        due = bool(self._measured) and (self._steps == 1 or self._steps % (self._measured or 1) == 0)
        if due and outcome is not None and outcome.gramian is None:
            found, words, level = measure_at(balancer, losses, outcome.present.present)
            if words:
                self._tell_once(words, level)
            if found is not None and balancer.accumulation is None:
                self._sources = (outcome.present.present, found)
        numbers = describe_step(balancer, outcome, len(self._config.tasks), found)
        taken, why = self._effects.collected()
        self._taken = (self._taken + taken)[-_KEPT:]  # until a line is written
        self._rings += () if self._alarms is None else self._alarms.line(self._steps, taken, numbers["gradients"])
        before, since = self._before or (None, 0.0)
        pace = None if before is None else round((now - since) / max(1, self._steps - before), 7)
        line = StepLine(
            step=self._steps,
            seconds=round(now - self._began, 6),
            step_seconds=pace,
            record_seconds=round(self._spent, 6),
            **numbers,
            lost=self._missing,
            taken=self._taken,
            untaken="" if any(step.shared is not None for step in self._taken) else why,
            alarms=self._rings,
        )
        self._file.append(written(line))
        self._before, self._rang = (self._steps, now), bool(self._rings)
        self._taken, self._rings = (), ()

    def _lose(self, error: Exception) -> None:
        """Count a line that could not be written, and log the first of a row."""
        self.lost += 1
        self._missing += 1
        if self._missing == 1:
            words = "%s: step %d could not be recorded: %s The training goes on; lines that are lost are counted."
            _LOGGER.warning(words, self.folder, self._steps, error)

    def _written(self) -> None:
        """Note that a line was written; now and then look for notices."""
        if self._missing:
            words = "%s: recorded again from step %d on; %d lines are lost."
            _LOGGER.warning(words, self.folder, self._steps, self._missing)
            self._missing = 0
        if self._file is not None and self._file.moved:
            words = "records.jsonl was moved while the recording runs. Lines still go into the file that was opened."
            self._tell_once(words, logging.WARNING)
        self._lines += 1
        # at an alarm, and at 4, 8, 16, ... lines: reading stays cheap
        if self._rang or (self._lines >= _FIRST_WORD and self._lines.bit_count() == 1):
            self._say(last=False)

    def _tell_once(self, words: str, level: int) -> None:
        if words not in self._told:
            self._told.add(words)
            _LOGGER.log(level, "%s: %s", self.folder, words)

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
                level = logging.INFO if notice.kind in NO_DOUBTS else logging.WARNING
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
