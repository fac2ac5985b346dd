"""What users do around a Balancer: odd graphs, clipping, closures, copies, groups of parameters, bad input."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from equipoise.errors import EquipoiseError, InputError, SettingError
from tests.engine.comparing import gradients, losses_of
from tests.engine.problems import TwoPart, batch, dense_gradients, wanted


def close(found: dict, target: dict, tolerance: float = 1e-12) -> None:
    for name, value in target.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name].double(), value.double(), rtol=tolerance, atol=tolerance, msg=name)


def expected(model, rows, method, heads="own"):
    """`wanted`, where a task may not reach every shared parameter."""
    shared = [n for n in rows[0] if sum(row[n] is not None and bool(row[n].any()) for row in rows) > 1]
    like = dict(model.named_parameters())
    full = [{n: torch.zeros_like(like[n]) if g is None and n in shared else g for n, g in row.items()} for row in rows]
    return wanted(model, full, method, [1.0] * len(rows), heads)


def squares(heads, inputs, y):
    pairs = enumerate(zip(heads, inputs, strict=True))
    return {f"t{i}": (head(z)[:, 0] - y[:, i]).square().mean() for i, (head, z) in pairs}


# ----------------------------------------------------------------------------------------------------------- graphs


def test_dropout_is_the_same_for_every_task():
    model, (x, y) = TwoPart(), batch()
    model.trunk.insert(2, nn.Dropout(0.5))

    def compute():
        torch.manual_seed(5)
        return losses_of(model, x, y)

    rows = dense_gradients(model, compute)
    eq.Balancer(eq.MGDA(), model=model)(compute()).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))


class Checkpointed(TwoPart):
    reentrant = False

    def features(self, x):
        return checkpoint(self.trunk, x, use_reentrant=self.reentrant)


def test_checkpointed_activations_are_right_and_statistics_move_once():
    model, (x, y) = Checkpointed(), batch()
    model.trunk.insert(1, nn.BatchNorm1d(8).double())
    model.trunk.insert(2, nn.Dropout(0.3))

    def compute():
        torch.manual_seed(5)
        return losses_of(model, x, y)

    start = copy.deepcopy(model.state_dict())
    rows = dense_gradients(model, compute)
    model.load_state_dict(start)
    compute()
    once = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.load_state_dict(start)
    eq.Balancer(eq.MGDA(), model=model)(compute()).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, once[name]), name


def test_reentrant_checkpoints_are_refused_with_what_to_type():
    model, (x, y) = Checkpointed(), batch()
    model.reentrant = True
    losses = losses_of(model, x.requires_grad_(), y)
    with pytest.raises(InputError, match="use_reentrant=False"):
        eq.Balancer(eq.MGDA())(losses)
    eq.Balancer(eq.LinearScalarization())(losses).backward()  # takes the losses' own way
    assert model.trunk[0].weight.grad is not None


def test_batch_norm_moves_once_with_a_model_given():
    model, (x, y) = TwoPart(), batch()
    model.trunk.insert(1, nn.BatchNorm1d(8).double())
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    model.trunk[1].reset_running_stats()
    eq.Balancer(eq.MGDA(), model=model)(losses_of(model, x, y)).backward()
    assert model.trunk[1].num_batches_tracked.item() == 1
    close(gradients(model), expected(model, rows, eq.MGDA()))


def test_parameters_of_some_tasks_only_are_balanced_among_those():
    class Branch(TwoPart):
        def __init__(self):
            super().__init__()
            self.branch = nn.Linear(6, 6).double()  # of tasks 0 and 1

        def losses(self, z, y):
            inputs = [self.branch(z), self.branch(z), z]
            return {
                f"t{i}": (h(v)[:, 0] - y[:, i]).square().mean()
                for i, (h, v) in enumerate(zip(self.heads, inputs, strict=True))
            }

    model, (x, y) = Branch(), batch()
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    balancer = eq.Balancer(eq.MGDA(), model=model)
    z = model.features(x)
    balancer(model.losses(z, y), features=z).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))
    assert balancer.ownership.reached["branch.weight"] == [0, 1]


def test_post_accumulate_hooks_fire_once_for_every_parameter():
    model, (x, y) = TwoPart(), batch()
    fired = []
    for name, p in model.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, name=name: fired.append(name))
    eq.Balancer(eq.MGDA())(losses_of(model, x, y)).backward()
    assert sorted(fired) == sorted(name for name, _ in model.named_parameters())


def test_an_optimizer_step_between_forward_and_balancer_is_refused():
    model, (x, y) = TwoPart(), batch()
    losses = losses_of(model, x, y)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1)
    with pytest.raises(InputError, match="changed in place after the forward pass"):
        eq.Balancer(eq.MGDA())(losses)


def test_an_optimizer_step_between_balancer_and_backward_is_refused():
    model, (x, y) = TwoPart(), batch()
    loss = eq.Balancer(eq.MGDA())(losses_of(model, x, y))
    with torch.no_grad():
        model.trunk[0].weight.add_(0.1)
    with pytest.raises(EquipoiseError, match=r"1 parameters \(shapes \[\(8, 5\)\]\) were changed in place"):
        loss.backward()


def test_a_graph_that_was_freed_is_refused_with_what_to_type():
    model, (x, y) = TwoPart(), batch()
    losses = losses_of(model, x, y)
    losses["t0"].backward()
    with pytest.raises(InputError, match="already freed by an earlier backward"):
        eq.Balancer(eq.MGDA())(losses)


def test_shared_parameters_listed_twice_are_named():
    model = TwoPart()
    w = model.trunk[0].weight
    with pytest.raises(SettingError, match=r"number 2 is number 0 once more \(shape \(8, 5\)\)"):
        eq.Balancer(eq.MGDA(), shared=[w, model.trunk[2].weight, w])
    with pytest.raises(SettingError, match="number 1 is str"):
        eq.Balancer(eq.MGDA(), shared=[w, "trunk.2.weight"])
    with pytest.raises(SettingError, match="it is empty"):
        eq.Balancer(eq.MGDA(), shared=[])


# ------------------------------------------------------------------------------------------------------- user loops


def test_clipping_by_group_sees_the_balanced_gradients():
    model, (x, y) = TwoPart(), batch()
    eq.Balancer(eq.MGDA())(losses_of(model, x, y)).backward()
    free = gradients(model)
    norms = [nn.utils.clip_grad_norm_(part.parameters(), 1e-3) for part in (model.trunk, model.heads)]
    for part, norm in zip(("trunk", "heads"), norms, strict=True):
        for name, p in model.named_parameters():
            if name.startswith(part):
                torch.testing.assert_close(p.grad, free[name] * 1e-3 / (norm + 1e-6))


def test_l_bfgs_closures_train_to_the_minimum_of_the_mean():
    model, (x, y) = TwoPart(k=2), batch(k=2)
    target = copy.deepcopy(model)
    balancer = eq.Balancer(eq.SDMGrad(lam=1e9))  # the mean, by way of a Gramian
    results = []
    for net, combine in ((model, balancer), (target, lambda losses: sum(losses.values()) / 2)):
        optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=5)

        def closure(net=net, combine=combine, optimizer=optimizer):
            optimizer.zero_grad()
            loss = combine(losses_of(net, x, y))
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        results.append(closure().item())
    assert results[0] == pytest.approx(results[1], rel=1e-6)
    assert balancer.steps > 10


def test_task_sets_that_change_from_step_to_step_keep_every_task_learning():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for seed in range(6):
        x, y = batch(seed=seed)
        absent = f"t{seed % 3}"
        kept = [i for i in range(3) if f"t{i}" != absent]
        rows = dense_gradients(model, lambda x=x, y=y: losses_of(model, x, y))
        losses = losses_of(model, x, y)
        losses[absent] = None
        model.zero_grad()
        balancer(losses).backward()
        if seed >= 2:  # by now every pair has been seen
            jacobian = torch.stack(
                [torch.cat([rows[i][n].flatten() for n in rows[i] if n.startswith("trunk")]) for i in kept]
            )
            found = torch.cat([p.grad.flatten() for p in model.trunk.parameters()])
            torch.testing.assert_close(found, eq.direction(eq.MGDA(), jacobian), rtol=1e-11, atol=1e-12)
            for i in kept:
                torch.testing.assert_close(model.heads[i].weight.grad, rows[i][f"heads.{i}.weight"] / 2)
        assert model.heads[seed % 3].weight.grad is None


@pytest.mark.parametrize("method", [eq.MoCo(), eq.ExcessMTL(), eq.Tracked(eq.MGDA())])
def test_methods_that_remember_the_jacobian_go_on_when_a_parameter_becomes_shared(method):
    class Late(TwoPart):
        late = False

        def losses(self, z, y):
            found = super().losses(z, y)
            if self.late:
                found["t1"] = found["t1"] + self.heads[0].weight.square().sum()
            return found

    model, (x, y) = Late(), batch()
    balancer = eq.Balancer(method, model=model)
    balancer(losses_of(model, x, y)).backward()
    before = dict(balancer.carried.layout)
    model.late = True
    model.zero_grad()
    balancer(losses_of(model, x, y)).backward()
    assert dict(balancer.carried.layout) == before | {"heads.0.weight": 6}
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    name = {"MoCo": "tracked", "ExcessMTL": "squares", "Tracked": "tracked"}[type(method).__name__]
    assert balancer.state[name].shape == (3, sum(dict(balancer.carried.layout).values()))


def test_a_jacobian_method_keeps_its_order_when_tasks_are_absent():
    """With tracking speed 1 the memory is the last gradient, so MoCo's tracked rows show their coordinates."""
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MoCo(beta=1.0), model=model)
    balancer(losses_of(model, x, y)).backward()
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    losses = losses_of(model, x, y)
    losses["t0"] = None
    balancer(losses)
    flat = torch.stack([torch.cat([row[name].flatten() for name, _ in balancer.carried.layout]) for row in rows])
    torch.testing.assert_close(balancer.state["tracked"], flat)


