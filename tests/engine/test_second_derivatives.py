"""``create_graph=True``: right, or refused by name; `torch.func`'s transforms are refused."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import EquipoiseError, InputError

from .comparing import every_method
from .problems import TwoPart, batch

_generator = torch.Generator().manual_seed(0)
W0 = torch.randn(3, generator=_generator, dtype=torch.float64)
X = torch.randn(20, 3, generator=_generator, dtype=torch.float64)
Y = torch.randn(20, 2, generator=_generator, dtype=torch.float64)


def losses_of(w):
    o = X @ w
    return {"a": (o - Y[:, 0]).square().mean(), "b": (o.sin() - Y[:, 1]).square().mean()}


def outer(combine):
    """The gradient of a loss after one inner step, by way of a second derivative."""
    w = W0.clone().requires_grad_()
    (g,) = torch.autograd.grad(combine(losses_of(w)), w, create_graph=True)
    (X @ (w - 0.3 * g)).square().mean().backward()
    return w.grad


@pytest.mark.parametrize("mode", ["inject", "recompute"])
@pytest.mark.parametrize("name", sorted(every_method()))
def test_a_second_derivative_is_that_of_the_weighted_sum_or_refused(name, mode):
    method = every_method()[name]
    if method.trains or method.on_layer or method.needs == "features":
        pytest.skip("needs more than losses")
    if isinstance(method, eq.JacobianMethod) and mode == "recompute":
        pytest.skip("refused when it is built")
    clock = {"steps_per_epoch": "manual"} if method.per_epoch else {}
    balancer = eq.Balancer(method, mode=mode, **clock)
    right = isinstance(method, eq.WeightedSum) or (mode == "recompute" and isinstance(method, eq.GramianMethod))
    if not right:
        with pytest.raises(EquipoiseError, match=r"create_graph=True"):
            outer(balancer)
        return
    found = outer(balancer)
    weights = balancer.last.weights.tolist()
    torch.testing.assert_close(found, outer(lambda ls: sum(w * v for w, v in zip(weights, ls.values(), strict=True))))


def test_the_refusal_says_what_to_type_and_that_is_right():
    with pytest.raises(EquipoiseError, match=r"mode='recompute', heads='weighted'"):
        outer(eq.Balancer(eq.MGDA()))
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UPGrad(), mode="recompute", heads="weighted")
    parameters = list(model.parameters())

    def penalty(combine):
        loss = combine(model.losses(model.features(x), y))
        grads = torch.autograd.grad(loss, parameters, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in grads), parameters)

    found = penalty(balancer)
    weights = balancer.last.weights.tolist()
    wanted = penalty(lambda ls: sum(w * v for w, v in zip(weights, ls.values(), strict=True)))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(EquipoiseError, match=r"create_graph=True"):  # each head's own gradient is stored
        penalty(eq.Balancer(eq.UPGrad(), mode="recompute"))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_loss_methods_are_refused_whatever_the_losses_look_like(shape):
    """Losses that are not alike take another way to their gradients."""
    w = W0.clone().requires_grad_()
    first, second = losses_of(w).values()
    with pytest.raises(EquipoiseError, match="weights depend on the losses"):
        torch.autograd.grad(
            eq.Balancer(eq.GeometricLoss())([first, second.reshape(shape).float()]), w, create_graph=True
        )
    w = W0.clone().requires_grad_()
    trained = eq.Balancer(eq.UncertaintyWeighting(), tasks=("a", "b"))
    with pytest.raises(EquipoiseError, match="weights depend on the losses"):
        torch.autograd.grad(trained(losses_of(w)), w, create_graph=True)


def test_a_gradient_of_the_upstream_gradient_is_right():
    """The double-backward trick for forward derivatives: the upstream gradient itself requires grad."""
    w = W0.clone().requires_grad_()
    balancer = eq.Balancer(eq.MGDA(), mode="recompute")
    scalar = balancer(losses_of(w))
    upstream = torch.ones((), dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(scalar, w, upstream, create_graph=True)
    (found,) = torch.autograd.grad(g.sum(), upstream)
    torch.testing.assert_close(found, g.detach().sum())


def test_a_first_derivative_stays_as_it_is():
    w = W0.clone().requires_grad_()
    for mode in ("inject", "recompute"):
        scalar = eq.Balancer(eq.MGDA(), mode=mode)(losses_of(w))
        (g,) = torch.autograd.grad(scalar, w)
        assert not g.requires_grad


TRANSFORMS = {
    "grad": lambda f: torch.func.grad(f)(W0),
    "vjp": lambda f: torch.func.vjp(f, W0),
    "jacrev": lambda f: torch.func.jacrev(f)(W0),
    "twice": lambda f: torch.func.jacrev(torch.func.jacrev(f))(W0),
    "vmap": lambda f: torch.func.vmap(torch.func.grad(f))(torch.stack([W0, 2 * W0])),
}


@pytest.mark.parametrize("method", [eq.MGDA(), eq.LinearScalarization(), eq.GeometricLoss(), eq.MoCo()])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_transforms_of_torch_func_are_refused_by_name(transform, method):
    with pytest.raises(InputError, match=r"torch\.func\.grad.*torch\.autograd\.grad"):
        TRANSFORMS[transform](lambda w: eq.Balancer(method)(losses_of(w)))


def test_functional_call_is_no_transform():
    model, (x, y) = nn.Linear(3, 2).double(), (X, Y)
    parameters = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    out = torch.func.functional_call(model, parameters, (x,))
    losses = [(out[:, i] - y[:, i]).square().mean() for i in range(2)]
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(v, parameters.values(), retain_graph=True)])
            for v in losses
        ]
    )
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses).backward()
    torch.testing.assert_close(balancer.last.gramian, rows @ rows.T)
