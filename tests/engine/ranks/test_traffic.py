"""Numbers sent, counted at the collectives, against what rings need (R ranks, k tasks, P shared parameters)."""

import pytest
import torch

import equipoise as eq

from .cases import Spec, train_all

K, SHARED, OWN, TENSORS = 3, 5 * 8 + 8 + 8 * 6 + 6, 3 * 7, 10  # of `cases.Net`
SPECS = {
    "scattered": Spec(eq.MGDA(), steps=2),
    "scattered, without DDP": Spec(eq.MGDA(), steps=2, wrap=""),
    "whole rows": Spec(eq.GradDrop(), steps=2),
    "sketch": Spec(eq.MGDA(), steps=2, options={"gradients": eq.Sketch(64)}),
    "features": Spec(eq.MGDA(), steps=2, features=True, options={"gradients": eq.Features()}),
    "losses": Spec(eq.Tchebycheff(), steps=2),
}


def wanted(name: str, ranks: int) -> float:
    """Numbers that a rank sends; the reduction in `backward` is DDP's own."""
    filled = -(-SHARED // ranks) * ranks  # columns are dealt out evenly
    named = 6 if name in ("sketch", "features") else TENSORS  # the heads' tensors, or all
    agreed = 2 * (3 + K + 2 * named * (K + 1))  # two bits for each task and parameter: has a gradient, is not zero
    merged = {
        "scattered": K * filled + 2 * K**2,
        "scattered, without DDP": (K + 1) * filled + 2 * K**2 + 2 * OWN,
        "whole rows": 2 * K * SHARED,
        "sketch": 2 * K * 64,
        "features": 2 * K**2,
        "losses": -agreed,  # nothing to agree on
    }[name]
    return round((merged + agreed + 2 * (4 + 6 * K)) * (ranks - 1) / ranks)


@pytest.fixture(scope="module", params=[2, 3, 4])
def sent(pool, request):
    return request.param, list(pool.run(request.param, train_all, SPECS))


@pytest.mark.parametrize("name", SPECS)
def test_a_rank_sends_what_the_formula_says(sent, name):
    ranks, found = sent
    assert [rank[name]["sent"] for rank in found] == [wanted(name, ranks)] * ranks


def test_the_plan_says_how_ranks_were_merged(pool):
    found = pool.run(2, train_all, {"": Spec(eq.MGDA())})
    assert found[0][""]["ranks"] == 2
    assert torch.isfinite(found[0][""]["gradient"]).all()
