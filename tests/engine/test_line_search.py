"""Optimizers that call a closure several times a step: value and gradient of one function, one step counted."""

import copy
import gc
import pickle
import warnings
import weakref

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.balancing.optimizers.optimizer_steps import BEGUN, running_step
from equipoise.errors import EquipoiseWarning, NonFiniteError, SettingError

from .comparing import every_method
from .problems import TwoPart, batch

WEIGHTS = (1.0, 100.0, 30.0)


def losses_of(model, x, y):
    return list(model.losses(model.features(x), y).values())


def trained(combine, model, steps=4, **settings):
    x, y = batch()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=6, **settings)

    def closure():
        optimizer.zero_grad()
        loss = combine(losses_of(model, x, y))
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


@pytest.mark.parametrize("value", [None, "weighted"])
@pytest.mark.parametrize("scale", ["mean", "sum"])
def test_a_weighted_sum_goes_the_way_of_the_sum_by_hand_to_the_bit(value, scale):
    ours, theirs = TwoPart(), TwoPart()
    balancer = eq.Balancer(eq.LinearScalarization(WEIGHTS), value=value, scale=scale)
    factor = 3 if scale == "sum" else 1
    settings = {"line_search_fn": "strong_wolfe"}
    found = trained(balancer, ours, **settings)
    wanted = trained(lambda ls: sum(w * factor * v for w, v in zip(WEIGHTS, ls, strict=True)), theirs, **settings)
    assert found == wanted
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert balancer.steps == 4


def test_the_mean_needs_no_word():
    ours, theirs = TwoPart(), TwoPart()
    balancer = eq.Balancer(eq.LinearScalarization())
    found = trained(balancer, ours, line_search_fn="strong_wolfe")
    assert found == pytest.approx(trained(lambda ls: sum(ls) / 3, theirs, line_search_fn="strong_wolfe"), rel=1e-12)


