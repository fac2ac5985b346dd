"""The losses of each step at several preferences: in one pass over the rows, or in a pass for each preference."""

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.losses import read_losses
from ...core.numbers import Array
from ...errors import SettingError
from ...methods.averaging.batch_norm import keeps_modes, layers_with_statistics
from ...training.loop.feeding import make_feed
from ...training.problem.problem import Problem
from ...training.problem.sources import Batch, Loader, Source
from ...training.problem.trees import apart, rows_in
from .conditioned_model import Conditioned
from .mixed_parameters import Factors, LowRank, Offsets
from .row_preferences import cannot_mix_rows

__all__ = ["Deal", "StepLosses", "in_one_pass", "in_passes", "why_not_one_pass"]

_IN_ONE_PASS, _IN_PASSES, _WHOLE = 8, 2, 4  # preferences a step
_TRIED = 0.3  # spread of the random terms at which one pass is compared with several


class StepLosses(NamedTuple):
    """Losses at the preferences of a step.

    Attributes:
        places: (n, 2) index of the preference and of the task of each loss; absent ones are left out.
        losses: (n,) mean losses with their graph.
    """

    places: NDArray[np.intp]
    losses: Tensor


class Deal:
    """Deals the batches of a training to the preferences of its steps.

    Args:
        problem: Problem with losses and data.
        model: Model that is conditioned on the preference, on its device.
        source: Training part, on that device where it is in memory.
        batch_size: Most rows a step; None for all.
        together: Preferences a step; None for the default of `fit_conditioned`.
        whole: Whether each preference sees the whole batch, in a pass of its own.
        seed: Seed of the order of the data.
        device: Device of the model, to which batches go.

    Attributes:
        together: Preferences a step.
        why: Reason for a pass for each preference; empty where one pass serves all.
    """

    def __init__(
        self,
        problem: Problem,
        model: Conditioned,
        source: Source,
        batch_size: int | None,
        together: int | None,
        *,
        whole: bool,
        seed: int,
        device: torch.device,
    ) -> None:
        self._problem, self._model, self._whole = problem, model, whole
        feed = make_feed(source, batch_size, seed, device)
        first = feed.batch(0)
        self.why = (
            "the criterion compares losses of the same rows" if whole else why_not_one_pass(problem, model, first)
        )
        can_part = batch_size is not None and not isinstance(source, Loader)
        self.together = together or (
            _WHOLE if whole else _IN_ONE_PASS if not self.why else _IN_PASSES if can_part else 1
        )
        if self.why and not whole and batch_size is not None and can_part and self.together > 1:
            feed = make_feed(source, max(1, batch_size // self.together), seed, device)  # each pass has its part
            first = feed.batch(0)
        self._batches = itertools.chain([first], map(feed.batch, itertools.count(1)))

    def losses(self, preferences: Array) -> "StepLosses":
        """Losses of the next step at its preferences (m, k)."""
        if not self.why and self.together > 1:
            return in_one_pass(self._problem, self._model, next(self._batches), preferences)
        count = len(preferences)
        batches = [next(self._batches)] * count if self._whole else list(itertools.islice(self._batches, count))
        return in_passes(self._problem, self._model, batches, preferences)


def in_one_pass(problem: Problem, model: Conditioned, batch: Batch, preferences: Array) -> StepLosses:
    """Deal the rows of a batch to the preferences in equal parts, one forward pass for all.

    Args:
        problem: Problem with losses and data.
        model: Model whose adapted layers know a preference of each row.
        batch: Rows that all tasks share; with fewer rows than preferences, the last preferences get none.
        preferences: (m, k) shares, one row a preference.
    """
    rows = rows_in(batch.data)
    parts = np.array_split(np.arange(rows), min(len(preferences), rows))
    sizes = [len(part) for part in parts]
    each_row = torch.from_numpy(np.repeat(preferences[: len(sizes)], sizes, axis=0))
    with model.prefer_rows(each_row):
        outputs = problem.outputs(model, batch.data)
    if not batch.may_miss:
        found: list[Tensor] = []
        for loss in problem.losses.values():
            value = loss(outputs, batch.data)
            if not isinstance(value, Tensor) or value.shape != (rows,):
                break
            found.append(value)
        else:  # one number a row and task: their means by part are one product
            means = _means(tuple(sizes), found[0].dtype, found[0].device)
            return StepLosses(
                np.indices((len(sizes), len(found))).reshape(2, -1).T, (means @ torch.stack(found, dim=1)).flatten()
            )
    pieces = zip(apart(outputs, sizes), apart(batch.data, sizes), strict=True)
    return _read(problem, [problem.losses_of(mine, Batch(data, None, batch.may_miss)) for mine, data in pieces])


def in_passes(problem: Problem, model: Conditioned, batches: Sequence[Batch], preferences: Array) -> StepLosses:
    """A batch and a forward pass for each preference.

    Args:
        problem: Problem with losses and data.
        model: Model that is conditioned on the preference.
        batches: One batch for each preference.
        preferences: (m, k) shares, one row a preference.
    """
    found = []
    for preference, batch in zip(preferences, batches, strict=True):
        model.prefer(preference.tolist())
        found.append(problem.losses_of(problem.outputs(model, batch.data), batch))
    return _read(problem, found)


def why_not_one_pass(problem: Problem, model: Conditioned, batch: Batch) -> str:
    """Reason for which rows of several preferences can't share a forward pass; empty where they can.

    That they can is tried: with random terms, the losses of one pass over the rows of two preferences must be those of
    two passes, in evaluation mode. The model is then as it was.

    Args:
        problem: Problem with losses and data.
        model: Model that is conditioned on the preference.
        batch: First batch of the training.
    """
    unable = cannot_mix_rows({name: model.model.get_submodule(name) for name in model.adapted})
    if unable:
        return f"layer '{unable[0]}' knows no preference of each row"
    if layers_with_statistics(model):
        return "batch normalisation would mix rows of different preferences"
    if batch.sizes is not None:
        return "each task has rows of its own"
    if rows_in(batch.data) < 2:
        return "a batch has one row"
    return _try(problem, model, batch)


def _try(problem: Problem, model: Conditioned, batch: Batch) -> str:
    """Compare one pass over the rows of two preferences with two passes, at random terms."""
    rows = rows_in(batch.data)
    added = [
        parameter
        for module in model.modules()
        if isinstance(module, Factors | LowRank | Offsets)
        for parameter in module.parameters()
    ]
    before = [parameter.detach().clone() for parameter in added]
    preferences = np.eye(len(model.tasks))[:2]
    halves = apart(batch.data, [(rows + 1) // 2, rows // 2])
    try:
        with torch.no_grad():
            for parameter in added:
                parameter.normal_(std=_TRIED)
        with keeps_modes(model):
            model.eval()
            two = in_passes(problem, model, [Batch(half, None, batch.may_miss) for half in halves], preferences)
            try:
                one = in_one_pass(problem, model, batch, preferences)
            except SettingError as error:
                return str(error)
    finally:
        with torch.no_grad():
            for parameter, value in zip(added, before, strict=True):
                parameter.copy_(value)
    tolerance = min(1e4 * torch.finfo(one.losses.dtype).eps, 0.05)
    same = np.array_equal(one.places, two.places) and torch.allclose(
        one.losses, two.losses, rtol=tolerance, atol=tolerance, equal_nan=True
    )
    return "" if same else "the losses of one pass differ from those of a pass for each preference"


@lru_cache(maxsize=8)
def _means(sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(parts, rows) matrix that takes the mean of each part."""
    parts = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    chosen = nn.functional.one_hot(parts, len(sizes)).t().to(device, dtype)
    return chosen / chosen.sum(dim=1, keepdim=True)


def _read(problem: Problem, found: Sequence[Mapping[str, Tensor | None]]) -> StepLosses:
    places: list[tuple[int, int]] = []
    losses: list[Tensor] = []
    for row, one in enumerate(found):
        if all(loss is None for loss in one.values()):
            continue
        present, some = read_losses(one, problem.tasks, differentiable=True)
        places += [(row, task) for task in present]
        losses += [loss.reshape(()) for loss in some]
    return StepLosses(np.array(places, dtype=np.intp).reshape(-1, 2), torch.stack(losses) if losses else torch.zeros(0))
