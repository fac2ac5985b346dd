"""Which point to choose."""

import numpy as np
import pytest

import equipoise as eq
from equipoise.errors import TaskError

POOL = {"fast": [0.0, 1.0], "middle": [0.6, 0.6], "slow": [1.0, 0.0], "bad": [1.0, 1.0]}


def test_the_best_b_with_a_at_most_a_number():
    found = eq.front.choose(POOL, eq.Bounds({"A": 0.3}, minimise="B"), tasks=["A", "B"])
    assert (found.status, found.name, found.value) == ("ok", "fast", 1.0)
    assert found.mixture.value == pytest.approx(0.7)  # 30 % slow
    other = eq.front.choose(POOL, eq.Bounds({"A": 0.6}, minimise="B"), tasks=["A", "B"])
    assert (other.name, other.losses.tolist()) == ("middle", [0.6, 0.6])


def test_minimise_changes_the_answer():
    pool = [[0.0, 0.9, 0.1], [0.2, 0.1, 0.9], [0.9, 0.0, 0.0]]
    names = ["A", "B", "C"]
    assert eq.front.choose(pool, eq.Bounds({"A": 0.5}, minimise="B"), tasks=names).row == 1
    assert eq.front.choose(pool, eq.Bounds({"A": 0.5}, minimise="C"), tasks=names).row == 0
    with pytest.raises(TaskError, match="`Bounds` names 'D'"):
        eq.front.choose(pool, eq.Bounds({"A": 0.5}, minimise="D"), tasks=names)


def test_infeasible_bounds_say_by_how_much_and_whether_a_mixture_meets_them():
    found = eq.front.choose(POOL, eq.Bounds({"A": 0.5, "B": 0.55}), tasks=["A", "B"])
    assert found.name == "middle"
    assert found.status == (
        "infeasible: no point meets all limits; the nearest misses 'A' by 0.1, 'B' by 0.05; "
        "a mixture of the points does"
    )
    assert found.value == np.inf
    worse = eq.front.choose(POOL, eq.Bounds({"A": 0.1, "B": 0.1}), tasks=["A", "B"])
    assert worse.status.endswith("nor does any mixture of them")


def test_a_reference_that_no_point_reaches_is_said_by_how_much_and_whether_a_mixture_does():
    names = ["A", "B"]
    found = eq.front.choose(POOL, eq.ReferencePoint((0.5, 0.55)), tasks=names)
    assert found.status == (
        "no point found reaches the reference; at the nearest 'A' is 0.6, 0.1 above its 0.5; 'B' is 0.6, 0.05 above "
        "its 0.55; a mixture of the points does"
    )
    assert eq.front.choose(POOL, eq.ReferencePoint((0.1, 0.2)), tasks=names).status.endswith(
        "; nor does any mixture of them"
    )
    assert eq.front.choose(POOL, eq.ReferencePoint((0.6, 0.9)), tasks=names).status == "ok"


def test_how_far_a_point_is_off_the_ray_is_said_and_that_negative_losses_have_none():
    found = eq.front.choose([[1.0, 1.0], [0.1, 3.0]], eq.Ray((1, 2)))
    assert (found.row, found.value) == (0, 1.0)
    assert found.status.startswith("the point is 18 degrees off the ray")  # arctan 2 - 45 degrees
    assert eq.front.choose([[1.0, 2.0], [3.0, 0.1]], eq.Ray({"a": 1, "b": 2}), tasks=["a", "b"]).status == "ok"
    sunk = eq.front.choose([[-1.0, 1.0], [1.0, 0.5]], eq.Ray((1, 1)), tasks=["a", "b"])
    assert sunk.status == "losses of 'a' fall below 0, where proportions mean nothing: use eq.ReferencePoint"


def test_the_single_point_is_never_better_than_the_mixture():
    pool = np.random.default_rng(0).random((20, 3))
    for wish in (eq.Ray((1, 2, 3)), eq.ReferencePoint((0.1, 0.1, 0.1)), eq.Tchebycheff(), eq.LinearScalarization()):
        found = eq.front.choose(pool, wish)
        assert found.mixture.value <= found.value + 1e-9
        assert found.losses == pytest.approx(pool[found.row])


def test_the_knee_of_a_bent_front_and_of_dominated_points():
    bent = np.stack([np.linspace(0, 1, 11), (1 - np.linspace(0, 1, 11)) ** 4], axis=1)
    row = eq.front.knee(np.concatenate([bent, [[0.9, 0.9]]]))
    apart = bent.sum(axis=1)
    assert row == int(apart.argmin())
    assert eq.front.knee(bent * [1.0, 1e6]) == row


def test_pseudo_weights_and_dominance():
    assert eq.front.pseudo_weights([[1.0, 1.0]]).tolist() == [[0.5, 0.5]]
    found = eq.front.pseudo_weights([[0.0, 4.0], [1.0, 0.0], [1.0, 4.0]])
    assert found.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    assert eq.front.nondominated([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]]).tolist() == [True, True, False]
