"""A table becomes a problem: what is computed is least squares, what is unusable is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import DataError, SettingError, TaskError
from equipoise.linear import LinearProblem


def table(rows=40, inputs=5, tasks=3, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs)) @ np.diag(10.0 ** np.arange(inputs)) + 3
    Y = X @ np.diag(10.0 ** -np.arange(inputs)) @ generator.normal(size=(inputs, tasks)) + generator.normal(
        size=(rows, tasks)
    )
    return X, Y


def test_gramian_and_unexplained_are_those_of_least_squares_with_an_intercept():
    X, Y = table()
    problem = LinearProblem(X, Y)
    design = np.column_stack([np.ones(len(X)), X])
    targets = (Y - Y.mean(0)) / Y.std(0)
    predictions = design @ np.linalg.lstsq(design, targets)[0]
    assert np.allclose(problem.gramian, predictions.T @ predictions / len(X), atol=1e-12)
    assert np.allclose(problem.unexplained, ((targets - predictions) ** 2).mean(0), atol=1e-12)
    assert np.allclose(problem.total, 1.0)
    assert np.allclose(problem.variance, Y.var(axis=0))
    assert np.allclose(problem.R2, 1 - problem.unexplained)


def test_without_scaling_and_centring_the_gramian_is_in_the_targets_units():
    X, Y = table()
    problem = LinearProblem(X, Y, center=False, scale=False)
    predictions = X @ np.linalg.lstsq(X, Y)[0]
    assert np.allclose(problem.gramian, predictions.T @ predictions / len(X), rtol=1e-9)
    assert np.allclose(problem.total, (Y**2).mean(0))
    assert (problem.center, problem.scale) == (False, False)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(-6, 6), st.floats(-100, 100))
def test_units_and_offsets_of_inputs_and_targets_change_nothing(seed, power, offset):
    X, Y = table(seed=seed)
    units = 10.0 ** (power * np.linspace(-1, 1, 3))
    one, two = LinearProblem(X, Y), LinearProblem(X * 10.0**power + offset, (Y + offset) * units)
    assert np.allclose(one.gramian, two.gramian, atol=1e-7)
    assert one.rank == two.rank == 3


def test_nearly_dependent_inputs_agree_with_the_route_by_singular_values():
    X, Y = table(rows=60)
    close = np.column_stack([X, X[:, 0] + 1e-7 * np.random.default_rng(1).normal(size=60)])
    problem = LinearProblem(close, Y)
    assert problem.method == "singular values of the inputs"
    design = np.column_stack([np.ones(60), X, (close[:, -1] - X[:, 0]) * 1e7])
    targets = (Y - Y.mean(0)) / Y.std(0)
    residual = targets - design @ np.linalg.lstsq(design, targets)[0]
    assert np.allclose(problem.unexplained, (residual**2).mean(0), atol=1e-6)


def test_losses_from_second_moments_are_those_of_the_rows():
    X, Y = table()
    problem = LinearProblem(X, Y)
    generator = np.random.default_rng(3)
    shared, heads = generator.normal(size=(5, 2)), generator.normal(size=(2, 3))
    inputs, targets = (X - X.mean(0)) / X.std(0), (Y - Y.mean(0)) / Y.std(0)
    direct = ((inputs @ shared @ heads - targets) ** 2).mean(0)
    assert np.allclose(problem.losses(shared, heads), direct, rtol=1e-12)


def test_more_inputs_than_rows_fit_every_row_and_say_so():
    X, Y = table(rows=6, inputs=9, tasks=2)
    problem = LinearProblem(X, Y)
    assert np.allclose(problem.unexplained, 0, atol=1e-12)
    assert "9 inputs for 6 rows" in problem.warnings[0]


def test_targets_that_are_explained_wholly_or_not_at_all_are_legal_and_recorded():
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    problem = LinearProblem(X, np.column_stack([X[:, 0] * 2 + 1, [1.0, 0, 0, 1]]), tasks=("line", "cup"))
    assert np.allclose(problem.R2, [1, 0], atol=1e-12)
    assert problem.rank == 1
    assert any("'line' exactly" in text for text in problem.warnings)
    assert any("nothing of 'cup'" in text for text in problem.warnings)


def test_constant_inputs_are_counted_and_harmless():
    X, Y = table()
    problem = LinearProblem(np.column_stack([X, np.full(len(X), 0.1)]), Y)
    assert np.allclose(problem.gramian, LinearProblem(X, Y).gramian, atol=1e-12)
    assert "1 of 6 inputs are constant" in problem.warnings[0]


def test_inputs_that_are_all_constant_predict_nothing():
    problem = LinearProblem(np.ones((10, 2)), np.random.default_rng(0).normal(size=(10, 2)))
    assert problem.rank == 0
    assert np.allclose(problem.unexplained, 1)


def test_dependent_targets_lower_the_rank_not_the_number_of_tasks():
    X, Y = table()
    problem = LinearProblem(X, np.column_stack([Y[:, :2], Y[:, 0] + Y[:, 1]]))
    assert problem.rank == 2
    assert (
        LinearProblem(X, np.column_stack([Y[:, :2], 1.8 * Y[:, 0] + 32])).warnings[-1].endswith("'task0' and 'task2'")
    )


def test_the_problem_at_another_width_shares_everything_else():
    problem = LinearProblem(*table(), width=1)
    assert (problem.width, problem.at(3).width) == (1, 3)
    assert problem.at(3).gramian is problem.gramian


def test_the_callers_arrays_are_neither_changed_nor_kept():
    X, Y = table()
    problem = LinearProblem(X, Y)
    before = problem.raw_targets.copy()
    Y[:] = 0
    assert np.array_equal(problem.raw_targets, before)
    with pytest.raises(ValueError, match="read-only"):
        problem.gramian[0, 0] = 1


X, Y = table()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((X, Y[:, :1]), TaskError, "at least two tasks; found one: 'task0'"),
        ((X, Y[:, 0]), TaskError, "at least two tasks"),
        ((X, np.where(np.arange(3) == 1, 5.0, Y)), DataError, "constant: 'task1'"),
        ((X, Y[:, [0, 1, 0]]), DataError, "'task0' = 'task2'"),
        ((np.where(np.eye(40, 5), np.nan, X), Y), DataError, "input 'column 0' \\(1 of 40 rows\\), input 'column 1'"),
        ((X, np.where(np.eye(40, 3), np.inf, Y)), DataError, "target 'task0' \\(1 of 40 rows\\)"),
        ((X[:1], Y[:1]), DataError, "at least two rows"),
        ((X[:7], Y), DataError, "X has 7, Y has 40"),
        ((X[:2], Y[:2]), DataError, "2 rows, 3 targets"),
        ((X, Y, 0), SettingError, "width must be a whole number of at least 1; found 0"),
        ((X, Y, 1.5), SettingError, "found 1.5"),
        ((X, np.array([["a", "b"]] * 40)), DataError, "must be numbers"),
        ((X[None], Y), DataError, "table; found shape"),
    ],
)
def test_unusable_tables_are_refused_with_what_was_found(arguments, error, words):
    with pytest.raises(error, match=words):
        LinearProblem(*arguments)


def test_names_come_from_a_data_frame_and_must_differ():
    pandas = pytest.importorskip("pandas")
    assert LinearProblem(X, pandas.DataFrame(Y, columns=["a", "b", "c"])).tasks == ("a", "b", "c")
    with pytest.raises(TaskError, match="doubled: 'a'"):
        LinearProblem(X, Y, tasks=["a", "a", "b"])
    with pytest.raises(TaskError, match="3 columns, tasks names 2"):
        LinearProblem(X, Y, tasks=["a", "b"])
