"""One Gramian and one set of weights for each module or tensor."""

import copy

import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError
from tests.engine.comparing import losses_of, trained
from tests.engine.problems import TwoPart, batch, dense_gradients

GROUPS = {
    "module": lambda name: name.rpartition(".")[0],
    "tensor": lambda name: name,
}


@pytest.mark.parametrize("two_phase", [False, True])
@pytest.mark.parametrize("granularity", list(GROUPS))
@pytest.mark.parametrize("method", [eq.MGDA(), eq.CAGrad(), eq.PCGrad(seed=2), eq.MetaBalance(), eq.PCD()])
def test_every_group_gets_the_direction_of_its_own_gramian(method, granularity, two_phase):
    model, (x, y) = TwoPart(), batch()
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    balancer = eq.Balancer(method, model=model, granularity=granularity)
    z = model.features(x)
    balancer(model.losses(z, y), features=z if two_phase else None).backward()
    groups = {}
    for name in rows[0]:
        if name.startswith("trunk"):
            groups.setdefault(GROUPS[granularity](name), []).append(name)
    assert set(balancer.last.groups) == set(groups)
    assert balancer.last.weights.shape == (len(groups), 3)
    for names in groups.values():
        jacobian = torch.stack([torch.cat([row[name].flatten() for name in names]) for row in rows])
        found = torch.cat([dict(model.named_parameters())[name].grad.flatten() for name in names])
        # PCGrad's draws are the same in every group, as those of its first call
        torch.testing.assert_close(found, eq.direction(method, jacobian), rtol=1e-9, atol=1e-11)
    for i in range(3):
        torch.testing.assert_close(model.heads[i].weight.grad, rows[i][f"heads.{i}.weight"] / 3)


def test_every_group_has_its_own_memory_and_it_resumes_to_the_bit():
    def train(steps, saved=None):
        model = TwoPart()
        balancer = eq.Balancer(eq.Smoothed(eq.MGDA(), alpha=0.5), model=model, granularity="module")
        if saved:
            model.load_state_dict(saved[0])
            balancer.load_state_dict(saved[1])
        trained(model, balancer, steps)
        return copy.deepcopy((model.state_dict(), balancer.state_dict())), balancer

    whole, balancer = train(range(6))
    resumed, _ = train(range(3, 6), train(range(3))[0])
    assert balancer.state["smoothed"].shape == (2, 3)
    assert not torch.equal(balancer.state["smoothed"][0], balancer.state["smoothed"][1])
    for one, other in zip(whole, resumed, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        (eq.LinearScalarization(), {}, "is not a method on the Gramian"),
        (eq.MoCo(), {}, "is not a method on the Gramian"),
        (eq.MGDAUB(), {}, "is not a method on the Gramian"),
        (eq.IMTL(), {"tasks": ("a", "b")}, "trains one set of parameters"),
        (eq.GradNorm(), {}, "needs one weight a task, not one a module: use heads='own'"),
        (eq.MGDA(), {"gradients": eq.Every(3)}, "gives one set of weights"),
        (eq.MGDA(), {"mode": "recompute"}, "differentiates one weighted sum"),
        (eq.MGDA(), {"model": None}, "give model="),
    ],
)
def test_what_cannot_be_done_by_group_is_refused_by_name(method, more, message):
    with pytest.raises(SettingError, match=message):
        eq.Balancer(method, granularity="module", **({"model": TwoPart()} | more))
