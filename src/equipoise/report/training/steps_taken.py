"""What the optimizer made of the directions, in words and numbers."""

from typing import Any

from ...core.records.training import TrainingRecord
from ...core.text import clean, percent, plural
from ...training.recording.alarms.words import taken_steps

__all__ = ["of_task", "taken_words"]


def of_task(record: TrainingRecord, task: int) -> dict[str, Any]:
    """How often a measured step raised one task's loss to first order, on the shared parameters."""
    values = [value for _, shared, _ in taken_steps(record) if (value := shared[task]) is not None]
    share = percent(sum(value > 0 for value in values), len(values))
    return {"raised": f"{share} ({len(values)})" if values else "n/a"}


def taken_words(record: TrainingRecord) -> list[str]:
    """Sentences on the measured steps, or why there are none."""
    measured = [step for line in record.lines for step in line.taken]
    names = clean(" and ".join(dict.fromkeys(name for step in measured for name in step.optimizers)))
    steps = taken_steps(record)
    reasons = list(dict.fromkeys(line.untaken for line in record.lines if line.untaken))
    if not steps:
        why = clean(reasons[-1]) if reasons else "no step has been measured, or measuring was switched off"
        return [f"What the optimizer made of the directions was not measured: {why}."]
    raised, everywhere = (_some_above(steps, place) for place in (1, 2))
    lines = [
        line.gradients.to_update for line in record.lines if line.gradients is not None and line.gradients.to_update
    ]
    against = sum(any(cosine is not None and cosine < 0 for cosine in cosines) for cosines in lines)
    found = [
        f"The step that {names} took raised some task's loss to first order in {raised} of "
        f"{plural(len(steps), 'measured step')} ({percent(raised, len(steps))}) on the shared parameters, and in "
        f"{everywhere} ({percent(everywhere, len(steps))}) with the tasks' own parameters counted in."
    ]
    if lines:
        found.append(
            f"The direction that the method chose did in {against} of {plural(len(lines), 'recorded step')} "
            f"({percent(against, len(lines))}). What a method promises holds for the direction: momentum, second "
            "moments and weight decay change the step."
        )
    return found


def _some_above(steps: list[Any], place: int) -> int:
    return sum(any(value is not None and value > 0 for value in step[place]) for step in steps)
