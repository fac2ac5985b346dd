"""The tables of ``docs/scale.md``: what a balanced step costs over many ranks.

The first tables are the model of ``equipoise.engine.cost.scale``; the last one is measured here. Run::

    python benchmarks/scale.py            prints the tables
    python benchmarks/scale.py --write    writes them into docs/scale.md, between its markers

A test compares the page with what this script gives.
"""

import argparse
import re
from pathlib import Path

import torch
from torch import Tensor, nn

import equipoise as eq
from equipoise.engine.cost.peak_memory import peak_bytes
from equipoise.engine.cost.scale import SCHEMES, cheapest, scale_cost

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SIZES, RANKS, TASKS = (1e8, 1e9, 1e10, 1e11), (1, 8, 64, 1024), (3, 10)
ROOM = 64e9  # bytes on a rank: four fifths of 80 GB
ADAPTERS = 0.01  # of the network's parameters


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def volume(count: float) -> str:
    """Bytes in words, with two digits."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2g} {unit}" if count < 99.5 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} B"


def formulas() -> str:
    """Each scheme at one size, for k = 3 and 10."""
    rows = []
    for name, scheme in SCHEMES.items():
        cells = [f"`{name}`", scheme.about, "exact" if scheme.exact else "approximate"]
        for k in TASKS:
            cost = scale_cost(name, k, 1e9, 64)
            cells.append(f"{cost.compute:.1f} / {cost.traffic:.2f} / {volume(cost.kept)}")
        rows.append(cells)
    return table(["scheme", "what it is", "weights", *(f"k = {k}" for k in TASKS)], rows)


def cell(k: int, trained: float, ranks: int, whole: float) -> str:
    """The scheme to take at one size, with its cost."""
    name = cheapest(k, trained, ranks, ROOM, whole)
    if name is None:
        fits = [way for way in ("losses", "shards, losses") if scale_cost(way, k, trained, ranks, whole).held <= ROOM]
        return f"only a method on losses (`{fits[0]}`)" if fits else "out of reach"
    cost = scale_cost(name, k, trained, ranks, whole)
    if ranks == 1:
        return f"{cost.compute:.1f}, holds {volume(cost.held)}"
    sent = volume(4 * cost.sent)
    return f"`{name}` {cost.compute:.1f} / {cost.traffic:.1f}, sends {sent}, holds {volume(cost.held)}"


def choices(share: float) -> str:
    """The scheme to take for each size and number of ranks; `share` of the parameters is trained."""
    rows = [
        [f"{size:.0e}".replace("e+", "e").replace("e0", "e"), str(k), *(cell(k, share * size, r, size) for r in RANKS)]
        for size in SIZES
        for k in TASKS
    ]
    return table(["parameters", "k", *("1 rank" if r == 1 else f"{r} ranks" for r in RANKS)], rows)


def kept(k: int) -> tuple[float, float, int]:
    """Measured bytes beyond a plain step, the model's, and the number of shared parameters, on one process."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    heads = nn.ModuleList([nn.Linear(512, 1) for _ in range(k)])
    x, y = torch.randn(640, 64), torch.randn(640, k)
    balancer = eq.Balancer(eq.MGDA())

    def losses() -> list[Tensor]:
        z = trunk(x)
        return [(head(z)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(heads)]

    def plain() -> None:
        torch.stack(losses()).mean().backward()

    def balanced() -> None:
        balancer(losses()).backward()

    found = []
    for step in (plain, balanced):
        for _ in range(3):  # the last time ownership is known
            trunk.zero_grad()
            heads.zero_grad()
            used = peak_bytes(step, torch.device("cpu"))
        found.append(used)
    count = sum(parameter.numel() for parameter in trunk.parameters())
    return found[1] - found[0], scale_cost("columns", k, count, 1).kept, count


def memory() -> str:
    """Measured against model."""
    rows = []
    for k in TASKS:
        measured, model, count = kept(k)
        rows.append([str(k), f"{count:,}", volume(measured), volume(model), f"{measured / model:.2f}"])
    return table(["k", "shared parameters", "measured", "model", "ratio"], rows)


PARTS = {
    "schemes": formulas,
    "dense": lambda: choices(1.0),
    "adapters": lambda: choices(ADAPTERS),
    "memory": memory,
}


def fill(page: str) -> str:
    """The page with every table made again."""
    for name, make in PARTS.items():
        marks = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        parts = re.split(marks, page, flags=re.DOTALL)
        if len(parts) != 4:
            raise SystemExit(f"{PAGE} must hold '<!-- {name} -->' and '<!-- end -->' once.")
        page = f"{parts[0]}{parts[1]}\n{make()}\n\n{parts[2]}{parts[3]}"
    return page


def main() -> None:
    """Prints or writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/scale.md")
    if parser.parse_args().write:
        PAGE.write_text(fill(PAGE.read_text()))
        return
    for name, make in PARTS.items():
        print(f"{name}\n\n{make()}\n")


if __name__ == "__main__":
    main()
