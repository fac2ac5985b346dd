"""Cells of the weights' simplex against linear programs and brute force."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from equipoise.linear import audit_runs
from equipoise.linear.pools.judging import judge
from equipoise.linear.pools.weight_cells import WeightCells, non_dominated


def reachable(pool, place):
    """Ranges of the weights (sum 1) that pick one row, by linear programs; None where none do."""
    k = pool.shape[1]
    found = np.empty((k, 2))
    for i in range(k):
        for side, sign in enumerate((1.0, -1.0)):
            solved = linprog(
                sign * np.eye(k)[i], A_ub=pool[place] - pool, b_ub=np.full(len(pool), 1e-9), A_eq=np.ones((1, k)),
                b_eq=[1.0], bounds=[(0, 1)] * k,
            )  # fmt: skip
            if solved.status == 2:
                return None
            found[i, side] = sign * solved.fun
    return found


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(1, 6), st.booleans())
@example(0, 1, 3, True)
def test_ranges_of_weights_are_those_of_linear_programs(seed, models, tasks, ties):
    generator = np.random.default_rng(seed)
    losses = generator.integers(0, 4, size=(models, tasks)) if ties else generator.uniform(size=(models, tasks))
    losses = losses * generator.uniform(0.5, 20, size=tasks)
    found = audit_runs(losses)
    for place, point in enumerate(found.points):
        expected = reachable(losses, place)
        assert (expected is None) == (point.pool_gap > 0) == (point.weights_low is None)
        if expected is None:
            continue
        assert np.allclose(point.weights_low, expected[:, 0], atol=1e-6)
        assert np.allclose(point.weights_high, expected[:, 1], atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(2, 4))
def test_gaps_are_those_of_linear_programs(seed, models, tasks):
    pool = np.random.default_rng(seed).uniform(size=(models, tasks))
    gaps, place = WeightCells.of(pool).of_pool
    corners = WeightCells.of(pool).corners[place]
    for row, gap, weights in zip(pool, gaps, corners, strict=True):
        # maximise t with shares @ pool <= row - t
        solved = linprog(
            np.append(np.zeros(models), -1.0), A_ub=np.column_stack([pool.T, np.ones(tasks)]), b_ub=row,
            A_eq=[[1.0] * models + [0.0]], b_eq=[1.0], bounds=[(0, None)] * models + [(None, None)],
        )  # fmt: skip
        assert gap == pytest.approx(-solved.fun, abs=1e-8)
        assert weights @ row - (pool @ weights).min() == pytest.approx(gap, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4))
def test_random_weights_pick_settings_whose_ranges_hold_them(seed, models, tasks):
    generator = np.random.default_rng(seed)
    losses = generator.uniform(size=(models, tasks))
    points = audit_runs(losses).points
    for weights in generator.dirichlet(np.ones(tasks), size=20):
        point = points[int(np.argmin(losses @ weights))]
        assert (point.weights_low <= weights + 1e-9).all()
        assert (weights <= point.weights_high + 1e-9).all()


def test_a_task_that_never_varies_leaves_nothing_that_is_better_everywhere():
    """With five tasks the linear programs answer, with three the cells."""
    losses = np.random.default_rng(1).uniform(size=(12, 3))
    few = audit_runs(losses)
    many = judge(np.column_stack([losses / few.scale, np.ones((12, 2))]), np.ones(5))
    assert np.allclose([max(gap, 0.0) for gap in many.gaps], 0.0, atol=1e-9)  # such a task can never be improved
    direct = judge(losses / few.scale, few.scale)
    assert np.allclose(np.maximum(direct.gaps, 0.0), [point.pool_gap for point in few.points], atol=1e-8)


def test_non_dominated_rows_by_brute_force_ties_included():
    losses = np.random.default_rng(2).integers(0, 5, size=(60, 3)).astype(float)
    expected = [not ((losses <= row).all(axis=1) & (losses < row).any(axis=1)).any() for row in losses]
    assert non_dominated(losses).tolist() == expected


def test_a_point_on_a_flat_piece_is_picked_by_one_weight_vector():
    point = audit_runs([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]).points[1]
    assert point.pool_gap == 0.0
    assert np.allclose(point.weights_low, 0.5)
    assert np.allclose(point.weights_high, 0.5)


def test_what_to_train_next_are_weights_at_which_distant_settings_tie():
    losses = np.array([[0.0, 10.0], [0.1, 6.0], [0.9, 4.0], [1.0, 0.0]])
    found = audit_runs(losses)
    weights, members = found.to_try[0]
    assert members == (1, 3)
    assert weights.sum() == pytest.approx(1.0)
    assert np.ptp(losses[list(members)] @ weights) == pytest.approx(0.0, abs=1e-12)
    assert (losses @ weights).min() == pytest.approx(losses[1] @ weights)


def test_long_fronts_are_judged():
    sphere = np.abs(np.random.default_rng(0).normal(size=(3_000, 3)))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    convex = audit_runs(1 - sphere)
    assert len(convex.front) == 3_000
    assert convex.unsupported == ()
    concave = audit_runs(sphere)
    assert len(concave.front) == 3_000
    assert len(concave.unsupported) > 2_900


def test_unpaired_seeds_may_differ_in_number():
    generator = np.random.default_rng(3)
    centres = {"a": (0.0, 1.0), "b": (0.6, 0.6), "c": (1.0, 0.0)}
    labels = ["a"] * 5 + ["b"] * 8 + ["c"] * 3
    rows = np.array([centres[label] for label in labels]) + 0.01 * generator.normal(size=(16, 2))
    found = audit_runs(rows, settings=labels, seeds=list(range(16)), paired=False, resamples=50)
    assert [point.seeds for point in found.points] == [5, 8, 3]
    low, high = found.points[1].interval
    assert 0.05 < low < found.points[1].pool_gap < high < 0.15
    assert found.unsupported == ("b",)
    assert "3 to 8 seeds" in found.words
    single = audit_runs(rows[[0, 5, 13]], settings=["a", "b", "c"], seeds=[0, 0, 0], resamples=5)
    assert single.points[1].interval is None
