"""Ranks that are started once and run many cases: processes that meet over gloo on this machine."""

import datetime
import gc
import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed

SECONDS = 120  # until a case counts as hung
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch._dynamo", "torch.nn.parallel", "scipy.optimize", "tests.engine.ranks.cases"])


class Pool:
    """Processes 0 .. `size` - 1, with a process group of the first two, three, ... of them.

    Args:
        size: Number of processes.
        meeting: Path of a file that does not exist yet, where they meet.
        timeout: Seconds that a collective waits for other ranks.
    """

    def __init__(self, size: int, meeting: Path, timeout: float = 60.0) -> None:
        pairs = [_CONTEXT.Pipe() for _ in range(size)]
        self._ends = [here for here, _ in pairs]
        self.processes = [
            _CONTEXT.Process(target=_serve, args=(rank, size, str(meeting), timeout, there), daemon=True)
            for rank, (_, there) in enumerate(pairs)
        ]
        for process in self.processes:
            process.start()
        for _, there in pairs:
            there.close()

    def all(self, ranks: int, case: Callable[..., Any], *arguments: Any) -> list[tuple[str, Any]]:
        """Runs ``case(group, *arguments)`` on the first `ranks` processes: ("ok", result) or ("error", text)."""
        for end in self._ends[:ranks]:
            end.send((ranks, case, arguments))
        return [_answer(end) for end in self._ends[:ranks]]

    def run(self, ranks: int, case: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Results of the ranks; fails where a rank raised."""
        found = self.all(ranks, case, *arguments)
        failed = [text for kind, text in found if kind != "ok"]
        assert not failed, "\n".join(map(str, failed))
        return [value for _, value in found]

    def close(self) -> None:
        """Ends the processes."""
        for end in self._ends:
            end.close()
        for process in self.processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()


def _answer(end: Connection) -> tuple[str, Any]:
    try:
        return end.recv() if end.poll(SECONDS) else ("error", f"no answer within {SECONDS} s")
    except EOFError:
        return "dead", "the process has ended"


def _serve(rank: int, size: int, meeting: str, timeout: float, end: Connection) -> None:
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # so that a search through objects does not read those of every library
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=".*find_unused_parameters.*")
    limit = datetime.timedelta(seconds=timeout)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=limit)
    groups = {n: distributed.new_group(list(range(n)), timeout=limit) for n in range(2, size)}
    groups[size] = distributed.group.WORLD
    while True:
        try:
            ranks, case, arguments = end.recv()
        except (EOFError, OSError):
            break
        answer: tuple[str, Any]
        try:
            answer = ("ok", case(groups[ranks], *arguments))
        except Exception as error:  # noqa: BLE001 - the case's failure is the test's to judge
            answer = ("error", "".join(traceback.format_exception(error)))
        end.send(answer)
    distributed.destroy_process_group()


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):  # states mark what is unknown by NaN
        return torch.equal(one.isnan(), two.isnan()) and torch.equal(one.nan_to_num(), two.nan_to_num())
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    return bool(one == two)


def agree(results: Sequence[Any]) -> None:
    """Asserts that all ranks gave the same tensors, to the bit."""
    first = results[0]
    for other in results[1:]:
        assert first.keys() == other.keys()
        for key, value in first.items():
            assert _same(value, other[key]), key
