"""The Balancer against a dense reference: what every parameter receives."""

import copy

import pytest
import torch
from torch import nn

import equipoise as eq
from tests.engine.comparing import close, gradients
from tests.engine.problems import TwoPart, batch, dense_gradients, wanted

GRAMIAN = {"MGDA": eq.MGDA(), "PCGrad": eq.PCGrad(seed=3)}


@pytest.mark.parametrize("mode", ["inject", "recompute"])
@pytest.mark.parametrize("two_phase", [False, True])
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("name", list(GRAMIAN))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_gradients_equal_the_dense_reference(name, heads, two_phase, mode, dtype, tolerance):
    model, (x, y) = TwoPart(dtype=dtype), batch(dtype=dtype)
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    z = model.features(x)
    losses = model.losses(z, y)
    target = wanted(model, rows, GRAMIAN[name], [v.item() for v in losses.values()], heads)
    balancer = eq.Balancer(GRAMIAN[name], heads=heads, mode=mode, model=model)
    loss = balancer(losses, features=z if two_phase else None)
    loss.backward()
    close(gradients(model), target, tolerance)
    assert loss.item() == pytest.approx(sum(v.item() for v in losses.values()) / 3)
    assert balancer.plan.engine == ("two-phase" if two_phase else "sequential")


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_linear_scalarization_equals_the_hand_written_mean_to_the_bit(k):
    x, y = batch(k, dtype=torch.float32)
    by_hand, ours = TwoPart(k, dtype=torch.float32), TwoPart(k, dtype=torch.float32)
    losses = list(by_hand.losses(by_hand.features(x), y).values())
    mean = losses[0]
    for other in losses[1:]:
        mean = mean + other
    mean = mean / k
    mean.backward()
    loss = eq.Balancer(eq.LinearScalarization())(ours.losses(ours.features(x), y))
    loss.backward()
    assert loss.item() == mean.item()
    for p, q in zip(by_hand.parameters(), ours.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_a_second_backward_raises_instead_of_doubling():
    model, (x, y) = TwoPart(), batch()
    loss = eq.Balancer(eq.MGDA())(model.losses(model.features(x), y))
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_side_loss_can_be_added_with_retain_graph():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    penalty = z.square().mean()
    balancer = eq.Balancer(eq.MGDA())
    (balancer(model.losses(z, y), retain_graph=True) + penalty).backward()
    with_penalty = gradients(model)
    model.zero_grad()
    balancer(model.losses(model.features(x), y)).backward()
    model.features(x).square().mean().backward()
    close(gradients(model), with_penalty, 1e-12)


def test_parameters_that_no_task_uses_keep_grad_none_and_frozen_ones_stay_frozen():
    model, (x, y) = TwoPart(), batch()
    model.idle = nn.Linear(2, 2).double()
    model.trunk[0].weight.requires_grad_(False)
    eq.Balancer(eq.MGDA())(model.losses(model.features(x), y)).backward()
    assert model.idle.weight.grad is None
    assert model.trunk[0].weight.grad is None
    assert model.trunk[0].bias.grad is not None


def test_a_node_with_several_outputs_does_not_make_heads_look_shared():
    class Both(torch.autograd.Function):  # as DDP's sink does: every output depends on every input in the graph
        @staticmethod
        def forward(ctx, *inputs):
            return tuple(value.clone() for value in inputs)

        @staticmethod
        def backward(ctx, *upstream):
            return upstream

    model, (x, y) = TwoPart(k=2), batch(k=2)
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    losses = model.losses(model.features(x), y)
    target = wanted(model, rows, eq.MGDA(), [1.0, 1.0])
    through = Both.apply(*losses.values())
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(dict(zip(losses, through, strict=True))).backward()
    close(gradients(model), target, 1e-12)
    assert balancer.ownership.reached["heads.0.weight"] == [0]


def test_tied_weights_of_trunk_and_head_count_with_their_full_gradient():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(5, dtype=torch.float64) + 0.1)
            self.head = nn.Linear(5, 1).double()

        def forward(self, x, y):
            z = torch.tanh(x @ self.weight)
            return z, {
                "t0": (z @ self.weight - x).square().mean(),
                "t1": (self.head(z)[:, 0] - y[:, 0]).square().mean(),
            }

    model, (x, y) = Tied(), batch()
    rows = dense_gradients(model, lambda: model(x, y)[1])
    z, losses = model(x, y)
    target = wanted(model, rows, eq.MGDA(), [1.0, 1.0])
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=z).backward()
    close(gradients(model), target, 1e-12)
    assert balancer.plan.reason == "not two-phase: weight is used before and after the features"


