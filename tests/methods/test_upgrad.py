"""UPGrad and DualProj: what they share, and where they part."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError, TaskError
from equipoise.laws import check_method
from equipoise.solve import Status

from .matrices import gradients, take


@pytest.mark.parametrize("method", [eq.UPGrad(), eq.DualProj()], ids=repr)
def test_the_laws_hold(method):
    assert check_method(method, sizes=(1, 2, 3, 5)).checks > 0


@pytest.mark.parametrize("kind", [eq.UPGrad, eq.DualProj])
def test_without_conflict_it_is_the_weighted_mean(kind):
    rows = np.abs(gradients(4, 0))
    np.testing.assert_allclose(take(kind(), rows).direction, rows.mean(axis=0), rtol=1e-13)
    weighted = kind((1.0, 2.0, 3.0, 4.0))
    np.testing.assert_allclose(take(weighted, rows).direction, np.array([0.1, 0.2, 0.3, 0.4]) @ rows, rtol=1e-13)


@given(k=st.integers(2, 7), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_upgrad_is_the_mean_of_dual_projections_with_all_weight_on_one_task(k, seed):
    rows = gradients(k, seed)
    parts = [take(eq.DualProj(tuple(np.eye(k)[i])), rows).direction for i in range(k)]
    np.testing.assert_allclose(take(eq.UPGrad(), rows).direction, torch.stack(parts).mean(dim=0), atol=1e-10)


def test_two_conflicting_tasks_coincide_with_pcgrad_for_upgrad():
    rows = np.array([[1.0, 0.2], [-1.0, 1.0]])
    np.testing.assert_allclose(take(eq.UPGrad(), rows).direction, take(eq.PCGrad(), rows).direction, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 5e-3, 1e8])
def test_small_and_large_gradients_are_not_replaced_by_the_mean(scale):
    rows = scale * np.array([[1.0, 0.0], [-3.0, 1.0]])
    for kind in (eq.UPGrad, eq.DualProj):
        products = rows @ take(kind(), rows).direction.numpy()
        assert products.min() >= -1e-14 * scale**2
        assert rows[0] @ rows.mean(axis=0) < 0


def test_a_task_of_zero_gradient_counts_in_the_mean_alone():
    rows = np.vstack([gradients(2, 1), np.zeros(12)])
    for kind in (eq.UPGrad, eq.DualProj):
        wanted = take(kind(), rows[:2]).direction * 2 / 3
        np.testing.assert_allclose(take(kind(), rows).direction, wanted, rtol=1e-12)


def test_upgrad_for_a_hundred_tasks_conflicts_with_none():
    rows = torch.from_numpy(gradients(100, 0, columns=200))
    found = eq.weights(eq.UPGrad(), rows @ rows.T)
    assert (rows @ (found @ rows)).min() >= -1e-10


def test_dependent_and_stationary_gradients_are_reported():
    rows = [[1.0, 0.0], [-1.0, 1.0], [-1.0, 1.0]]
    assert take(eq.UPGrad(), rows).status is Status.RANK_DEFICIENT
    assert take(eq.DualProj(), [[1.0, 0.0], [-1.0, 0.0]]).status is Status.STATIONARY


@pytest.mark.parametrize("kind", [eq.UPGrad, eq.DualProj])
def test_weights_by_name_must_name_the_tasks_and_be_positive(kind):
    rows = gradients(2, 0)
    by_name = take(kind({"b": 3.0, "a": 1.0}), rows).direction
    np.testing.assert_allclose(by_name, take(kind((1.0, 3.0)), rows).direction)
    with pytest.raises(TaskError, match="missing: 'b'"):
        take(kind({"a": 1.0, "x": 1.0}), rows)
    with pytest.raises(SettingError, match="non-negative"):
        kind((1.0, -1.0))
