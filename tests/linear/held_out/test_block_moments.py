"""Moments of blocks against the rows themselves: training parts, ridge, losses on other rows; partitions."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as RowRidge

from equipoise.errors import DataError, SettingError
from equipoise.linear.held_out.block_moments import BlockMoments, training_part
from equipoise.linear.held_out.ridge import PENALTIES, path_errors, ridge
from equipoise.linear.held_out.row_blocks import row_blocks


def table(rows=60, inputs=4, tasks=3, seed=0, mean=0.0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs)) * np.arange(1, inputs + 1) + mean
    Y = (X - mean) @ generator.normal(size=(inputs, tasks)) + generator.normal(size=(rows, tasks)) * 3 + mean
    return X, Y


def refitted(X, Y, train, test, penalty):
    """Sums of squared errors of ridge on standardised rows, from scikit-learn."""
    sizes = X[train].std(axis=0)
    scaler = np.where(sizes > 0, sizes, 1.0)
    model = RowRidge(alpha=penalty * train.sum()).fit(X[train] / scaler, Y[train])
    return ((Y[test] - model.predict(X[test] / scaler)) ** 2).sum(axis=0)


@pytest.mark.parametrize(("rows", "inputs"), [(60, 4), (30, 40)], ids=["tall", "more inputs than rows"])
@pytest.mark.parametrize("mean", [0.0, 1e5], ids=["near 0", "means of 1e5"])
def test_losses_from_moments_are_those_of_the_rows(rows, inputs, mean):
    X, Y = table(rows, inputs, mean=mean)
    blocks = row_blocks(rows)
    moments = BlockMoments.of_rows(X, Y, blocks)
    test = np.isin(blocks.block, [3, 4])
    part, products = training_part(moments.without({3, 4}), inputs), moments.summed({3, 4})
    on_path = path_errors(part, [products])[0]
    for place in (6, 10):
        model = ridge(part, PENALTIES[place])
        expected = refitted(X, Y, ~test, test, PENALTIES[place])
        assert model.errors(model.tested(products)) == pytest.approx(expected, rel=1e-8)
        assert on_path[place][-1] == pytest.approx(expected, rel=1e-8)


def test_a_wild_row_costs_the_other_parts_no_digits():
    X, Y = table(200)
    X[0] *= 1e5
    blocks = row_blocks(200)
    moments = BlockMoments.of_rows(X, Y, blocks)
    left_out = {int(blocks.block[0])}
    train = ~np.isin(blocks.block, list(left_out))
    centred = (X[train] - X[train].mean(axis=0)) / X[train].std(axis=0)
    part = training_part(moments.without(left_out), 4)
    np.testing.assert_allclose(part.second, centred.T @ centred / train.sum(), atol=1e-13)


def test_columns_constant_in_a_training_part_carry_nothing():
    X, Y = table(40)
    blocks = row_blocks(40)
    test = blocks.block == 0
    X[~test, 1], Y[~test, 2] = 7.0, -3.0
    moments = BlockMoments.of_rows(X, Y, blocks)
    model = ridge(training_part(moments.without({0}), 4), 0.1)
    expected = refitted(np.delete(X, 1, axis=1), Y, ~test, test, 0.1)
    expected[2] = ((Y[test, 2] + 3.0) ** 2).sum()  # the mean of the training part
    assert model.errors(model.tested(moments.summed({0}))) == pytest.approx(expected, rel=1e-8)


def test_random_blocks_are_even_and_folds_take_two_each():
    blocks = row_blocks(47, seed=3)
    assert sorted(np.bincount(blocks.block)) == [2] * 13 + [3] * 7
    assert blocks.folds == tuple((b, b + 1) for b in range(0, 20, 2))
    assert (row_blocks(47, seed=3).block == blocks.block).all()
    assert (row_blocks(47, seed=4).block != blocks.block).any()


def test_no_group_is_on_both_sides_and_blocks_stay_even():
    groups = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 9, size=50))
    blocks = row_blocks(len(groups), groups=groups)
    assert all(len(set(blocks.block[groups == group])) == 1 for group in range(50))
    sizes = np.bincount(blocks.block)
    assert len(sizes) == 20
    assert sizes.max() - sizes.min() <= 8


def test_blocks_of_time_are_runs_of_it():
    times = np.random.default_rng(0).permutation(np.repeat(np.arange(35), 2))
    blocks = row_blocks(70, times=times)
    assert all(len(set(blocks.block[times == time])) == 1 for time in range(35))
    assert (np.diff(blocks.block[np.argsort(times, kind="stable")]) >= 0).all()
    assert set(np.bincount(blocks.block)) <= {2, 4}


def test_one_time_that_holds_most_rows_leaves_no_empty_block():
    times = np.concatenate([np.zeros(100), np.arange(1, 31)])
    blocks = row_blocks(130, times=times)
    assert blocks.count == len(np.unique(blocks.block)) == blocks.block.max() + 1


@pytest.mark.parametrize(
    ("rows", "given", "words"),
    [
        (19, {}, "at least 20 rows.*found 19"),
        (40, {"groups": ["a"] * 40}, "at least 5 groups.*found 1"),
        (40, {"groups": list("abcd") * 10}, "at least 5 groups.*found 4"),
        (40, {"times": [1.0] * 40}, "at least 5 times.*found 1"),
        (40, {"groups": list("abcdefgh")}, "one group a row: 40; found 8"),
    ],
    ids=["few rows", "one group", "four groups", "one time", "other rows"],
)
def test_tables_that_cannot_be_split_are_refused(rows, given, words):
    with pytest.raises(DataError, match=words):
        row_blocks(rows, **given)


def test_groups_and_times_together_are_refused():
    with pytest.raises(SettingError, match="either by group or by time"):
        row_blocks(40, groups=range(40), times=range(40))
