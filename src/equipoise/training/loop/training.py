"""`equipoise.fit`: a problem and a method in, a trained and selected model out. The recipe is `_train`."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch

from ...core.progress import Progress
from ...core.records.fit_runs import FitLine
from ...core.tasks import Preference
from ...methods.base import Method
from ...methods.loss import LinearScalarization
from ..problem.problem import Problem
from ..resuming.folder import RunFiles
from ..resuming.interruption import Signals
from ..resuming.randomness import own_generators
from .clipping import Clip
from .ending import finish
from .fitted import Fitted
from .run import Run
from .selection import Selection
from .settings import Settings, settle
from .trackers import Together, Tracker

__all__ = ["fit"]

Callback = Callable[[FitLine, torch.nn.Module], object]


def fit(
    problem: Problem,
    method: Method | None = None,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = 256,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    scheduler_per: Literal["step", "epoch", "evaluation"] = "step",
    select: Selection | Literal["auto"] | None = "auto",
    every: int | None = None,
    patience: int | None = None,
    clip: Clip | None = None,
    amp: str | torch.dtype | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    preference: Preference | None = None,
    balancer: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    overwrite: bool = False,
    save_seconds: float = 30.0,
    callbacks: Sequence[Callback] = (),
    trackers: Iterable[Tracker] = (),
    progress: Progress | None = None,
) -> Fitted:
    """Train a problem's model with a balancing method, and select on its validation part.

    With `folder` the run can be interrupted at any moment, by a signal or a crash: the same call on the same folder
    goes on from the last checkpoint and ends with the same numbers, to the bit on a CPU. A folder of another
    configuration, or whose data have changed, is refused with the keys that differ. What is not looked at is code (the
    functions of the problem) and the content of datasets and loaders.

    Args:
        problem: Model, losses and data.
        method: Method that balances the losses; ``LinearScalarization()``, the mean, if None.
        steps: Steps of the whole training; give this or `epochs`.
        epochs: Passes over the training data (with `OwnRows` over the largest task's).
        batch_size: Most rows a step (with `OwnRows` of each task); None for all. The batches of an epoch have equal
            sizes, up to a row. A loader has its own.
        optimizer: Function of the model that returns its optimizer, or a class such as
            ``functools.partial(torch.optim.SGD, lr=0.1)``; AdamW with learning rate 1e-3 if None. What the method
            trains is added as a group without weight decay.
        schedule: ``schedule(fraction) -> factor`` of the learning rates, with the fraction of steps that are done.
        scheduler: Function of the optimizer that returns a scheduler of PyTorch; give this or `schedule`.
        scheduler_per: Clock of the scheduler, which moves each step, epoch or evaluation.
        select: Rule by which the model is chosen on the validation part: `MeanLoss`, `MeanImprovement`,
            `WorstImprovement`, `PerTaskBest`; None for the last model; ``"auto"``: `MeanLoss` if there is a validation
            part.
        every: Steps between evaluations; an epoch if None, or a twentieth of the run if that is shorter than an epoch.
        patience: Evaluations without an improvement by the rule after which training stops.
        clip: Largest gradient norm, or prefix of parameter names -> norm of that group.
        amp: ``"bfloat16"`` or ``"float16"`` (with a gradient scaler) for mixed precision.
        seed: Seed of initialisation, of the order of the data and of whatever the model draws. The caller's generators
            are put back.
        device: Device to train on; the one that `make_model` puts the model on if None.
        preference: What is wanted, for methods that honour one.
        balancer: Further settings of the `Balancer`, such as ``{"gradients": eq.Every(10)}``.
        folder: Folder for configuration, lines and checkpoints; nothing is written if None.
        overwrite: Replace an earlier run of `fit` in the folder.
        save_seconds: Seconds between checkpoints; 0 for one after each step.
        callbacks: Called as ``callback(line, model)`` after each evaluation; training stops where one returns True.
        trackers: `TensorBoard`, `MLflow`, or anything with their three functions.
        progress: Called after each evaluation with steps done, steps in all, and the losses in words.

    Returns:
        The selected model with its losses on every part, the history, and what it cost.

    Raises:
        SettingError, TaskError, DataError, LossError: Named in the messages.
        RunFolderError: The folder cannot be used, or the disk refuses; what was written before stays valid.
        NonFiniteError: A loss or gradient is NaN or inf (see ``Balancer(nonfinite=...)``).
        KeyboardInterrupt, SystemExit: With a folder, after SIGINT or SIGTERM, once the run is saved.

    Cost:
        Over a loop written by hand with the same Balancer: 10 to 20 microseconds a step, and evaluations.

    Example:
        >>> import torch, equipoise as eq
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> y = torch.cat([x**2, x**3], dim=1)
        >>> parts = eq.split(64, seed=0)
        >>> problem = eq.Problem(
        ...     lambda: torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)),
        ...     {name: lambda out, batch, i=i: (out[:, i] - batch[1][:, i]) ** 2 for i, name in enumerate(["a", "b"])},
        ...     **{part: (x[rows], y[rows]) for part, rows in parts.parts.items()},
        ... )
        >>> fitted = eq.fit(problem, eq.UPGrad(), epochs=200, batch_size=16, seed=1)
        >>> fitted.status, fitted.cost.steps, {task: loss < 0.05 for task, loss in fitted.losses["test"].items()}
        ('done', 600, {'a': True, 'b': True})
    """
    asked = Settings(
        steps=steps, epochs=epochs, batch_size=batch_size, optimizer=optimizer, schedule=schedule, scheduler=scheduler,
        scheduler_per=scheduler_per, select=select, every=every, patience=patience, clip=clip, amp=amp, seed=seed,
        preference=preference, balancer=balancer or {}, save_seconds=save_seconds,
    )  # fmt: skip
    method = LinearScalarization() if method is None else method
    rule, dtype = settle(problem, method, asked)
    told = Together(trackers)
    with ExitStack() as stack:
        stack.enter_context(own_generators(int(seed), torch.device(device or "cpu")))
        run = Run(problem, method, asked, rule, dtype, device)
        files = None
        if folder is not None:
            files = RunFiles(Path(folder), run.config, overwrite=overwrite)
            stack.callback(files.close)
            run.resume(files)
        signals = stack.enter_context(Signals(active=files is not None))
        told.start(run.config, run.done)
        status = "failed"
        try:
            _train(run, files, signals, told, callbacks, progress)
            status = run.status
        except (KeyboardInterrupt, SystemExit):
            status = "interrupted"
            raise
        finally:
            told.close(status)
        return finish(run, None if folder is None else Path(folder))


def _train(
    run: Run,
    files: RunFiles | None,
    signals: Signals,
    told: Together,
    callbacks: Sequence[Callback],
    progress: Progress | None,
) -> None:
    """The recipe."""
    step, stepper, schedule, feed = run.done, run.stepper, run.schedule, run.stepper.feed
    every, last, save = run.config.every, run.config.steps, run.asked.save_seconds
    saved = time.monotonic()
    run.model.train()
    while not run.status:
        schedule.before(step)
        stepper.step(step)
        schedule.after()
        run.sums.note(run.balancer.last)
        step += 1
        run.done = step
        if step % every == 0 or step == last:
            line = run.evaluate(step)
            run.status = "done" if step == last else run.status
            if files is not None:
                files.append(line)
            told.log(line)
            if progress is not None:
                progress(step, last, _words(line))
            for callback in callbacks:
                if callback(line, run.model) is True:
                    run.status = run.status or "stopped by a callback"
            run.model.train()
        if files is None:
            continue
        due = bool(run.status) or signals.caught is not None or time.monotonic() - saved >= save
        if due and (run.status or feed.can_save(step)):
            files.save(step, run.state(), run.keeper.states)
            saved = time.monotonic()
        if signals.caught is not None:
            signals.leave()


def _words(line: FitLine) -> str:
    """Losses of a line, for one line of progress: few tasks by name, many by their mean."""

    def shown(table: Mapping[str, float | None]) -> str:
        known = {task: value for task, value in table.items() if value is not None}
        if len(table) > 4:
            return f"mean {sum(known.values()) / max(1, len(known)):.4g} of {len(known)} tasks"
        return ", ".join(f"{task} {value:.4g}" for task, value in known.items())

    parts = [f"train, raw: {shown(line.train_raw)}"]
    parts += [f"train, weighted: {shown(line.train_weighted)}"] if line.train_weighted else []
    parts += [f"validation: {shown(line.validation)}"] if line.validation else []
    return "; ".join(parts)
