"""The kernel: w = M z + q, z >= 0, w >= 0, z w = 0, by every route it has."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from equipoise.solve import nnls as complementarity
from equipoise.solve.nnls import Complementarity, solve_positive


def problem(k, rank, seed, count=1):
    """Unit columns in `rank` dimensions, and right-hand sides in their span."""
    draw = np.random.default_rng(seed)
    columns = draw.normal(size=(rank, k))
    columns /= np.linalg.norm(columns, axis=0)
    return columns, columns.T @ columns, draw.normal(size=(count, rank)) @ columns


def residual(matrix, offset, value):
    slack = matrix @ value + offset
    return max(float((-value).max()), float((-slack).max()), float(np.abs(slack * value).max()))


@given(k=st.integers(1, 30), rank=st.integers(1, 40), seed=st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_every_condition_holds_to_rounding_for_regular_and_singular_matrices(k, rank, seed):
    _, matrix, offsets = problem(k, rank, seed)
    found = Complementarity(matrix).solve(offsets[0])
    assert found.solved
    size = 1 + np.abs(offsets).max() + found.value.sum()
    assert residual(matrix, offsets[0], found.value) <= 1e-11 * size**2


@given(k=st.integers(2, 45), seed=st.integers(0, 10**6), rank=st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=30, deadline=None)
def test_many_right_hand_sides_at_once_give_the_vectors_of_one_at_a_time(k, seed, rank):
    columns, matrix, offsets = problem(k, max(1, int(rank * k)), seed, count=6)
    values, solved, _, _ = Complementarity(matrix).solve_many(offsets)
    assert solved
    for offset, value in zip(offsets, values, strict=True):
        alone = Complementarity(matrix).solve(offset).value
        np.testing.assert_allclose(columns @ value, columns @ alone, atol=1e-9 * (1 + np.abs(alone).sum()))


@given(k=st.integers(2, 12), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_any_first_guess_of_the_support_leads_to_the_same_solution(k, seed):
    columns, matrix, offsets = problem(k, 2 * k, seed)
    start = np.random.default_rng(seed).random(k) < 0.5
    reference, _ = nnls(columns, np.linalg.lstsq(columns.T, -offsets[0], rcond=None)[0])
    np.testing.assert_allclose(Complementarity(matrix).solve(offsets[0], start).value, reference, atol=1e-9)


def test_uniqueness_is_told_from_the_matrix_and_from_strict_conditions():
    assert Complementarity(np.eye(2)).solve(np.array([-1.0, 0.0])).unique
    twice = np.ones((2, 2))
    assert not Complementarity(twice).solve(np.array([-1.0, -1.0])).unique
    opposite = np.array([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    assert not Complementarity(opposite).solve(np.array([1.0, 1.0, -1.0])).unique


def test_full_rank_and_the_smallest_pivot_tell_dependence():
    assert Complementarity(np.eye(3)).smallest_pivot == 1.0
    assert Complementarity(np.ones((2, 2))).smallest_pivot == 0.0
    assert not Complementarity(np.ones((2, 2))).full_rank
    nearly = np.array([[1.0, 1 - 1e-9], [1 - 1e-9, 1.0]])
    assert Complementarity(nearly).full_rank
    assert Complementarity(nearly).smallest_pivot == pytest.approx(2e-9, rel=1e-6)


def test_a_singular_system_is_refused_instead_of_solved_by_rounding():
    assert solve_positive(np.ones((2, 2)), np.ones(2)) is None
    assert solve_positive(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2)) is None
    solution, pivot = solve_positive(np.eye(2), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(solution, [1.0, 2.0])
    assert pivot == 1.0


def test_a_failure_of_every_route_is_said(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(scipy.optimize, "nnls", fails)
    monkeypatch.setattr(complementarity, "solve_positive", lambda *_: None)
    assert not Complementarity(np.eye(2)).solve(np.array([-1.0, -1.0])).solved
