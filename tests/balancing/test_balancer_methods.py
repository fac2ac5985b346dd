"""What holds for every method in a Balancer."""

import pytest
import torch

import equipoise as eq
from tests.engine.comparing import close, every_method, gradients
from tests.engine.problems import TwoPart, batch


@pytest.mark.parametrize("name", list(every_method()))
def test_scale_sum_is_k_times_scale_mean(name):
    method, (x, y) = every_method()[name], batch()
    if method.needs == "features":
        pytest.skip("covered by the feature tests")
    found = []
    for scale in ("mean", "sum"):
        model = TwoPart()
        balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), scale=scale, steps_per_epoch="manual")
        balancer(model.losses(model.features(x), y)).backward()
        found.append(gradients(model))
    close({n: g / 3 for n, g in found[1].items()}, found[0], 1e-12)


def test_no_method_touches_the_global_random_state():
    for name, method in every_method().items():
        if method.needs == "features":
            continue
        model, (x, y) = TwoPart(), batch()
        torch.manual_seed(0)
        before = torch.random.get_rng_state()
        balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), steps_per_epoch=3)
        balancer(model.losses(model.features(x), y))
        assert torch.equal(before, torch.random.get_rng_state()), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", list(every_method()))
def test_every_method_runs_on_models_in_half_precision(name, dtype):
    method = every_method()[name]
    model, (x, y) = TwoPart(dtype=dtype), batch(dtype=dtype)
    balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), steps_per_epoch=3)
    z = model.features(x)
    balancer(model.losses(z, y), features=z).backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == dtype for p in model.parameters())
