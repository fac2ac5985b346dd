"""What a balanced step of a small model costs beyond a plain one, side by side with torchjd in one run.

The model is an MLP 16-64-64 with one linear head a task, the batch 64, the losses squared errors, one thread. A plain
step is the forward pass and the backward pass of the mean of the losses. Every way does the same step with the same
method and leaves gradients in ``.grad``. Ways take turns, and each turn measures a few steps of each in process CPU
time, which does not count what other programs take; the table shows the smallest and the median milliseconds beyond the
plain step of the same turn. ``calls`` are the Python calls of one steady step (forward pass included), ``files`` and
``functions`` the distinct files and (file, qualified name) pairs of the library's own that a steady call and its
backward enter, both by ``sys.setprofile``.

Run::

    OMP_NUM_THREADS=1 python benchmarks/small_step.py --out small_step [--quick]

writes ``small_step/small_step.json`` and ``small_step/small_step.md``. Needs the extra ``bench`` for the peer; without
it the peer's columns are left out.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

import equipoise as eq

try:
    from torchjd import aggregation as peer
    from torchjd.autojac import jac_to_grad, mtl_backward
except ImportError as problem:
    peer = None  # type: ignore[assignment]
    print(f"torchjd is left out: {problem}", file=sys.stderr)

Step = Callable[[], None]
LIMITS = {2: 1.2, 5: 1.5, 10: 2.5}  # tasks -> milliseconds beyond a plain step, on a quiet machine
BATCH = 64
METHODS: dict[str, Callable[[], Any]] = {
    "UPGrad": eq.UPGrad,
    "MGDA": eq.MGDA,
    "CAGrad": eq.CAGrad,
    "Nash-MTL": eq.NashMTL,
}
PEERS: dict[str, Callable[[int], Any]] = {
    "UPGrad": lambda k: peer.UPGrad(),
    "MGDA": lambda k: peer.MGDA(),
    "CAGrad": lambda k: peer.CAGrad(c=0.4),
    "Nash-MTL": lambda k: peer.NashMTL(n_tasks=k),
}


@dataclass
class Entry:
    """One way to do one method's step.

    Attributes:
        least: Smallest milliseconds beyond the plain step of the same turn.
        median: Likewise.
        plain: Median milliseconds of the plain step.
        calls: Python calls of one steady step.
        files: Distinct files of the library's own that a steady step enters, the forward pass left out.
        functions: Distinct (file, qualified name), likewise.
    """

    tasks: int
    method: str
    way: str
    least: float
    median: float
    plain: float
    calls: int
    files: int
    functions: int


class Model(nn.Module):
    """A trunk and one linear head a task."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(64, 1) for _ in range(k)])
        self.x, self.y = torch.randn(BATCH, 16), torch.randn(BATCH, k)
        self.held = list(self.parameters())

    def losses(self) -> tuple[dict[str, Tensor], Tensor]:
        """The tasks' losses and the features."""
        z = self.trunk(self.x)
        return {str(i): (head(z)[:, 0] - self.y[:, i]).square().mean() for i, head in enumerate(self.heads)}, z

    def clear(self) -> None:
        """Forgets gradients."""
        for parameter in self.held:
            parameter.grad = None


def ways(model: Model, method: str) -> dict[str, Callable[[dict[str, Tensor], Tensor], None]]:
    """What follows the forward pass, by name; the plain one first."""
    k, shared = len(model.heads), list(model.trunk.parameters())
    bare = eq.Balancer(METHODS[method](), model=model)
    featured = eq.Balancer(METHODS[method](), model=model)
    found: dict[str, Callable[[dict[str, Tensor], Tensor], None]] = {
        "plain": lambda losses, z: (sum(losses.values()) / k).backward(),  # type: ignore[union-attr]
        "equipoise": lambda losses, z: bare(losses).backward(),
        "equipoise, features": lambda losses, z: featured(losses, features=z).backward(),
    }
    if peer is not None:
        aggregator = PEERS[method](k)

        def theirs(losses: dict[str, Tensor], z: Tensor) -> None:
            mtl_backward(list(losses.values()), features=z)
            jac_to_grad(shared, aggregator)

        found["torchjd"] = theirs
    return found


def entered(run: Callable[[], None]) -> tuple[int, set[tuple[str, str]]]:
    """How many Python calls some code makes, and which functions it enters."""
    calls, seen = 0, set[tuple[str, str]]()

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call":
            calls += 1
            seen.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls, {(file, name) for file, name in seen if "/equipoise/" in file or "/torchjd/" in file}


def measure(k: int, method: str, turns: int, steps: int) -> list[Entry]:
    """All ways to do one method's step, turn by turn."""
    torch.manual_seed(0)
    model = Model(k)
    found = ways(model, method)
    counted: dict[str, tuple[int, int, int]] = {}
    for name, after in found.items():
        for _ in range(5):
            model.clear()
            after(*model.losses())
        model.clear()
        losses, z = model.losses()
        _, seen = entered(lambda after=after, losses=losses, z=z: after(losses, z))  # type: ignore[misc]
        model.clear()
        calls, _ = entered(lambda after=after: after(*model.losses()))  # type: ignore[misc]
        counted[name] = calls, len({file for file, _ in seen}), len(seen)
    taken: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(turns):
        for name, after in found.items():
            began = time.process_time()
            for _ in range(steps):
                model.clear()
                after(*model.losses())
            taken[name].append(1000 * (time.process_time() - began) / steps)
    plain = taken["plain"]
    entries = []
    for name in list(found)[1:]:
        beyond = [mine - base for mine, base in zip(taken[name], plain, strict=True)]
        least = min(taken[name]) - min(plain)
        calls, files, functions = counted[name]
        entries.append(
            Entry(k, method, name, least, statistics.median(beyond), statistics.median(plain), calls, files, functions)
        )
    return entries


def page(entries: list[Entry], about: dict[str, Any]) -> str:
    """The table in Markdown."""
    lines = ["# What a balanced step of a small model costs", "", (__doc__ or "").split("\n\n")[1], ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "| k | method | way | plain ms | beyond: least | median | goal | calls | files | functions |"]
    lines += ["|---" * 10 + "|"]
    for e in entries:
        goal = f"{LIMITS[e.tasks]}" if e.way.startswith("equipoise") else ""
        lines.append(
            f"| {e.tasks} | {e.method} | {e.way} | {e.plain:.2f} | {e.least:.2f} | {e.median:.2f} | {goal} | {e.calls} "
            f"| {e.files} | {e.functions} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("small_step"))
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--steps", type=int, default=10, help="steps of each way in one turn")
    parser.add_argument("--tasks", type=int, nargs="*", default=list(LIMITS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--quick", action="store_true", help="few turns")
    options = parser.parse_args()
    torch.set_num_threads(1)
    processor = platform.processor() or platform.machine()
    about = {"torch": torch.__version__, "processor": processor, "threads": 1, "steps a turn": options.steps}
    entries: list[Entry] = []
    options.out.mkdir(parents=True, exist_ok=True)
    for k in options.tasks:
        for method in options.methods:
            entries += measure(k, method, 8 if options.quick else options.turns, options.steps)
            shown = {e.way: f"{e.least:.2f}/{e.median:.2f} ms, {e.calls} calls" for e in entries[-3:]}
            print(k, method, f"plain {entries[-1].plain:.2f} ms", shown, flush=True)
    (options.out / "small_step.json").write_text(
        json.dumps({"about": about, "entries": [asdict(entry) for entry in entries]}, indent=1)
    )
    (options.out / "small_step.md").write_text(page(entries, about))


if __name__ == "__main__":
    main()
