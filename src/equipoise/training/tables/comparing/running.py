"""One training of an entrant: a prepared split in, a selected network and its losses out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ....core.records.fitted import Curve
from ....errors import EquipoiseError, RunFolderError
from ...loop.selection import WHOLE
from ...loop.training import fit
from ..networks.network import TableNetwork
from ..networks.recipe import schedule
from .entrants import Training
from .parts import METRICS, Parts, problem_of
from .rules import GeometricMean, OwnBest

__all__ = ["Trained", "attempt", "train"]

ByTask = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training gave.

    Attributes:
        val, test, metric: Task -> loss on the validation and test part, metric on the test part.
        parameters: Number of trained numbers.
        passes: Passes through a network over the training rows, forward and backward; one for each separate network.
        seconds: Wall time of the training.
        best_step: Optimizer step whose parameters were kept; None where that differs among separate networks.
        curve: Losses during the training.
        state: The network's parameters, as arrays: between processes tensors would need shared memory.
    """

    val: ByTask
    test: ByTask
    metric: ByTask
    parameters: int
    passes: float
    seconds: float
    best_step: int | None
    curve: Curve
    state: Mapping[str, NDArray[Any]]


def attempt(parts: Parts, training: Training, seed: int, folder: Path | None = None) -> Trained | str:
    """As `train`; a training that diverges or that its method refuses gives the reason, and costs itself only.

    Raises:
        RunFolderError: The folder cannot be used: that is no matter of one training.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums, to the bit, however many trainings run at once
    try:
        return train(parts, training, seed, folder)
    except RunFolderError:
        raise
    except (EquipoiseError, ArithmeticError, RuntimeError) as error:  # torch's own are RuntimeErrors
        return f"{type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)


def train(parts: Parts, training: Training, seed: int, folder: Path | None = None) -> Trained:
    """Train and select by the validation part; with a folder the training goes on where it was killed.

    Raises:
        EquipoiseError: A loss is not finite, the folder cannot be used, or the method refuses.
    """
    recipe = training.recipe
    problem = problem_of(parts, recipe, training.tasks, training.name)
    known = tuple(task for task, rows in parts.labelled("val").items() if rows and task in training.tasks)
    fitted = fit(
        problem,
        training.method,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer,
        schedule=schedule,
        select=OwnBest(known) if recipe.separate else GeometricMean(known),
        seed=seed,
        folder=folder,
    )
    state: Mapping[str, Tensor] = fitted.model.state_dict()
    steps = {task: fitted.best_steps.get(task, fitted.best_step) for task in training.tasks}
    if isinstance(fitted.model, TableNetwork) and recipe.separate:
        state = fitted.model.merged({task: fitted.states.get(step, state) for task, step in steps.items()})
    kinds = parts.preparation.kinds
    found = fitted.metrics["test"]
    return Trained(
        val=fitted.losses["val"],
        test=fitted.losses["test"],
        metric={task: found[task][METRICS[kinds[task]]] for task in training.tasks},
        parameters=fitted.config.parameters,
        passes=fitted.cost.passes
        / fitted.config.steps
        * recipe.epochs
        * (len(training.tasks) if recipe.separate else 1),
        seconds=fitted.cost.seconds,
        best_step=None if recipe.separate else fitted.best_steps.get(WHOLE, fitted.best_step),
        curve=Curve(
            steps=tuple(line.step for line in fitted.history),
            train={task: tuple(line.train_raw[task] for line in fitted.history) for task in training.tasks},
            val={task: tuple(line.validation[task] for line in fitted.history) for task in training.tasks},
        ),
        state={name: value.detach().cpu().numpy().copy() for name, value in state.items()},
    )
