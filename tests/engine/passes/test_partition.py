"""Sorting what came back costs a look at each gradient, however many tasks have heads of their own."""

import pytest
import torch

from equipoise.engine import Ownership
from equipoise.engine.passes.partition import sort_rows


class Counted(dict):
    """Counts how often something is looked up or gone over."""

    looks = 0

    def get(self, *given):
        Counted.looks += 1
        return super().get(*given)

    def items(self):
        for pair in super().items():
            Counted.looks += 1
            yield pair


def sorted_of(k, heads=2, trunk=3):
    shared = [torch.zeros(2, requires_grad=True) for _ in range(trunk)]
    own = [[torch.zeros(1, requires_grad=True) for _ in range(heads)] for _ in range(k)]
    leaves = [*shared, *(leaf for row in own for leaf in row)]
    rows = [Counted((id(leaf), torch.full_like(leaf, task + 1.0)) for leaf in shared + own[task]) for task in range(k)]
    ownership = Ownership()
    ownership.meet(leaves, complete=True)
    Counted.looks = 0
    return shared, own, sort_rows(leaves, rows, [], range(k), ownership), Counted.looks


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_shared_parameters_and_heads_are_told_apart(k):
    shared, own, (parts, rest), _ = sorted_of(k)
    if k > 1:
        (part,) = parts
        assert [id(leaf) for leaf in part.parameters] == [id(leaf) for leaf in shared]
        assert [[float(block[0]) for block in row] for row in part.rows] == [[i + 1.0] * 3 for i in range(k)]
    heads = {id(leaf): found for leaf, found in rest}
    for task, leaves in enumerate(own):
        for leaf in leaves:
            assert [(row, float(block)) for row, block in heads[id(leaf)]] == [(task, task + 1.0)]
    assert len(rest) == 2 * k + (3 if k == 1 else 0)


def test_the_work_grows_with_the_gradients_and_not_with_tasks_times_heads():
    looks = {k: sorted_of(k)[3] for k in (50, 100, 200)}
    for k, found in looks.items():
        assert found == k * (2 + 3) + 3 * k  # what came back once, and once more what is shared
