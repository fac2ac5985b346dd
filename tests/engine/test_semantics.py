"""What users do around a Balancer: odd graphs, clipping, closures, copies, groups of parameters, bad input."""

import copy
import io
import pickle
import time

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from equipoise.errors import EquipoiseError, InputError, LossError, SettingError, StateError

from .problems import TwoPart, batch, dense_gradients, wanted


def gradients(model: nn.Module) -> dict:
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


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


def losses_of(model, x, y):
    return model.losses(model.features(x), y)


# ---------------------------------------------------------------------------------------------------------- features


class Levels(nn.Module):
    """Two feature tensors: the first task uses both, the others one each."""

    def __init__(self, nested=False):
        super().__init__()
        torch.manual_seed(0)
        self.nested = nested
        self.low, self.high = nn.Linear(5, 4).double(), nn.Linear(4 if nested else 5, 3).double()
        self.heads = nn.ModuleList([nn.Linear(7, 1), nn.Linear(4, 1), nn.Linear(3, 1)]).double()

    def forward(self, x, y):
        low = torch.tanh(self.low(x))
        high = torch.tanh(self.high(low if self.nested else x))
        inputs = [torch.cat([low, high], 1), low, high]
        return low, high, {f"t{i}": (h(z)[:, 0] - y[:, i]).square().mean() for i, (h, z) in enumerate(zip(self.heads, inputs, strict=True))}


@pytest.mark.parametrize(
    "shape",
    [
        lambda low, high: (low, high),
        lambda low, high: [high, low],
        lambda low, high: {"p3": low, "p4": high},
        lambda low, high: {"pyramid": (low, [high, None]), "mask": torch.ones(3, dtype=torch.bool), "again": low},
    ],
)
@pytest.mark.parametrize("method", [eq.MGDA(), eq.MoCo()])
def test_features_may_be_several_tensors_tuples_and_dicts(shape, method):
    model, (x, y) = Levels(), batch()
    rows = dense_gradients(model, lambda: model(x, y)[2])
    low, high, losses = model(x, y)
    target = expected(model, rows, method)
    balancer = eq.Balancer(method, model=model)
    balancer(losses, features=shape(low, high)).backward()
    close(gradients(model), target)
    assert balancer.plan.engine == "two-phase"


def test_features_that_lie_behind_one_another_are_not_counted_twice():
    model, (x, y) = Levels(nested=True), batch()
    rows = dense_gradients(model, lambda: model(x, y)[2])
    low, high, losses = model(x, y)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=(low, high)).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))
    assert balancer.plan.engine == "sequential"
    low, high, losses = model(x, y)
    with pytest.raises(InputError, match="needs every shared parameter behind `features`"):
        eq.Balancer(eq.MGDA(), gradients=eq.Features())(losses, features=(low, high))


def test_a_detached_feature_is_refused_by_its_place():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    with pytest.raises(InputError, match=r"features\['deep'\]\[1\] of shape \(16, 6\) has no grad_fn"):
        eq.Balancer(eq.MGDA())(model.losses(z, y), features={"deep": [z, z.detach()]})
    with pytest.raises(InputError, match="features is str"):
        eq.Balancer(eq.MGDA())(model.losses(z, y), features="z")


def test_a_loss_that_does_not_reach_the_features_is_refused_by_name():
    model, (x, y) = TwoPart(), batch()
    z, other = model.features(x), model.features(x)
    with pytest.raises(LossError, match="'t0', 't1', 't2': the loss does not reach the features"):
        eq.Balancer(eq.MGDA())(model.losses(other, y), features=z)


@pytest.mark.parametrize("given", [False, True])
def test_heads_that_change_the_feature_in_place_are_right(given):
    class Inplace(TwoPart):
        def losses(self, z, y):
            nn.functional.relu(z, inplace=True)  # by the first head, seen by all
            found = {}
            for i, head in enumerate(self.heads):
                residual = head(z)[:, 0].sub_(y[:, i])
                found[f"t{i}"] = residual.square_().mean() if i else residual.square().mean()
            return found

    model, (x, y) = Inplace(), batch()
    model.trunk.append(nn.Linear(6, 6).double())  # Tanh saves its output, which must not be changed
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    z = model.features(x)
    losses = model.losses(z, y)
    eq.Balancer(eq.MGDA(), model=model)(losses, features=z if given else None).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))


