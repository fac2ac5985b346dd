"""What ranks do in the tests of FSDP2: functions that run on a rank of the pool. A sharded model serves many cases."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.distributed.tensor import Shard
from torch.utils.checkpoint import checkpoint

import equipoise as eq

from .cases import NAMES, SIZES, Net, rows

_KEPT: dict[Any, nn.Module] = {}  # models by their settings: searching for sharded modules takes long


class Plain(Net):
    """`Net` whose losses need no features; outputs are no views, which FSDP would warn of."""

    def forward(self, x: Tensor, used: tuple[int, ...] = (0, 1, 2)) -> Any:
        z = self.trunk(x)
        return [self.heads[i](z) for i in used]


def losses_of(outputs: Sequence[Tensor], y: Tensor) -> dict[str, Tensor]:
    """Mean squared errors of the tasks."""
    return {
        name: (out[:, 0] - y[:, i]).square().mean() for i, (name, out) in enumerate(zip(NAMES, outputs, strict=True))
    }


def sharded(group: Any, dtype: torch.dtype = torch.float64, **settings: Any) -> nn.Module:
    """A model with a sharded trunk and the rest sharded at the root, its parameters as at the start."""
    key = (distributed.get_world_size(group), dtype, *sorted(settings.items()))
    start = Plain(dtype)
    if key not in _KEPT:
        model = Plain(dtype)
        kind = settings.pop("mesh", "")
        mesh = DeviceMesh.from_group(group, "cpu") if not kind else None
        if kind == "hybrid":  # two replicas of two shards
            mesh = DeviceMesh("cpu", [[0, 1], [2, 3]], mesh_dim_names=("replicas", "shards"))
        elif kind == "single":  # every rank by itself
            mesh = DeviceMesh("cpu", [[0], [1], [2], [3]], mesh_dim_names=("ranks", "shards"))["shards"]
        for layer in (model.trunk[0], model.trunk[2]):
            fully_shard(layer, mesh=mesh, **settings)
        fully_shard(model, mesh=mesh, **settings)
        _KEPT[key] = model
    model = _KEPT[key]
    with torch.no_grad():
        for mine, first in zip(model.parameters(), start.parameters(), strict=True):
            whole = mine.full_tensor()
            whole.copy_(first)
            mine.copy_(distributed.tensor.distribute_tensor(whole, mine.device_mesh, mine.placements))
    model.zero_grad()
    return model


def _full(tensor: Tensor | None, like: Tensor) -> Tensor:
    if tensor is None:
        return torch.zeros(like.shape, dtype=like.dtype).flatten()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().flatten()


def train(group: Any, method: Any, dtype: torch.dtype, steps: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Trains on this rank's rows with FSDP2, or in one process on all rows (`group` None)."""
    options = dict(options)
    ranks, window, second = options.pop("ranks", 2), options.pop("window", 1), options.pop("second", False)
    fsdp = options.pop("fsdp", {})
    model = Plain(dtype) if group is None else sharded(group, dtype, **fsdp)
    single = fsdp.get("mesh") == "single"  # then each rank has all rows
    alone = group is None or single
    settings = {"tasks": NAMES, "steps_per_epoch": 3, "process_group": "none" if alone else group}
    balancer = eq.Balancer(method, model=model, **(settings | options))
    optimizer = torch.optim.SGD([*model.parameters(), *balancer.parameters()], lr=0.05)
    if window > 1:
        balancer.accumulate(window)
    owner = torch.repeat_interleave(torch.arange(ranks), torch.tensor(SIZES[ranks]))
    found: dict[str, Any] = {}
    for step in range(steps):
        x, y = rows(step, dtype)
        for part in range(window):
            chosen = torch.zeros(len(x), dtype=torch.bool)
            for rank in range(ranks) if alone else (distributed.get_rank(group),):
                mine = torch.nonzero(owner == rank).ravel()
                chosen[mine.tensor_split(window)[part]] = True
            more = {}
            if second:
                u, v = rows(50 + step, dtype)
                more["second"] = losses_of(model(u[chosen]), v[chosen])
            balancer(losses_of(model(x[chosen]), y[chosen]), **more).backward()
        if not step:
            found["gradient"] = torch.cat([_full(p.grad, p) for p in model.parameters()])
            found["none"] = [name for name, p in model.named_parameters() if p.grad is None]
            found |= {"weights": balancer.last.weights, "gramian": balancer.last.gramian}
            found["trained"] = torch.cat([torch.zeros(0), *(p.grad.flatten() for p in balancer.parameters())])
        optimizer.step()
        optimizer.zero_grad()
    found["parameters"] = torch.cat([_full(p, p) for p in model.parameters()])
    found |= {f"state {name}": tensor.nan_to_num(-1.0) for name, tensor in balancer.state.items()}
    found |= {"sent": balancer.plan.sent, "engine": balancer.plan.engine, "counts": dict(balancer.counts)}
    return found


