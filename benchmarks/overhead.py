"""What a loss method adds to a training step, side by side with torchjd's scalarizers in one run.

The model is an MLP of 2 million parameters (512-1024-1024-256-k), the batch 256, the losses the k columns' mean squared
errors, the optimizer SGD, one thread. A plain step descends ``torch.stack(losses).mean()``. Plain step and method step
alternate, the order swapped every time; each pair gives a ratio of process CPU times, and the median ratio with its
bootstrap interval is reported. Process CPU time does not count what other programs take.

Run::

    OMP_NUM_THREADS=1 python benchmarks/overhead.py --out overhead

writes ``overhead/overhead.json`` and ``overhead/overhead.md``. Needs the extra ``bench`` for the peer; without it the
peer's rows say so.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import versions, write
from torch import Tensor, nn

import equipoise as eq
from equipoise.methods.base import LossMethod

Losses = tuple[Tensor, ...]
WIDTHS = (512, 1024, 1024, 256)
BATCH = 256
GOALS = {3: 1.03, 40: 1.03, 1000: 1.10}
OWN_FIGURES = ("ExcessMTL", "Averaged")  # k passes; a copy of the model: not bound by the goal


@dataclass
class Contestant:
    """A way to make a step's scalar.

    Attributes:
        name: In the table.
        library: ``equipoise``, ``torchjd`` or ``plain``.
        scalar: losses -> what backward is called on.
        parameters: For the optimizer, besides the model's.
        before_step: Called between backward and the optimizer's step.
    """

    name: str
    library: str
    scalar: Callable[[Losses], Tensor]
    parameters: Iterable[Tensor] = ()
    before_step: Callable[[nn.Module, Losses], None] = lambda model, losses: None


class Loop:
    """One model with its optimizer and one batch."""

    def __init__(self, contestant: Contestant, k: int) -> None:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for width, wider in itertools.pairwise(WIDTHS):
            layers += [nn.Linear(width, wider), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.Linear(WIDTHS[-1], k))
        self.contestant = contestant
        self.optimizer = torch.optim.SGD([*self.model.parameters(), *contestant.parameters], lr=1e-4)
        self.x, self.y = torch.randn(BATCH, WIDTHS[0]), torch.randn(BATCH, k)

    def step(self) -> float:
        """One step; returns its CPU time in seconds."""
        began = time.process_time()
        losses = (self.model(self.x) - self.y).square().mean(dim=0).unbind()
        self.optimizer.zero_grad(set_to_none=True)
        self.contestant.scalar(losses).backward()
        self.contestant.before_step(self.model, losses)
        self.optimizer.step()
        return time.process_time() - began


def plain() -> Contestant:
    """The step that everything is compared with."""
    return Contestant("plain mean", "plain", lambda losses: torch.stack(losses).mean())


def ours(k: int) -> list[Callable[[], Contestant]]:
    """Every loss method with its default settings, and the three that have figures of their own."""

    def of(method: Any, name: str = "") -> Callable[[], Contestant]:
        def make() -> Contestant:
            names = tuple(f"task{i}" for i in range(k))
            balancer = eq.Balancer(method, tasks=names, steps_per_epoch="manual" if method.per_epoch else None)
            contestant = Contestant(name or type(method).__name__, "equipoise", balancer, list(balancer.parameters()))
            if isinstance(method, eq.Averaged):
                keeper = method.keeper()
                contestant.before_step = lambda model, losses: keeper.keep(model, [loss.detach() for loss in losses])
            return contestant

        return make

    def recorded() -> Contestant:
        contestant = of(eq.OMDTchebycheff())()
        contestant.name = "OMDTchebycheff, recorded every 50 steps"
        eq.record(contestant.scalar, Path(tempfile.mkdtemp()) / "run")
        return contestant

    kinds = [eq.methods.table[name] for name in sorted(eq.methods.table)]
    methods = [kind for kind in kinds if issubclass(kind, LossMethod) and kind is not eq.Averaged]
    made = [of(_build(kind, k)) for kind in methods]
    return [*made, recorded, of(eq.Averaged(), "Averaged"), of(eq.ExcessMTL(), "ExcessMTL")]


def _build(kind: type, k: int) -> LossMethod:
    """A method with its defaults; those without defaults get a preference of equal parts."""
    try:
        return kind()
    except TypeError:
        return kind((1 / k,) * k)


def peers(k: int) -> list[Callable[[], Contestant]]:
    """Torchjd's scalarizers, each named after what it corresponds to here."""
    from torchjd import scalarization as peer  # noqa: PLC0415 - an extra

    equal = torch.full((k,), 1 / k)
    made = {
        "Mean": peer.Mean,
        "Constant": lambda: peer.Constant(equal),
        "COSMOS": lambda: peer.COSMOS(0.1, equal),
        "DWA": peer.DWA,
        "FAMO": lambda: peer.FAMO(k),
        "GeometricMean": peer.GeometricMean,
        "IMTLL": lambda: peer.IMTLL(k),
        "PBI": lambda: peer.PBI(1.0, equal),
        "Random": peer.Random,
        "STCH": lambda: peer.STCH(0.1, equal),
        "UW": lambda: peer.UW(k),
    }

    def of(name: str, make: Callable[[], Any]) -> Callable[[], Contestant]:
        def build() -> Contestant:
            scalarizer = make()
            trained = list(scalarizer.parameters()) if isinstance(scalarizer, nn.Module) else []
            return Contestant(name, "torchjd", lambda losses: scalarizer(torch.stack(losses)), trained)

        return build

    return [of(name, make) for name, make in made.items()]


