"""Two ranks in Lightning, Transformers and Accelerate: the ranks agree to the bit, and with one process by hand."""

import multiprocessing
from importlib.util import find_spec

import pytest
import torch

import equipoise as eq
from tests.integrations.ranks import RANKS, WINDOW, work
from tests.integrations.small import by_hand

NEEDED = ("lightning", "transformers", "accelerate")
missing = [name for name in NEEDED if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each rank found: one pair of processes for all three frameworks, because imports are the cost."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["equipoise._public", "lightning.pytorch", "transformers.trainer"])
    processes = [context.Process(target=work, args=(rank, folder)) for rank in range(RANKS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * RANKS
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("name", [*NEEDED, "trained"])
def test_ranks_agree_to_the_bit(ranks, name):
    first, second = (rank["found"][name] for rank in ranks)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, second, strict=True))


@pytest.mark.parametrize("name", NEEDED)
def test_parameters_are_those_of_one_process_by_hand(ranks, name):
    """Each rank has half of every batch of the loop; windows of two micro-batches, the last of an epoch short."""
    method, settings = eq.CAGrad(c=0.4), {}
    if name == "transformers":
        method, settings = eq.UncertaintyWeighting(), {"tasks": ("a", "b")}
    model, balancer, _ = by_hand(method, window=WINDOW, clip=None if name == "lightning" else 0.5, **settings)
    for mine, wanted in zip(ranks[0]["found"][name], model.parameters(), strict=True):
        torch.testing.assert_close(mine, wanted.detach(), rtol=1e-5, atol=1e-6)
    if name == "transformers":
        for mine, wanted in zip(ranks[0]["found"]["trained"], balancer.parameters(), strict=True):
            torch.testing.assert_close(mine, wanted.detach(), rtol=1e-5, atol=1e-6)


def test_logs_are_means_over_the_ranks(ranks):
    _, _, seen = by_hand(eq.UncertaintyWeighting(), window=WINDOW, clip=0.5, tasks=("a", "b"))
    for epoch, log in enumerate(ranks[0]["logs"]):
        for name in "ab":
            wanted = sum(losses[name] for losses in seen[5 * epoch : 5 * epoch + 5]) / 5
            assert log[f"loss/{name}"] == pytest.approx(wanted, rel=1e-4)
    assert len(ranks[0]["logs"]) == ranks[0]["epochs"]
