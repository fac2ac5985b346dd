"""Problems from rows that miss some targets: without gaps nothing changes, with gaps at random little."""

import numpy as np
import pytest

from equipoise.errors import DataError
from equipoise.linear import LinearProblem


def rows(count=200, tasks=3, seed=0):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(count, 4)) * [1, 10, 0.1, 1] + 3
    return X, X @ generator.normal(size=(4, tasks)) + 2 * generator.normal(size=(count, tasks)) + 7


@pytest.mark.parametrize("scale", [True, False], ids=["shares", "own units"])
def test_without_gaps_it_is_the_ordinary_problem(scale):
    X, Y = rows()
    usual, found = LinearProblem(X, Y, scale=scale), LinearProblem.from_incomplete_rows(X, Y, scale=scale)
    for name in ("gramian", "unexplained", "total", "R2", "coefficients", "second_moments"):
        np.testing.assert_allclose(getattr(found, name), getattr(usual, name), rtol=1e-9, atol=1e-12, err_msg=name)
    assert found.rank == usual.rank
    assert not found.incomplete


def test_gaps_at_random_change_little_and_the_more_rows_the_less():
    away = []
    for count in (200, 20_000):
        X, Y = rows(count)
        gaps = np.random.default_rng(1).uniform(size=Y.shape) < 0.4
        gaps[gaps.all(axis=1)] = False
        found = LinearProblem.from_incomplete_rows(X, np.where(gaps, np.nan, Y))
        assert found.task_rows.tolist() == (~gaps).sum(axis=0).tolist()
        away.append(np.abs(found.gramian - LinearProblem(X, Y).gramian).max())
    assert away[1] < 0.02
    assert away[1] < away[0] / 3


def test_losses_of_a_shared_layer_are_excesses_over_all_rows():
    X, Y = rows(60)
    Y[:20, 0] = Y[40:, 1] = np.nan
    problem = LinearProblem.from_incomplete_rows(X, Y)
    generator = np.random.default_rng(2)
    shared, heads = generator.normal(size=(4, 1)), generator.normal(size=(1, 3))
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    apart = scaled @ problem.coefficients - scaled @ shared @ heads
    assert problem.losses(shared, heads) == pytest.approx(problem.unexplained + (apart**2).mean(axis=0), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda Y: Y[:, 1].__setitem__(slice(1, None), np.nan), r"two rows with a value; found 'task1' \(1\)"),
        (lambda Y: Y[3].__setitem__(slice(None), np.nan), "every row must have a target; 1 of 60 rows"),
        (lambda Y: Y[:, 0].__setitem__(Y[:, 0] > 0, np.inf), "must be finite"),
        (lambda Y: Y[:, 2].__setitem__(slice(5, None), np.nan) or Y[:, 2].__setitem__(slice(5), 1.0), "constant"),
    ],
    ids=["one value", "an empty row", "infinite", "constant where known"],
)
def test_what_cannot_be_used_is_refused(change, words):
    X, Y = rows(60)
    change(Y)
    with pytest.raises(DataError, match=words):
        LinearProblem.from_incomplete_rows(X, Y)


def test_a_task_of_few_rows_is_doubted_and_not_taken_for_an_input():
    X, Y = rows(60)
    Y[5:, 1] = np.nan  # five rows, four inputs and an intercept
    problem = LinearProblem.from_incomplete_rows(X, Y)
    assert problem.R2[1] == pytest.approx(1.0)
    assert not any("exactly" in words for words in problem.warnings)
    Y[4:, 1] = np.nan
    assert any(words.startswith("4 inputs for 4 rows") for words in LinearProblem.from_incomplete_rows(X, Y).warnings)
