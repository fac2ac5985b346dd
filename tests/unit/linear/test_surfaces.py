"""Surfaces and creases: equations that hold, derivatives, which creases matter on known triples."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.errors import SettingError
from equipoise.linear import (
    LinearProblem,
    condition,
    crease_points,
    judge_creases,
    pareto_test,
    reach,
    surface_gradient,
    surface_points,
    surface_value,
)

seeds = st.integers(0, 10**6)


def gramian(seed, tasks, rank=None):
    factor = np.random.default_rng(seed).normal(size=(tasks, rank or tasks + 1))
    return factor @ factor.T


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 5), st.booleans())
def test_every_model_lies_on_the_surface_of_its_signs_and_on_no_other_side(seed, tasks, wide):
    G = gramian(seed, tasks)
    found = surface_points(G, tasks - 1 if wide else 1, 40, seed=seed)
    for point, signs in zip(found.points, found.signs, strict=True):
        assert surface_value(G, point, signs) == pytest.approx(1, rel=1e-6)
    assert found.signs[:, 0].min() >= 0
    assert len({tuple(row) for row in found.signs.tolist()}) == len(set(found.pieces.tolist()))
    assert len(set(found.pieces.tolist())) <= 2 ** (tasks - 1)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 5))
def test_the_gradient_is_that_of_finite_differences(seed, tasks):
    G = gramian(seed, tasks)
    generator = np.random.default_rng(seed)
    point = generator.uniform(0.2, 1, tasks) * np.diag(G)
    signs = generator.choice([-1, 1], tasks)
    gradient = surface_gradient(G, point, signs)
    for i in range(tasks):
        step = np.zeros(tasks)
        step[i] = 1e-5 * point[i]
        slope = surface_value(G, point + step, signs) - surface_value(G, point - step, signs)
        assert gradient[i] == pytest.approx(slope / (2 * step[i]), rel=1e-4, abs=1e-6 * np.abs(gradient).max())


def test_slopes_are_infinite_on_the_walls():
    G = gramian(0, 3)
    slopes = surface_gradient(G, [0.0, 1.0, 1.0], [1, 1, 1])
    assert np.isinf(slopes[0])
    assert np.isfinite(slopes[1:]).all()


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(3, 5), st.booleans())
def test_crease_points_lie_on_both_surfaces_and_satisfy_the_equation_of_the_intersection(seed, tasks, wide):
    G = gramian(seed, tasks)
    task = seed % tasks
    crease = crease_points(G, tasks - 1 if wide else 1, task, 20, seed=seed)
    Q = np.linalg.inv(G)
    for point, signs in zip(crease.points, crease.signs, strict=True):
        other = signs.copy()
        other[task] *= -1
        assert surface_value(G, point, signs) == pytest.approx(1, rel=1e-6)
        assert surface_value(G, point, other) == pytest.approx(1, rel=1e-6)
        terms = [
            signs[task] * signs[j] * Q[task, j] * np.sqrt(point[task] * point[j]) for j in range(tasks) if j != task
        ]
        assert abs(sum(terms)) <= 1e-6 * (sum(map(abs, terms)) + 1)


def test_for_three_tasks_the_crease_is_a_planar_curve():
    G = gramian(4, 3)
    Q = np.linalg.inv(G)
    crease = crease_points(G, 1, 0, 30)
    assert np.allclose(Q[0, 1] ** 2 * crease.points[:, 1], Q[0, 2] ** 2 * crease.points[:, 2])


def test_normals_disagree_on_a_crease_unless_cross_terms_vanish():
    G = gramian(4, 3)
    crease = crease_points(G, 1, 0, 30)
    assert crease.disagreement.min() > 1e-3
    for point, signs, angle in zip(crease.points, crease.signs, crease.disagreement, strict=True):
        other = signs * np.array([-1, 1, 1])
        first, second = surface_gradient(G, point, signs), surface_gradient(G, point, other)
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert np.cos(angle) == pytest.approx(cosine, abs=1e-6)


def test_unreachable_crease_points_are_proved_on_a_failing_triple_and_absent_on_a_holding_one(sarcos):
    X, Y, _ = sarcos
    failing = LinearProblem(X, Y[:, [0, 4, 6]]).gramian
    assert condition(failing, 1).status == "fails"
    creases = judge_creases(failing, 1, 40)
    found = [captured for crease in creases for captured in crease.captured[crease.unreachable]]
    assert len(found) >= 3
    for captured in found[:3]:
        assert pareto_test(failing, 1, captured).status == "optimal"
        assert reach(failing, 1, captured).status == "unreachable"
    triples = itertools.combinations(range(7), 3)
    holding = next(g for g in (LinearProblem(X, Y[:, t]).gramian for t in triples) if condition(g, 1).status == "holds")
    assert not any(crease.unreachable.any() for crease in judge_creases(holding, 1, 25))


def test_creases_of_the_wide_layer_matter_where_its_condition_fails(sarcos):
    X, Y, _ = sarcos
    triples = [LinearProblem(X, Y[:, t]).gramian for t in itertools.combinations(range(7), 3)]
    worst = max(triples, key=lambda g: condition(g, 2).margin)
    assert condition(worst, 2).status == "fails"
    assert any(crease.unreachable.any() for crease in judge_creases(worst, 2, 40, tolerance=1e-7))


def test_dependent_predictions_can_be_drawn_but_have_no_equations():
    G = gramian(2, 4, rank=3)
    assert surface_points(G, 1, 30).points.shape == (30, 4)
    with pytest.raises(SettingError, match="rank of the Gramian is 3 of 4"):
        crease_points(G, 1, 0)
    with pytest.raises(SettingError, match="Between them"):
        surface_points(gramian(0, 5), 2)
    with pytest.raises(SettingError, match="independent of all others"):
        crease_points(np.eye(3), 1, 0)
    with pytest.raises(SettingError, match="not judged"):
        _ = crease_points(gramian(0, 3), 1, 0).unreachable
