"""One model for all preferences beside the runs, measured on the same rows as the runs of its seed."""

import math
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ...core.numbers import Array
from ...core.progress import Progress
from ...core.records.explored import ConditionedCurve
from ...core.simplex_points import lattice_of
from ...errors import SettingError
from ...training.resuming.randomness import own_generators
from ..conditioned.conditioned_model import Conditioned
from ..conditioned.learned_front import LearnedFront, learn_front
from ..conditioned.training import ConditionedFront, fit_conditioned
from ..decision import nondominated
from ..indicators.adherence import controllability
from ..indicators.dominated_volume import hypervolume
from .judging import Judged, reference_of
from .subject import Subject, cosine

__all__ = ["Conditioning", "conditioned_curve", "refuse_unconditioned"]

Conditioning = ConditionedFront | LearnedFront
_POINTS = {2: 41, 3: 66}
_MORE = 120
_LEAST_STEPS = 10  # of `learn_front`


def refuse_unconditioned(subject: Subject, seed: int, steps: int) -> None:
    """Raise before anything is trained where `conditioned_curve` would raise once all runs are done.

    Raises:
        SettingError: The network has no layer to adapt, or the problem no network; too few steps.
    """
    if subject.box is not None:
        if steps < _LEAST_STEPS:
            raise SettingError(
                f"`conditioned` must be 0 or at least {_LEAST_STEPS} steps for a formula problem; got {steps}."
            )
    elif subject.plain is None:
        raise SettingError(f"{subject.words} has no network that could be conditioned.")
    else:
        with own_generators(seed, torch.device("cpu")):
            Conditioned(subject.plain(seed)().make_model(), subject.names)


def conditioned_curve(
    subject: Subject, seed: int, steps: int, singles: Sequence[float | None], judged: Judged, progress: Progress | None
) -> tuple[Conditioning, ConditionedCurve]:
    """Train the model and measure it along the preferences.

    Args:
        subject: Problem that is explored.
        seed: Seed of the model.
        steps: Number of optimizer steps.
        singles: Loss of each task trained alone, the units of the losses where all are positive.
        judged: Points it is compared with.
        progress: Told where the training stands.

    Raises:
        SettingError: Losses that are not finite; else see `refuse_unconditioned`.
    """
    k = len(subject.tasks)
    where = lattice_of(k, _POINTS.get(k, _MORE))
    if subject.box is not None:
        began = time.perf_counter()
        learned = learn_front(subject.box, steps=steps, seed=seed)
        losses = learned.losses(where)
        words = f"a network from preferences to the {subject.box.parameters} parameters, {steps:,} steps"
        took = time.perf_counter() - began
        return learned, _curve(words, seed, where, losses, controllability(where, losses), None, took, judged)
    assert subject.plain is not None
    known = [single for single in singles if single is not None and single > 0]
    batch = subject.settings.get("batch_size", 256)
    told = None if progress is None else partial(_told, progress)
    found = fit_conditioned(
        subject.plain(seed)(), steps=steps, batch_size=batch, units=known if len(known) == k else None,
        schedule=cosine, points=len(where), seed=seed, progress=told,
        optimizer=partial(torch.optim.AdamW, lr=subject.rate),
    )  # fmt: skip
    kind = "plain layers behind the features of the runs' network" if subject.data is not None else "its network"
    words = f"{kind}, with low-rank adapters a task, {steps:,} steps of AdamW"
    curve = _curve(
        words, seed, found.preferences, found.losses["val"], found.controllability, found.parameters, found.seconds,
        judged,
    )  # fmt: skip
    return found, curve


def _told(progress: Progress, done: int, whole: int, words: str) -> None:
    progress(done, whole, words or "one model for all preferences")


def _curve(
    words: str, seed: int, where: Array, losses: Array, followed: Array, parameters: tuple[int, int] | None,
    seconds: float, judged: Judged,
) -> ConditionedCurve:  # fmt: skip
    if not np.isfinite(losses).all():
        raise SettingError("the model for all preferences has losses that are not finite: give it fewer or more steps.")
    same = np.array(
        [run.losses for point in judged.points for run in point.runs if run.seed == seed and run.losses is not None]
    )
    reference = reference_of(same) if len(same) else None
    volume = None if reference is None else hypervolume(losses, reference) / hypervolume(same, reference)
    return ConditionedCurve(
        words=words,
        seed=seed,
        preferences=tuple(tuple(map(float, row)) for row in where),
        losses=tuple(tuple(map(float, row)) for row in losses),
        dominated=float(1 - nondominated(losses).mean()),
        controllability=tuple(None if math.isnan(value) else float(value) for value in followed),
        volume=volume,
        parameters=parameters,
        seconds=seconds,
    )
