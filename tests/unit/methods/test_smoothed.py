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
        "smoothed", "seen", "inner_smoothed", "inner_seen", "inner_inner_seed", "inner_inner_step",
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
    assert eq.Smoothed(eq.NashMTL()).degree() is None  # weights in units of a gradient cannot be averaged
    assert take(eq.Smoothed(eq.MGDA()), [[1.0], [-1.0]]).status is Status.STATIONARY


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


def test_what_cannot_be_smoothed_is_refused_by_name():
    for inner in (eq.LinearScalarization(), eq.MoCo(), eq.IMTL()):
        with pytest.raises(SettingError, match=f"{type(inner).__name__}"):
            eq.Smoothed(inner)
    with pytest.raises(SettingError, match="`alpha`"):
        eq.Smoothed(eq.MGDA(), alpha=1.0)
