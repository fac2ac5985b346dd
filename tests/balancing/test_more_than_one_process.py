"""Two processes: a weighted sum is that of the hand-written loss under DDP, and every other method refuses by name."""

import multiprocessing
from pathlib import Path
from queue import Queue

import torch
from torch import Tensor, distributed, nn

import equipoise as eq
from equipoise.errors import EquipoiseError

RANKS = 2
METHODS = (eq.MGDA(), eq.RLW(), eq.Tchebycheff((0.5, 0.5)), eq.MoCo())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.heads = nn.Linear(4, 8), nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        features = self.trunk(x).relu()
        return [(head(features) - i).square().mean() for i, head in enumerate(self.heads)]


def work(rank: int, meeting: Path, results: "Queue[tuple[bool, list[str]]]") -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=RANKS)
    torch.manual_seed(0)
    ours, theirs = Net(), Net()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(rank))  # each rank has rows of its own
    wrapped, plain = nn.parallel.DistributedDataParallel(ours), nn.parallel.DistributedDataParallel(theirs)
    eq.Balancer(eq.LinearScalarization())(wrapped(x)).backward()
    first, second = plain(x)
    ((first + second) / 2).backward()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    same = all(torch.equal(mine.grad, wanted.grad) for mine, wanted in pairs)
    refused = []
    for method in METHODS:
        try:
            eq.Balancer(method)(wrapped(x))
        except EquipoiseError as error:
            refused.append(str(error))
    results.put((same, refused))
    distributed.destroy_process_group()


def test_two_ranks(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    ranks = [context.Process(target=work, args=(rank, tmp_path / "meeting", results)) for rank in range(RANKS)]
    for process in ranks:
        process.start()
    found = [results.get(timeout=120) for _ in ranks]
    for process in ranks:
        process.join(timeout=60)
    assert [process.exitcode for process in ranks] == [0, 0]
    for same, refused in found:
        assert same
        assert len(refused) == len(METHODS)
        for method, words in zip(METHODS, refused, strict=True):
            assert words.startswith(f"{method!r} on 2 ranks")
            assert "Use LinearScalarization, or one rank" in words