@pytest.mark.parametrize("name", sorted(every_method()))
def test_value_and_gradient_belong_together_within_a_step(name):
    """Central differences of the returned value along the gradient, at each call of a step, for every method."""
    method = every_method()[name]
    if method.trains or isinstance(method, eq.JacobianMethod):
        with pytest.raises(SettingError, match="value='weighted'"):
            eq.Balancer(method, tasks=("a", "b", "c"), value="weighted")
        return
    model, (x, y) = TwoPart(), batch()
    layer = {"layer": model.trunk[2]} if method.on_layer else {}
    clock = {"steps_per_epoch": "manual"} if method.per_epoch else {}
    balancer = eq.Balancer(method, value="weighted", **layer, **clock)
    parameters = list(model.parameters())

    def call():
        model.zero_grad()
        z = model.features(x)
        loss = balancer(list(model.losses(z, y).values()), features=z if method.needs == "features" else None)
        loss.backward()
        return loss.item(), [p.grad.clone() for p in parameters]

    def look():
        _, direction = call()
        slopes = []
        for h in (1e-5, -1e-5):
            with torch.no_grad():
                for p, g in zip(parameters, direction, strict=True):
                    p.add_(g, alpha=h)
            slopes.append(call()[0])
            with torch.no_grad():
                for p, g in zip(parameters, direction, strict=True):
                    p.sub_(g, alpha=h)
        wanted = sum(float(g.square().sum()) for g in direction)
        assert (slopes[0] - slopes[1]) / 2e-5 == pytest.approx(wanted, rel=1e-5)
        again = call()[1]
        for a, b in zip(again, direction, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        return torch.zeros(())

    steps = balancer.steps
    runner = Once(parameters)
    runner.step(look)
    assert balancer.steps == steps + 1
    runner.step(look)
    assert balancer.steps == steps + 2


class Once(torch.optim.Optimizer):
    """Calls its closure once and moves nothing."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    def step(self, closure=None):
        with torch.enable_grad():
            return closure()


def test_outside_of_a_closure_every_call_is_a_step_with_the_weighted_value():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.CAGrad(), value="weighted")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(3):
        losses = losses_of(model, x, y)
        optimizer.zero_grad()
        loss = balancer(losses)
        loss.backward()
        weights = balancer.last.weights
        assert loss.item() == pytest.approx(sum((w * v).item() for w, v in zip(weights, losses, strict=True)))
        optimizer.step()
        assert balancer.steps == step + 1
    assert balancer.settings.heads == "weighted"


def test_every_step_of_a_search_lowers_the_function_whose_weights_it_holds():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UPGrad(), value="weighted")
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=6, line_search_fn="strong_wolfe")
    for number in range(8):
        values = []

        def closure(values=values):
            optimizer.zero_grad()
            loss = balancer(losses_of(model, x, y))
            loss.backward()
            values.append(loss.item())
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            held = balancer.last.weights.tolist()
            last = sum(w * v.item() for w, v in zip(held, losses_of(model, x, y), strict=True))
        assert len(values) > 1
        assert last < values[0]
        assert balancer.steps == number + 1
    assert sum(balancer.counts.values()) == 8


def test_several_calls_a_step_are_said_once_unless_the_value_was_chosen():
    balancer = eq.Balancer(eq.MGDA())
    with pytest.warns(EquipoiseWarning, match="LBFGS calls the Balancer more than once") as seen:
        trained(balancer, TwoPart(), lr=0.1)
    assert len(seen) == 1
    assert balancer.steps > 4
    for value, method in (("mean", eq.MGDA()), ("weighted", eq.MGDA()), (None, eq.LinearScalarization())):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trained(eq.Balancer(method, value=value), TwoPart(), lr=0.1)


def test_one_call_a_step_inside_of_a_closure_is_an_ordinary_step():
    """Lightning calls every optimizer with a closure."""
    model, (x, y) = TwoPart(), batch()
    other = copy.deepcopy(model)
    balancer, plain = eq.Balancer(eq.MGDA()), eq.Balancer(eq.MGDA())
    one, two = (torch.optim.Adam(m.parameters(), lr=0.01) for m in (model, other))
    for _ in range(4):

        def closure():
            one.zero_grad()
            loss = balancer(losses_of(model, x, y))
            loss.backward()
            return loss

        one.step(closure)
        two.zero_grad()
        plain(losses_of(other, x, y)).backward()
        two.step()
    assert balancer.steps == 4
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_a_closure_that_raises_ends_its_step():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.LinearScalarization(WEIGHTS), value="weighted")
    optimizer = torch.optim.LBFGS(model.parameters())

    def closure():
        balancer(losses_of(model, x, y)).backward()
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert balancer.steps == 1
    for number in (2, 3):
        balancer(losses_of(model, x, y))
        assert balancer.steps == number
    assert running_step() is None
    assert BEGUN.step is None


def test_a_loss_that_is_not_finite_in_the_middle_of_a_search_is_named():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UPGrad(), value="weighted")

    def closure():
        losses = losses_of(model, x, y)
        balancer(losses).backward()
        losses = losses_of(model, x, y)
        return balancer([losses[0], losses[1] * torch.inf, losses[2]])

    with pytest.raises(NonFiniteError, match="'task1': inf"):
        Once(model.parameters()).step(closure)
    assert balancer.steps == 1


def test_values_without_gradient_are_those_of_the_same_sum():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UPGrad(), value="weighted")

    def closure():
        loss = balancer(losses_of(model, x, y))
        with torch.no_grad():
            again = balancer(losses_of(model, x, y))
        assert not again.requires_grad
        assert again.item() == loss.item()
        balancer.eval()
        mean = balancer(losses_of(model, x, y))
        balancer.train()
        assert mean.item() == pytest.approx(sum(v.item() for v in losses_of(model, x, y)) / 3)
        return loss

    Once(model.parameters()).step(closure)
    assert balancer.steps == 1


def test_a_balancer_that_was_called_in_a_step_can_be_copied_pickled_and_freed():
    model = TwoPart()
    balancer = eq.Balancer(eq.UPGrad(), value="weighted")
    trained(balancer, model, steps=1)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(balancer)))
    trained(twin, model, steps=1)
    assert twin.steps == 2
    gone = weakref.ref(twin)
    del twin
    gc.collect()
    assert gone() is None


def test_an_input_gets_the_gradient_of_the_weighted_sum():
    model, (x, y) = TwoPart(), batch()
    x.requires_grad_()
    balancer = eq.Balancer(eq.UPGrad(), value="weighted")

    def closure():
        found = []
        for _ in range(2):  # the first call has its weights from gradients, the second takes them over
            x.grad = None
            balancer(losses_of(model, x, y)).backward()
            found.append(x.grad)
        torch.testing.assert_close(*found)
        pairs = zip(balancer.last.weights, losses_of(model, x, y), strict=True)
        torch.testing.assert_close(found[0], torch.autograd.grad(sum(w * v for w, v in pairs), x)[0])
        return torch.zeros(())

    Once(model.parameters()).step(closure)


def test_physics_losses_reach_the_minimum_of_the_sum_by_hand():
    """Collocation points that require grad, second derivatives in the losses, L-BFGS with a line search."""

    def run(balanced):
        torch.manual_seed(0)
        u = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        x = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None].requires_grad_()

        def losses():
            o = u(x)
            slope = torch.autograd.grad(o.sum(), x, create_graph=True)[0]
            return [(slope + o).square().mean(), (o[0] - 1).square().mean()]

        combine = eq.Balancer(eq.LinearScalarization((1.0, 10.0))) if balanced else lambda ls: ls[0] + 10.0 * ls[1]
        optimizer = torch.optim.LBFGS(u.parameters(), max_iter=10, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = combine(losses())
            loss.backward()
            return loss

        return [optimizer.step(closure).item() for _ in range(5)]

    found, wanted = run(True), run(False)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert found[-1] < 1e-2 * found[0]
