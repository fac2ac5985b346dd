"""Diagnostics against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from equipoise.diagnostics import diagnose_gradients, diagnose_step
from equipoise.errors import GramianError, InputError, LossError, NonFiniteError, SettingError, TaskError


@given(k=st.integers(1, 6), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_every_figure_is_its_definition_on_the_gradients(k, seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, 9)) * 10 ** draw.uniform(-1, 1, size=(k, 1))
    weights, losses = draw.uniform(0.1, 1, size=k), draw.uniform(1, 2, size=k)
    found = diagnose_gradients(rows @ rows.T, losses=losses, weights=weights)
    norms = np.linalg.norm(rows, axis=1)
    direction = weights @ rows
    pairs, negative = 0, 0
    for i in range(k):
        assert found.norms[i] == pytest.approx(norms[i])
        for j in range(k):
            cosine = rows[i] @ rows[j] / norms[i] / norms[j]
            assert found.cosines[i, j] == pytest.approx(cosine, abs=1e-12)
            similarity = 2 * norms[i] * norms[j] / (norms[i] ** 2 + norms[j] ** 2)
            assert found.magnitude_similarity[i, j] == pytest.approx(similarity)
            pairs, negative = pairs + (i < j), negative + (i < j and cosine < 0)
        assert found.shares[i] == pytest.approx(weights[i] * rows[i] @ direction / (direction @ direction))
        assert found.relative_decreases[i] == pytest.approx(rows[i] @ direction / losses[i])
    if pairs:
        assert found.conflicting_share == negative / pairs
    else:
        assert np.isnan(found.conflicting_share)
    assert found.condition == pytest.approx(np.linalg.cond(rows), rel=1e-6)
    assert found.shares.sum() == pytest.approx(1)


def test_stationarity_is_the_distance_of_the_hull_from_zero():
    assert diagnose_gradients([[1.0, 0.0], [0.0, 1.0]]).stationarity == pytest.approx(np.sqrt(0.5))
    assert diagnose_gradients([[1.0, -2.0], [-2.0, 4.0]]).stationarity < 1e-7
    assert diagnose_gradients([[1.0, 0.0], [0.0, 0.0]]).stationarity == 0
    assert diagnose_gradients([[4.0]]).stationarity == 1
    # orthogonal gradients of length 1 and 3: the hull is a segment, searched point by point
    slow = min(a * a + 9 * (1 - a) ** 2 for a in np.linspace(0, 1, 100_001))
    assert diagnose_gradients([[1.0, 0.0], [0.0, 9.0]]).stationarity == pytest.approx(np.sqrt(slow) / 3, rel=1e-6)


def test_degenerate_input_gives_nan_where_a_figure_has_no_meaning_and_no_warning():
    found = diagnose_gradients([[0.0, 0.0], [0.0, 0.0]], losses=[0.0, 1.0], weights=[0.5, 0.5])
    assert np.isnan(found.cosines).all()
    assert np.isnan(found.conflicting_share)
    assert np.isnan(found.shares).all()
    assert np.isnan(found.relative_decreases[0])
    assert found.condition == np.inf
    assert diagnose_gradients([[1.0, 1.0], [1.0, 1.0]]).condition == np.inf


def test_tensors_of_any_precision_are_read_and_wrong_shapes_refused():
    found = diagnose_gradients(torch.eye(2, dtype=torch.bfloat16), weights=torch.ones(2))
    assert found.shares.tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="`weights` must hold one number for each of the 2 tasks"):
        diagnose_gradients(np.eye(2), weights=[1.0])
    with pytest.raises(NonFiniteError, match="`losses`"):
        diagnose_gradients(np.eye(2), losses=[1.0, float("nan")])
    with pytest.raises(GramianError):
        diagnose_gradients([[1.0, 3.0], [3.0, 1.0]])


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    inputs, targets = torch.randn(16, 4).double(), torch.randn(16, 2).double()

    def losses():
        outputs = model(inputs)
        return {
            "a": ((outputs[:, 0] - targets[:, 0]) ** 2).mean(),
            "b": (outputs[:, 1] - targets[:, 1]).abs().exp().mean(),
        }

    return list(model.parameters()), losses


def test_curvature_on_a_quadratic_is_the_rayleigh_quotient_along_any_step():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 5.0]], dtype=torch.float64)
    theta = torch.tensor([1.0, -1.0], dtype=torch.float64, requires_grad=True)
    found = diagnose_step(lambda: {"only": theta @ matrix @ theta / 2}, [theta], torch.tensor([3.0, 7.0]), 0.3, nodes=1)
    gradient = matrix @ theta.detach()
    assert found.curvature == pytest.approx(float(gradient @ matrix @ gradient))
    assert found.relative_curvature == pytest.approx(float(gradient @ matrix @ gradient / (gradient @ gradient)))


def test_curvature_is_the_integral_of_second_differences():
    parameters, losses = network()
    gradient = torch.autograd.grad(sum(losses().values()) / 2, parameters)
    flat = torch.cat([part.reshape(-1) for part in gradient])
    direction = torch.randn(flat.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = diagnose_step(losses, parameters, direction, 0.05, nodes=5)
    start = nn.utils.parameters_to_vector(parameters).detach().clone()

    def mean_at(point):
        nn.utils.vector_to_parameters(point, parameters)
        with torch.no_grad():
            return float(sum(losses().values()) / 2)

    width, nodes, total = 1e-4, 200, 0.0
    for a in (np.arange(nodes) + 0.5) / nodes:  # the midpoint rule, and second differences along the gradient
        base = start - a * 0.05 * direction
        total += (mean_at(base + width * flat) - 2 * mean_at(base) + mean_at(base - width * flat)) / width**2 / nodes
    assert found.curvature == pytest.approx(total, rel=1e-3)


def test_the_descent_check_compares_what_was_announced_with_what_happened():
    parameters, losses = network()
    before = {name: loss.item() for name, loss in losses().items()}
    rows = [
        torch.cat(
            [part.reshape(-1) for part in torch.autograd.grad(losses()[name], parameters, materialize_grads=True)]
        )
        for name in ("a", "b")
    ]
    direction = rows[0]
    found = diagnose_step(losses, parameters, direction, 1e-4)
    assert found.names == ("a", "b")
    np.testing.assert_allclose(found.before, list(before.values()))
    np.testing.assert_allclose(found.predicted, [-1e-4 * float(row @ direction) for row in rows])
    np.testing.assert_allclose(found.changes, found.predicted, rtol=2e-2, atol=1e-9)
    assert found.as_predicted.all()
    far = diagnose_step(losses, parameters, direction, 50.0)
    assert not far.as_predicted[0]


def test_the_parameters_come_back_to_the_bit_and_an_older_graph_stays_valid():
    parameters, losses = network()
    before = [parameter.detach().clone() for parameter in parameters]
    held = sum(losses().values())
    wanted = torch.autograd.grad(sum(losses().values()), parameters)
    size = sum(parameter.numel() for parameter in parameters)
    diagnose_step(losses, parameters, torch.ones(size), 0.1)
    for parameter, value in zip(parameters, before, strict=True):
        assert torch.equal(parameter, value)
    held.backward()
    for parameter, gradient in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)

    calls = []

    def failing():
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("out of data")
        return losses()

    with pytest.raises(RuntimeError, match="out of data"):
        diagnose_step(failing, parameters, torch.ones(size), 0.1)
    for parameter, value in zip(parameters, before, strict=True):
        assert torch.equal(parameter, value)


def test_dropout_draws_the_same_masks_each_time_and_the_generator_does_not_move():
    torch.manual_seed(0)
    weight = torch.ones(200, requires_grad=True)
    state = torch.random.get_rng_state()
    found = diagnose_step(lambda: {"a": nn.functional.dropout(weight, 0.5).sum()}, [weight], torch.ones(200), 1e-3)
    np.testing.assert_allclose(found.changes, found.predicted, rtol=1e-3)  # linear: only other masks would differ
    assert found.curvature == 0
    assert torch.equal(state, torch.random.get_rng_state())


def test_what_cannot_be_diagnosed_is_refused_by_name():
    theta = torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match="flat, one entry for each of the 2 entries"):
        diagnose_step(lambda: {"a": theta.sum()}, [theta], torch.ones(3), 0.1)
    with pytest.raises(SettingError, match="`step_size`"):
        diagnose_step(lambda: {"a": theta.sum()}, [theta], torch.ones(2), 0.0)
    with pytest.raises(LossError, match="loss of 'b'"):
        diagnose_step(lambda: {"a": theta.sum(), "b": torch.tensor(1.0)}, [theta], torch.ones(2), 0.1)
    with pytest.raises(InputError, match="no task"):
        diagnose_step(dict, [theta], torch.ones(2), 0.1)
    names = iter("abcdefgh")
    with pytest.raises(TaskError, match="returned the tasks 'a'"):
        diagnose_step(lambda: {next(names): theta.sum()}, [theta], torch.ones(2), 0.1)
