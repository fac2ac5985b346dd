"""One balance over several micro-batches equals the balance of the big batch."""

import copy

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import ClockError, SettingError
from tests.engine.problems import TwoPart, batch

METHODS = {
    "MGDA": eq.MGDA(),
    "CAGrad": eq.CAGrad(c=0.4),
    "PCGrad": eq.PCGrad(seed=1),
    "MoCo": eq.MoCo(),
    "GradDrop": eq.GradDrop(seed=1),
    "Tchebycheff": eq.SmoothTchebycheff(),
    "OMD": eq.OMDTchebycheff(),
    "UW": eq.UncertaintyWeighting(),
    "IMTL": eq.IMTL(),
    "Linear": eq.LinearScalarization(),
}
NAMES = ("t0", "t1", "t2")


def gradients(model, balancer):
    named = [*model.named_parameters(), *balancer.named_parameters()]
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def compute(model, x, y, balancer, two_phase=True, **more):
    z = model.features(x)
    losses = model.losses(z, y)
    losses.update(more)
    loss = balancer(losses, features=z if two_phase else None)
    loss.backward()
    return loss.item()


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("mode", ["inject", "recompute"])
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("name", list(METHODS))
def test_micro_batches_give_what_the_big_batch_gives(name, heads, mode, two_phase):
    method = METHODS[name]
    if not isinstance(method, eq.methods.GramianMethod):
        heads = None
    if isinstance(method, eq.methods.JacobianMethod):
        mode = "inject"
    whole, parts = TwoPart(), TwoPart()
    setting = {"tasks": NAMES, "heads": heads, "mode": mode, "steps_per_epoch": "manual"}
    balancers = [eq.Balancer(method, model=m, **setting) for m in (whole, parts)]
    balancers[1].accumulate(4)
    for seed in range(2):  # the second step uses what the first one left behind
        x, y = batch(n=16, seed=seed)
        for model in (whole, parts):
            model.zero_grad()
        for balancer in balancers:
            balancer.zero_grad()
        big = compute(whole, x, y, balancers[0], two_phase)
        small = [compute(parts, a, b, balancers[1], two_phase) for a, b in zip(x.split(4), y.split(4), strict=True)]
        assert sum(small) / 4 == pytest.approx(big, rel=1e-12)
        target, found = gradients(whole, balancers[0]), gradients(parts, balancers[1])
        assert target.keys() == found.keys()
        for key, value in target.items():
            torch.testing.assert_close(found[key], value, rtol=1e-12, atol=1e-13, msg=key)
    assert balancers[1].steps == 2
    assert balancers[1].last.losses == pytest.approx(balancers[0].last.losses, rel=1e-12)
    for key, value in balancers[0].state.items():
        torch.testing.assert_close(balancers[1].state[key], value, rtol=1e-10, atol=1e-12, equal_nan=True, msg=key)


def test_sketches_are_averaged_and_the_direction_is_exact_for_their_weights():
    whole, parts = TwoPart(), TwoPart()
    balancers = [eq.Balancer(eq.MGDA(), gradients=eq.Sketch(64), model=m) for m in (whole, parts)]
    balancers[1].accumulate(4)
    x, y = batch(n=16)
    compute(whole, x, y, balancers[0])
    for a, b in zip(x.split(4), y.split(4), strict=True):
        compute(parts, a, b, balancers[1])
    torch.testing.assert_close(balancers[1].last.gramian, balancers[0].last.gramian, rtol=1e-12, atol=0)
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-12, atol=1e-13)


def test_the_mean_of_micro_batch_gramians_would_be_something_else():
    """The trap that averaging the gradients avoids: noise adds to the diagonal of each micro-batch's Gramian."""
    model, (x, y) = TwoPart(), batch(n=16)
    whole = eq.Balancer(eq.MGDA())
    compute(model, x, y, whole)
    each = []
    for a, b in zip(x.split(4), y.split(4), strict=True):
        balancer = eq.Balancer(eq.MGDA())
        compute(model, a, b, balancer)
        each.append(balancer.last.gramian)
    assert (torch.stack(each).mean(dim=0).diagonal() > 1.05 * whole.last.gramian.diagonal()).all()


def test_gradients_arrive_with_the_last_micro_batch_and_hooks_fire_once():
    model, (x, y) = TwoPart(), batch(n=12)
    fired = []
    model.trunk[0].weight.register_hook(lambda g: fired.append(1))
    balancer = eq.Balancer(eq.MGDA())
    balancer.accumulate(3)
    for number, (a, b) in enumerate(zip(x.split(4), y.split(4), strict=True)):
        compute(model, a, b, balancer)
        assert (model.trunk[0].weight.grad is not None) == (number == 2)
        assert balancer.steps == (number == 2)
    assert fired == [1]
    assert balancer.plan.reason.startswith("3 micro-batches")


