"""A method on the Jacobian uses no weights, and nothing shows any."""

import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.training.recording.folder import read_training
from tests.engine.problems import TwoPart, batch, dense_gradients

METHODS = [kind() for kind in eq.methods.table.values() if issubclass(kind, eq.methods.JacobianMethod)]


def by_name(method):
    return type(method).__name__


def stepped(method, model, **settings):
    x, y = batch()
    balancer = eq.Balancer(method, model=model, **settings)
    for _ in range(2):
        model.zero_grad()
        balancer(model.losses(model.features(x), y)).backward()
    return balancer


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_the_record_of_a_step_holds_no_weights(method):
    last = stepped(method, TwoPart()).last
    assert last.weights is None
    assert last.left_out == ()
    assert last.status.ok
    assert last.diagnosis.shares is None
    assert eq.diagnose_gradients(last.gramian, last.raw_losses, last.weights).weights is None


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_recorded_run_holds_no_weights_and_no_weighted_losses(method, tmp_path):
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(method, model=model)
    recorder = eq.record(balancer, tmp_path / "run", every=1)
    for _ in range(4):
        balancer(model.losses(model.features(x), y)).backward()
    recorder.close()
    lines = read_training(tmp_path / "run").lines
    assert len(lines) == 4
    for line in lines:
        assert (line.weights, line.weighted_losses) == (None, None)
        assert (line.gradients.shares, line.gradients.to_update) == (None, None)
        assert None not in line.gradients.norms
    assert [notice.kind for notice in recorder.notices] == []  # least of all "uniform weights"


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_heads_get_their_own_gradients_at_the_scale_of_the_mean(method):
    model, (x, y) = TwoPart(), batch()
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    stepped(method, model)
    for task, head in enumerate(model.heads):
        torch.testing.assert_close(head.weight.grad, rows[task][f"heads.{task}.weight"] / 3)


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_weighted_heads_are_refused_by_name(method):
    with pytest.raises(SettingError, match=rf"heads='weighted' \({by_name(method)} gives a direction, not one weight"):
        eq.Balancer(method, heads="weighted")
    with pytest.raises(SettingError, match=r"mode='recompute' .*a Jacobian method gives a direction"):
        eq.Balancer(method, mode="recompute")