def train_all(group: Any, cases: Mapping[str, tuple[Any, torch.dtype, int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Several trainings, one after another."""
    return {name: train(group, *case) for name, case in cases.items()}


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """Numbers that this rank sends in reduce-scatters and all-reduces, as rings send them, however they are called."""
    sent = {"scattered": 0.0, "summed": 0.0, "gathered": 0.0}
    names = {"scattered": ("reduce_scatter_tensor", "reduce_scatter_single"), "summed": ("all_reduce",)}
    names["gathered"] = ("all_gather_into_tensor", "all_gather_single")
    depth = [0]
    with ExitStack() as stack:
        for kind, functions in names.items():
            for name in functions:
                real = getattr(distributed, name, None)
                if real is None:
                    continue

                def wrapped(*given: Any, kind: str = kind, real: Any = real, **more: Any) -> Any:
                    depth[0] += 1
                    try:
                        done = real(*given, **more)
                    finally:
                        depth[0] -= 1
                    if not depth[0]:
                        values = list(more.values()) + list(given)
                        largest = max(v.numel() for v in values if isinstance(v, Tensor))
                        ranks = distributed.get_world_size(more.get("group"))
                        sent[kind] += largest * (ranks - 1) / ranks * (2 if kind == "summed" else 1)
                    return done

                stack.enter_context(patch.object(distributed, name, wrapped))
        yield sent


def traffic(group: Any, method: Any) -> tuple[dict[str, float], int, int]:
    """Numbers sent in a steady step: counted at the collectives, and as the plan says; parameters with padding."""
    model = sharded(group)
    balancer = eq.Balancer(method, process_group=group, check_replicas=0)
    for _ in range(3):
        model.zero_grad()
        x, y = rows(0, torch.float64)
        losses = losses_of(model(x), y)
        with counted() as sent:
            scalar = balancer(losses)
        with counted() as after:
            scalar.backward()
    padded = sum(2 * -(-p.shape[0] // 2) * (p.numel() // p.shape[0]) for p in model.trunk.parameters())
    return {**sent, "after": sum(after.values())}, balancer.plan.sent, padded


class Adapted(nn.Module):
    """A frozen linear layer with a low-rank adapter."""

    def __init__(self, layer: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(requires_grad=False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


class WithAdapters(nn.Module):
    """A frozen trunk with adapters, two blocks of which recompute their activations, and trained heads."""

    def __init__(self, checkpointed: bool) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            blocks = [Adapted(nn.Linear(5, 8)), Adapted(nn.Linear(8, 8)), Adapted(nn.Linear(8, 6))]
            self.blocks = nn.ModuleList(blocks)
            self.heads = nn.ModuleList([nn.Linear(6, 1) for _ in NAMES])
        self.checkpointed = checkpointed
        self.double()

    def forward(self, x: Tensor) -> list[Tensor]:
        if self.checkpointed:
            x = x.clone().requires_grad_()  # what Hugging Face's enable_input_require_grads does
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
            x = x.tanh()
        return [head(x) for head in self.heads]


def adapters(group: Any, checkpointed: bool) -> dict[str, Any]:
    """Three steps with adapters on a frozen base, sharded or in one process; what was frozen must not move."""
    model = WithAdapters(checkpointed)
    frozen = {name: _full(p, p).clone() for name, p in model.named_parameters() if not p.requires_grad}
    if group is not None:
        mesh = DeviceMesh.from_group(group, "cpu")
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    balancer = eq.Balancer(eq.UPGrad(), model=model, process_group="none" if group is None else group)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    cut = slice(None)
    if group is not None:
        cut = slice(0, 5) if distributed.get_rank(group) == 0 else slice(5, 14)
    found: dict[str, Any] = {}
    for step in range(3):
        x, y = rows(step, torch.float64)
        optimizer.zero_grad()
        balancer(losses_of(model(x[cut]), y[cut])).backward()
        optimizer.step()
        found[f"gramian {step}"] = balancer.last.gramian
    found["parameters"] = torch.cat([_full(p, p) for p in model.parameters() if p.requires_grad])
    found["shared"] = sorted(name for name, tasks in balancer.ownership.reached.items() if len(tasks) > 1)
    after = {name: _full(p, p) for name, p in model.named_parameters() if not p.requires_grad}
    found["frozen"] = all(torch.equal(after[name], value) for name, value in frozen.items())
    return found


def beside(group: Any) -> dict[str, Any]:
    """What the passes must leave alone: a gradient that waits in ``.grad``, hooks after accumulation, a side loss."""
    model = sharded(group)
    x, y = rows(0, torch.float64)
    balancer, calls = eq.Balancer(eq.MGDA(), process_group=group), []
    balancer(losses_of(model(x), y)).backward()
    first = [_full(p.grad, p).clone() for p in model.parameters()]
    handles = [p.register_post_accumulate_grad_hook(lambda q: calls.append(tuple(q.shape))) for p in model.parameters()]
    balancer(losses_of(model(x), y)).backward()
    for handle in handles:
        handle.remove()
    second = [_full(p.grad, p) for p in model.parameters()]
    doubled = max(float((b - 2 * a).abs().max() / a.abs().max()) for a, b in zip(first, second, strict=True))
    return {"doubled": doubled, "calls": len(calls), "parameters": len(first)}


def wrong(group: Any, what: str) -> str:
    """The error of a call that must be refused."""
    model, rank = sharded(group), distributed.get_rank(group)
    options: dict[str, Any] = {"process_group": group}
    x, y = rows(0, torch.float64)
    if what == "sketch":
        options["gradients"] = eq.Sketch(64)
    elif what == "group":
        options["process_group"] = "none"
    balancer = eq.Balancer(eq.MGDAUB() if what == "features" else eq.MGDA(), tasks=NAMES, **options)
    if what == "sync":
        model.set_requires_gradient_sync(requires_gradient_sync=False)
    elif what == "last":
        model.set_is_last_backward(is_last_backward=False)
    outputs = model(x)
    losses: dict[str, Any] = dict(losses_of(outputs, y))
    if what == "absent" and rank == 1:
        losses["t1"] = None
    elif what == "none" and rank == 1:
        losses = dict.fromkeys(NAMES)
    elif what == "nan" and rank == 1:
        losses["t1"] = losses["t1"] + (outputs[1] * torch.nan).sum()
    elif what == "plain":
        losses["t1"] = losses["t1"] + nn.Parameter(torch.ones((), dtype=torch.float64)) * outputs[1].mean()
    elif what == "tensor parallel":
        placed = distributed.tensor.distribute_tensor(torch.ones(4), DeviceMesh.from_group(group, "cpu"), [Shard(0)])
        losses["t2"] = losses["t2"] + nn.Parameter(placed).sum().full_tensor()
    elif what == "half":
        losses["t2"] = losses["t2"].half()
    try:
        balancer(losses, features=outputs[0]) if what == "features" else balancer(losses)
    except eq.errors.EquipoiseError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        model.set_requires_gradient_sync(requires_gradient_sync=True)
        model.set_is_last_backward(is_last_backward=True)
        _KEPT.clear()  # its graph may be half used
    return "nothing was raised"


def pasted(group: Any, code: str) -> dict[str, Any]:
    """Runs a script of the README on this rank; the process group exists already."""
    names: dict[str, Any] = {"__name__": "readme"}
    with patch.object(distributed, "init_process_group", lambda: None):
        exec(code, names)
    balancer, model = names["balancer"], names["model"]
    return {
        "engine": balancer.plan.engine,
        "ranks": balancer.plan.ranks,
        "steps": balancer.steps,
        "parameters": torch.cat([_full(p, p) for p in model.parameters()]),
        "weights": balancer.last.weights,
    }


def in_a_pipeline(group: Any) -> str:
    """The error of a Balancer that is called in a schedule's loss function; each rank runs a pipeline of one stage."""
    alone = DeviceMesh("cpu", [[0], [1], [2], [3]], mesh_dim_names=("ranks", "stages"))["stages"].get_group()
    balancer, x = eq.Balancer(eq.MGDA(), process_group="none"), torch.ones(4, 5, dtype=torch.float64)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return balancer([output.square().mean(), (output - target).abs().mean()])

    stage = PipelineStage(nn.Linear(5, 1).double(), 0, 1, torch.device("cpu"), group=alone)
    try:
        ScheduleGPipe(stage, 2, loss_fn=loss).step(x, target=torch.zeros(4, 1, dtype=torch.float64))
    except eq.errors.EquipoiseError as error:
        return str(error)
    return "nothing was raised"
