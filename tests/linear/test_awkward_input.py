"""Numbers of odd size and arguments of odd kind: a right answer, or an error that says what to type."""

import numpy as np
import pytest
import torch

from equipoise.errors import DataError, GramianError, SettingError, TaskError
from equipoise.linear import LinearProblem, audit_problem, best_weights, condition, reach, scalarized, tchebycheff

G = np.array([[1.0, -0.3, -0.3], [-0.3, 1.0, -0.3], [-0.3, -0.3, 1.0]])


def table(seed=0, rows=40, inputs=4, tasks=2):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs))
    return X, X @ generator.normal(size=(inputs, tasks)) + generator.normal(size=(rows, tasks))


@pytest.mark.parametrize("factor", [1e200, 1e-200, 1e300, 5e-300])
def test_inputs_of_any_size_give_the_same_problem(factor):
    X, Y = table()
    plain, scaled = LinearProblem(X, Y), LinearProblem(X * factor, Y)
    assert np.allclose(scaled.R2, plain.R2, rtol=1e-12)
    assert np.allclose(scaled.gramian, plain.gramian, rtol=1e-12)


def test_inputs_of_very_different_sizes_do_not_hide_each_other():
    X, Y = table()
    units = np.array([1e-200, 1.0, 1e200, 1e3])
    assert np.allclose(LinearProblem(X * units, Y).gramian, LinearProblem(X, Y).gramian, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e200, 1e-200, 1.7e307])
def test_targets_whose_variance_no_float64_holds_are_named(factor):
    X, Y = table()
    with pytest.raises(DataError, match=r"'b' .*another unit"):
        LinearProblem(X, Y * [1.0, factor], tasks=("a", "b"))


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_without_scaling_inputs_of_extreme_size_are_named(factor):
    X, Y = table()
    with pytest.raises(DataError, match=r"'column 1' .*scale=True"):
        LinearProblem(X * [1.0, factor, 1.0, 1.0], Y, scale=False)


def test_more_inputs_than_rows_that_depend_on_each_other_are_not_said_to_fit_every_row():
    X, Y = table(rows=20, inputs=3)
    (said,) = LinearProblem(np.tile(X, 8), Y).warnings
    assert said.startswith("24 inputs for 20 rows")
    assert "fits every row" not in said
    independent = np.random.default_rng(1).normal(size=(20, 24))
    assert "fits every row" in LinearProblem(independent, Y).warnings[0]


def test_a_gramian_may_be_a_tensor_of_any_precision_and_with_a_gradient():
    for kind in (torch.float32, torch.float64, torch.bfloat16):
        found = condition(torch.tensor(G, dtype=kind, requires_grad=True), 1)
        assert found.status == "fails"


@pytest.mark.parametrize("complex_gramian", [G * (1 + 1j), torch.tensor(G * (1 + 0j))])
def test_a_complex_gramian_is_refused(complex_gramian):
    with pytest.raises(GramianError, match="must be real"):
        condition(complex_gramian, 1)


@pytest.mark.parametrize("gramian", ["abc", [[1.0, 0.0], [0.0]], [["a", "b"], ["c", "d"]], None, {"a": 1}])
def test_what_is_no_matrix_is_refused_as_a_gramian(gramian):
    with pytest.raises(GramianError, match="a Gramian must be"):
        condition(gramian, 1)


@pytest.mark.parametrize("tasks", ["abc", ["a", "a", "b"], ["a", "b"], 3])
def test_names_of_tasks_are_a_sequence_of_different_names(tasks):
    with pytest.raises(TaskError, match=r"Name each|list of 3 names"):
        condition(G, 1, tasks=tasks)


def test_a_problem_refuses_one_string_as_its_names():
    X, Y = table()
    with pytest.raises(TaskError, match="list of 2 names"):
        LinearProblem(X, Y, tasks="ab")


@pytest.mark.parametrize("captured", [-np.diag(G), [0.1, 0.1, -0.1]])
def test_a_point_with_negative_captured_energy_is_refused(captured):
    with pytest.raises(SettingError, match="never negative"):
        reach(G, 1, captured)


def test_rounding_below_zero_is_no_negative_energy():
    assert reach(G, 1, [0.0, -1e-15, 0.0]).status == "unreachable"


def calls():
    """Every call that must be refused, with words of what to type instead."""
    X, Y = table()
    problem = LinearProblem(X, Y)
    yield lambda: condition(G, 1, noise="x"), "Pass 0.0"
    yield lambda: condition(G, "1"), "width=1"
    yield lambda: scalarized(G, "abc", 1), "3 numbers"
    yield lambda: scalarized(G, [1.0, [2.0, 3.0], 1.0], 1), "3 numbers"
    yield lambda: scalarized(G, [1.0, 2.0], 1), "3 numbers"
    yield lambda: scalarized(G, [0.0, 0.0, 0.0], 1), "Pass ones"
    yield lambda: tchebycheff(G, "abc", 1), "3 numbers"
    yield lambda: tchebycheff(G, [-1.0, 1.0, 1.0], 1), "Pass ones"
    yield lambda: best_weights(G, [0.1, 0.1, -0.1], 1), "Pass the losses"
    yield lambda: best_weights(G, [0.1, 0.1, 0.1], 1, starts="many"), "Pass for example 24"
    yield lambda: reach(G, 1, "abc"), "3 numbers"
    yield lambda: reach(G, 1, [0.1, 0.1, 0.1], [1.0, 0.0, 1.0]), "Leave it out"
    yield lambda: audit_problem(problem, 1), r"Pass for example \[1, 2\]"
    yield lambda: audit_problem(problem, "12"), r"Pass for example \[1, 2\]"
    yield lambda: audit_problem(problem, [1.5]), "width=1"
    yield lambda: audit_problem(problem, []), "Leave widths out"
    yield lambda: audit_problem(problem, [1], seed=-1), "Pass seed=0"
    yield lambda: audit_problem(problem, [1], bootstraps=1.5), "Pass bootstraps=0"
    yield lambda: audit_problem(problem, [1], threshold="x"), "Pass for example 0.01"


@pytest.mark.parametrize(("call", "words"), list(calls()))
def test_a_setting_that_cannot_be_used_is_refused_with_what_to_type(call, words):
    with pytest.raises(SettingError, match=words):
        call()
