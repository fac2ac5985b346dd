"""Creases: all sign flips that can meet, which of them lie on the front, and that no weights reach those."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from equipoise.errors import SettingError
from equipoise.linear import (
    LinearProblem,
    condition,
    crease_points,
    judge_creases,
    pareto_test,
    reach,
    surface_gradient,
    surface_value,
)
from equipoise.linear.geometry.creases import flips

seeds = st.integers(0, 10**6)

TWINS = np.array([[1.0, 0.9, -0.3, -0.3], [0.9, 1.0, -0.3, -0.3], [-0.3, -0.3, 1.0, -0.3], [-0.3, -0.3, -0.3, 1.0]])
"""Two tasks that are nearly the same, in conflict with two others: they flip together."""


def gramian(seed, tasks, rank=None):
    factor = np.random.default_rng(seed).normal(size=(tasks, rank or tasks + 1))
    return factor @ factor.T


def patterns(tasks):
    return [np.array((1, *rest)) for rest in itertools.product((1, -1), repeat=tasks - 1)]


def least_norm(G, captured):
    """min over signs of min { ||v||^2 : s_i r_i . v >= sqrt(e_i) }, by Lawson and Hanson's least-distance program."""
    rows = np.linalg.cholesky(G)
    found = []
    for signs in patterns(len(G)):
        A, b = signs[:, None] * rows, np.sqrt(captured)
        dual, _ = nnls(np.vstack([A.T, b]), np.append(np.zeros(len(G)), 1.0))
        rest = np.append(np.zeros(len(G)), 1.0) - np.vstack([A.T, b]) @ dual
        found.append(np.sum((rest[:-1] / rest[-1]) ** 2))
    return min(found)


def on_front(G, crease, point, captured, slack):
    """Whether no model beats the point in every task by more than slack diag(G), by enumeration."""
    if crease.kind == "captured":
        return least_norm(G, captured + slack * np.diag(G)) > 1
    moved = point - slack * np.diag(G)
    return moved.min() <= 0 or max(surface_value(G, moved, signs) for signs in patterns(len(G))) < 1


@pytest.mark.parametrize("tasks", [3, 4, 5, 6])
def test_flips_name_every_pair_of_patterns_once(tasks):
    found = flips(tasks, tasks)
    assert len(found) == 2 ** (tasks - 1) - 1
    both = {frozenset(chosen) for chosen in found} | {frozenset(range(tasks)) - set(chosen) for chosen in found}
    assert len(both) == 2**tasks - 2


def test_single_flips_are_all_there_are_for_three_tasks():
    assert flips(3) == ((0,), (1,), (2,))
    assert max(map(len, flips(4))) == 2
    assert max(map(len, flips(6))) == 1


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(3, 5), st.booleans(), st.data())
def test_crease_points_lie_on_both_surfaces_and_satisfy_the_equation_of_the_intersection(seed, tasks, wide, data):
    G = gramian(seed, tasks)
    chosen = data.draw(st.sampled_from(flips(tasks)))
    crease = crease_points(G, tasks - 1 if wide else 1, chosen, 20, seed=seed)
    assert crease.flipped == chosen
    Q, inside = np.linalg.inv(G), np.isin(np.arange(tasks), chosen)
    for point, signs in zip(crease.points, crease.signs, strict=True):
        other = np.where(inside, -signs, signs)
        assert surface_value(G, point, signs) == pytest.approx(1, rel=1e-6)
        assert surface_value(G, point, other) == pytest.approx(1, rel=1e-6)
        signed = signs * np.sqrt(point)
        terms = (signed[:, None] * Q * signed)[np.ix_(inside, ~inside)]
        assert abs(terms.sum()) <= 1e-6 * (np.abs(terms).sum() + 1)


def test_a_set_of_tasks_and_its_complement_are_one_flip():
    G = gramian(3, 4)
    assert crease_points(G, 1, (1, 2, 3), 5).flipped == (0,)
    assert np.array_equal(crease_points(G, 1, (2, 3), 5).points, crease_points(G, 1, [0, 1], 5).points)


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


