"""Smoothed: a value around a value."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.solve import Status

from .matrices import gradients, run, take


@given(k=st.integers(1, 6), seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 0.5, 0.9]))
@settings(max_examples=25, deadline=None)
def test_weights_are_the_moving_average_of_the_inner_ones(k, seed, alpha):
    history = [gradients(k, seed + t) for t in range(5)]
    found = run(eq.Smoothed(eq.MGDA(), alpha), history)
    average = None
    for rows, outcome in zip(history, found, strict=True):
        fresh = take(eq.MGDA(), rows).weights.numpy()
        average = fresh if average is None else alpha * average + (1 - alpha) * fresh
        np.testing.assert_allclose(outcome.weights, average, atol=1e-12)
        np.testing.assert_allclose(outcome.direction, average @ rows, atol=1e-12)


def test_the_inner_state_goes_along_under_its_own_prefix():
    history = [gradients(4, t) for t in range(4)]
    outer, inner = run(eq.Smoothed(eq.GradVac(), 0.0), history), run(eq.GradVac(), history)
    for ours, theirs in zip(outer, inner, strict=True):
        np.testing.assert_allclose(ours.direction, theirs.direction, atol=1e-12)
        assert torch.equal(ours.state["inner_targets"], theirs.state["targets"])
    twice = eq.Smoothed(eq.Smoothed(eq.PCGrad(seed=4)))
    assert set(twice.init(3)) == {
        "smoothed", "seen", "total", "inner_smoothed", "inner_seen", "inner_total",
        "inner_inner_seed", "inner_inner_step",
    }  # fmt: skip
    assert int(twice.init(3)["inner_inner_seed"]) == 4


def test_it_is_a_value_like_every_other_method():
    method = eq.Smoothed(eq.PCGrad(seed=1), alpha=0.5)
    assert repr(method) == "Smoothed(method=PCGrad(seed=1), alpha=0.5)"
    assert method == eq.Smoothed(eq.PCGrad(seed=1), alpha=0.5) != eq.Smoothed(eq.PCGrad(seed=2), alpha=0.5)
    for twin in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert twin == method
        assert twin.state_tensors == method.state_tensors


def test_what_the_engine_asks_is_answered_by_the_inner_method():
    assert eq.Smoothed(eq.MGDAUB()).needs == "features"
    assert eq.Smoothed(eq.GradNorm()).heads == "weighted"
    assert not eq.Smoothed(eq.RGW()).on_host
    assert eq.Smoothed(eq.MoDo()).samples_twice
    assert not eq.Smoothed(eq.SDMGrad()).samples_twice
    assert eq.Smoothed(eq.SDMGrad(sampling="double")).samples_twice
    assert eq.Smoothed(eq.NashMTL()).degree() is None  # weights in units of a gradient cannot be averaged
    assert take(eq.Smoothed(eq.MGDA()), [[1.0], [-1.0]]).status is Status.STATIONARY


def test_where_the_inner_method_has_no_solution_no_step_is_taken_and_the_average_stays():
    method = eq.Smoothed(eq.FairGrad(), 0.5)
    first = take(method, gradients(2, 0, columns=2))
    without = take(method, [[1.0, 0.0], [-1.0, 0.0]], state=first.state)
    assert without.status is Status.NO_SOLUTION
    assert without.direction.tolist() == [0, 0]
    assert torch.equal(without.state["smoothed"], first.state["smoothed"])
    rows = gradients(2, 1, columns=2)
    after = take(method, rows, state=without.state)
    np.testing.assert_allclose(after.weights, (first.weights + take(eq.FairGrad(), rows).weights) / 2, rtol=1e-12)
    fresh = take(method, [[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(
        take(method, rows, state=fresh.state).weights, take(eq.FairGrad(), rows).weights, rtol=1e-12
    )


def test_absent_and_finished_tasks_keep_their_average():
    method = eq.Smoothed(eq.MGDA(), 0.5)
    first = take(method, gradients(3, 0))
    second = take(method, gradients(3, 1), state=first.state, present=(0, 2))
    assert second.state["smoothed"][1] == first.state["smoothed"][1]
    finished = gradients(3, 2)
    finished[1] = 0
    third = take(method, finished, state=first.state)
    assert third.weights[1] == 0
    assert third.state["smoothed"][1] == first.state["smoothed"][1]


@pytest.mark.parametrize("inner", [eq.MGDA(), eq.PCGrad(), eq.UPGrad()], ids=repr)
def test_the_length_of_a_step_does_not_depend_on_who_joins_or_is_missing(inner):
    # every present task has the same gradient: d must be that gradient, whoever was there before
    method, state = eq.Smoothed(inner, 0.9), None
    for number, present in enumerate([(0,), (0, 1, 2), (1,), (0, 2), (2,), (0, 1, 2), (1, 2)]):
        rows = np.tile(gradients(1, number), (3, 1))
        found = take(method, rows, state=state, present=present)
        np.testing.assert_allclose(found.direction, rows[0], rtol=1e-12)
        state = found.state


def test_a_group_whose_averages_are_all_zero_starts_from_its_first_weights():
    longer = take(eq.Smoothed(eq.MGDA()), [[3.0, 0.0], [1.0, 0.0]])
    assert longer.weights.tolist() == [0, 1]
    alone = take(eq.Smoothed(eq.MGDA()), [[3.0, 0.0], [1.0, 0.0]], state=longer.state, present=(0,))
    assert alone.weights.tolist() == pytest.approx([1])


def test_what_cannot_be_smoothed_is_refused_by_name():
    for inner in (eq.LinearScalarization(), eq.MoCo(), eq.IMTL()):
        with pytest.raises(SettingError, match=f"{type(inner).__name__}"):
            eq.Smoothed(inner)
    with pytest.raises(SettingError, match="`alpha`"):
        eq.Smoothed(eq.MGDA(), alpha=1.0)