def test_a_parameter_reached_by_tasks_in_different_steps_becomes_shared_and_stays_so():
    model, (x, y) = TwoPart(k=2), batch(k=2)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for absent in ("t0", "t1"):
        losses = model.losses(model.features(x), y)
        losses[absent] = None
        balancer(losses).backward()
    assert balancer.ownership.reached["trunk.0.weight"] == [0, 1]
    assert balancer.ownership.reached["heads.1.bias"] == [1]


@pytest.mark.parametrize("mode", ["inject", "recompute"])
def test_tensor_hooks_fire_once_a_backward_and_act_once(mode):
    model, (x, y) = TwoPart(), batch()
    plain = copy.deepcopy(model)
    eq.Balancer(eq.MGDA(), mode=mode)(plain.losses(plain.features(x), y)).backward()
    calls = []
    for p in (model.trunk[0].weight, model.heads[0].weight):
        p.register_hook(lambda g: calls.append(1) or 2 * g)
    after = []
    model.trunk[0].bias.register_post_accumulate_grad_hook(lambda _: after.append(1))
    eq.Balancer(eq.MGDA(), mode=mode)(model.losses(model.features(x), y)).backward()
    target = gradients(plain)
    target["trunk.0.weight"] *= 2
    target["heads.0.weight"] *= 2
    close(gradients(model), target, 1e-12)
    assert len(calls) == 2
    assert after == [1]


def test_batch_norm_statistics_are_updated_once():
    model, (x, y) = TwoPart(), batch()
    model.trunk.insert(1, nn.BatchNorm1d(8).double())
    eq.Balancer(eq.MGDA())(model.losses(model.features(x), y)).backward()
    assert model.trunk[1].num_batches_tracked.item() == 1


def test_absent_tasks_leave_their_state_untouched_and_the_mean_divides_by_those_present():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.OMDTchebycheff(step_size=0.5))
    balancer(model.losses(model.features(x), y)).backward()
    before = balancer.state["dual"].clone()
    losses = model.losses(model.features(x), y)
    expected = (losses["t0"].item() + losses["t2"].item()) / 2
    losses["t1"] = None
    assert balancer(losses).item() == pytest.approx(expected)
    assert balancer.state["dual"][1] == before[1]
    assert balancer.state["dual"].exp().sum().item() == pytest.approx(1.0)
    assert balancer.last.tasks == ("t0", "t2")


def test_a_task_of_zero_gradient_is_left_out_and_the_others_go_on():
    model, (x, y) = TwoPart(), batch()
    with torch.no_grad():
        model.heads[1].weight.zero_()  # a zero head sends no gradient to the trunk
    balancer = eq.Balancer(eq.MGDA(), heads="weighted")
    balancer(model.losses(model.features(x), y)).backward()
    assert balancer.last.left_out == ("t1",)
    assert balancer.last.weights[1] == 0
    assert model.trunk[0].weight.grad.abs().sum() > 0
    assert model.heads[1].weight.grad.abs().sum() > 0  # its head still learns


def test_trained_parameters_of_uncertainty_weighting_get_their_gradient():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("t0", "t1", "t2"))
    with torch.no_grad():
        balancer.trained["log_variance"].copy_(torch.tensor([0.3, -0.2, 0.0]))
    losses = model.losses(model.features(x), y)
    balancer(losses).backward()
    s = balancer.trained["log_variance"].detach().clone().requires_grad_()
    numbers = torch.tensor([v.item() for v in losses.values()])
    (0.5 * torch.exp(-s) * numbers + s / 2).sum().backward()
    torch.testing.assert_close(balancer.trained["log_variance"].grad, s.grad)
    head = model.heads[0].bias.grad.item()
    model.zero_grad()
    model.losses(model.features(x), y)["t0"].backward()
    assert head == pytest.approx(0.5 * torch.exp(torch.tensor(-0.3)).item() * model.heads[0].bias.grad.item(), rel=1e-6)


def test_last_tells_what_happened():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    losses = model.losses(model.features(x), y)
    balancer(losses)
    assert balancer.last.losses == pytest.approx({name: v.item() for name, v in losses.items()})
    assert torch.allclose(balancer.last.cosines.diagonal(), torch.ones(3, dtype=torch.float64))
    assert balancer.last.status is eq.solve.Status.SOLVED
    assert balancer.last.certificate < 1e-12
    assert balancer.counts == {"SOLVED": 1}
    found = balancer.last.diagnosis
    wanted = eq.diagnose_gradients(balancer.last.gramian, list(balancer.last.losses.values()))
    assert found.conflicting_share == wanted.conflicting_share
    torch.testing.assert_close(torch.from_numpy(found.cosines), balancer.last.cosines)
