"""What a training returns."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from ...core.records.fit_runs import FitConfig, FitLine
from ...errors import TaskError

__all__ = ["Cost", "Fitted"]


@dataclass(frozen=True)
class Cost:
    """What a training took.

    Attributes:
        steps: Steps of the optimizer.
        passes: Backward passes through the model, the tasks' own among them; a plain step has one.
        seconds: Wall time in training, evaluation and checkpoints, over all processes that worked on the run.
    """

    steps: int
    passes: int
    seconds: float


@dataclass(eq=False)
class Fitted:
    """A trained model, how it was chosen, and what it cost.

    Attributes:
        model: The selected model, in evaluation mode.
        status: ``"done"``, ``"stopped early"`` (the selection rule did not improve) or ``"stopped by a callback"``.
        best_step: Step of the selected model.
        best_steps: Key of a score -> step; with `PerTaskBest` one for each task.
        losses: Part (val, test) -> task -> loss of the selected model over labelled rows, with `PerTaskBest` of each
            task's own; None where it is not finite.
        metrics: Part -> task -> name -> value, likewise.
        rows: Part -> task -> labelled rows that a loss is a mean over.
        weights: Task -> mean weight over the last evaluation interval; None for methods without weights.
        history: One line an evaluation.
        cost: Steps, passes and seconds.
        config: What was asked for.
        folder: Folder of the run, or None.
    """

    model: nn.Module
    status: str
    best_step: int
    best_steps: dict[str, int]
    losses: dict[str, dict[str, float | None]]
    metrics: dict[str, dict[str, dict[str, float | None]]]
    rows: dict[str, dict[str, int]]
    weights: dict[str, float | None] | None
    history: tuple[FitLine, ...]
    cost: Cost
    config: FitConfig
    folder: Path | None = None
    states: dict[int, dict[str, Tensor]] = field(default_factory=dict, repr=False)

    def model_for(self, task: str) -> nn.Module:
        """`model` with the parameters that were best for one task; only `PerTaskBest` keeps more than one set.

        Raises:
            TaskError: No such task, or the rule was another.
        """
        if task not in self.best_steps or not task:
            raise TaskError(f"a model of its own was kept for {[key for key in self.best_steps if key]}; not {task!r}.")
        self.model.load_state_dict(self.states[self.best_steps[task]])
        return self.model
