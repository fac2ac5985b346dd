"""Gradients at the features kept for the rows that a head is given, against autograd's own."""

import warnings

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from equipoise.engine.blocks.joint_rows import JointRows
from equipoise.engine.blocks.row_sparse import ChosenRows
from tests.engine.at_once import at_once, filled, near, one_by_one, pairs

B, T, D = 12, 4, 6
MASK, PAIRS = torch.arange(B) % 3 == 0, torch.arange(B * T).reshape(B, T) % 3 == 1
ROWS_2D = {
    "slice": lambda z: z[2:9],
    "steps": lambda z: z[1:11:3],
    "negative start": lambda z: z[-5:],
    "negative both, steps": lambda z: z[-9:-2:2],
    "beyond the end": lambda z: z[7:99],
    "narrow": lambda z: z.narrow(0, 3, 4),
    "mask": lambda z: z[MASK],
    "mask and all columns": lambda z: z[MASK, :],
    "nothing": lambda z: z[torch.zeros(B, dtype=torch.bool)],
    "numbers with repeats": lambda z: z[torch.tensor([3, 3, -1, 0, 3])],
    "numbers in a table": lambda z: z[torch.tensor([[0, 1], [1, -5]])],
    "int32 numbers": lambda z: z[torch.tensor([5, 2], dtype=torch.int32)],
    "index_select": lambda z: z.index_select(-2, torch.tensor([4, 4, 0])),
    "select": lambda z: z[3],
    "select from the end": lambda z: z.select(-2, -4),
    "slice, then columns": lambda z: z[2:7, 1:3],
    "part of a split": lambda z: z.split([2, 7, 3])[1],
    "part of equal parts": lambda z: z.split(5)[2],
    "chunk": lambda z: z.chunk(3, dim=-2)[0],
}
ROWS_3D = {
    "first token": lambda z: z[:, 0],
    "last token": lambda z: z[:, -1],
    "tokens": lambda z: z[:, 1:3],
    "tokens from the end, steps": lambda z: z[:, -3::2],
    "samples": lambda z: z[-4:],
    "mask": lambda z: z[MASK],
    "mask of tokens": lambda z: z[PAIRS],
    "mask along the second axis": lambda z: z[:, torch.tensor([True, False, True, True])],
    "numbers along the second axis": lambda z: z[:, torch.tensor([2, 2, -1])],
    "pairs of numbers": lambda z: z[torch.tensor([1, 1, -2]), torch.tensor([3, 3, 0])],
    "mask and number": lambda z: z[MASK, torch.tensor([0, 1, 2, 2])],
    "index_select": lambda z: z.index_select(-2, torch.tensor([3, 0, 3])),
    "select": lambda z: z.select(-2, 1),
    "part of a split of tokens": lambda z: z.split([1, 3], 1)[1],
}
COLUMNS = {
    "slice": lambda z: z[..., 1:4],
    "select": lambda z: z[..., -1],
    "numbers": lambda z: z[..., torch.tensor([0, 0, 5])],
    "index_select": lambda z: z.index_select(-1, torch.tensor([1, 1])),
    "split": lambda z: z.split([2, 4], -1)[1],
    "single numbers": lambda z: z[z > 0],
    "mask of the last axes": lambda z: z[:, torch.arange(T * D).reshape(T, D) % 5 == 0] if z.dim() == 3 else z.T[2:],
    "number and column": lambda z: z[torch.tensor([1, 2]), ..., torch.tensor([3, 3])],
}


def choosing(choices, time):
    """One feature, one task a choice; the last has a row of every sample."""
    generator = torch.Generator().manual_seed(0)
    shape = (B, T, D) if time else (B, D)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Linear(5, T * D if time else D).double()
    z = torch.tanh(trunk(torch.randn(B, 5, generator=generator, dtype=torch.float64))).reshape(shape)
    losses = []
    for choice in [*choices, lambda z: z[:-1]]:
        chosen = choice(z)
        factors = torch.randn(chosen.shape, generator=generator, dtype=torch.float64)
        losses.append((chosen.sin() * factors).sum())
    return losses, (z,)


