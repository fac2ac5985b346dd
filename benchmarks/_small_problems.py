"""Four small problems of three tasks each for the benchmarks of recordings and metrics: a trunk, three linear heads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import equipoise as eq

ROWS, TASKS = 1500, ("first", "second", "third")
Data = tuple[Tensor, list[Tensor]]


@dataclass(frozen=True)
class Problem:
    """Data, the width of the last trunk layer, and a loss for each task."""

    name: str
    data: Callable[[int], Data]  # seed -> inputs (N, d) and three targets
    outputs: tuple[int, int, int] = (1, 1, 1)
    width: int = 32
    kinds: tuple[str, str, str] = ("squares", "squares", "squares")


def _arm(seed: int) -> Data:
    table = eq.data.load("arm")
    x, y = (torch.tensor(part, dtype=torch.float32) for part in (table.inputs, table.targets))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:ROWS]
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)
    return x[order], list(y[order, :3].T)


def _digits(seed: int) -> Data:
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:ROWS]
    x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
    return x, [y, (y % 2).float(), (y > 4).float()]


def _teachers(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 16, generator=generator)
    found = []
    for _ in TASKS:
        first, second = torch.randn(16, 8, generator=generator) / 4, torch.randn(8, generator=generator)
        y = torch.tanh(x @ first) @ second
        found.append(y / y.std() + 0.1 * torch.randn(ROWS, generator=generator))
    return x, found


def _narrow(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 8, generator=generator)
    ways = torch.nn.functional.normalize(torch.randn(8, 3, generator=generator) + 0.7, dim=0)
    return x, list((x @ ways + 0.1 * torch.randn(ROWS, 3, generator=generator)).T)


PROBLEMS = (
    Problem("arm", _arm),
    Problem("digits", _digits, (10, 1, 1), kinds=("classes", "yes or no", "yes or no")),
    Problem("teachers", _teachers),
    Problem("narrow", _narrow, width=2),
)


class Net(nn.Module):
    """A trunk of two tanh layers and a linear head a task."""

    def __init__(self, inputs: int, problem: Problem) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, problem.width), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(problem.width, size) for size in problem.outputs])

    def forward(self, x: Tensor) -> list[Tensor]:
        """One output a task."""
        features = self.trunk(x)
        return [head(features) for head in self.heads]


def loss_of(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """The mean loss of a batch."""
    if kind == "classes":
        return nn.functional.cross_entropy(output, target)
    if kind == "yes or no":
        return nn.functional.binary_cross_entropy_with_logits(output.squeeze(1), target)
    return (output.squeeze(1) - target).square().mean()


def batches(rows: int, size: int, seed: int) -> Iterator[Tensor]:
    """Row numbers, drawn without replacement within an epoch, without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(rows, generator=generator)
        yield from (order[start : start + size] for start in range(0, rows - size + 1, size))
