"""Worker processes of our own: when one dies, only the run that it worked on is lost."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

__all__ = ["process_context", "run_in_processes"]

Answer = TypeVar("Answer")


def run_in_processes(
    function: Callable[..., Answer],
    calls: Mapping[int, tuple[Any, ...]],
    jobs: int,
    ended: Callable[[int, Answer], None],
    died: Callable[[int, str], Answer],
) -> None:
    """Call a function in worker processes, at most `jobs` at a time.

    A process that dies breaks its whole pool, and nothing says which of the calls in progress killed it. Those are made
    again one at a time, each in a process of its own: the one that dies there is the one.

    Args:
        function: A function that worker processes can import.
        calls: Number -> arguments.
        jobs: Number of worker processes.
        ended: Told of each answer.
        died: Makes the answer of a call whose process died.
    """
    context = process_context()
    waiting, suspects = list(calls), list[int]()
    while waiting:
        running: dict[Future[Answer], int] = {}
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < jobs:
                        running[pool.submit(function, *calls[waiting[0]])] = waiting[0]
                        waiting.pop(0)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        answer = future.result()
                        ended(running.pop(future), answer)
            except BrokenProcessPool:
                suspects += running.values()
        for number in suspects:
            with ProcessPoolExecutor(1, mp_context=context) as alone:
                try:
                    answer = alone.submit(function, *calls[number]).result()
                except BrokenProcessPool as error:
                    answer = died(number, f"its process died: {error}")
            ended(number, answer)
        suspects.clear()


def process_context() -> BaseContext:
    """Processes that start afresh; where there can be a server that they fork from, torch is imported there, once."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(["equipoise.training.executors.runs"])
    return context
