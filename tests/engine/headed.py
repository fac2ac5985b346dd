"""Networks of eight features and three heads, and what plain autograd says of them."""

import torch
from torch import nn

import equipoise as eq
from equipoise.engine import Ownership
from equipoise.engine.passes.exact import differentiate

K, ROWS = 3, 12


def linear(fan_in, fan_out):
    return nn.Linear(fan_in, fan_out).double()


def mlp(fan_in, fan_out, drop=0.0):
    return nn.Sequential(linear(fan_in, 4), nn.Tanh(), nn.Dropout(drop), linear(4, fan_out))


class Net(nn.Module):
    """A trunk of eight features, and three heads."""

    def __init__(self, *heads, seed=0, out=8):
        super().__init__()
        self.trunk = nn.Sequential(linear(5, 8), nn.Tanh(), linear(8, out))
        self.heads = nn.ModuleList(heads)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for p in self.parameters():
                nn.init.normal_(p, std=0.4)

    def forward(self, x=None):
        generator = torch.Generator().manual_seed(3)
        return self.trunk(torch.randn(ROWS, 5, generator=generator, dtype=torch.float64) if x is None else x)


def losses_of(model, inputs, factor=1.0):
    """One loss a head, given what each head takes; the same dropout at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        pairs = zip(model.heads, inputs, strict=True)
        return [((head(z) - n).square().mean() * factor) for n, (head, z) in enumerate(pairs)]


def whole(z):
    return [z] * K


def parts(z):
    """Tasks that share some rows."""
    return [z[:6], z[torch.arange(ROWS) % 2 == 0], z[torch.tensor([1, 1, -2])]]


def apart(z):
    """Tasks that own their rows."""
    return [z[n::K] for n in range(K)]


HEADS = {
    "linear": (lambda: [linear(8, n + 1) for n in range(K)], whole, "FactoredRows"),
    "MLP": (lambda: [mlp(8, 2) for _ in range(K)], whole, "FactoredRows"),
    "dropout": (lambda: [mlp(8, 2, 0.5) for _ in range(K)], whole, "FactoredRows"),
    "mixed": (lambda: [linear(8, 1), mlp(8, 3), nn.Sequential(nn.Tanh(), linear(8, 2))], whole, None),
    "wide": (lambda: [linear(8, 50) for _ in range(K)], whole, "FactoredRows"),
    "some rows": (lambda: [linear(8, 1), mlp(8, 2, 0.5), nn.Sequential(nn.Tanh(), linear(8, 2))], parts, "ChosenRows"),
    "rows of their own": (lambda: [mlp(8, 2) for _ in range(K)], apart, "ChosenRows"),
    "rows and all": (lambda: [linear(8, 1) for _ in range(K)], lambda z: [z, z[:4], z[2:]], None),
}


def problem(name):
    heads, inputs, way = HEADS[name]
    model = Net(*heads())

    def forward():
        z = model()
        return losses_of(model, inputs(z)), z

    return model, forward, way


def per_task(losses, tensors):
    rows = [torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True) for loss in losses]
    return [[torch.zeros_like(t) if g is None else g for g, t in zip(row, tensors, strict=True)] for row in rows]


def flat(rows):
    return torch.stack([torch.cat([block.double().flatten() for block in row]) for row in rows])


def check(losses, features, parameters, tolerance=1e-12, **options):
    """`differentiate` against plain autograd on the same graph."""
    rows = per_task(losses, parameters)
    found = differentiate(losses, range(len(losses)), Ownership(), features=features, retain_graph=True, **options)
    shared = {id(p) for part in found.parts for p in part.parameters}
    assert {id(p) for p in found.parameters()} <= {id(p) for p in parameters}
    jacobian = flat([[b for b, p in zip(row, parameters, strict=True) if id(p) in shared] for row in rows])
    wanted = jacobian @ jacobian.T
    torch.testing.assert_close(found.gramian(), wanted, rtol=0, atol=tolerance * max(1.0, float(wanted.max())))
    weights = torch.linspace(0.3, 1.1, len(losses), dtype=torch.float64)
    mixed = {id(p): block for p, block in found.combine(weights)}
    mixed |= {id(p): sum(weights[n] * block for n, block in blocks) for p, blocks in found.own}
    for number, parameter in enumerate(parameters):
        target = sum(w * row[number] for w, row in zip(weights, rows, strict=True))
        got = mixed.get(id(parameter), torch.zeros_like(parameter))
        torch.testing.assert_close(got.to(target), target, rtol=tolerance, atol=tolerance)
    return found


def balanced(model, rows, weighing, method, heads):
    """What each parameter is to receive: the method's weights on the trunk's, 1/k or the weight on a head's."""
    weights = eq.weights(method, (weighing @ weighing.T).numpy())
    own = weights if heads == "weighted" else torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
    inside = {id(p) for p in model.trunk.parameters()}
    pairs = zip(model.parameters(), zip(*rows, strict=True), strict=True)
    return [sum(w * g for w, g in zip(weights if id(p) in inside else own, blocks, strict=True)) for p, blocks in pairs]
