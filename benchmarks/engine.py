"""Time and memory of one balanced training step, side by side with peers in one run; a plain step is 1.0.

A plain step is the forward pass and the backward pass of the mean of the losses. Every way does the same step with
Aligned-MTL weights (the loop of backward passes: equal weights, which favours it), on the same model, and leaves
gradients in ``.grad``. Time is process CPU time on one thread; in each round every way follows a plain step, and the
ratio of the two is kept: the table shows the median with the range that covers the median with 95 % (order statistics).
``equipoise Features`` is an approximation (weights from the gradients at the features; goal 1.15 plain steps), all
other ways are exact. Memory is the peak of torch's allocator events during one step (parameters excluded, activations
and gradients included; scratch memory inside LAPACK and the BLAS is not seen), again as a multiple of a plain step.

Run::

    OMP_NUM_THREADS=1 python benchmarks/engine.py --out engine [--quick]

writes ``engine/engine.json`` and ``engine/engine.md``. Needs the extra ``bench``; a peer that cannot be imported is
left out and named.
"""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import equipoise as eq

try:
    from torchjd.aggregation import AlignedMTL, AlignedMTLWeighting
    from torchjd.autogram import Engine
    from torchjd.autojac import jac_to_grad, mtl_backward
except ImportError as problem:
    AlignedMTL = None
    print(f"torchjd is left out: {problem}", file=sys.stderr)

Step = Callable[[], None]
Forward = Callable[["Model", Tensor, Tensor, str], tuple[list[Tensor], Tensor]]
LIMITS = {  # (model, batch, tasks, rows): plain steps, multiples of plain memory
    ("mlp", 256, 3, "shared"): (2.3, None),
    ("mlp", 256, 10, "shared"): (5.8, 4.2),
    ("mlp", 256, 40, "shared"): (19.0, None),
    ("mlp", 32, 10, "shared"): (3.8, 2.2),
    ("mlp", 256, 10, "owned"): (1.5, None),
    ("mlp", 256, 40, "owned"): (1.5, None),
}


# --------------------------------------------------------------------------------------------------------- models
class Model(nn.Module):
    """A trunk and one linear head a task."""

    def __init__(self, trunk: nn.Module, width: int, k: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList([nn.Linear(width, 1) for _ in range(k)])


class Transformer(nn.Module):
    """Four blocks, d = 128; the mean over 32 tokens is the feature."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 128)
        block = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 4, enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Features (batch, 128)."""
        return self.blocks(self.embedding(tokens)).mean(dim=1)


def build(kind: str, batch: int, k: int) -> tuple[Model, Tensor, Tensor]:
    """A model, its inputs, and one target a task."""
    torch.manual_seed(0)
    if kind == "mlp":
        sizes = [256, 768, 768, 768, 768]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return Model(nn.Sequential(*layers), 768, k), torch.randn(batch, 256), torch.randn(batch, k)
    if kind == "conv":
        layers = []
        for a, b in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), nn.MaxPool2d(2)]
        trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return Model(trunk, 128, k), torch.randn(batch, 3, 32, 32), torch.randn(batch, k)
    return Model(Transformer(), 128, k), torch.randint(0, 1000, (batch, 32)), torch.randn(batch, k)


