"""What goes wrong on ranks in the tests; each function runs on every rank of the pool."""

import os
import time
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from equipoise.balancing import ranked

from .cases import NAMES, Net, losses_of, rows

X, Y = rows(0, torch.float64)


def losses(model: nn.Module, rank: int) -> dict[str, Tensor | None]:
    """Losses on seven rows of this rank."""
    mine = slice(7 * rank, 7 * rank + 7)
    return losses_of(model(X[mine])[1], Y[mine], torch.ones(7, 3, dtype=torch.bool))


class _Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        raise RuntimeError("broken backward")


def _call(group: Any, name: str) -> None:
    rank = distributed.get_rank(group)
    bad, net = rank == 1, Net(torch.float64)
    model: nn.Module = DistributedDataParallel(net, process_group=group, static_graph=name == "static graph")
    method, options, given = eq.MGDA(), {"tasks": NAMES, "model": net, "process_group": group}, {}
    if bad and name == "another method":
        method = eq.CAGrad()
    if bad and name == "other settings":
        options |= {"heads": "weighted", "scale": "sum"}
    if bad and name == "another version":
        ranked.__version__, kept = "0.0.0", ranked.__version__
    if name == "weighted value":
        options |= {"value": "weighted"}
    if name == "absent without model":
        options |= {"model": None}
    if bad and name == "different parameters":
        with torch.no_grad():
            net.trunk[0].weight[1, 2] += 1e-15
    if bad and name == "other tasks":
        options |= {"tasks": ("a", "b", "t2")}
    if bad and name == "another number of tasks":
        options |= {"tasks": ("t0", "t1")}
    balancer = eq.Balancer(method, **options)
    if bad and name == "another number of micro-batches":
        balancer.accumulate(2)
    found = losses(net if name == "not averaged" else model, rank)
    if bad and name == "other tasks":
        found = dict(zip(("a", "b", "t2"), found.values(), strict=True))
    if bad and name == "another number of tasks":
        del found["t2"]
    if bad and name == "absent without model":
        found["t1"] = None
    if name == "every task absent":
        found = dict.fromkeys(found)
    if name == "uneven and not read":
        part = (net.trunk(X[: 3 + rank]).square()).mean()
        found |= {"t0": found["t0"].exp(), "t1": found["t1"].exp(), "t2": part}
    if bad and name == "wrong rows":
        given["rows"] = float("nan")
    if name == "reentrant checkpointing":
        z = checkpoint(net.trunk, X.clone().requires_grad_(), use_reentrant=True)
        found = losses_of([head(z)[:, 0] for head in net.heads], Y, torch.ones(14, 3, dtype=torch.bool))
    if bad and name == "detached loss":
        found["t1"] = found["t1"].detach()
    if bad and name == "unknown task":
        found["other"] = found.pop("t1")
    if bad and name == "passes fail":
        found["t1"] = _Broken.apply(found["t1"]) * 1.0
    if bad and name == "another preference":
        given["preference"] = eq.Ray((1.0, 1.0, 1.0))
    try:
        balancer(found, **given).backward()
        if name == "not averaged":  # without a reducer each rank follows its own losses
            eq.Balancer(eq.LinearScalarization(), **options)
            net.zero_grad()
            lost = eq.Balancer(eq.LinearScalarization(), **(options | {"model": net}))
            for _ in range(2):
                lost(losses(net, rank)).backward()
                with torch.no_grad():
                    for parameter in net.parameters():
                        parameter -= 0.1 * parameter.grad
    finally:
        if bad and name == "another version":
            ranked.__version__ = kept


def refused(group: Any, name: str) -> str:
    """The words of the error that this rank sees."""
    try:
        _call(group, name)
    except (eq.errors.EquipoiseError, RuntimeError) as error:
        return str(error)
    return "no error"


def another_group(group: Any) -> str:
    """What the first two of four ranks are told that merge among themselves what DDP averages over four."""
    rank, two = distributed.get_rank(group), distributed.new_group([0, 1])
    model = DistributedDataParallel(Net(torch.float64), process_group=group)
    if rank > 1:
        return ""
    try:
        eq.Balancer(eq.MGDA(), process_group=two)(losses(model, rank))
    except eq.errors.SettingError as error:
        return str(error)
    return "no error"


def works(group: Any) -> bool:
    """Whether a plain step works, so that no collective was left half done."""
    _call(group, "")
    return True


def nan_on_rank_1(group: Any, method: Any, where: str, wrap: str) -> dict[str, Any]:
    """What each policy does with a NaN of task t1 on rank 1 in a loss, in the trunk or in a head."""
    rank = distributed.get_rank(group)
    found: dict[str, Any] = {"note": ""}
    for policy in ("raise", "skip", "propagate"):
        net = Net(torch.float64)
        model: nn.Module = DistributedDataParallel(net, process_group=group) if wrap else net
        balancer = eq.Balancer(method, tasks=NAMES, model=net, process_group=group, nonfinite=policy)
        here = losses(model, rank)
        if rank == 1:
            spot = {"loss": None, "trunk": net.trunk[0].weight, "head": net.heads[1].weight}[where]
            here["t1"] = here["t1"] * torch.nan if spot is None else here["t1"] + _Nan.apply(spot).sum()
        try:
            balancer(here).backward()
        except eq.errors.NonFiniteError as error:
            found[policy] = str(error).partition(":")[0] + str(error)[str(error).index("'t1'") :][:4]
            found["note"] = " ".join(error.__notes__)
            found["state"] = torch.tensor([float(balancer.steps)])
        else:
            counts = dict(balancer.counts)
            nan = all(bool(p.grad.isnan().all()) for p in net.parameters() if p.grad is not None)
            found[policy] = (nan, counts) if policy == "propagate" else counts
    return found


class _Nan(torch.autograd.Function):
    """Zero, with NaN as its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return torch.full_like(upstream, torch.nan)


def gone(group: Any, how: str) -> str:
    """Rank 1 dies, or stops calling, after a step; what rank 0 is told in the next."""
    rank = distributed.get_rank(group)
    net = Net(torch.float64)
    balancer = eq.Balancer(eq.MGDA(), tasks=NAMES, model=net, process_group=group)
    balancer(losses(net, rank)).backward()
    if rank == 1:
        if how == "dies":
            os._exit(1)
        time.sleep(6)
        return ""
    net.zero_grad()
    try:
        balancer(losses(net, rank)).backward()
    except eq.errors.EquipoiseError as error:
        return str(error)
    return "no error"