@settings(deadline=None, max_examples=10)
@given(seeds, st.integers(3, 5), st.booleans())
def test_what_lies_on_the_front_is_what_enumeration_finds(seed, tasks, wide):
    G = gramian(seed, tasks)
    for crease in judge_creases(G, tasks - 1 if wide else 1, 6, leads=False, seed=seed):
        for point, captured, optimal in zip(crease.points, crease.captured, crease.optimal, strict=True):
            surely = on_front(G, crease, point, captured, 0.9e-6)
            assert optimal or not surely
            assert not optimal or on_front(G, crease, point, captured, 1.1e-6)


@settings(deadline=None, max_examples=10)
@given(seeds, st.integers(3, 4), st.booleans())
def test_crease_points_with_different_normals_are_out_of_reach_wherever_they_lie(seed, tasks, wide):
    G = gramian(seed, tasks)
    width = tasks - 1 if wide else 1
    for chosen in flips(tasks):
        crease = crease_points(G, width, chosen, 4, seed=seed)
        sharp = (crease.disagreement > 0.2) & (np.min(crease.points / np.diag(G), axis=1) > 1e-2)
        for captured in crease.captured[sharp]:
            assert reach(G, width, captured).status == "unreachable"


def test_two_tasks_that_flip_together_make_a_crease_of_the_front_that_single_flips_miss():
    judged = {crease.flipped: crease for crease in judge_creases(TWINS, 1, 400, leads=False)}
    pair = judged[0, 1]
    assert pair.unreachable.sum() >= 5
    for point, signs in zip(pair.points[pair.unreachable], pair.signs[pair.unreachable], strict=True):
        turned = {chosen: surface_value(TWINS, point, signs * np.where(np.isin(range(4), chosen), -1, 1))
                  for chosen in flips(4)}  # fmt: skip
        assert turned[0, 1] == pytest.approx(1)
        assert min(turned[0,], turned[1,]) > 1.01  # neither may flip alone
    captured = pair.captured[pair.unreachable][0]
    assert pareto_test(TWINS, 1, captured, tolerance=1e-6).status == "optimal"
    assert reach(TWINS, 1, captured).status == "unreachable"
    only_single = judge_creases(TWINS, 1, 50, most=1, leads=False)
    assert {len(crease.flipped) for crease in only_single} == {1}


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
    for quick, full in zip(judge_creases(failing, 1, 40, leads=False), creases, strict=True):
        assert quick.lead is None
        assert np.array_equal(quick.unreachable, full.unreachable)
    triples = itertools.combinations(range(7), 3)
    holding = next(g for g in (LinearProblem(X, Y[:, t]).gramian for t in triples) if condition(g, 1).status == "holds")
    assert not any(crease.unreachable.any() for crease in judge_creases(holding, 1, 25))


def test_creases_of_the_wide_layer_matter_where_its_condition_fails(sarcos):
    X, Y, _ = sarcos
    triples = [LinearProblem(X, Y[:, t]).gramian for t in itertools.combinations(range(7), 3)]
    worst = max(triples, key=lambda g: condition(g, 2).margin)
    assert condition(worst, 2).status == "fails"
    assert any(crease.unreachable.any() for crease in judge_creases(worst, 2, 40, tolerance=1e-7))


def test_flips_that_make_no_crease_are_refused():
    with pytest.raises(SettingError, match="rank of the Gramian is 3 of 4"):
        crease_points(gramian(2, 4, rank=3), 1, 0)
    with pytest.raises(SettingError, match="independent of all others"):
        crease_points(np.eye(3), 1, 0)
    with pytest.raises(SettingError, match=r"tasks \[0, 1\] are independent of all others"):
        crease_points(np.eye(4), 1, (0, 1))
    for wrong in ((), (0, 1, 2), 3, (-1,)):
        with pytest.raises(SettingError, match="flipped tasks must be positions"):
            crease_points(gramian(0, 3), 1, wrong)
    with pytest.raises(SettingError, match="not judged"):
        _ = crease_points(gramian(0, 3), 1, 0).unreachable