def measure(make: Callable[[], Contestant], k: int, pairs: int) -> dict[str, Any]:
    """Pairs of a plain and a method step."""
    base, mine = Loop(plain(), k), Loop(make(), k)
    for _ in range(3):  # buffers, the first step's look at the graph
        base.step()
        mine.step()
    times = []
    for number in range(pairs):
        if number % 2:
            second, first = mine.step(), base.step()
        else:
            first, second = base.step(), mine.step()
        times.append((first, second))
    plain_times, method_times = np.array(times).T
    ratios = method_times / plain_times
    generator = np.random.default_rng(0)
    medians = np.median(generator.choice(ratios, size=(2000, pairs)), axis=1)
    return {
        "name": mine.contestant.name,
        "library": mine.contestant.library,
        "k": k,
        "pairs": pairs,
        "plain ms": 1000 * float(np.median(plain_times)),
        "method ms": 1000 * float(np.median(method_times)),
        "ratio": float(np.median(ratios)),
        "low": float(np.quantile(medians, 0.025)),
        "high": float(np.quantile(medians, 0.975)),
        "goal": None if mine.contestant.name in OWN_FIGURES else GOALS.get(k),
    }


def run(sizes: Iterable[int], pairs: int, only: str) -> list[dict[str, Any]]:
    """All contestants at all sizes."""
    records = []
    for k in sizes:
        try:
            contestants = [plain, *ours(k), *peers(k)]
        except ImportError as error:
            print(f"the peer is not here: {error}", file=sys.stderr)
            contestants = [plain, *ours(k)]
        for make in contestants:
            name = make().name
            if only and only not in name:
                continue
            if k >= 1000 and name == "ExcessMTL":  # k gradients of 2 million parameters, in float64: 16 GB
                continue
            records.append(measure(make, k, pairs))
            print(f"k={k} {name}: {records[-1]['ratio']:.3f}", file=sys.stderr, flush=True)
    return records


def table(records: list[dict[str, Any]]) -> str:
    """Markdown, one table a number of tasks."""
    parts = []
    for k in dict.fromkeys(record["k"] for record in records):
        group = [record for record in records if record["k"] == k]
        goal = GOALS.get(k)
        parts += [
            f"\n## k = {k}\n\nGoal for loss methods: at most {goal} times the plain step."
            if goal
            else f"\n## k = {k}\n",
            "\n| method | library | method step, ms | plain step, ms | ratio: median [95 %] | goal |",
            "|---|---|---:|---:|---|---|",
        ]
        for record in group:
            met = "" if record["goal"] is None or record["library"] != "equipoise" else (
                "met" if record["ratio"] <= record["goal"] else "missed"
            )  # fmt: skip
            parts.append(
                f"| {record['name']} | {record['library']} | {record['method ms']:.2f} | {record['plain ms']:.2f} | "
                f"{record['ratio']:.3f} [{record['low']:.3f}, {record['high']:.3f}] | {met or '-'} |"
            )
    return "\n".join(parts)


def main() -> None:
    """Parses, runs, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for overhead.json and overhead.md")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(GOALS))
    parser.add_argument("--pairs", type=int, default=41)
    parser.add_argument("--only", default="", help="contestants whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = run(options.sizes, options.pairs, options.only)
    about = versions("equipoise", "torchjd", "torch", "numpy")
    head = ", ".join(f"{name} {value}" for name, value in about.items())
    text = (
        f"# What a loss method adds to a step\n\n{head}; MLP {WIDTHS}, batch {BATCH}, {options.pairs} pairs, process "
        f"CPU time. FAMO is timed without its look at the losses after the step.\n{table(records)}\n"
    )
    write(options.out, "overhead", {"about": about, "records": records}, text)


if __name__ == "__main__":
    main()
