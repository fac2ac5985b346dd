"""Mixtures of a pool and gaps of measured runs against the same programs written for CVXPY as they stand on paper."""

import cvxpy as cp
import numpy as np
import pytest

import equipoise as eq
from equipoise.linear import audit_runs, mixture


def solved(objective, rules):
    problem = cp.Problem(cp.Minimize(objective), rules)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return problem.value if problem.status == "optimal" else None


@pytest.mark.parametrize("seed", range(5))
def test_every_preference_has_the_value_of_its_program(seed):
    generator = np.random.default_rng(seed)
    models, tasks = 3 + seed * 2, 2 + seed % 3
    losses = generator.uniform(0.2, 1.0, size=(models, tasks))
    weights = generator.dirichlet(np.ones(tasks))
    ranges = np.ptp(losses, axis=0)
    a = cp.Variable(models)
    simplex = [a >= 0, cp.sum(a) == 1]
    expected = losses.T @ a
    factors = weights * tasks
    ideal = losses.min(0) - 0.01 * np.abs(losses.min(0))
    above = cp.multiply(factors, expected - ideal)
    limit = float(np.quantile(losses[:, 0], 0.3))
    free = (expected[1:] / ranges[1:]) if tasks > 1 else expected
    cases = [
        (eq.LinearScalarization(tuple(weights)), weights @ expected, []),
        (eq.Tchebycheff(tuple(weights)), cp.max(above), []),
        (eq.Tchebycheff(tuple(weights), augmented=0.05), cp.max(above) + 0.05 * cp.sum(above), []),
        (eq.Bounds({"task0": limit}), cp.sum(free) / (tasks - 1), [expected[0] <= limit]),
        (eq.ReferencePoint(tuple(losses.min(0))), cp.max((expected - losses.min(0)) / ranges), []),
        (eq.Ray(tuple(losses.max(0))), cp.max(expected / losses.max(0)), []),
    ]
    for preference, objective, rules in cases:
        assert mixture(losses, preference).value == pytest.approx(solved(objective, [*simplex, *rules]), abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_the_least_miss_of_limits_is_that_of_its_program(seed):
    losses = np.random.default_rng(seed).uniform(size=(6, 3))
    limits = losses.min(0) + 0.02
    a, t = cp.Variable(6), cp.Variable()
    ranges = np.ptp(losses, axis=0)
    rules = [a >= 0, cp.sum(a) == 1, (losses.T @ a - limits) / ranges <= t]
    found = mixture(losses, eq.Bounds({f"task{i}": float(limit) for i, limit in enumerate(limits)}))
    assert found.status == "infeasible"
    assert found.miss == pytest.approx(solved(t, rules), abs=1e-7)


def test_pool_gaps_are_those_of_their_programs():
    losses = np.random.default_rng(9).uniform(size=(9, 3))
    found = audit_runs(losses)
    for row, point in zip(losses, found.points, strict=True):
        a, t = cp.Variable(9), cp.Variable()
        rules = [a >= 0, cp.sum(a) == 1, losses.T @ a <= row - t * found.scale]
        assert point.pool_gap == pytest.approx(-solved(-t, rules), abs=1e-7)
