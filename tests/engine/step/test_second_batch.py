"""Methods that need more than one gradient train in loops: second batches, observations, trained state, memory."""

import pytest
import torch

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import NonFiniteError, SettingError, TaskError
from tests.engine.problems import TwoPart, batch, dense_gradients


def losses_of(model, seed):
    x, y = batch(seed=seed)
    return model.losses(model.features(x), y)


def jacobian(model, seed):
    rows = dense_gradients(model, lambda: losses_of(model, seed))
    return torch.stack(
        [torch.cat([g.flatten() for n, g in row.items() if n.startswith("trunk")]) for row in rows]
    ), rows


def cross_weights(method, gramian, cross):
    step = eq.methods.Step(Tasks(("t0", "t1", "t2")), torch.ones(3, dtype=torch.float64), cross_gramian=cross)
    return method.weights(gramian, method.init(3), step).value


@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("mode", ["inject", "recompute"])
@pytest.mark.parametrize("batches", [2, 3])
@pytest.mark.parametrize("method", [eq.MoDo(gamma=0.3), eq.SDMGrad(sampling="double", step_size=0.3)])
def test_the_weights_come_from_the_product_of_two_batches(method, batches, mode, heads):
    model = TwoPart()
    (one, rows), (two, _), (three, _) = (jacobian(model, seed) for seed in (1, 2, 3))
    left, right = (one, two) if batches == 2 else (two, three)
    weights = cross_weights(method, left @ left.T, left @ right.T)
    balancer = eq.Balancer(method, model=model, mode=mode, heads=heads)
    third = losses_of(model, 3) if batches == 3 else None
    loss = balancer(losses_of(model, 1), second=losses_of(model, 2), third=third)
    loss.backward()
    assert loss.item() == pytest.approx(sum(v.item() for v in losses_of(model, 1).values()) / 3)
    torch.testing.assert_close(balancer.last.weights, weights)
    for name, p in model.named_parameters():
        if name.startswith("trunk"):
            target = sum(a * row[name] for a, row in zip(weights, rows, strict=True))
        else:
            task = int(name.split(".")[1])
            target = (weights[task] if heads == "weighted" else 1 / 3) * rows[task][name]
        torch.testing.assert_close(p.grad, target, rtol=1e-10, atol=1e-12, msg=name)
    assert balancer.plan.passes >= 6 or "ghost" in str(balancer.plan)


def test_double_sampling_removes_the_bias_of_one_batch():
    """The mean of G over batches exceeds the product of the mean gradients; that of J1 J2^T does not."""
    model = TwoPart()
    many = torch.stack([jacobian(model, seed)[0] for seed in range(60)])
    exact = many.mean(dim=0) @ many.mean(dim=0).T
    single = torch.stack([j @ j.T for j in many]).mean(dim=0)
    double = torch.stack([a @ b.T for a in many for b in many if a is not b]).mean(dim=0)
    assert (single.diagonal() > 1.02 * exact.diagonal()).all()
    assert (double - exact).norm() < 0.2 * (single - exact).norm()


def test_absent_tasks_are_absent_from_both_batches():
    model = TwoPart()
    balancer = eq.Balancer(eq.MoDo())
    balancer(losses_of(model, 1) | {"t1": None}, second=losses_of(model, 2) | {"t1": None}).backward()
    assert balancer.last.tasks == ("t0", "t2")
    with pytest.raises(TaskError, match="the first has 't0', 't2'; the other has 't0', 't1', 't2'"):
        balancer(losses_of(model, 1) | {"t1": None}, second=losses_of(model, 2))


def test_a_bad_value_in_the_second_batch_raises_or_propagates():
    model = TwoPart()
    bad = losses_of(model, 2)
    bad["t1"] = bad["t1"] * torch.nan
    with pytest.raises(NonFiniteError, match="'t1'"):
        eq.Balancer(eq.MoDo())(losses_of(model, 1), second=bad)
    balancer = eq.Balancer(eq.MoDo(), nonfinite="propagate")
    bad = losses_of(model, 2)
    bad["t1"] = bad["t1"] * torch.nan
    balancer(losses_of(model, 1), second=bad).backward()
    assert torch.isnan(model.trunk[0].weight.grad).all()
    assert balancer.counts["propagated"] == 1


def test_a_second_batch_is_refused_where_it_has_no_use():
    model = TwoPart()
    for method in (eq.MoCo(), eq.LinearScalarization()):
        with pytest.raises(SettingError, match="does not use a second batch"):
            eq.Balancer(method)(losses_of(model, 1), second=losses_of(model, 2))
    with pytest.raises(SettingError, match="without `second`"):
        eq.Balancer(eq.MoDo())(losses_of(model, 1), third=losses_of(model, 2))
    with pytest.raises(SettingError, match=r"second.*eq.Exact\(\)"):
        eq.Balancer(eq.MoDo(), gradients=eq.Sketch(8))(losses_of(model, 1), second=losses_of(model, 2))
    with pytest.raises(SettingError, match=r"second.*granularity"):
        eq.Balancer(eq.MoDo(), granularity="tensor")(losses_of(model, 1), second=losses_of(model, 2))


def train(balancer, model, steps=60, second=False, observe=False):
    groups = [{"params": model.parameters()}]
    if list(balancer.parameters()):
        groups.append({"params": balancer.parameters(), "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    values = []
    for step in range(steps):
        optimizer.zero_grad()
        seed = step % 4
        more = {"second": losses_of(model, seed + 10)} if second else {}
        loss = balancer(losses_of(model, seed), **more)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
        if observe:
            with torch.no_grad():
                balancer.observe(losses_of(model, seed))
    return values


LOOPS = {
    "MoDo": (eq.MoDo(), {"second": True}),
    "SDMGrad": (eq.SDMGrad(sampling="double"), {"second": True}),
    "MoCo": (eq.MoCo(), {}),
    "Tracked": (eq.Tracked(eq.CAGrad(c=0.4)), {}),
    "ExcessMTL": (eq.ExcessMTL(), {}),
    "GradNorm": (eq.GradNorm(), {}),
    "IMTL": (eq.IMTL(), {}),
    "FAMO": (eq.FAMO(), {}),
    "FAMO observed": (eq.FAMO(), {"observe": True}),
}


@pytest.mark.parametrize("name", list(LOOPS))
def test_methods_that_need_more_than_one_gradient_train(name):
    method, more = LOOPS[name]
    model = TwoPart()
    layer = model.trunk[2] if isinstance(method, eq.GradNorm) else None
    balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), model=model, layer=layer)
    values = train(balancer, model, **more)
    assert sum(values[-4:]) < 0.8 * sum(values[:4])
    assert balancer.steps == 60


def test_famo_learns_from_the_next_step_where_nothing_is_observed():
    model, other = TwoPart(), TwoPart()
    waits, sees = (eq.Balancer(eq.FAMO()) for _ in range(2))
    train(waits, model, steps=1)
    train(sees, other, steps=1, observe=True)
    assert waits.state["moves"].eq(0).all()
    assert sees.state["moves"].eq(1).all()
    train(waits, model, steps=1)
    assert waits.state["moves"].eq(1).all()


def test_the_trained_scales_of_imtl_get_their_gradient():
    model = TwoPart()
    balancer = eq.Balancer(eq.IMTL(), tasks=("t0", "t1", "t2"))
    losses = losses_of(model, 1)
    balancer(losses).backward()
    values = torch.tensor([v.item() for v in losses.values()])
    torch.testing.assert_close(balancer.trained["log_scale"].grad, values - 1)  # of e^s L - s at s = 0
