"""InverseNorm and RGW: weights that need no solve and never leave the device."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import SettingError
from equipoise.methods.parts.random_weights import random_weights

from .matrices import gradients, take

DISTRIBUTIONS = ["normal", "uniform", "truncated normal", "random normal", "dirichlet", "one-hot", "subset"]


@given(k=st.integers(1, 8), seed=st.integers(0, 10_000), decades=st.floats(0, 300))
@settings(max_examples=40, deadline=None)
def test_every_unit_gradient_is_taken_once(k, seed, decades):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, 9)) * 10 ** draw.uniform(-decades / 2, min(decades / 2, 140), size=(k, 1))
    norms = np.linalg.norm(rows, axis=1)
    wanted = (1 / norms) / (1 / norms).sum()
    np.testing.assert_allclose(take(eq.InverseNorm(), rows).weights, wanted, rtol=1e-12)


def test_two_gradients_are_bisected():
    first, second = np.array([5.0, 0.0]), np.array([-0.1, 0.1])
    found = take(eq.InverseNorm(), [first, second]).direction.numpy()
    cosines = [found @ g / np.linalg.norm(found) / np.linalg.norm(g) for g in (first, second)]
    assert cosines[0] == pytest.approx(cosines[1])
    assert cosines[0] > 0


def test_finished_tasks_have_no_weight_and_all_finished_have_equal_ones():
    rows = np.vstack([gradients(2, 0), np.zeros(12)])
    found = take(eq.InverseNorm(), rows).weights
    assert found[2] == 0
    torch.testing.assert_close(found[:2], take(eq.InverseNorm(), rows[:2]).weights)
    assert take(eq.InverseNorm(), np.zeros((4, 3))).weights.tolist() == [0.25] * 4


@pytest.mark.parametrize("method", [eq.InverseNorm(), eq.RGW(), eq.Smoothed(eq.InverseNorm())])
def test_nothing_is_copied_from_the_device(method):
    # a meta tensor has no numbers to copy: any read of one raises
    assert not method.on_host
    gramian = torch.empty(3, 3, dtype=torch.float64, device="meta")
    state = {name: tensor if tensor.dim() == 0 else tensor.to("meta") for name, tensor in method.init(3).items()}
    step = eq.methods.Step(Tasks(("a", "b", "c")))
    answer = method.weights(gramian, state, step)
    assert answer.value.device.type == "meta"
    assert answer.value.shape == (3,)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@given(k=st.integers(1, 10), seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_random_weights_lie_on_the_simplex_and_repeat(distribution, k, seed):
    first, again = (random_weights(distribution, k, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (k,)
    assert first.min() >= 0
    assert first.sum() == pytest.approx(1)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_in_the_mean_every_task_weighs_the_same(distribution):
    generator = np.random.default_rng(0)
    drawn = np.array([random_weights(distribution, 4, generator) for _ in range(3000)])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - 0.25), 4.5 * error)
    assert drawn.std() > 0.05


def test_the_distributions_are_what_their_names_say():
    generator = np.random.default_rng(1)

    def logits(distribution):
        """Differences of log weights are differences of the drawn numbers."""
        drawn = np.log([random_weights(distribution, 2, generator) for _ in range(4000)])
        return drawn[:, 0] - drawn[:, 1]

    assert logits("normal").std() == pytest.approx(np.sqrt(2), rel=0.05)
    assert np.abs(logits("uniform")).max() <= 1
    assert np.abs(logits("truncated normal")).max() <= 4
    assert logits("random normal").std() == pytest.approx(np.sqrt(2 * (1 + 1 / 3)), rel=0.05)  # 1 + E[s^2]
    one_hot = {tuple(random_weights("one-hot", 3, generator)) for _ in range(100)}
    assert one_hot == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    subsets = {tuple(random_weights("subset", 2, generator)) for _ in range(100)}
    assert subsets == {(1, 0), (0, 1), (0.5, 0.5)}
    shares = np.array([random_weights("uniform", 2, np.random.default_rng(i), normalize="sum") for i in range(500)])
    assert shares.std() > 0.2  # far wider than the softmax of numbers between 0 and 1


def test_fresh_weights_every_step_that_resume_and_leave_global_generators_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - must not move
    method = eq.RGW(seed=3)
    rows = gradients(4, 0)
    first = take(method, rows)
    second = take(method, rows, state=first.state)
    assert not torch.equal(first.weights, second.weights)
    torch.testing.assert_close(take(method, rows, state=first.state).weights, second.weights)
    assert not torch.equal(first.weights, take(eq.RGW(seed=4), rows).weights)
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_unknown_distributions_and_seeds_are_refused():
    with pytest.raises(SettingError, match="`distribution` must be one of 'normal'"):
        eq.RGW("gaussian")
    with pytest.raises(SettingError, match="`seed`"):
        eq.RGW(seed=-1)
