"""A problem on data whose front is known: with white inputs the losses are those of `quad`, on every part."""

import torch
from torch import nn

import equipoise as eq

ROWS, INPUTS = 32, 4


def white(seed):
    """(ROWS, INPUTS) with X^T X / ROWS = 1, so that each part has the same losses of the same parameters."""
    draw = torch.randn(ROWS, INPUTS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(draw)[0] * ROWS**0.5


def part(seed):
    x = white(seed)
    ends = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)  # at distance 1
    return x, *(x @ end for end in ends)


class Line(nn.Module):
    """One output for both targets; `extra` is a module that changes nothing but how models can be trained."""

    def __init__(self, extra=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(INPUTS, dtype=torch.float64))
        self.extra = extra

    def forward(self, x):
        if self.extra is not None:
            self.extra(x)
        return x @ self.weight


def make_problem(make=Line, parts=("train", "val", "test")):
    losses = {"left": lambda out, batch: (out - batch[1]) ** 2, "right": lambda out, batch: (out - batch[2]) ** 2}
    return eq.Problem(make, losses, **{name: part(seed) for seed, name in enumerate(parts)})


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.05)
