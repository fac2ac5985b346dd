"""What one pass over all heads brings, and what one pass a head does."""

from unittest import mock

import torch

from equipoise.engine import Ownership
from equipoise.engine.passes import heads
from equipoise.engine.passes.exact import differentiate


def at_once(losses, features):
    """What one pass over all heads brings; None where it is not taken."""
    real, seen = heads.heads_at_once, []

    def watched(*arguments):
        seen.append(real(*arguments))
        return seen[-1]

    with mock.patch.object(heads, "heads_at_once", watched):
        differentiate(losses, range(len(losses)), Ownership(), features=features, retain_graph=True)
    assert len(seen) == 1
    return seen[0]


def one_by_one(losses, tensors):
    """Plain autograd, one pass a loss."""
    return [torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True) for loss in losses]


def filled(rows, tensors):
    return [[torch.zeros_like(t) if g is None else g for g, t in zip(row, tensors, strict=True)] for row in rows]


def flat(rows, tensors):
    return torch.stack([torch.cat([block.double().flatten() for block in row]) for row in filled(rows, tensors)])


def pairs(touched):
    """(row, task) of every row that is not zero."""
    return set(zip(*(numbers.tolist() for numbers in touched), strict=True))


def near(found, wanted, tolerance=1e-12):
    size = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=tolerance * size)
