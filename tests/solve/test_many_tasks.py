"""Beyond 10 tasks `reach` follows a central path: the same bounds as column generation and the semidefinite program."""

import numpy as np
import pytest

from equipoise.linear import condition, minimal_mixture, pareto_test, reach, scalarized
from equipoise.linear.reachability import reach as reachability

cvxpy = pytest.importorskip("cvxpy")


def case(seed, tasks, width):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(tasks + 2, tasks))
    G = factor.T @ factor
    G /= np.trace(G)
    values, vectors = np.linalg.eigh(G)
    root = (vectors * np.sqrt(values)).T
    basis = np.linalg.qr(generator.normal(size=(tasks, width)))[0]
    return G, ((basis.T @ root) ** 2).sum(0), root


def lead_by_semidefinite_program(root, width, captured, direction):
    tasks = len(captured)
    P, t = cvxpy.Variable((tasks, tasks), symmetric=True), cvxpy.Variable()
    limits = [P >> 0, np.eye(tasks) - P >> 0, cvxpy.trace(P) <= width]
    for i in range(tasks):
        energy = cvxpy.sum(cvxpy.multiply(np.outer(root[:, i], root[:, i]), P))
        limits.append(energy >= captured[i] + t * direction[i])
    tight = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    return cvxpy.Problem(cvxpy.Maximize(t), limits).solve(solver=cvxpy.CLARABEL, **tight)


@pytest.mark.parametrize(("seed", "tasks", "width"), [(0, 4, 2), (1, 7, 3), (2, 11, 4), (3, 12, 1), (4, 14, 13)])
def test_reach_and_minimal_mixtures_agree_with_the_semidefinite_program(seed, tasks, width):
    G, captured, root = case(seed, tasks, width)
    expected = lead_by_semidefinite_program(root, width, captured, np.diag(G))
    for found in (reach(G, width, captured), minimal_mixture(G, width, captured)):
        lower = found.lower if hasattr(found, "lower") else found.lead
        assert lower == pytest.approx(expected, abs=2e-7)
        assert found.upper == pytest.approx(expected, abs=2e-7)


def test_both_routes_give_the_same_bounds_and_witnesses(monkeypatch):
    G, captured, _ = case(5, 9, 3)
    columns = reach(G, 3, captured)
    monkeypatch.setattr(reachability, "LARGEST_GENERATION", 1)
    path = reach(G, 3, captured)
    assert path.lower == pytest.approx(columns.lower, abs=2e-8)
    assert path.upper == pytest.approx(columns.upper, abs=2e-8)
    assert path.status == columns.status
    assert path.weights @ np.diag(G) == pytest.approx(1)
    lead = ((path.mixture @ path.members - captured) / np.diag(G)).min()
    assert lead == pytest.approx(path.lower, abs=1e-12)
    bound = scalarized(G, path.weights, 3).value - path.weights @ captured
    assert bound == pytest.approx(path.upper, abs=1e-9)
    assert len(path.mixture) <= len(columns.mixture)


@pytest.mark.parametrize("tasks", [11, 20])
def test_optima_of_weights_are_reachable_for_many_tasks(tasks):
    G, _, _ = case(6, tasks, 3)
    weights = np.random.default_rng(1).dirichlet(np.ones(tasks)) + 0.2 / tasks
    found = reach(G, 3, scalarized(G, weights, 3).captured, tolerance=1e-6)
    assert found.status == "reachable"


def test_forty_tasks_are_bracketed():
    G, captured, _ = case(7, 40, 10)
    found = reach(G, 10, captured)
    assert found.upper - found.lower <= 1e-6
    assert found.status == "unreachable"


def test_ten_tasks_are_solved_to_a_billionth_of_the_trace():
    G, captured, _ = case(8, 10, 3)
    # direction of ones: delta is in the units of G, whose trace is 1
    found = reach(G, 3, captured, np.ones(10), tolerance=1e-8)
    assert found.upper - found.lower <= 1e-9


def test_points_asking_for_too_much_are_outside():
    G, _, _ = case(9, 12, 3)
    assert reach(G, 3, 0.999 * np.diag(G)).status == "outside"
    assert pareto_test(G, 1, 0.9 * np.diag(G)).status == "outside"


@pytest.mark.parametrize("width", [1, 999])
def test_the_condition_of_a_thousand_tasks_has_a_cycle_and_a_margin(width):
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(1100, 1000))
    G = factor.T @ factor / 1100
    found = condition(G, width)
    assert found.status == "fails"
    assert 0 < found.margin < 1
    assert len(found.cycle) >= 3