def test_one_task_alone_gets_its_own_gradient():
    model, (x, y) = TwoPart(k=1), batch(k=1)
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    for method in (eq.MGDA(), eq.CAGrad(), eq.UPGrad(), eq.PCGrad()):
        model.zero_grad()
        eq.Balancer(method)(losses_of(model, x, y)).backward()
        close(gradients(model), rows[0])


@pytest.mark.parametrize("method", [eq.InverseNorm(), eq.LinearScalarization()])
def test_a_thousand_tasks_are_balanced(method):
    k = 1000
    trunk = torch.ones(20, dtype=torch.float64, requires_grad=True)
    heads = [torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(k)]
    factors = torch.linspace(1, 2, k, dtype=torch.float64)
    losses = {f"t{i}": (trunk * factors[i]).sum() * head for i, head in enumerate(heads)}
    balancer = eq.Balancer(method)
    balancer(losses).backward()
    weights = balancer.last.weights
    torch.testing.assert_close(trunk.grad, torch.full_like(trunk, float(weights @ factors)))
    own = weights if isinstance(method, eq.LinearScalarization) else torch.full_like(weights, 1 / k)
    torch.testing.assert_close(torch.stack([head.grad for head in heads]), own * factors * 20)


def test_a_skipped_step_still_has_a_scalar_to_call_backward_on():
    model, (x, y) = TwoPart(), batch()
    loss = eq.Balancer(eq.MGDA(), nonfinite="skip")({name: v * torch.nan for name, v in losses_of(model, x, y).items()})
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None for p in model.parameters())


def test_propagating_a_bad_loss_leaves_a_loss_methods_state_alone():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.OMDTchebycheff(), nonfinite="propagate")
    balancer(losses_of(model, x, y))
    before = copy.deepcopy(balancer.state)
    bad = losses_of(model, x, y)
    bad["t1"] = bad["t1"] * torch.inf
    balancer(bad).backward()
    assert all(torch.equal(before[name], balancer.state[name]) for name in before)
    assert all(torch.isnan(p.grad).all() for p in model.parameters())