def test_a_bypass_around_the_features_counts():
    model, (x, y) = TwoPart(), batch()

    def compute():
        z = model.features(x)
        return z, {name: loss + model.trunk[0](x).square().mean() for name, loss in model.losses(z, y).items()}

    rows = dense_gradients(model, lambda: compute()[1])
    z, losses = compute()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=z).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))


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
            return {f"t{i}": (h(v)[:, 0] - y[:, i]).square().mean() for i, (h, v) in enumerate(zip(self.heads, inputs, strict=True))}

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
            jacobian = torch.stack([torch.cat([rows[i][n].flatten() for n in rows[i] if n.startswith("trunk")]) for i in kept])
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
def test_a_thousand_tasks_are_balanced_in_seconds(method):
    k = 1000
    trunk = torch.ones(20, dtype=torch.float64, requires_grad=True)
    heads = [torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(k)]
    factors = torch.linspace(1, 2, k, dtype=torch.float64)
    losses = {f"t{i}": (trunk * factors[i]).sum() * head for i, head in enumerate(heads)}
    balancer = eq.Balancer(method)
    began = time.process_time()
    balancer(losses).backward()
    assert time.process_time() - began < 10
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


# ----------------------------------------------------------------------------------------------------------- copies


def trained(model, balancer, seeds):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for seed in seeds:
        optimizer.zero_grad()
        z = model.features(batch(seed=seed)[0])
        balancer(model.losses(z, batch(seed=seed)[1]), features=z).backward()
        optimizer.step()
    return gradients(model)


def through_pickle(thing):
    buffer = io.BytesIO()
    pickle.dump(thing, buffer)
    return pickle.loads(buffer.getvalue())


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("method", [eq.GradVac(), eq.MoCo(), eq.OMDTchebycheff()])
def test_a_copy_of_model_and_balancer_goes_on_as_the_original_does(method, order, named, copied):
    model = TwoPart()
    balancer = eq.Balancer(method, model=model if named else None)
    trained(model, balancer, range(3))
    pair = copied([model, balancer][::order])[::order]
    assert pair[1].ownership.reached == balancer.ownership.reached
    again = trained(*pair, range(3, 6))
    for name, value in trained(model, balancer, range(3, 6)).items():
        assert torch.equal(value, again[name]), name


def test_a_balancer_copied_by_itself_balances_the_same_model():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.LastLayer(model.trunk[2]))
    balancer(losses_of(model, x, y))
    twin = copy.deepcopy(balancer)
    twin(losses_of(model, x, y)).backward()
    assert twin.ownership.name(model.trunk[0].weight) == "trunk.0.weight"
    torch.testing.assert_close(twin.last.gramian, balancer.last.gramian)


class Whole(TwoPart):
    def __init__(self):
        super().__init__()
        self.balancer = eq.Balancer(eq.MGDA(), model=self)


def test_a_balancer_inside_the_model_that_it_names_is_copied_with_it():
    model, (x, y) = Whole(), batch()
    model.balancer(losses_of(model, x, y))
    assert not [name for name, _ in model.named_parameters() if name.startswith("balancer")]
    for twin in (copy.deepcopy(model), through_pickle(model)):
        twin.balancer(losses_of(twin, x, y)).backward()
        assert twin.balancer.ownership.name(twin.trunk[0].weight) == "trunk.0.weight"
        assert model.trunk[0].weight.grad is None


def test_to_moves_trained_parameters_and_leaves_the_numbers_of_the_state_in_float64():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("t0", "t1", "t2"))
    balancer.to("cpu", torch.float64)
    assert balancer.trained["log_variance"].dtype == torch.float64
    balancer(losses_of(model, x, y)).backward()
    other = eq.Balancer(eq.OMDTchebycheff()).to(torch.float16)
    other(losses_of(model, x, y)).backward()
    assert other.state["dual"].dtype == torch.float64


# ------------------------------------------------------------------------------------------------------ granularity

GROUPS = {
    "module": lambda name: name.rpartition(".")[0],
    "tensor": lambda name: name,
}


@pytest.mark.parametrize("two_phase", [False, True])
@pytest.mark.parametrize("granularity", list(GROUPS))
@pytest.mark.parametrize("method", [eq.MGDA(), eq.CAGrad(), eq.PCGrad(seed=2)])
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
        (eq.MGDA(), {"gradients": eq.Every(3)}, "hands out one set of weights"),
        (eq.MGDA(), {"mode": "recompute"}, "differentiates one weighted sum"),
        (eq.MGDA(), {"model": None}, "give model="),
    ],
)
def test_what_cannot_be_done_by_group_is_refused_by_name(method, more, message):
    with pytest.raises(SettingError, match=message):
        eq.Balancer(method, granularity="module", **({"model": TwoPart()} | more))


def test_a_state_in_the_middle_of_micro_batches_is_neither_saved_nor_copied():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    balancer.accumulate(2)
    balancer(losses_of(model, x, y))
    with pytest.raises(StateError, match="1 of 2 micro-batches are waiting"):
        balancer.state_dict()
    with pytest.raises(StateError, match="1 of 2 micro-batches are waiting"):
        copy.deepcopy(balancer)
