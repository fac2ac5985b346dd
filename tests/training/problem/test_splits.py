"""Splits: every row once, no group or moment on two sides, shares kept, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import DataError, SettingError
from equipoise.training.problem.splits import Split

SIDES = ("train", "val", "test")


def sizes(parts):
    return [len(parts.parts[side]) for side in SIDES]


def side_of(parts, n):
    found = np.full(n, -1)
    for number, side in enumerate(SIDES):
        found[parts.parts[side]] = number
    return found


@given(n=st.integers(3, 200), seed=st.integers(0, 5))
def test_every_row_is_on_exactly_one_side(n, seed):
    parts = eq.split(n, (0.6, 0.2, 0.2), seed)
    assert sorted(np.concatenate([parts.train, parts.val, parts.test]).tolist()) == list(range(n))
    assert all(abs(size - share * n) <= 1 for size, share in zip(sizes(parts), (0.6, 0.2, 0.2), strict=True))
    assert (
        parts.how
        == f"at random, seed {seed}: {sizes(parts)[0]} rows train, {sizes(parts)[1]} val, {sizes(parts)[2]} test"
    )


@given(st.lists(st.integers(0, 12), min_size=40, max_size=120))
def test_groups_stay_together(labels):
    if len(set(labels)) < 3:
        return
    try:
        parts = eq.split(len(labels), (0.5, 0.25, 0.25), 1, groups=labels)
    except DataError:
        return  # one group holds nearly everything
    side = side_of(parts, len(labels))
    assert all(len({side[row] for row in np.flatnonzero(np.array(labels) == label)}) == 1 for label in set(labels))
    largest = max(labels.count(label) for label in set(labels))
    assert abs(len(parts.train) - 0.5 * len(labels)) <= largest


def test_time_orders_and_moments_stay_together():
    when = np.array(["2024-01-03", "2024-01-01", "2024-01-02", "2024-01-02", "2024-01-04", "2024-01-05"], dtype="M8[D]")
    parts = eq.split(6, (0.5, 0.25, 0.25), time=when)
    assert [parts.parts[side].tolist() for side in SIDES] == [[1, 2, 3], [0, 4], [5]]
    assert eq.split(6, (0.5, 0.25, 0.25), seed=9, time=when).train.tolist() == [1, 2, 3]
    assert when[parts.train].max() < when[parts.val].min() < when[parts.test].min()


def test_stratified_keeps_shares_also_of_small_classes():
    labels = np.repeat([0, 1, 2], [100, 40, 10])
    parts = eq.split(150, (0.6, 0.2, 0.2), 3, stratify=labels)
    assert sizes(parts) == [90, 30, 30]
    counts = [np.bincount(labels[parts.parts[side]], minlength=3).tolist() for side in SIDES]
    for label, size in enumerate((100, 40, 10)):
        for side, share in enumerate((0.6, 0.2, 0.2)):
            assert abs(counts[side][label] - share * size) <= 1.5


def test_the_same_seed_the_same_split_and_another_another():
    first, again, other = (eq.split(50, seed=seed) for seed in (1, 1, 2))
    assert first.train.tolist() == again.train.tolist()
    assert first.train.tolist() != other.train.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_rows": 2}, "val would be empty|every side of the split needs a row"),
        ({"n_rows": 9, "groups": [1] * 9}, "would be empty"),
        ({"n_rows": 9, "groups": [1, 2]}, r"one label a row, shape \(9,\); got \(2,\)"),
        ({"n_rows": 3, "time": [1.0, np.nan, 2.0]}, "missing in 1, the first is 1"),
        ({"n_rows": 3, "groups": ["a", None, "b"]}, "missing in 1"),
    ],
    ids=["two rows", "one group", "lengths", "NaN", "None"],
)
def test_what_cannot_be_split_is_refused(arguments, words):
    with pytest.raises(DataError, match=words):
        eq.split(**arguments)


def test_settings_out_of_range_are_named_together():
    with pytest.raises(SettingError, match=r"n_rows=0 .*seed=-1 .*fractions=\(1, 2, 3\)"):
        eq.split(0, (1, 2, 3), -1)
    with pytest.raises(SettingError, match="groups and time"):
        eq.split(3, groups=[1, 2, 3], time=[1, 2, 3])


def test_a_split_by_hand_is_checked_too():
    rows = np.arange(3)
    with pytest.raises(DataError, match="no row may be on two sides"):
        Split(rows, rows[:1], rows[:0])
