"""A small problem for every kind of method, importable by worker processes and by the programs that are killed."""

import functools
import warnings

import torch
from torch import nn

import equipoise as eq

TASKS = ("a", "b", "c")
STEPS, EVERY = 12, 4


class Net(nn.Module):
    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout))
        self.heads = nn.ModuleDict({task: nn.Linear(8, 1) for task in TASKS})

    def forward(self, x):
        features = self.trunk(x)
        return {"features": features, **{task: head(features)[:, 0] for task, head in self.heads.items()}}


def squared(task, outputs, batch):
    return (outputs[task] - batch[1][:, TASKS.index(task)]).square() + 0.1


def data(rows=64, seed=3):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator)
    return x, torch.stack([x[:, 0] * x[:, 1], x[:, 1], x[:, 2].abs()], dim=1)


def make_problem(*, features=False, seed=3, missing=False, dropout=0.1):
    x, y = data(seed=seed)
    if missing:
        y[::3, 1] = torch.nan
    return eq.Problem(
        functools.partial(Net, dropout),
        {task: functools.partial(squared, task) for task in TASKS},
        train=(x[:40], y[:40]),
        val=(x[40:52], y[40:52]),
        test=(x[52:], y[52:]),
        features=(lambda outputs: outputs["features"]) if features else None,
    )


def fit(name, folder=None, **settings):
    """One method, by its name on the command line, with a learning rate that moves and a selection rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", eq.errors.EquipoiseWarning)
        method = eq.methods.table[name]()
    given = {"steps": STEPS, "every": EVERY, "batch_size": 16, "seed": 5, "schedule": _falling, "clip": 1.0}
    return eq.fit(
        make_problem(features=method.needs == "features"),
        method,
        **{**given, "folder": folder, "save_seconds": 0.0, **settings},
    )


def _falling(fraction):
    return 1 - fraction / 2


def stateful():
    """Methods that remember something: every other one has nothing that a crash could lose."""
    return sorted(name for name, kind in eq.methods.table.items() if kind().state_tensors or name == "averaged")