def losses_of(model: Model, x: Tensor, y: Tensor, rows: str) -> tuple[list[Tensor], Tensor]:
    """Squared errors; with ``rows="owned"`` row i has a label for task i mod k only."""
    z, k = model.trunk(x), len(model.heads)
    if rows == "owned":
        return [(head(z[i::k])[:, 0] - y[i::k, i]).square().mean() for i, head in enumerate(model.heads)], z
    return [(head(z)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(model.heads)], z


# ----------------------------------------------------------------------------------------------------------- ways
def ways(
    model: Model, x: Tensor, y: Tensor, rows: str, forward: Forward = losses_of
) -> tuple[dict[str, Step], eq.Balancer]:
    """Every way to do the step, by name; the plain one first."""
    k = len(model.heads)
    shared = list(model.trunk.parameters())
    balancer = eq.Balancer(eq.AlignedMTL(), model=model)
    approximate = eq.Balancer(eq.AlignedMTL(), model=model, gradients=eq.Features())

    def plain() -> None:
        losses, _ = forward(model, x, y, rows)
        (sum(losses) / k).backward()  # type: ignore[union-attr]

    def ours() -> None:
        losses, z = forward(model, x, y, rows)
        balancer({str(i): loss for i, loss in enumerate(losses)}, features=z).backward()

    def features() -> None:
        losses, z = forward(model, x, y, rows)
        approximate({str(i): loss for i, loss in enumerate(losses)}, features=z).backward()

    def loop() -> None:
        losses, _ = forward(model, x, y, rows)
        found = []
        for number, loss in enumerate(losses):
            for parameter in shared:
                parameter.grad = None
            loss.backward(retain_graph=number < k - 1)
            found.append(torch.cat([parameter.grad.flatten() for parameter in shared]))  # type: ignore[union-attr]
        jacobian = torch.stack(found)
        (jacobian @ jacobian.T).cpu()
        mixed = (torch.full((k,), 1 / k) @ jacobian).split([parameter.numel() for parameter in shared])
        for parameter, gradient in zip(shared, mixed, strict=True):
            parameter.grad = gradient.view_as(parameter)

    found: dict[str, Step] = {"plain": plain, "equipoise": ours, "equipoise Features": features, "backward loop": loop}
    if AlignedMTL is None:
        return found, balancer

    def autojac(chunk: int | None) -> Step:
        def step() -> None:
            losses, z = forward(model, x, y, rows)
            mtl_backward(losses, features=z, parallel_chunk_size=chunk)
            jac_to_grad(shared, AlignedMTL(), optimize_gramian_computation=True)

        return step

    def autogram() -> None:
        # hooks of its engine stay on the model, so it gets one that lives for this step only
        engine = Engine(model.trunk, batch_dim=None)
        losses, _ = forward(model, x, y, rows)
        stacked = torch.stack(losses)
        weights = AlignedMTLWeighting()(engine.compute_gramian(stacked))
        stacked.backward(weights)
        del engine

    return found | {"torchjd": autojac(None), "torchjd chunk 1": autojac(1), "torchjd autogram": autogram}, balancer


# ------------------------------------------------------------------------------------------------------ measuring
@dataclass
class Entry:
    """One way in one setting."""

    model: str
    batch: int
    tasks: int
    rows: str
    way: str
    steps: float
    low: float
    high: float
    memory: float
    rounds: int
    plain_ms: float
    predicted: float | None = None
    engine: str = ""


def clear(model: Model) -> None:
    """Forgets gradients, so that each step starts from the same memory."""
    for parameter in model.parameters():
        parameter.grad = None


def seconds(model: Model, step: Step) -> float:
    """CPU time of one step."""
    clear(model)
    began = time.process_time()
    step()
    return time.process_time() - began


def peak(model: Model, step: Step) -> float:
    """Peak of live bytes that were allocated within the step."""
    clear(model)
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    live = highest = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        highest = max(highest, live)
    return float(highest)


def interval(values: list[float]) -> tuple[float, float]:
    """Order statistics around the median: 95 % or the whole range if there are few."""
    ordered, n = sorted(values), len(values)
    reach = int(0.98 * n**0.5)
    return ordered[max(0, n // 2 - reach)], ordered[min(n - 1, n // 2 + reach)]


def measure(kind: str, batch: int, k: int, rows: str, rounds: int, budget: float) -> list[Entry]:
    """All ways in one setting, round by round."""
    model, x, y = build(kind, batch, k)
    found, balancer = ways(model, x, y, rows)
    memory: dict[str, float] = {}
    for name, step in tuple(found.items()):
        try:
            for _ in range(2):  # the second time everything is warm and ownership is known
                clear(model)
                step()
            memory[name] = peak(model, step)
        except (RuntimeError, ValueError, NotImplementedError) as problem:
            print(f"{kind} {batch} {k}: {name} is left out: {problem}", file=sys.stderr)
            del found[name]
    ratios: dict[str, list[float]] = {name: [] for name in found if name != "plain"}
    plain: list[float] = []
    began = time.monotonic()
    for number in range(rounds):
        for name, kept in ratios.items():
            base = seconds(model, found["plain"])
            plain.append(base)
            kept.append(seconds(model, found[name]) / base)
        if number >= 2 and time.monotonic() - began > budget:
            break
    entries = []
    for name, values in ratios.items():
        low, high = interval(values)
        cost, engine = (balancer.plan.cost, balancer.plan.engine) if name == "equipoise" else (None, "")
        base, used = 1000 * statistics.median(plain), memory[name] / memory["plain"]
        median = statistics.median(values)
        entries.append(Entry(kind, batch, k, rows, name, median, low, high, used, len(values), base, cost, engine))
    return entries


# ------------------------------------------------------------------------------------------------------- the page
def page(entries: list[Entry], about: dict[str, Any]) -> str:
    """The table in Markdown, a line a setting."""
    names = list(dict.fromkeys(entry.way for entry in entries))
    lines = ["# What a balanced step costs", "", (__doc__ or "").split("\n\n")[1], ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "Plain steps (95 % range) / multiples of plain memory.", ""]
    lines += ["| setting | plain ms | predicted | " + " | ".join(names) + " | limit |", "|---" * (len(names) + 4) + "|"]
    for key in dict.fromkeys((e.model, e.batch, e.tasks, e.rows) for e in entries):
        here = {e.way: e for e in entries if (e.model, e.batch, e.tasks, e.rows) == key}
        cells = [
            f"{e.steps:.2f} ({e.low:.2f} to {e.high:.2f}) / {e.memory:.2f}" if (e := here.get(name)) else "-"
            for name in names
        ]
        ours = here["equipoise"]
        limit = " / ".join("-" if value is None else f"{value}" for value in LIMITS.get(key, (None, None)))
        guess = "-" if ours.predicted is None else f"{ours.predicted:.1f}"
        where = f"{key[0]} B={key[1]} k={key[2]}" + (" rows owned" if key[3] == "owned" else "")
        lines.append(
            f"| {where} ({ours.engine}) | {ours.plain_ms:.1f} | {guess} | " + " | ".join(cells) + f" | {limit} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("engine"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for one setting, after three rounds")
    parser.add_argument("--models", nargs="*", default=["mlp", "conv", "transformer"])
    parser.add_argument("--quick", action="store_true", help="few settings, few rounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tasks, batches = ((3, 10), (32, 256)) if options.quick else ((2, 3, 10, 40), (32, 256))
    rounds = min(options.rounds, 7) if options.quick else options.rounds
    settings = []
    for kind in options.models:
        for batch in (32,) if options.quick and kind != "mlp" else batches:
            settings += [(kind, batch, k, "shared") for k in tasks]
        if kind == "mlp":
            settings += [(kind, 256, k, "owned") for k in ((10,) if options.quick else (10, 40))]
    entries: list[Entry] = []
    options.out.mkdir(parents=True, exist_ok=True)
    processor = platform.processor() or platform.machine()
    about = {"torch": torch.__version__, "processor": processor, "threads": 1, "method": "AlignedMTL"}
    for setting in settings:
        entries += measure(*setting, rounds=rounds, budget=options.budget)
        shown = {
            e.way: f"{e.steps:.2f}/{e.memory:.2f}" for e in entries if (e.model, e.batch, e.tasks, e.rows) == setting
        }
        print(*setting, shown, flush=True)
        content = {"about": about, "entries": [asdict(entry) for entry in entries]}
        (options.out / "engine.json").write_text(json.dumps(content, indent=1))
        (options.out / "engine.md").write_text(page(entries, about))


if __name__ == "__main__":
    main()
