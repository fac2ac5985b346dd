"""Every form of gradients that is kept multiplies with a step as its formed rows do."""

import pytest
import torch

from equipoise.engine.blocks.dense import Jacobian
from equipoise.engine.blocks.ghost import LinearRows
from equipoise.engine.blocks.low_rank import MixedRows
from equipoise.engine.blocks.part import Kept
from equipoise.engine.blocks.separable import SeparableRows
from equipoise.engine.blocks.task_gradients import StackedRows
from equipoise.engine.passes.streaming import StreamedRows
from equipoise.engine.sources.sketch import SketchRows

K = 3


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def dense():
    sparse = torch.sparse_coo_tensor([[1, 3]], drawn(2, 2), (5, 2), check_invariants=True)
    leaves = [torch.zeros(4, 3), torch.zeros(2, dtype=torch.complex128), torch.zeros(5, 2)]
    rows = [
        [drawn(4, 3), torch.complex(drawn(2), drawn(2) + 1), None],
        [None, torch.complex(drawn(2) - 2, drawn(2)), sparse],
        [drawn(4, 3) * 2, None, drawn(5, 2)],
    ]
    return Jacobian([leaf.to(torch.promote_types(leaf.dtype, torch.float64)) for leaf in leaves], rows)


def separable(transposed):
    owner = torch.tensor([0, 2, -1, 1, 0, 2])
    weight = torch.zeros(3, 4) if transposed else torch.zeros(4, 3)
    return SeparableRows(weight.double(), drawn(6, 4), drawn(6, 3), owner, K, transposed)


PARTS = {
    "dense": dense(),
    "stacked": StackedRows([torch.zeros(2, 3).double(), torch.zeros(4).double()], drawn(K, 10)),
    "linear": LinearRows(torch.zeros(3, 4).double(), drawn(6, 4), [drawn(6, 3), None, drawn(6, 3) + 1], True),
    "linear, not transposed": LinearRows(torch.zeros(4, 3).double(), drawn(6, 4), [drawn(6, 3)] * K, False),
    "separable": separable(True),
    "separable, not transposed": separable(False),
    "mixed": MixedRows(Jacobian([torch.zeros(4).double()], [[drawn(4)], [drawn(4) - 1]]), drawn(K, 2)),
}


def inner(a, b):
    dense_a = a.to_dense() if a.is_sparse else a
    return torch.view_as_real(dense_a).flatten() @ torch.view_as_real(b).flatten() if b.is_complex() else (
        dense_a.flatten() @ b.flatten()
    )  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_products_with_a_step_are_those_of_the_rows(name):
    part = PARTS[name]
    step = [drawn(*leaf.shape) * 0.1 + 0.01 for leaf in part.parameters]
    step = [torch.complex(s, 2 * s) if leaf.is_complex() else s for s, leaf in zip(step, part.parameters, strict=True)]
    rows = [part.combine(torch.eye(K, dtype=torch.float64)[task]) for task in range(K)]
    wanted = [sum(inner(block, s) for block, s in zip(row, step, strict=True) if block is not None) for row in rows]
    assert part.along(step).tolist() == pytest.approx([float(value) for value in wanted], rel=1e-12)


def test_forms_that_keep_no_rows_say_so():
    assert not isinstance(SketchRows(drawn(K, 4), []), Kept)
    assert not isinstance(StreamedRows([], [], lambda weights, parameters: [], {}, range(K), K), Kept)
