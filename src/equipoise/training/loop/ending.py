"""What is done once a run has stepped for the last time: the answer is put together and looked at on every part."""

import logging
from pathlib import Path

from .evaluation import Evaluation
from .fitted import Cost, Fitted
from .run import Run
from .selection import WHOLE

__all__ = ["finish"]

_LOGGER = logging.getLogger("equipoise")


def finish(run: Run, folder: Path | None) -> Fitted:
    """The answer of a run: the selected model, the average of its iterates, or the last model."""
    best = {WHOLE: run.done, **{key: step for key, (_, step) in run.keeper.best.items()}}
    if run.keeper.rule is not None and WHOLE not in run.keeper.best:
        _LOGGER.warning(
            "No evaluation on the validation part had a finite score (%s), so nothing was selected: the model is the "
            "last one, of step %d. Look for NaN or inf in the losses of `history`.",
            run.keeper.rule.words,
            run.done,
        )
    if run.stepper.keeper is not None:
        feed, problem = run.stepper.feed, run.problem
        batches = (feed.batch(number) for number in range(feed.length or 1))
        run.stepper.keeper.finalize(run.model, batches, lambda model, batch: problem.outputs(model, batch.data))
    states = dict(run.keeper.states)
    if best[WHOLE] not in states and states:
        states[best[WHOLE]] = {name: value.clone() for name, value in run.model.state_dict().items()}
    parts = [name for name in ("val", "test") if name in run.problem.sources]
    found: dict[str, dict[str, Evaluation]] = {part: {} for part in parts}
    for key, step in [*((key, step) for key, step in best.items() if key != WHOLE), (WHOLE, best[WHOLE])]:
        if step in states:
            run.model.load_state_dict(states[step])
        for part in parts:
            found[part][key] = run.part(part)
    tasks = run.problem.tasks
    whole = {part: {task: each.get(task, each[WHOLE]) for task in tasks} for part, each in found.items()}
    run.model.eval()
    return Fitted(
        model=run.model,
        status=run.status,
        best_step=best[WHOLE],
        best_steps=best,
        losses={part: {task: each[task].losses[task] for task in tasks} for part, each in whole.items()},
        metrics={
            part: {task: each[task].metrics[task] for task in tasks if task in each[task].metrics}
            for part, each in whole.items()
        },
        rows={part: {task: each[task].rows[task] for task in tasks} for part, each in whole.items()},
        weights=run.lines[-1].weights if run.lines else None,
        history=tuple(run.lines),
        cost=Cost(run.done, run.stepper.passes, run.seconds),
        config=run.config,
        folder=folder,
        states=states,
    )
