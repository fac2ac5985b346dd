"""Many tasks and many resamples: what is searched less is said, and finds what was found before."""

from itertools import pairwise

import numpy as np
import pytest

from equipoise.audits.widths.front_sample import weight_sweep
from equipoise.audits.widths.optima import RESAMPLED, Effort, Solutions, effort_for, in_shares
from equipoise.linear import LinearProblem, audit_problem
from equipoise.linear.minmax.fantope import best_mixture
from equipoise.linear.minmax.multistart import search
from equipoise.linear.minmax.problem import MinMax, unit_factor
from equipoise.linear.optima.tchebycheff import tchebycheff


def problem_of(tasks, seed=0, rows=600, inputs=60):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs))
    return LinearProblem(X, X @ generator.normal(size=(inputs, tasks)) + 3 * generator.normal(size=(rows, tasks)))


def test_the_limits_of_the_search_for_twenty_tasks_are_said():
    (verdict,) = audit_problem(problem_of(20), [1])
    limits = effort_for(20)
    assert f"up to {limits.weights} descents for the best weights, {limits.models} random starts" in verdict.effort


def test_a_sweep_of_many_tasks_halves_edges():
    shares = in_shares(problem_of(30))
    swept = weight_sweep(shares, 1, 120)
    weights = np.array([row for row, _ in swept])
    assert len(weights) == 120
    assert np.allclose(weights.sum(axis=1), 1)
    assert len(np.unique(weights.round(12), axis=0)) == 120


def test_fewer_tasks_are_searched_no_less_than_many():
    efforts = [effort_for(tasks) for tasks in (2, 10, 11, 20, 21, 60)]
    for more, less in pairwise(efforts):
        assert more.weights >= less.weights
        assert more.models >= less.models


@pytest.mark.parametrize(("joints", "width"), [((0, 4, 6), 1), (tuple(range(7)), 2)])
def test_a_resample_finds_with_fewer_descents_what_the_whole_search_finds(sarcos, joints, width):
    X, Y, _ = sarcos
    full = Solutions(in_shares(LinearProblem(X, Y[:, joints])))
    generator = np.random.default_rng(0)
    for _ in range(3):
        rows = generator.integers(len(X), size=len(X))
        shares = in_shares(LinearProblem(X[rows], Y[rows][:, joints]))
        long = Solutions(shares).at(width)
        short = Solutions(shares, None, RESAMPLED, full).at(width)
        assert short.best.worst == pytest.approx(long.best.worst, abs=1e-4)
        assert short.excess_best == pytest.approx(long.excess_best, abs=1e-3)
        assert short.excess_point == pytest.approx(long.excess_point, abs=1e-6)
        assert short.best.solves < long.best.solves


def test_limits_that_are_given_are_kept():
    shares = in_shares(problem_of(6))
    assert Solutions(shares, effort=Effort(1, 1, 100)).at(1).best.solves <= Solutions(shares).at(1).best.solves


@pytest.mark.parametrize("seed", range(5))
def test_at_width_one_the_search_over_signs_alone_is_as_good_as_after_descents(seed):
    factor = np.random.default_rng(seed).normal(size=(6, 5))
    gramian = factor.T @ factor
    forward, _ = unit_factor(gramian)
    problem = MinMax(forward, np.ones(5), np.ones(5), 1)
    basis, lower, _ = search(problem, best_mixture(problem))
    found = tchebycheff(gramian, 1 / np.diag(gramian), 1)
    assert found.exactness == "exact"
    assert lower - 1e-9 <= found.value <= problem.worst(basis) + 1e-9


def test_a_search_that_goes_on_tries_no_start_twice():
    factor = np.random.default_rng(3).normal(size=(8, 7))
    forward, _ = unit_factor(factor.T @ factor)
    problem = MinMax(forward, np.ones(7), np.ones(7), 3)
    mixture = best_mixture(problem)
    whole, lower, descents = search(problem, mixture, random_starts=4)
    first, _, made = search(problem, mixture, random_starts=1)
    rest, again, more = search(problem, mixture, random_starts=4, after=(first, 1))
    assert (problem.worst(rest), again) == pytest.approx((problem.worst(whole), lower))
    assert made + more == descents
