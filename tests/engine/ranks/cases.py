"""What ranks do in the tests, and the same in one process with all rows: functions that run on a rank of the pool."""

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import equipoise as eq

K = 3
NAMES = ("t0", "t1", "t2")
SIZES = {2: (5, 9), 3: (3, 4, 7), 4: (2, 3, 4, 5)}  # rows of each rank


class Net(nn.Module):
    """A trunk and a head a task; its outputs are the features and one row of predictions a head."""

    def __init__(self, dtype: torch.dtype, seed: int = 0, *, phases: bool = False) -> None:
        super().__init__()
        self.phases = nn.Parameter(torch.full((6,), 0.3 + 0.1j, dtype=torch.complex128)) if phases else None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh())
            self.heads = nn.ModuleList([nn.Linear(6, 1) for _ in range(K)])
        self.trunk.to(dtype), self.heads.to(dtype)

    def forward(self, x: Tensor, used: tuple[int, ...] = (0, 1, 2)) -> tuple[Tensor, list[Tensor | None]]:
        z = self.trunk(x)
        z = z if self.phases is None else (z * self.phases).abs()
        return z, [self.heads[i](z)[:, 0] if i in used else None for i in range(K)]


@dataclass(frozen=True)
class Spec:
    """One training.

    Attributes:
        method: Method of the Balancer.
        dtype: Type of the model.
        steps: Number of steps of SGD.
        wrap: How the ranks are wrapped: "ddp", "unused" (DDP that looks for unused parameters), or "" for no DDP.
        options: Further arguments of the Balancer.
        features: Whether the features are given.
        accumulate: Micro-batches per step; each rank's rows are cut into as many parts.
        absent: Pairs of a rank and a task that it has no labels for.
        second: Whether a second batch is given.
        partial: Whether the model computes the heads of the present tasks only.
        like: Number of ranks whose rows one process takes together.
        layer: Whether gradients of the trunk's last layer are compared.
        window: Micro-batches per full window, where windows are to end early; 0 for full ones.
        flush: How they end: "with" the last micro-batch or "after" it.
        rows: Whether the number of rows is given, and the losses hide it.
        sums: Whether losses are sums over rows.
        complex: Whether the trunk has complex parameters.
    """

    method: Any
    dtype: torch.dtype = torch.float64
    steps: int = 1
    wrap: str = "ddp"
    options: dict[str, Any] = field(default_factory=dict)
    features: bool = False
    accumulate: int = 1
    absent: tuple[tuple[int, int], ...] = ()
    second: bool = False
    partial: bool = False
    like: int = 2
    layer: bool = False
    window: int = 0
    flush: str = "with"
    rows: bool = False
    sums: bool = False
    complex: bool = False

    def of(self, ranks: int) -> "Spec":
        """The same training for another number of ranks."""
        return replace(self, like=ranks)


def rows(step: int, dtype: torch.dtype, n: int = 14) -> tuple[Tensor, Tensor]:
    """The joined batch of a step."""
    draw = torch.Generator().manual_seed(100 + step)
    x = torch.randn(n, 5, generator=draw, dtype=torch.float64)
    y = torch.randn(n, K, generator=draw, dtype=torch.float64) + 2 * x[:, :1]
    return x.to(dtype), y.to(dtype)


def losses_of(outputs: list[Tensor | None], y: Tensor, kept: Tensor) -> dict[str, Tensor | None]:
    """Mean squares over the rows that have a label; None for a task without any."""
    found: dict[str, Tensor | None] = {}
    for i, (name, output) in enumerate(zip(NAMES, outputs, strict=True)):
        mask = kept[:, i]
        found[name] = None if output is None or not mask.any() else (output[mask] - y[mask, i]).square().mean()
    return found