def check_chosen(losses, features):
    found = at_once(losses, features)
    assert found is not None
    assert isinstance(found[1], ChosenRows)
    rows = filled(one_by_one(losses, features), features)
    for got, wanted in zip(filled(found[1].formed(), features), rows, strict=True):
        near(got[0], wanted[0])
    near(found[1].total(0), sum(row[0] for row in rows))
    lines = [row[0].reshape(-1, features[0].shape[-1]) for row in rows]
    assert pairs(found[1].touched(0)) == {
        (i, t) for t, line in enumerate(lines) for i in range(len(line)) if bool(line[i].any())
    }
    return found[1]


@pytest.mark.parametrize(
    ("time", "name"), [(False, name) for name in ROWS_2D] + [(True, name) for name in ROWS_3D], ids=str
)
def test_chosen_rows_are_autograds_gradients(time, name):
    choice = (ROWS_3D if time else ROWS_2D)[name]
    check_chosen(*choosing([choice], time))


@pytest.mark.parametrize("time", [False, True])
def test_many_choices_of_one_feature_are_kept_apart(time):
    found = check_chosen(*choosing(list((ROWS_3D if time else ROWS_2D).values()), time))
    assert found.count == len(ROWS_3D if time else ROWS_2D) + 1


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(-15, 15), st.integers(-15, 15), st.integers(1, 5), st.integers(0, 1)),
        min_size=1,
        max_size=4,
    )
)
def test_any_slice_is_what_python_says(slices):
    for start, stop, step, axis in slices:  # of everything, indexing makes no node
        everything = range((B, T)[axis])
        assume(everything[start:stop:step] != everything)
    check_chosen(
        *choosing([lambda z, s=s: z[(slice(None),) * s[3] + (slice(s[0], s[1], s[2]),)] for s in slices], True)
    )


@pytest.mark.parametrize("time", [False, True])
@pytest.mark.parametrize("name", list(COLUMNS))
def test_choices_of_columns_are_not_taken_for_rows(name, time):
    assert at_once(*choosing([COLUMNS[name]], time)) is None


def test_old_masks_of_bytes_are_left_to_autograd():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = choosing([lambda z: z[MASK.to(torch.uint8)]], False)
        assert at_once(*problem) is None


def test_open_ends_of_scripted_slices_are_read():
    """TorchScript and exported graphs slice from None to None; indexing in Python never does."""
    sliced = torch.ops.aten.slice
    check_chosen(*choosing([lambda z: sliced(z, 0, None, 5), lambda z: sliced(z, 0, 3, None)], False))


def test_one_split_serves_every_head_with_a_part_of_its_own():
    """The parts cover the batch in order, so the sum at the features is the gradients as they are; a head may have two
    parts, and a part may have no head."""
    for sizes, heads in (([5, 3, 4], [[0], [1], [2]]), ([5, 3, 4], [[0, 2], [1]]), ([5, 3, 2, 2], [[3], [1, 0]])):
        _, (z,) = choosing([], False)
        parts = z.split(sizes)
        losses = [sum((1 + part) * parts[part].sin().square().sum() for part in mine) for mine in heads]
        found = check_chosen(losses, (z,))
        owner = [
            next((t for t, mine in enumerate(heads) if p in mine), -1) for p, n in enumerate(sizes) for _ in range(n)
        ]
        assert JointRows.of(found).owner.tolist() == owner


def test_a_part_of_a_split_for_two_heads_is_left_to_autograd():
    _, (z,) = choosing([], False)
    first, second = z.split([5, 7])
    assert at_once([first.sum(), second.square().sum(), first.sin().sum()], (z,)) is None


def test_rows_have_one_owner_only_where_no_two_tasks_meet():
    losses, features = choosing([lambda z: z[:4], lambda z: z[6:8]], True)
    apart = JointRows.of(at_once(losses[:2], features)[1])
    assert apart.owner.tolist() == [0] * 4 + [-1] * 2 + [1] * 2 + [-1] * 4
    rows = one_by_one(losses[:2], features)
    for got, wanted in zip(apart.apart(), rows, strict=True):
        near(got[0], wanted[0])
    assert JointRows.of(at_once(losses, features)[1]) is None  # the last task has a row of nearly all
    tokens, features = choosing([lambda z: z[:, 0]], True)
    assert JointRows.of(at_once([tokens[0], features[0][:, 1:].sum()], features)[1]) is None  # one sample, two tasks
