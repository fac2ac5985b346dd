"""Measure what each gradient mode costs on a user's model, and how far its direction is from the exact one."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..balancer import Balancer
from ..core.losses import Losses
from ..engine.cost.memory import in_words
from ..engine.cost.peak_memory import peak_bytes
from ..engine.modes import Every, Exact, Features, Mode, Sketch
from ..engine.reals import reals
from ..errors import EquipoiseError, SettingError
from ..methods import MGDA
from ..methods.base import Method

__all__ = ["CostRow", "CostTable", "profile"]

Compute = Callable[[], Losses | tuple[Losses, object]]


@dataclass(frozen=True)
class CostRow:
    """Measured cost of one gradient mode.

    Attributes:
        mode: The setting, or ``plain`` for the sum of the losses without a Balancer.
        engine: Name of the engine that computed the gradients, from `Balancer.plan`.
        steps: Time of a step in plain steps: median of the paired ratios.
        spread: Smallest and largest ratio.
        memory: Peak bytes of a step (activations, gradients), without the parameters.
        cosine: Cosine between its direction on shared parameters and the exact one; NaN for ``plain``.
        note: Reason why a mode could not be measured, or the empty string.
    """

    mode: str
    engine: str
    steps: float
    spread: tuple[float, float]
    memory: int
    cosine: float
    note: str = ""


@dataclass(frozen=True)
class CostTable:
    """Measurements of `profile`; ``print(table)`` shows them.

    Attributes:
        rows: One row per mode; the first is ``plain``.
        method: The method whose directions are compared.
        about: Number of tasks, of parameters and of turns, and the device, in words.
    """

    rows: tuple[CostRow, ...]
    method: str
    about: str

    def __str__(self) -> str:
        """A Markdown table."""
        base = self.rows[0].memory
        cells = [["gradients", "engine", "time (plain steps)", "peak memory", "cosine to exact"]]
        for row in self.rows:
            if row.note:
                cells.append([row.mode, "refused: " + row.note, "", "", ""])
                continue
            time_text = f"{row.steps:.2f} ({row.spread[0]:.2f} to {row.spread[1]:.2f})"
            memory = f"{in_words(row.memory)} ({row.memory / base:.1f}x)" if base else in_words(row.memory)
            cosine = "" if math.isnan(row.cosine) else f"{row.cosine:.4f}"
            cells.append([row.mode, row.engine, time_text, memory, cosine])
        widths = [max(len(line[i]) for line in cells if line[2] or not i) for i in range(5)]
        lines = [
            "| " + " | ".join(text.ljust(width) for text, width in zip(c, widths, strict=True)) + " |" for c in cells
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([*lines, "", f"{self.method}; {self.about}"])


def profile(
    model: nn.Module,
    losses: Compute,
    *,
    method: Method | None = None,
    modes: Sequence[Mode] | None = None,
    repeats: int = 7,
    step_size: float = 0.01,
) -> CostTable:
    """Measures time, peak memory and accuracy of the gradient modes.

    A plain step is forward, the sum of the losses, and backward. Modes take turns with it `repeats` times, each ratio
    is taken within a turn, and the median is shown: wall time, the optimizer not included. The cosine compares the
    first direction of a fresh Balancer with the exact one on the same batch and the same random numbers. For
    ``Every(n)`` the parameters move n - 1 times along the exact gradient first, and the cosine is that of the oldest
    weights; its time is the mean over n steps.

    The model's parameters, buffers and gradients, and the random state, are restored afterwards. Batches that `losses`
    draws from a loader are consumed.

    Args:
        model: The model to train.
        losses: Function that computes the losses of a batch, by task name or in order, or a pair (losses, features).
            The same batch in every call gives the fairest comparison.
        method: A method on a Gramian; MGDA by default.
        modes: The modes to measure; by default `Exact`, `Every(10)`, `Sketch(4096)`, and `Features` where features are
            given.
        repeats: Number of measured turns, at least 1; one more turn warms up.
        step_size: Step size of the gradient steps between the steps of ``Every(n)``.

    Returns:
        A table with one row per mode.

    Raises:
        SettingError: `repeats` is below 1.

    Example:
        >>> import equipoise as eq
        >>> trunk, heads = nn.Linear(3, 4), nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
        >>> x = torch.ones(8, 3)
        >>> table = eq.profile(nn.ModuleList([trunk, heads]), lambda: [h(trunk(x)).square().mean() for h in heads])
        >>> [row.mode for row in table.rows]
        ['plain', 'Exact()', 'Every(n=10)', 'Sketch(s=4096, seed=0)']
    """
    if repeats < 1:
        raise SettingError(f"`repeats` must be at least 1; got {repeats}.")
    chosen = MGDA() if method is None else method
    with _left_as_it_was(model):
        run = _Run(model, losses, chosen)
        if modes is None:
            modes = [Exact(), *([Features()] if run.has_features else []), Every(10), Sketch(4096)]
        reference = run.reference()
        ways: list[tuple[Mode, Balancer]] = []
        refused: dict[int, str] = {}
        for number, mode in enumerate(modes):
            try:
                balancer = run.balancer(mode)
                run.step(balancer)
                ways.append((mode, balancer))
            except EquipoiseError as error:
                refused[number] = str(error).split(". ")[0]
        seconds = _take_turns(run, ways, repeats)
        plain = seconds.pop(0)
        rows = [_row("plain", "", [1.0] * len(plain), run.peak(None), math.nan)]
        for number, mode in enumerate(modes):
            if number in refused:
                rows.append(CostRow(repr(mode), "", math.nan, (math.nan, math.nan), 0, math.nan, refused[number]))
                continue
            taken, (_, balancer) = seconds.pop(0), ways.pop(0)
            ratios = [mine / base for mine, base in zip(taken, plain, strict=True)]
            rows.append(
                _row(repr(mode), balancer.plan.engine, ratios, run.peak(mode), run.cosine(mode, reference, step_size))
            )
        about = f"{run.k} tasks, {run.size:,} parameters, {run.device}, {repeats} turns"
    return CostTable(tuple(rows), repr(chosen), about)


class _Run:
    """Steps of one model."""

    def __init__(self, model: nn.Module, losses: Compute, method: Method) -> None:
        self.model, self.method, self._compute = model, method, losses
        found, features = self.forward()
        self.has_features = features is not None
        self.names = tuple(found) if isinstance(found, Mapping) else tuple(f"task{i}" for i in range(len(found)))
        self.k = len(self.names)
        self.size = sum(parameter.numel() for parameter in model.parameters())
        self.device = next(model.parameters()).device

    def forward(self) -> tuple[Losses, object]:
        torch.manual_seed(0)  # the same dropout for every mode; the user's random state comes back at the end
        outcome = self._compute()
        if isinstance(outcome, tuple) and len(outcome) == 2 and not isinstance(outcome[0], Tensor):
            return cast("tuple[Losses, object]", outcome)
        return cast("Losses", outcome), None

    def balancer(self, mode: Mode) -> Balancer:
        return Balancer(
            self.method, tasks=self.names, model=self.model, gradients=mode, steps_per_epoch="manual",
            process_group="none",  # a measurement of this process
        )  # fmt: skip

    def step(self, balancer: Balancer | None) -> None:
        self.model.zero_grad(set_to_none=True)
        losses, features = self.forward()
        if balancer is None:
            present = [
                loss for loss in (losses.values() if isinstance(losses, Mapping) else losses) if loss is not None
            ]
            torch.stack([loss.reshape(()) for loss in present]).sum().backward()  # type: ignore[no-untyped-call]
        else:
            balancer(losses, features=features).backward()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak(self, mode: Mode | None) -> int:
        balancer = None if mode is None else self.balancer(mode)
        self.model.zero_grad(set_to_none=True)
        return peak_bytes(lambda: self.step(balancer), self.device)

    def direction(self, balancer: Balancer) -> dict[str, Tensor]:
        """Gradient of each parameter after a step, flat and in float64."""
        self.step(balancer)
        return {name: reals(p.grad).double().clone() for name, p in self.model.named_parameters() if p.grad is not None}

    def reference(self) -> dict[str, Tensor]:
        """Gradient of each shared parameter after a step with exact gradients."""
        balancer = self.balancer(Exact())
        found = self.direction(balancer)
        return {
            name: found[name] for name, tasks in balancer.ownership.reached.items() if len(tasks) > 1 or self.k == 1
        }

    def cosine(self, mode: Mode, reference: dict[str, Tensor], step_size: float) -> float:
        if not isinstance(mode, Every):
            return _cosine(self.direction(self.balancer(mode)), reference)
        exact, reusing = self.balancer(Exact()), self.balancer(mode)
        with _left_as_it_was(self.model):
            for number in range(mode.n):
                found, wanted = self.direction(reusing), self.direction(exact)
                if number < mode.n - 1:
                    with torch.no_grad():
                        for parameter in self.model.parameters():
                            if parameter.grad is not None:
                                parameter.sub_(step_size * parameter.grad)
        return _cosine(found, {name: wanted[name] for name in reference})


def _take_turns(run: _Run, ways: Sequence[tuple[Mode, Balancer]], repeats: int) -> list[list[float]]:
    """Seconds per step: the plain one first, then each mode, `repeats` times in turn."""
    seconds: list[list[float]] = [[] for _ in range(len(ways) + 1)]
    for turn in range(repeats + 1):
        for number, way in enumerate([None, *ways]):
            count = way[0].n if way is not None and isinstance(way[0], Every) else 1
            began = time.perf_counter()
            for _ in range(count):
                run.step(None if way is None else way[1])
            if turn:  # the first one warms up
                seconds[number].append((time.perf_counter() - began) / count)
    return seconds


def _row(mode: str, engine: str, ratios: Sequence[float], memory: int, cosine: float) -> CostRow:
    return CostRow(mode, engine, statistics.median(ratios), (min(ratios), max(ratios)), memory, cosine)


def _cosine(found: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """Cosine over the reference's parameters; NaN where either side is zero."""
    zeros = {name: torch.zeros_like(block) for name, block in reference.items()}
    one = {name: found.get(name, zeros[name]) for name in reference}
    product = sum(float((one[name] * reference[name]).sum()) for name in reference)
    lengths = [math.sqrt(sum(float(part.square().sum()) for part in side.values())) for side in (one, reference)]
    return product / (lengths[0] * lengths[1]) if all(lengths) else math.nan


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    tensors = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    with torch.random.fork_rng():
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, kept in zip(tensors, before, strict=True):
                    tensor.copy_(kept)
            for parameter, gradient in gradients:
                parameter.grad = gradient