def train(group: Any, spec: Spec) -> dict[str, Any]:
    """Trains on this rank's rows, or in one process on all rows (`group` None); returns what can be compared."""
    alone = group is None
    ranks, rank = (1, 0) if alone else (distributed.get_world_size(group), distributed.get_rank(group))
    net = Net(spec.dtype, phases=spec.complex)
    model: nn.Module = net
    if spec.wrap and not alone:
        model = DistributedDataParallel(net, process_group=group, find_unused_parameters=spec.wrap == "unused")
    options = {"process_group": "none" if alone else group, "tasks": NAMES, "steps_per_epoch": 3, "model": net}
    options |= {"layer": net.trunk[2]} if spec.layer else {}
    balancer = eq.Balancer(spec.method, **(options | spec.options))
    optimizer = torch.optim.SGD([*net.parameters(), *balancer.parameters()], lr=0.05)
    if spec.accumulate > 1:
        balancer.accumulate(spec.window or spec.accumulate)
    found: dict[str, Any] = {}
    for step in range(spec.steps):
        x, y = rows(step, spec.dtype)
        kept = torch.ones(len(x), K, dtype=torch.bool)
        cuts = torch.tensor(SIZES[spec.like if alone else ranks])
        owner = torch.repeat_interleave(torch.arange(len(cuts)), cuts)
        for absent_rank, task in spec.absent:
            kept[owner == absent_rank, task] = False
        mine = torch.arange(len(x)) if alone else torch.nonzero(owner == rank).ravel()
        parts = _parts(owner, mine, spec.accumulate)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            held = (
                contextlib.nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()
            )
            with held:
                given = _call(spec, model, x[part], y[part], kept[part])
                if spec.second:
                    u, v = rows(50 + step, spec.dtype)
                    given[1]["second"] = _call(spec, model, u[mine], v[mine], kept[mine])[0]
                if spec.window and last and spec.flush == "with":
                    given[1]["flush"] = True
                balancer(given[0], **given[1]).backward()
                if spec.window and last and spec.flush == "after":
                    balancer.flush().backward()
        if step == 0:
            gradients = [p.grad for p in net.parameters()]
            pairs = zip(gradients, net.parameters(), strict=True)
            found["gradient"] = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
            found["none"] = [number for number, gradient in enumerate(gradients) if gradient is None]
            found["trained"] = [p.grad.clone() for p in balancer.parameters()]
            found |= {"weights": balancer.last.weights, "gramian": balancer.last.gramian}
            found["losses"] = balancer.last.raw_losses
        optimizer.step()
        optimizer.zero_grad()
    found["parameters"] = torch.cat([p.detach().flatten() for p in net.parameters()])
    found["state"] = {name: tensor.clone() for name, tensor in balancer.state.items()}
    found["counts"] = dict(balancer.counts)
    found["sent"], found["ranks"] = balancer.plan.sent, balancer.plan.ranks
    return found


def _parts(owner: Tensor, mine: Tensor, count: int) -> list[Tensor]:
    """My rows in `count` micro-batches, each with the same rows for one process and for its ranks together."""
    every = [torch.nonzero(owner == rank).ravel().tensor_split(count) for rank in range(int(owner.max()) + 1)]
    chosen = set(mine.tolist())
    parts = [torch.cat([cut[number] for cut in every]) for number in range(count)]
    return [torch.tensor([row for row in part.tolist() if row in chosen]) for part in parts]


def _call(spec: Spec, model: nn.Module, x: Tensor, y: Tensor, kept: Tensor) -> tuple[Any, dict[str, Any]]:
    used = tuple(i for i in range(K) if kept[:, i].any()) if spec.partial else (0, 1, 2)
    z, outputs = model(x, used)
    losses, given = losses_of(outputs, y, kept), {"features": z} if spec.features else {}
    if spec.rows:
        losses = {name: None if loss is None else loss.sqrt().square() for name, loss in losses.items()}
        given["rows"] = len(x)
    if spec.sums:  # ranks count alike, as with DDP: the mean over ranks of their sums
        share = 1 if distributed.is_initialized() else 1 / spec.like
        losses = {name: None if loss is None else loss * len(x) * share for name, loss in losses.items()}
    return losses, given


def train_all(group: Any, specs: dict[str, Spec]) -> dict[str, dict[str, Any]]:
    """Several trainings, one after another."""
    return {name: train(group, spec) for name, spec in specs.items()}
