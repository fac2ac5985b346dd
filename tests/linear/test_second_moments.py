"""Streams of rows: the same problem as from the table whatever the batches, constant memory, near-product time."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equipoise.errors import DataError, SettingError, TaskError
from equipoise.linear import LinearProblem, SecondMoments, audit_problem, reach

seeds = st.integers(0, 10**6)


def rows(seed, count=60, inputs=4, targets=3):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(count, inputs)) * 10.0 ** generator.uniform(-3, 3, inputs)
    X += 10.0 ** generator.uniform(-2, 4, inputs)
    Y = X @ (generator.normal(size=(inputs, targets)) / X.std(0)[:, None]) + generator.normal(size=(count, targets))
    return X, Y


def streamed(X, Y, cuts=(7, 30)):
    stream = SecondMoments()
    for x, y in zip(np.split(X, list(cuts)), np.split(Y, list(cuts)), strict=True):
        stream.update(x, y)
    return stream


@settings(deadline=None, max_examples=25)
@given(seeds, st.booleans(), st.booleans(), st.integers(1, 59))
@example(seed=38, center=False, scale=False, cut=1)
def test_the_problem_is_that_of_the_table(seed, center, scale, cut):
    X, Y = rows(seed)
    direct = LinearProblem(X, Y, center=center, scale=scale)
    found = streamed(X, Y, (cut,)).problem(center=center, scale=scale)
    size = np.sqrt(np.outer(direct.total, direct.total))
    assert np.allclose(found.gramian / size, direct.gramian / size, atol=1e-9)
    assert np.allclose(found.unexplained / direct.total, direct.unexplained / direct.total, atol=1e-9)
    assert np.allclose(found.target_moments / size, direct.target_moments / size, atol=1e-9)
    if any("too weak to tell" in warning for warning in found.warnings):  # spreads of 1e-7 of a mean that is kept
        assert not center
        assert found.rank < direct.rank
    else:
        assert found.rank == direct.rank
    assert (found.rows, found.inputs) == (60, 4)
    assert np.allclose(found.variance, direct.variance)
    W, A = np.ones((4, 1)), np.ones((1, 3))
    assert np.allclose(found.losses(W, A), direct.losses(W, A), rtol=1e-6)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(1, 59))
def test_streams_merge_into_one(seed, cut):
    X, Y = rows(seed)
    one, two = streamed(X[:cut], Y[:cut], ()), streamed(X[cut:], Y[cut:], ())
    one.merge(two)
    one.merge(SecondMoments())
    whole = streamed(X, Y)
    assert one.rows == whole.rows
    assert np.allclose(one.second_moments, np.cov(X.T, bias=True), rtol=1e-9, atol=1e-9 * np.diag(np.cov(X.T)).min())
    assert np.allclose(one.input_means, X.mean(0))
    empty = SecondMoments()
    empty.merge(whole)
    assert np.allclose(empty.cross_moments, whole.cross_moments)


def test_a_mean_that_is_large_against_the_spread_costs_no_digits():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(500, 3))
    stream = streamed(X + 1e8, X[:, :2] @ [[1.0, 2.0], [0.5, -1.0]] + generator.normal(size=(500, 2)) + 1e8)
    assert np.allclose(stream.second_moments, np.cov(X.T, bias=True), rtol=1e-6)


def test_the_real_table_gives_the_known_answers(sarcos):
    X, Y, names = sarcos
    stream = SecondMoments()
    for start in range(0, len(X), 700):
        stream.update(X[start : start + 700].astype(np.float32), Y[start : start + 700])
    problem = stream.problem(tasks=names)
    assert np.allclose(problem.R2, [0.925, 0.898, 0.908, 0.949, 0.859, 0.719, 0.935], atol=1e-3)
    found = streamed(X, Y[:, [0, 4, 6]], (1000, 2000)).problem()
    captured = found.total - [0.6808, 0.6089, 0.7960]
    assert reach(found.gramian, 1, captured, np.ones(3)).lower == pytest.approx(0.0802, abs=1e-4)


def test_directions_lost_to_rounding_are_left_out_and_said_so():
    X, Y = rows(1)
    found = streamed(np.column_stack([X, X[:, :1] + X[:, 1:2]]), Y).problem()
    assert np.allclose(found.R2, LinearProblem(X, Y).R2, atol=1e-6)
    assert any("left out" in warning for warning in found.warnings)


def test_constant_inputs_carry_nothing():
    X, Y = rows(2)
    found = streamed(np.column_stack([X, np.full(60, 3.3)]), Y).problem()
    assert np.allclose(found.gramian, LinearProblem(X, Y).gramian, atol=1e-9)
    assert any("constant" in warning for warning in found.warnings)


def test_memory_does_not_grow_with_the_rows():
    def peak(batches):
        generator = np.random.default_rng(0)
        X, Y = generator.normal(size=(4000, 20)), generator.normal(size=(4000, 3))
        stream = SecondMoments()
        stream.update(X, Y)
        tracemalloc.start()
        for _ in range(batches):
            stream.update(X, Y)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(40) < 1.2 * peak(4) + 50_000


def test_a_batch_that_holds_nan_is_refused_whole_and_named():
    X, Y = rows(3)
    stream = streamed(X, Y)
    before = stream.second_moments.copy()
    bad = X.copy()
    bad[5, 2] = np.nan
    with pytest.raises(DataError, match="input 2"):
        stream.update(bad, Y)
    assert stream.rows == 60
    assert np.array_equal(stream.second_moments, before)


def test_what_needs_rows_says_that_there_are_none():
    X, Y = rows(4)
    problem = streamed(X, Y).problem()
    with pytest.raises(SettingError, match="not kept"):
        audit_problem(problem, [1], bootstraps=2)
    assert audit_problem(problem, [1])[0].about.rows == 60
    assert problem.at(2).width == 2


def test_moments_that_do_not_fit_are_refused():
    X, Y = rows(5)
    with pytest.raises(DataError, match="no row"):
        SecondMoments().problem()
    with pytest.raises(DataError, match="same rows"):
        SecondMoments().update(X, Y[:-1])
    with pytest.raises(DataError, match="4 columns"):
        streamed(X, Y).update(X[:, :3], Y)
    with pytest.raises(DataError, match="constant: 'task1'"):
        streamed(X, np.column_stack([Y[:, 0], np.full(60, 2.5)])).problem()
    with pytest.raises(DataError, match="'a' = 'b'"):
        streamed(X, Y[:, [0, 0]]).problem(tasks=["a", "b"])
    with pytest.raises(TaskError, match="at least two"):
        streamed(X, Y[:, :1]).problem()
    with pytest.raises(DataError, match="shapes"):
        LinearProblem.from_moments(np.eye(2), np.eye(3), np.eye(2), rows=9, input_means=[0, 0], target_means=[0, 0])
    with pytest.raises(DataError, match="finite"):
        LinearProblem.from_moments(
            np.eye(2) * np.nan, np.eye(2), np.eye(2), rows=9, input_means=[0, 0], target_means=[0, 0]
        )