def test_a_framework_that_divides_the_losses_is_made_good_for():
    whole, parts = TwoPart(), TwoPart()
    x, y = batch(n=16)
    for model, divided in ((whole, False), (parts, True)):
        balancer = eq.Balancer(eq.MGDA(), model=model)
        balancer.accumulate(4, divided=divided)
        for a, b in zip(x.split(4), y.split(4), strict=True):
            z = model.features(a)
            loss = balancer(model.losses(z, b))
            (loss / 4 if divided else loss).backward()
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-13, atol=0)


def test_a_task_absent_from_some_micro_batches_is_averaged_over_the_others():
    model, (x, y) = TwoPart(), batch(n=16)
    target = copy.deepcopy(model)
    z = target.features(x)
    losses = target.losses(z, y)
    losses["t1"] = (target.heads[1](z[:8])[:, 0] - y[:8, 1]).square().mean()
    eq.Balancer(eq.MGDA(), model=target)(losses).backward()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer.accumulate(4)
    for number, (a, b) in enumerate(zip(x.split(4), y.split(4), strict=True)):
        compute(model, a, b, balancer, **({"t1": None} if number >= 2 else {}))
    for p, q in zip(target.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-12, atol=1e-13)


def test_a_bad_task_in_one_micro_batch_is_skipped_in_all_of_them():
    model, (x, y) = TwoPart(), batch(n=8)
    target = copy.deepcopy(model)
    compute(target, x, y, eq.Balancer(eq.MGDA(), model=target), t1=None)
    balancer = eq.Balancer(eq.MGDA(), model=model, nonfinite="skip")
    balancer.accumulate(2)
    compute(model, x[:4], y[:4] + torch.tensor([0.0, torch.inf, 0.0]), balancer)
    compute(model, x[4:], y[4:], balancer)
    assert balancer.counts["skipped t1"] == 1
    for name, p in target.named_parameters():
        if name.startswith("trunk"):
            torch.testing.assert_close(dict(model.named_parameters())[name].grad, p.grad, rtol=1e-11, atol=1e-12)


def test_accumulation_by_group():
    whole, parts = TwoPart(), TwoPart()
    balancers = [eq.Balancer(eq.MGDA(), model=m, granularity="module") for m in (whole, parts)]
    balancers[1].accumulate(4)
    x, y = batch(n=16)
    compute(whole, x, y, balancers[0])
    for a, b in zip(x.split(4), y.split(4), strict=True):
        compute(parts, a, b, balancers[1])
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-12, atol=1e-13)


def fail_after(_):
    raise KeyError("of the user")


def test_a_with_block_ends_it_and_refuses_to_lose_micro_batches():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    with balancer.accumulate(2):
        compute(model, x, y, balancer)
        compute(model, x, y, balancer)
    assert balancer.steps == 1
    compute(model, x, y, balancer)
    assert balancer.steps == 2
    with pytest.raises(ClockError, match="after 1 of 3 micro-batches: never balanced"), balancer.accumulate(3):
        compute(model, x, y, balancer)
    with pytest.raises(KeyError, match="of the user"), balancer.accumulate(3):  # another error is not hidden
        fail_after(compute(model, x, y, balancer))


def test_batch_norm_counts_every_micro_batch_once():
    model, (x, y) = TwoPart(), batch(n=16)
    model.trunk.insert(1, nn.BatchNorm1d(8).double())
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer.accumulate(4)
    for a, b in zip(x.split(4), y.split(4), strict=True):
        compute(model, a, b, balancer)
    assert model.trunk[1].num_batches_tracked.item() == 4


@pytest.mark.parametrize(
    ("balancer", "message"),
    [
        (lambda m: eq.Balancer(eq.MGDA(), gradients=eq.Every(2)), r"gradients=Every\(n=2\) cannot be accumulated"),
        (lambda m: eq.Balancer(eq.MGDA(), gradients=eq.Features()), r"gradients=Features\(\) cannot be accumulated"),
        (lambda m: eq.Balancer(eq.MGDA(), layer=m.trunk[2]), "cannot be accumulated"),
        (lambda m: eq.Balancer(eq.MGDAUB()), "MGDAUB.* cannot be accumulated"),
    ],
)
def test_what_cannot_be_accumulated_is_refused_by_name(balancer, message):
    with pytest.raises(SettingError, match=message):
        balancer(TwoPart()).accumulate(2)
    for wrong in (0, 1.5, True):
        with pytest.raises(SettingError, match="whole number of at least 1"):
            eq.Balancer(eq.MGDA()).accumulate(wrong)
