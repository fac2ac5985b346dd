"""Audit of measured runs: hull by an independent route, seeds, crowding, words that do not say too much."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from equipoise.errors import DataError, SettingError
from equipoise.linear import audit_runs


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(1, 6))
def test_the_gap_is_attained_by_the_mixture_and_proved_by_the_weights(seed, models, tasks):
    losses = np.random.default_rng(seed).uniform(size=(models, tasks))
    found = audit_runs(losses)
    for row, point in zip(losses, found.points, strict=True):
        lead = ((row - point.mixture_losses) / found.scale).min()
        assert lead >= point.pool_gap - 1e-7
        bound = (point.next_weights @ row - (losses @ point.next_weights).min()) / (point.next_weights @ found.scale)
        assert bound == pytest.approx(point.pool_gap, abs=1e-6)
        assert (point.dominated_by is None) == (not ((losses <= row).all(axis=1) & (losses < row).any(axis=1)).any())
        if point.dominated_by is None and point.pool_gap == 0:
            assert point.name not in found.unsupported


def test_in_two_tasks_the_supported_settings_are_the_lower_left_hull():
    losses = np.random.default_rng(3).uniform(size=(40, 2))
    found = audit_runs(losses)
    front = {point.name for point in found.points if point.dominated_by is None}
    hull = {f"model{j}" for j in ConvexHull(losses).vertices}
    assert set(found.front) == front
    assert front - set(found.unsupported) == front & hull


def test_mixtures_are_named_and_beat_the_setting():
    found = audit_runs([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]], settings=["a", "b", "c"], tasks=("x", "y"))
    (point,) = [point for point in found.points if point.name in found.unsupported]
    assert point.mixture == (("a", 0.5), ("c", 0.5))
    assert np.allclose(point.mixture_losses, 0.5)
    assert np.allclose(point.next_weights, 0.5)
    assert point.pool_gap == pytest.approx(0.1)


def test_seeds_give_intervals_and_noise_alone_is_no_finding():
    generator = np.random.default_rng(0)
    weights = np.linspace(0.1, 0.9, 9)
    line = np.column_stack([weights, 1 - weights])
    noisy = line[:, None] + 0.03 * generator.normal(size=(9, 10, 2))
    found = audit_runs(noisy, resamples=40)
    assert any(point.pool_gap > 0 for point in found.points)
    bent = noisy.copy()
    bent[4] += 0.2
    again = audit_runs(bent, resamples=40)
    middle = again.points[4]
    assert middle.dominated_by is not None or middle.name in again.unsupported
    low, high = middle.interval
    assert 0 < low <= middle.pool_gap <= high
    assert len(found.unsupported) < len(found.front) / 2


def test_runs_may_come_as_rows_with_labels_or_as_a_cube():
    cube = np.random.default_rng(1).uniform(size=(4, 3, 2))
    rows = cube.reshape(12, 2)
    labels, repeats = np.repeat(list("abcd"), 3).tolist(), list(range(3)) * 4
    shuffled = np.random.default_rng(2).permutation(12)
    one = audit_runs(cube, settings=list("abcd"), resamples=20)
    two = audit_runs(
        rows[shuffled], settings=[labels[i] for i in shuffled], seeds=[repeats[i] for i in shuffled], resamples=20
    )
    gaps = {point.name: point.pool_gap for point in two.points}
    for point in one.points:
        assert gaps[point.name] == pytest.approx(point.pool_gap, abs=1e-9)


def test_a_front_of_ends_only_is_called_crowded_and_an_even_one_is_not():
    ends = [[0.0, 1.0], [0.02, 0.98], [0.05, 0.96], [0.97, 0.03], [1.0, 0.0]]
    assert audit_runs(ends).crowded
    assert audit_runs(ends).at_ends == 1.0
    angle = np.linspace(0, np.pi / 2, 12)
    even = audit_runs(np.column_stack([1 - np.sin(angle), 1 - np.cos(angle)]))
    assert not even.crowded
    assert even.largest_hole < 0.2


def test_the_words_never_say_unreachable():
    found = audit_runs([[0.0, 1.0], [0.6, 0.6], [1.0, 0.0]])
    assert "unreachable" not in found.words
    assert "among these runs" in found.words
    assert "No seeds were given" in found.words


def test_one_run_and_equal_runs_are_legal():
    assert audit_runs([[1.0, 2.0]]).front == ("model0",)
    assert audit_runs(np.ones((3, 2))).unsupported == ()


def test_runs_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="b with seed 1"):
        audit_runs(np.ones((3, 2)), settings=["a", "a", "b"], seeds=[0, 1, 0])
    with pytest.raises(SettingError, match="one label a run"):
        audit_runs(np.ones((3, 2)), settings=["a", "b"])
    with pytest.raises(SettingError, match="resamples"):
        audit_runs(np.ones((3, 2)), resamples=0)
    with pytest.raises(DataError, match="finite"):
        audit_runs([[np.nan, 1.0]])
