"""Trainings that stop, drift, or observe; each function runs on every rank of the pool, or alone without a group."""

import io
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

import equipoise as eq

from .cases import NAMES, SIZES, Net, losses_of, rows


def _parts(group: Any) -> tuple[int, slice]:
    if group is None:
        return 0, slice(0, 14)
    rank = distributed.get_rank(group)
    start = sum(SIZES[2][:rank])
    return rank, slice(start, start + SIZES[2][rank])


class Run:
    """A model, its Balancer and optimizer on the rows of one rank."""

    def __init__(self, group: Any, method: Any, **options: Any) -> None:
        self.rank, self.mine = _parts(group)
        self.net = Net(torch.float64)
        self.model = self.net if group is None else DistributedDataParallel(self.net, process_group=group)
        where = "none" if group is None else group
        self.balancer = eq.Balancer(method, tasks=NAMES, model=self.net, process_group=where, **options)
        self.optimizer = torch.optim.SGD([*self.net.parameters(), *self.balancer.parameters()], lr=0.05)

    def losses(self, step: int) -> dict[str, Tensor | None]:
        x, y = rows(step, torch.float64)
        kept = torch.ones(len(y[self.mine]), 3, dtype=torch.bool)
        return losses_of(self.model(x[self.mine])[1], y[self.mine], kept)

    def step(self, number: int) -> None:
        self.optimizer.zero_grad()
        self.balancer(self.losses(number)).backward()
        self.optimizer.step()

    def numbers(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.net.parameters()])


def drifts(group: Any, every: int) -> tuple[int, str]:
    """Rank 1 changes a bias by one bit before step 3; the step that notices, and its words."""
    run = Run(group, eq.MGDA(), check_replicas=every)
    for number in range(8):
        if number == 3 and run.rank == 1:
            with torch.no_grad():
                bias = run.net.heads[2].bias
                bias.copy_(torch.nextafter(bias, bias + 1))
        try:
            run.step(number)
        except eq.errors.StateError as error:
            return number, str(error)
    return 8, ""


def resumes(group: Any, method: Any) -> tuple[Tensor, Tensor]:
    """Parameters after five steps, and after three steps, saving, loading everywhere, and two more."""
    through = Run(group, method)
    for number in range(5):
        through.step(number)
    first = Run(group, method)
    for number in range(3):
        first.step(number)
    saved = io.BytesIO()
    torch.save([first.net.state_dict(), first.balancer.state_dict()], saved)
    saved.seek(0)
    second = Run(group, method)
    net, balancer = torch.load(saved)
    second.net.load_state_dict(net)
    second.balancer.load_state_dict(balancer)
    for number in range(3, 5):
        second.step(number)
    return through.numbers(), second.numbers()


def loads_on_one(group: Any) -> str:
    """What ranks are told where only rank 1 has loaded a state."""
    run = Run(group, eq.MGDA())
    run.step(0)
    fresh = Run(group, eq.MGDA())
    if run.rank == 1:
        fresh.balancer.load_state_dict(run.balancer.state_dict())
    try:
        fresh.step(1)
    except eq.errors.SettingError as error:
        return str(error)
    return "no error"


def observes(group: Any) -> tuple[Tensor, Tensor]:
    """FAMO with losses observed after each step: its logits, and the parameters."""
    run = Run(group, eq.FAMO())
    for number in range(4):
        run.step(number)
        with torch.no_grad():
            run.balancer.observe(run.losses(number))
    return run.balancer.state["logits"], run.numbers()


def merges(group: Any, method: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state of a rank that has trained alone, before and after the states were merged."""
    rank = distributed.get_rank(group)
    w = torch.tensor([1.0, 2.0 + rank, 0.5], requires_grad=True)
    balancer = eq.Balancer(method, tasks=NAMES, process_group="none", steps_per_epoch="manual")
    for number in range(3):
        balancer([w.square().sum() * (1 + number + rank), (w[0] - 3).square(), w[1:].square().sum()]).backward()
    before = {name: tensor.clone() for name, tensor in balancer.state.items()}
    balancer.process_group = group
    balancer.merge_state()
    return before, dict(balancer.state)


def counts_apart(group: Any) -> str:
    """What ranks are told whose random states are of different steps."""
    rank = distributed.get_rank(group)
    w = torch.ones(3, requires_grad=True)
    balancer = eq.Balancer(eq.RLW(), tasks=NAMES, process_group="none")
    for _ in range(1 + rank):
        balancer([w.sum(), w.square().sum(), w[0].square()]).backward()
    balancer.process_group = group
    try:
        balancer.merge_state()
    except eq.errors.StateError as error:
        return str(error)
    return "no error"


def written_by_hand(group: Any) -> bool:
    """Whether a weighted sum under DDP, on equal batches, has the gradients of the hand-written sum, to the bit."""
    rank = distributed.get_rank(group)
    found = []
    for ours in (True, False):
        net = Net(torch.float32)
        model = DistributedDataParallel(net, process_group=group)
        x, y = rows(0, torch.float32)
        mine = slice(7 * rank, 7 * rank + 7)
        losses = losses_of(model(x[mine])[1], y[mine], torch.ones(7, 3, dtype=torch.bool))
        if ours:
            balancer = eq.Balancer(eq.LinearScalarization((0.5, 0.25, 0.25)), process_group=group)
            balancer(losses).backward()
        else:
            (0.5 * losses["t0"] + 0.25 * losses["t1"] + 0.25 * losses["t2"]).backward()
        found.append([parameter.grad for parameter in net.parameters()])
    return all(torch.equal(mine, theirs) for mine, theirs in zip(*found, strict=True))
