"""Networks of every kind that the engines meet, and the dense reference for their gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .problems import dense_gradients

K = 3


class Network(nn.Module):
    """A shared part, and one loss a head; `run` returns losses and features."""

    def inputs(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def run(self, *inputs: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        raise NotImplementedError


def seeded(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class MLP(Network):
    """Few rows and wide layers: the ghost engine's ground. One layer has no bias, one weight is not transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(24, 40)
        self.second = nn.Linear(40, 36, bias=False)
        self.third = nn.Parameter(seeded(36, 30, seed=5) / 6)
        self.scale = nn.Parameter(seeded(30, seed=6))
        self.heads = nn.ModuleList([nn.Linear(30, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(6, 24),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = torch.tanh(torch.tanh(self.second(torch.relu(self.first(x)))) @ self.third) * self.scale
        return [(head(z) - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Plain(Network):
    """Linear layers, GELU and layer norm only: what passes can be run together on, and what treats rows apart."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.LayerNorm(40), nn.Linear(40, 30), nn.SiLU())
        self.heads = nn.ModuleList([nn.Linear(30, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(9, 24),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = self.trunk(x)
        return [(head(z) - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Stack(Plain):
    """Linear layers and ReLU only."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(24, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU())


class Conv(Network):
    """Convolutions and group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.GroupNorm(2, 4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, stride=2),
            nn.GroupNorm(3, 6),
        )
        self.heads = nn.ModuleList([nn.Linear(6, 2) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(3, 2, 8, 8),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = self.trunk(x).relu().mean(dim=(2, 3))
        return [(head(z) - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Transformer(Network):
    """Embedding, attention, layer norm, feed-forward; few tokens, so that some layers go to the ghost engine."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.heads = nn.ModuleList([nn.Linear(16, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (torch.tensor([[1, 4, 4, 2], [0, 3, 9, 1]]),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = self.block(self.embedding(x))
        return [(head(z)[:, i] - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Sparse(Network):
    """An embedding whose gradient is sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8, sparse=True)
        self.layer = nn.Linear(8, 12)
        self.heads = nn.ModuleList([nn.Linear(12, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (torch.tensor([[1, 4], [4, 49], [7, 1]]),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = torch.tanh(self.layer(self.embedding(x)))
        return [(head(z)[i] - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Tied(Network):
    """A head that uses the first layer's weight again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(24, 30), nn.Linear(30, 30)
        self.heads = nn.ModuleList([nn.Linear(30, 1) for _ in range(K - 1)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(5, 24),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = torch.tanh(self.second(torch.tanh(self.first(x))))
        losses = [(head(z) - i).square().mean() for i, head in enumerate(self.heads)]
        return [*losses, (z @ self.first.weight - x).square().mean()], (z,)


class Reused(Network):
    """A layer that is applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(20, 30), nn.Linear(30, 30)
        self.heads = nn.ModuleList([nn.Linear(30, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(5, 20),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        z = torch.tanh(self.again(torch.tanh(self.again(torch.tanh(self.first(x))))))
        return [(head(z) - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Twice(Network):
    """A product whose output is used by two branches, of which one task takes only one; two features."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(20, 30)
        self.left, self.right = nn.Linear(30, 12), nn.Linear(30, 14)
        self.heads = nn.ModuleList([nn.Linear(12, 1), nn.Linear(26, 1), nn.Linear(14, 1)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(5, 20),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        h = self.first(x)
        a, b = torch.tanh(self.left(h)), torch.sigmoid(self.right(h * h))
        outs = [self.heads[0](a), self.heads[1](torch.cat([a, b], dim=1)), self.heads[2](b)]
        return [(out - i).square().mean() for i, out in enumerate(outs)], (a, b)


class Bypass(Network):
    """Heads that look past the features at an earlier layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(20, 30), nn.Linear(30, 30)
        self.heads = nn.ModuleList([nn.Linear(60, 1) for _ in range(K)])

    def inputs(self) -> tuple[Tensor, ...]:
        return (seeded(5, 20),)

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        h = torch.tanh(self.first(x))
        z = torch.tanh(self.second(h))
        both = torch.cat([h, z], dim=1)
        return [(head(both) - i).square().mean() for i, head in enumerate(self.heads)], (z,)


class Nested(Bypass):
    """The same, with both layers named as features: one lies behind the other."""

    def run(self, x: Tensor) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        h = torch.tanh(self.first(x))
        z = torch.tanh(self.second(h))
        both = torch.cat([h, z], dim=1)
        return [(head(both) - i).square().mean() for i, head in enumerate(self.heads)], (h, z)


ALL: dict[str, Callable[[], Network]] = {
    kind.__name__: kind for kind in (MLP, Plain, Stack, Conv, Transformer, Sparse, Tied, Reused, Twice, Bypass, Nested)
}


def build(name: str, dtype: torch.dtype) -> tuple[Network, tuple[Tensor, ...]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ALL[name]().to(dtype)
    return model, tuple(x.to(dtype) if x.is_floating_point() else x for x in model.inputs())


def reference(model: Network, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor | None]]:
    """Each task's gradients, dense, from a backward of its own."""
    count = len(model.run(*inputs)[0])
    rows = dense_gradients(model, lambda: dict(zip(map(str, range(count)), model.run(*inputs)[0], strict=True)))
    return [{n: g.to_dense() if g is not None and g.is_sparse else g for n, g in row.items()} for row in rows]


def shared_names(rows: list[dict[str, Tensor | None]]) -> list[str]:
    return [n for n in rows[0] if sum(r[n] is not None and bool(r[n].abs().sum() > 0) for r in rows) > 1]


def products(rows: list[dict[str, Tensor | None]], names: list[str]) -> Tensor:
    """The Gramian, slow and obvious: flat rows in float64."""
    flat = [
        torch.cat([(torch.zeros_like(example(rows, n)) if r[n] is None else r[n]).double().flatten() for n in names])
        for r in rows
    ]
    jacobian = torch.stack(flat)
    return jacobian @ jacobian.T


def example(rows: list[dict[str, Tensor | None]], name: str) -> Tensor:
    return next(r[name] for r in rows if r[name] is not None)


def mixed(rows: list[dict[str, Tensor | None]], name: str, weights: Tensor) -> Tensor:
    return sum(w * r[name].double() for w, r in zip(weights, rows, strict=True) if r[name] is not None)
