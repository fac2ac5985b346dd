"""One table measured once, with the penalties that a slow cross-validation chooses."""

import pytest

from equipoise.audits.held_out.cross_validation import measure
from equipoise.linear.held_out.row_blocks import row_blocks

from .refits import TASKS, chosen, table


@pytest.fixture(scope="package")
def refitted():
    X, Y = table()
    blocks = row_blocks(len(Y))
    folds, every = blocks.block // 2, range(10)
    penalties = [chosen(X, Y, folds, [other for other in every if other != fold]) for fold in every]
    return X, Y, blocks, penalties, measure(X, Y, blocks, tasks=TASKS, widths=[1, 2, 3])


@pytest.fixture(scope="package")
def overall(refitted):
    """The penalty of the jackknife."""
    X, Y, blocks, *_ = refitted
    return chosen(X, Y, blocks.block // 2, list(range(10)))
