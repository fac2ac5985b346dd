"""Relative error of G against float64 products of the same gradients, on a network of 20 million parameters.

For each linear layer the k weight gradients are formed in float64 from the very inputs and output gradients that the
engine was given, and multiplied in float64; biases are the engine's own, in float64. The error of an entry is taken
relative to the product of the two norms, and the largest is shown. ``float32`` beside it is what products in float32
of float32 gradients give, as they come from ``backward``.

Run::

    OMP_NUM_THREADS=2 python benchmarks/exactness.py [--width 2240] [--batches 32 256 512]
"""

import argparse
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from equipoise.engine import Ownership, differentiate
from equipoise.engine.blocks.ghost import LinearRows
from equipoise.engine.blocks.separable import SeparableRows


def formed(part: LinearRows | SeparableRows, task: int, dtype: torch.dtype) -> Tensor:
    """One task's weight gradient."""
    if isinstance(part, LinearRows):
        delta, inputs = part.deltas[task], part.inputs
        assert delta is not None
    else:
        mine = part.owner == task
        delta, inputs = part.delta[mine], part.inputs[mine]
    return delta.to(dtype).T @ inputs.to(dtype)


def products(part: LinearRows | SeparableRows, k: int, dtype: torch.dtype) -> Tensor:
    """(k, k), from formed gradients."""
    rows = torch.stack([formed(part, task, dtype).flatten() for task in range(k)])
    return (rows @ rows.T).double()


def relative(found: Tensor, wanted: Tensor) -> float:
    """The largest error of an entry."""
    norms = wanted.diagonal().sqrt()
    return float(((found - wanted).abs() / (norms[:, None] * norms)).max())


def measure(width: int, batch: int, k: int, *, owned: bool) -> tuple[str, float, float, float]:
    """Engine; error of G as a Balancer has it, of G with float64 products asked for, and of G in float32."""
    torch.manual_seed(0)
    sizes = [256, width, width, width, width, width]
    trunk = nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())))
    heads = [nn.Linear(width, 1) for _ in range(k)]
    z, y = trunk(torch.randn(batch, 256)), torch.randn(batch, k)
    given = [(z[i::k], y[i::k, i]) if owned else (z, y[:, i]) for i in range(k)]
    losses = [(head(rows)[:, 0] - target).square().mean() for head, (rows, target) in zip(heads, given, strict=True)]
    found = differentiate(losses, range(k), Ownership(), features=[z], retain_graph=True)
    wanted, rough = torch.zeros(k, k, dtype=torch.float64), torch.zeros(k, k, dtype=torch.float64)
    for part in found.parts:
        if isinstance(part, LinearRows | SeparableRows):
            wanted += products(part, k, torch.float64)
            rough += products(part, k, torch.float32)
        else:
            wanted += part.gramian()
            rough += part.gramian()
    errors = [relative(one, wanted) for one in (found.gramian(), replace(found, certified=False).gramian(), rough)]
    parameters = sum(p.numel() for p in trunk.parameters())
    engine = f"{found.plan.engine}, {parameters / 1e6:.1f} million parameters"
    return engine, *errors


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2240)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 256, 512])
    parser.add_argument("--tasks", type=int, default=10)
    options = parser.parse_args()
    print("| engine | rows | k | as it is | float64 asked for | float32 |\n|---|---|---|---|---|---|")
    for batch in options.batches:
        for owned in (False, True):
            engine, *errors = measure(options.width, batch, options.tasks, owned=owned)
            shown = " | ".join(f"{error:.0e}" for error in errors)
            print(f"| {engine}{', rows owned' if owned else ''} | {batch} | {options.tasks} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
