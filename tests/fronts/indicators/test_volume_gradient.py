"""The gradient of the hypervolume against finite differences; ties, equal and dominated points; sampling errors."""

import moocore
import numpy as np
import pytest

from equipoise.errors import DataError, SettingError
from equipoise.fronts.indicators import hypervolume, hypervolume_gradient


def differences(points, reference, step=1e-6):
    found = np.zeros_like(points)
    for place in np.ndindex(points.shape):
        up, down = points.copy(), points.copy()
        up[place] += step
        down[place] -= step
        found[place] = (moocore.hypervolume(up, ref=reference) - moocore.hypervolume(down, ref=reference)) / (2 * step)
    return found


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 10, 40])
def test_it_is_exact_for_two_and_three_losses(k, count):
    points, reference = np.random.default_rng(count).random((count, k)), np.full(k, 0.9)
    found = hypervolume_gradient(points, reference)
    assert found.error is None
    assert found.value == pytest.approx(differences(points, reference), abs=1e-6)


def test_on_a_front_of_three_losses_all_points_count():
    draw = np.abs(np.random.default_rng(3).normal(size=(30, 3)))
    points = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    found = hypervolume_gradient(points, [1.1] * 3).value
    assert (found < 0).all()
    assert found == pytest.approx(differences(points, np.full(3, 1.1)), abs=1e-6)


@pytest.mark.parametrize("k", [4, 5])
def test_above_three_losses_the_error_is_stated(k):
    points, reference = np.random.default_rng(k).random((8, k)), np.full(k, 1.1)
    found = hypervolume_gradient(points, reference, samples=20_000)
    off = np.abs(found.value - differences(points, reference)) / np.maximum(found.error, 1e-5)
    assert off.max() < 5
    assert np.sqrt((off**2).mean()) < 1.5
    finer = hypervolume_gradient(points, reference, samples=80_000)
    assert finer.error.mean() == pytest.approx(found.error.mean() / 2, rel=0.1)


def test_sampling_three_losses_padded_to_four_agrees_with_the_exact_faces():
    points = np.random.default_rng(0).random((6, 3))
    exact = hypervolume_gradient(points, [1.0] * 3).value
    padded = np.concatenate([points, np.zeros((6, 1))], axis=1)
    # with a fourth loss that all share, of height 1, the faces of the first three keep their volume
    sampled = hypervolume_gradient(padded, [1.0] * 4, samples=50_000)
    assert sampled.value[:, :3] == pytest.approx(exact, abs=0.01)


def test_of_equal_points_the_first_counts():
    found = hypervolume_gradient([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]], [1.0, 1.0]).value
    assert found.tolist() == pytest.approx(np.array([[-0.3, -0.5], [0.0, 0.0], [-0.2, -0.3]]))
    three = hypervolume_gradient([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]], [1.0, 1.0, 1.0]).value
    assert three.tolist() == [[-0.25] * 3, [0.0] * 3]


@pytest.mark.parametrize("k", [2, 3])
def test_where_coordinates_are_shared_it_is_the_slope_towards_higher_losses(k):
    points = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])[:, :k]
    reference, step = np.ones(k), 1e-7
    found = hypervolume_gradient(points, reference).value
    for place in np.ndindex(points.shape):
        if not found[place]:
            continue
        up = points.copy()
        up[place] += step
        slope = (hypervolume(up, reference) - hypervolume(points, reference)) / step
        assert found[place] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_dominated_points_get_the_gradient_of_their_layer(k):
    draw = np.random.default_rng(1)
    points, reference = draw.random((20, k)), np.ones(k)
    plain = hypervolume_gradient(points, reference).value
    layered = hypervolume_gradient(points, reference, layered=True).value
    first = moocore.is_nondominated(points)
    assert (plain[~first] == 0).all()
    assert (layered[first] == plain[first]).all()
    rest = points[~first]
    assert layered[~first] == pytest.approx(hypervolume_gradient(rest, reference, layered=True).value)
    assert (layered.min(axis=1) < 0).all()


def test_points_beyond_the_reference_have_no_gradient():
    found = hypervolume_gradient([[0.5, 0.5], [0.1, 1.0], [2.0, 0.1]], [1.0, 1.0], layered=True).value
    assert found.tolist() == [[-0.5, -0.5], [0.0, 0.0], [0.0, 0.0]]


def test_the_order_of_points_does_not_matter():
    points = np.random.default_rng(5).random((12, 3))
    order = np.random.default_rng(6).permutation(12)
    found = hypervolume_gradient(points, [1.0] * 3, layered=True).value
    assert hypervolume_gradient(points[order], [1.0] * 3, layered=True).value == pytest.approx(found[order])


def test_bad_input_is_refused():
    with pytest.raises(DataError, match=r"finite; found NaN or inf in rows \[1\]"):
        hypervolume_gradient([[0.0, 0.0], [np.nan, 0.0]], [1.0, 1.0])
    with pytest.raises(SettingError, match="`reference` must be 2 finite numbers"):
        hypervolume_gradient([[0.0, 0.0]], [1.0])
    with pytest.raises(DataError, match="shape"):
        hypervolume_gradient([0.0, 0.0], [1.0, 1.0])
