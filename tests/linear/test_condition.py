"""The sign test: its laws, and agreement with all sign vectors tried one by one."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import GramianError, SettingError, TaskError
from equipoise.linear import condition

seeds = st.integers(0, 10**6)
# factors of few columns and factors with a common part make balanced and unbalanced graphs about equally likely
few = {"deadline": None, "max_examples": 60}


def gramian(seed, tasks, common=1.0):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(tasks, tasks + 2)) + common * generator.normal(size=(tasks, 1))
    return factor @ factor.T * np.outer(*[10.0 ** generator.uniform(-3, 3, tasks)] * 2)


def scaled(matrix):
    roots = np.sqrt(np.diag(matrix))
    return matrix / np.outer(roots, roots)


def balanced_by_trying_all(matrix, threshold=1e-12):
    tasks = len(matrix)
    kept = np.where(np.abs(matrix) > threshold, matrix, 0.0)
    return any((kept * np.outer(s, s)).min() >= 0 for s in ((1, *rest) for rest in product((1, -1), repeat=tasks - 1)))


@settings(**few)
@given(seeds, st.integers(2, 8), st.floats(0, 4), st.booleans())
def test_the_test_agrees_with_all_sign_vectors_tried(seed, tasks, common, inverse):
    G = gramian(seed, tasks, common)
    matrix = scaled(np.linalg.inv(scaled(G)) if inverse else G)
    answer = condition(G, tasks - 1 if inverse else 1)
    if tasks > 2 or not inverse:
        assert (answer.status == "holds") == balanced_by_trying_all(matrix)
        # the margin: in conflict at it, at peace above it
        if answer.status == "fails":
            assert not balanced_by_trying_all(matrix, answer.margin * (1 - 1e-9))
            assert balanced_by_trying_all(matrix, answer.margin * (1 + 1e-9))
        else:
            assert answer.margin == 0


@settings(**few)
@given(seeds, st.integers(3, 8), st.floats(0, 4))
def test_witnesses_prove_the_answer(seed, tasks, common):
    G = gramian(seed, tasks, common)
    names = [f"t{i}" for i in range(tasks)]
    answer = condition(G, 1, tasks=names)
    if answer.status == "holds":
        assert (scaled(G) * np.outer(answer.signs, answer.signs)).min() >= -1e-12
        assert answer.cycle == ()
    else:
        cycle = [names.index(name) for name in answer.cycle]
        edges = [scaled(G)[i, j] for i, j in zip(cycle, cycle[1:] + cycle[:1], strict=True)]
        assert np.allclose(edges, answer.cycle_correlations)
        assert np.prod(np.sign(edges)) == -1
        assert np.min(np.abs(edges)) == pytest.approx(answer.margin)
        assert len(set(cycle)) == len(cycle) >= 3
        assert answer.signs == ()


@settings(**few)
@given(seeds, st.integers(4, 7))
def test_no_conflict_cycle_of_strongest_correlations_is_shorter(seed, tasks):
    matrix = scaled(gramian(seed, tasks, 0.0))
    answer = condition(matrix, 1)
    strong = np.abs(matrix) >= answer.margin
    for size in range(3, len(answer.cycle)):
        for nodes in combinations(range(tasks), size):
            for order in product(*[nodes] * size):
                if len(set(order)) == size:
                    edges = list(zip(order, order[1:] + order[:1], strict=True))
                    if all(strong[i, j] for i, j in edges):
                        assert np.prod([np.sign(matrix[i, j]) for i, j in edges]) > 0


@settings(**few)
@given(seeds)
def test_two_tasks_never_fail(seed):
    assert condition(gramian(seed, 2), 1).status == "holds"


@settings(deadline=None, max_examples=200)
@given(seeds, st.floats(0, 2))
def test_three_tasks_never_fail_at_both_widths(seed, common):
    G = gramian(seed, 3, common)
    assert "holds" in {condition(G, 1).status, condition(G, 2).status}


@settings(**few)
@given(seeds, st.integers(3, 7), st.floats(1, 6))
def test_at_width_one_a_subset_of_tasks_at_peace_is_at_peace(seed, tasks, common):
    G = gramian(seed, tasks, common)
    if condition(G, 1).status == "holds":
        for left_out in range(tasks):
            kept = [i for i in range(tasks) if i != left_out]
            assert condition(G[np.ix_(kept, kept)], 1).status == ("holds" if tasks > 2 else "single point")


@settings(**few)
@given(seeds, st.integers(3, 6))
def test_units_and_flips_of_tasks_change_nothing(seed, tasks):
    G = gramian(seed, tasks)
    flips = np.random.default_rng(seed).choice([-1.0, 1.0], tasks) * 10.0 ** np.linspace(-2, 2, tasks)
    for width in (1, tasks - 1):
        one, two = condition(G, width), condition(G * np.outer(flips, flips), width)
        assert (one.status, one.cycle) == (two.status, two.cycle)
        assert one.margin == pytest.approx(two.margin, abs=1e-9)


def test_three_lines_in_a_plane_fail_the_test_and_prove_nothing():
    angles = np.deg2rad([0, 60, 120])
    G = np.array([[np.cos(a - b) for a in angles] for b in angles]) * np.outer([1, 1, 1], [1, 1, 1])
    answer = condition(G, 1)
    assert (answer.status, answer.necessary, answer.rank) == ("fails", False, 2)
    assert "linearly dependent" in answer.note
    assert condition(G, 2).status == "single point"


def test_between_the_ends_theory_is_open():
    G = gramian(0, 5)
    assert [condition(G, q).status for q in (2, 3)] == ["open", "open"]
    assert condition(G, 5).status == condition(G, 9).status == "single point"
    dependent = np.zeros((5, 5))
    dependent[:4, :4] = gramian(1, 4)
    mix = np.vstack([np.eye(4), [1, 1, 0, 0]])
    assert condition(mix @ gramian(1, 4) @ mix.T, 3).status == "open"


def test_tasks_that_nothing_predicts_do_not_count():
    G = np.zeros((4, 4))
    G[:3, :3] = gramian(3, 3)
    alone, beside = condition(G[:3, :3], 2), condition(G, 2)
    assert (alone.status, alone.margin, alone.necessary) == (beside.status, beside.margin, beside.necessary)
    assert condition(np.zeros((3, 3)), 1).status == "single point"


def test_an_inverse_that_cannot_be_trusted_is_undetermined():
    values, basis = np.array([1.0, 1.0, 3e-12]), np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    G = basis * values @ basis.T
    assert condition(G, 2).status == "undetermined"
    assert "cannot be trusted" in condition(G, 2).note


def test_a_conflict_within_the_noise_is_undetermined():
    G = np.array([[1.0, -0.02, -0.4], [-0.02, 1.0, -0.5], [-0.4, -0.5, 1.0]])
    assert condition(G, 1).status == "fails"
    blurred = condition(G, 1, noise=0.05)
    assert (blurred.status, blurred.margin) == ("undetermined", pytest.approx(0.02))
    assert condition(G, 1, noise=0.01).status == "fails"


@pytest.mark.parametrize("tasks", [40, 1000])
def test_many_tasks_are_answered_without_enumerating_signs(tasks):
    generator = np.random.default_rng(0)
    factor = generator.normal(size=(tasks, 2 * tasks))
    assert condition(factor @ factor.T, 1).status == "fails"
    assert condition(np.abs(factor) @ np.abs(factor.T), 1).status == "holds"


def test_a_ring_of_many_tasks_is_one_conflict_around_it():
    tasks = 200
    G = np.eye(tasks) + 0.49 * (np.eye(tasks, k=1) + np.eye(tasks, k=-1))
    G[0, -1] = G[-1, 0] = -0.49
    answer = condition(G, 1)
    assert (answer.status, len(answer.cycle), answer.margin) == ("fails", tasks, 0.49)


def test_sarcos_has_the_known_number_of_failures(sarcos):
    X, Y, names = sarcos
    from equipoise.linear import LinearProblem

    problem = LinearProblem(X, Y, tasks=names)
    failed = {1: 0, 2: 0}
    for triple in combinations(range(7), 3):
        answers = [condition(problem.gramian[np.ix_(triple, triple)], q) for q in (1, 2)]
        assert "holds" in {answer.status for answer in answers}
        for q, answer in zip((1, 2), answers, strict=True):
            failed[q] += answer.status == "fails"
    assert failed == {1: 15, 2: 5}
    assert {condition(problem.gramian, q).status for q in (1, 6)} == {"fails"}
    quadruples = [condition(problem.gramian[np.ix_(f, f)], q).status for f in combinations(range(7), 4) for q in (1, 3)]
    assert sum(a == b == "fails" for a, b in zip(quadruples[::2], quadruples[1::2], strict=True)) == 12


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[1.0, 2.0]], 1), GramianError, "square"),
        (([[1.0, 2.0], [2.0, 1.0]], 1), GramianError, "positive semidefinite"),
        (([[1.0, 0.5], [0.0, 1.0]], 1), GramianError, "symmetric"),
        (([[1.0, np.nan], [np.nan, 1.0]], 1), GramianError, "finite"),
        (([[1.0, 0.0], [0.0, -1.0]], 1), GramianError, "negative"),
        ((np.eye(2), 0), SettingError, "width"),
    ],
)
def test_what_is_no_gramian_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        condition(*arguments)


def test_names_and_noise_are_checked():
    with pytest.raises(TaskError, match="2 tasks, tasks names 1"):
        condition(np.eye(2), 1, tasks=["a"])
    with pytest.raises(SettingError, match="noise"):
        condition(np.eye(2), 1, noise=1.0)
