"""`Bounds` on a `Problem` end where Cooper's primal-dual training of the same constrained problem ends."""

import pytest
import torch
from torch import nn

import equipoise as eq

LIMIT = 0.1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)[:, 0]


def data():
    x = torch.rand(128, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return x, x[:, 0], x[:, 0] + 1 + 0.5 * x[:, 1]


def losses():
    return {"near": lambda out, batch: (out - batch[1]) ** 2, "far": lambda out, batch: (out - batch[2]) ** 2}


def test_the_same_limit_gives_the_same_point():
    cooper = pytest.importorskip("cooper")
    x, near, far = data()
    model = Net()

    class Limited(cooper.ConstrainedMinimizationProblem):
        def __init__(self):
            super().__init__()
            self.limit = cooper.Constraint(
                multiplier=cooper.multipliers.DenseMultiplier(num_constraints=1),
                constraint_type=cooper.ConstraintType.INEQUALITY,
            )

        def compute_cmp_state(self):
            out = model(x)
            violation = (out - near).square().mean() - LIMIT
            state = cooper.ConstraintState(violation=violation.reshape(1))
            return cooper.CMPState(loss=(out - far).square().mean(), observed_constraints={self.limit: state})

    problem = Limited()
    optimizer = cooper.optim.SimultaneousOptimizer(
        cmp=problem,
        primal_optimizers=torch.optim.Adam(model.parameters(), lr=0.01),
        dual_optimizers=torch.optim.SGD(problem.dual_parameters(), lr=0.5, maximize=True),
    )
    for _ in range(800):
        optimizer.roll()
    with torch.no_grad():
        theirs = [float((model(x) - one).square().mean()) for one in (near, far)]
    found = eq.front.find_points(
        eq.Problem(Net, losses(), train=data()),
        [eq.Bounds({"near": LIMIT})],
        600,
        optimizer=lambda net: torch.optim.Adam(net.parameters(), lr=0.01),
    )
    assert found.statuses == ("ok",)
    assert theirs == pytest.approx([LIMIT, theirs[1]], rel=0.02)
    assert found.losses[0] == pytest.approx(theirs, rel=0.02)
    # pointwise the outputs lie on the line between the targets: sqrt f1 + sqrt f2 is their root mean square distance
    apart = float((near - far).square().mean()) ** 0.5
    assert found.losses[0] ** 0.5 @ [1, 1] == pytest.approx(apart, rel=0.01)
