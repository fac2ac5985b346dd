"""The Balancer against a dense reference: what every parameter receives, and what is refused."""

import copy
import warnings

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import ClockError, LossError, NonFiniteError, SettingError, StateError, TaskError

from .problems import TwoPart, batch, dense_gradients, wanted

GRAMIAN = {"MGDA": eq.MGDA(), "PCGrad": eq.PCGrad(seed=3)}


def every_method() -> dict[str, eq.methods.Method]:
    return {name: kind() for name, kind in eq.methods.table.items()}


def gradients(model: nn.Module) -> dict:
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def close(found: dict, target: dict, tolerance: float) -> None:
    for name, value in target.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name].double(), value.double(), rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("mode", ["inject", "recompute"])
@pytest.mark.parametrize("two_phase", [False, True])
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("name", list(GRAMIAN))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_gradients_equal_the_dense_reference(name, heads, two_phase, mode, dtype, tolerance):
    model, (x, y) = TwoPart(dtype=dtype), batch(dtype=dtype)
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    z = model.features(x)
    losses = model.losses(z, y)
    target = wanted(model, rows, GRAMIAN[name], [v.item() for v in losses.values()], heads)
    balancer = eq.Balancer(GRAMIAN[name], heads=heads, mode=mode, model=model)
    loss = balancer(losses, features=z if two_phase else None)
    loss.backward()
    close(gradients(model), target, tolerance)
    assert loss.item() == pytest.approx(sum(v.item() for v in losses.values()) / 3)
    assert balancer.plan.engine == ("two-phase" if two_phase else "sequential")


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_linear_scalarization_equals_the_hand_written_mean_to_the_bit(k):
    x, y = batch(k, dtype=torch.float32)
    by_hand, ours = TwoPart(k, dtype=torch.float32), TwoPart(k, dtype=torch.float32)
    losses = list(by_hand.losses(by_hand.features(x), y).values())
    mean = losses[0]
    for other in losses[1:]:
        mean = mean + other
    mean = mean / k
    mean.backward()
    loss = eq.Balancer(eq.LinearScalarization())(ours.losses(ours.features(x), y))
    loss.backward()
    assert loss.item() == mean.item()
    for p, q in zip(by_hand.parameters(), ours.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


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


def run(method, steps, start=None, model=None, optimizer_state=None):
    """Trains `steps` steps with three tasks; returns what is needed to go on."""
    model = model or TwoPart(dtype=torch.float32)
    balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), steps_per_epoch=3, model=model)
    groups = [{"params": model.parameters()}]
    if list(balancer.parameters()):
        groups.append({"params": balancer.parameters(), "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    first = 0
    if start is not None:
        first = start["step"]
        model.load_state_dict(start["model"])
        balancer.load_state_dict(start["balancer"], strict=True)
        optimizer.load_state_dict(start["optimizer"])
    for step in range(first, first + steps):
        x, y = batch(seed=step, dtype=torch.float32)
        z = model.features(x)
        losses = model.losses(z, y)
        if step % 5 == 4:
            losses["t1"] = None  # no labels in this batch
        optimizer.zero_grad()
        balancer(losses, features=z).backward()
        optimizer.step()
    return {
        "step": first + steps,
        "model": copy.deepcopy(model.state_dict()),
        "balancer": copy.deepcopy(balancer.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
    }


@pytest.mark.parametrize("name", list(every_method()))
def test_a_run_resumed_in_fresh_objects_equals_the_uninterrupted_one_to_the_bit(name):
    method = every_method()[name]
    whole = run(method, 40)
    resumed = run(method, 20, start=run(method, 20))
    for part in ("model", "balancer"):
        assert whole[part].keys() == resumed[part].keys()
        for key, tensor in whole[part].items():
            # as bytes: NaN stands for "not measured yet" in some states
            assert tensor.numpy().tobytes() == resumed[part][key].numpy().tobytes(), f"{part} {key}"


@pytest.mark.parametrize("name", list(every_method()))
def test_every_state_is_plain_tensors_that_safetensors_takes(name, tmp_path):
    from safetensors.torch import load_file, save_file

    saved = run(every_method()[name], 4)["balancer"]
    save_file(saved, tmp_path / "state.safetensors")
    fresh = eq.Balancer(every_method()[name], tasks=("t0", "t1", "t2"), steps_per_epoch=3)
    fresh.load_state_dict(load_file(tmp_path / "state.safetensors"), strict=True)
    assert fresh.steps == 4


def test_a_state_loads_into_a_fresh_balancer_that_knows_no_tasks_yet_and_inside_a_model():
    saved = run(eq.DWA(), 4)["balancer"]
    outer = nn.ModuleDict({"balancer": eq.Balancer(eq.DWA(), steps_per_epoch=3)})
    outer.load_state_dict({f"balancer.{key}": value for key, value in saved.items()}, strict=True)
    assert outer["balancer"].tasks == ("t0", "t1", "t2")
    assert outer["balancer"].state["epochs"].tolist() == [1.0, 1.0, 1.0]


def test_a_state_of_other_tasks_or_another_method_is_refused_and_nothing_changes():
    saved = run(eq.DWA(), 4)["balancer"]
    other = eq.Balancer(eq.DWA(), tasks=("a", "b", "c"), steps_per_epoch=3)
    with pytest.raises(StateError, match="saved for the tasks 't0', 't1', 't2'; this Balancer has 'a', 'b', 'c'"):
        other.load_state_dict(saved)
    with pytest.raises(StateError, match=r"saved by DWA\(T=2.0\); this Balancer has DWA\(T=3.0\)"):
        eq.Balancer(eq.DWA(T=3.0), steps_per_epoch=3).load_state_dict(saved)
    with pytest.raises(StateError, match="'state_last' is missing"):
        eq.Balancer(eq.DWA(), steps_per_epoch=3).load_state_dict({k: v for k, v in saved.items() if k != "state_last"})
    assert other.steps == 0
    assert other.state["epochs"].tolist() == [0.0, 0.0, 0.0]


def test_eval_and_no_grad_return_the_mean_and_touch_nothing():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.PCGrad())
    losses = model.losses(model.features(x), y)
    mean = sum(v.item() for v in losses.values()) / 3
    balancer.eval()
    assert balancer(losses).item() == pytest.approx(mean)
    balancer.train()
    with torch.no_grad():
        assert balancer(model.losses(model.features(x), y)).item() == pytest.approx(mean)
    assert balancer.tasks is None
    assert balancer.steps == 0


def test_a_second_backward_raises_instead_of_doubling():
    model, (x, y) = TwoPart(), batch()
    loss = eq.Balancer(eq.MGDA())(model.losses(model.features(x), y))
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_side_loss_can_be_added_with_retain_graph():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    penalty = z.square().mean()
    balancer = eq.Balancer(eq.MGDA())
    (balancer(model.losses(z, y), retain_graph=True) + penalty).backward()
    with_penalty = gradients(model)
    model.zero_grad()
    balancer(model.losses(model.features(x), y)).backward()
    model.features(x).square().mean().backward()
    close(gradients(model), with_penalty, 1e-12)


def test_parameters_that_no_task_uses_keep_grad_none_and_frozen_ones_stay_frozen():
    model, (x, y) = TwoPart(), batch()
    model.idle = nn.Linear(2, 2).double()
    model.trunk[0].weight.requires_grad_(False)
    eq.Balancer(eq.MGDA())(model.losses(model.features(x), y)).backward()
    assert model.idle.weight.grad is None
    assert model.trunk[0].weight.grad is None
    assert model.trunk[0].bias.grad is not None


def test_a_node_with_several_outputs_does_not_make_heads_look_shared():
    class Both(torch.autograd.Function):  # as DDP's sink does: every output depends on every input in the graph
        @staticmethod
        def forward(ctx, *inputs):
            return tuple(value.clone() for value in inputs)

        @staticmethod
        def backward(ctx, *upstream):
            return upstream

    model, (x, y) = TwoPart(k=2), batch(k=2)
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    losses = model.losses(model.features(x), y)
    target = wanted(model, rows, eq.MGDA(), [1.0, 1.0])
    through = Both.apply(*losses.values())
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(dict(zip(losses, through, strict=True))).backward()
    close(gradients(model), target, 1e-12)
    assert balancer.ownership.reached["heads.0.weight"] == [0]


def test_tied_weights_of_trunk_and_head_count_with_their_full_gradient():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(5, dtype=torch.float64) + 0.1)
            self.head = nn.Linear(5, 1).double()

        def forward(self, x, y):
            z = torch.tanh(x @ self.weight)
            return z, {
                "t0": (z @ self.weight - x).square().mean(),
                "t1": (self.head(z)[:, 0] - y[:, 0]).square().mean(),
            }

    model, (x, y) = Tied(), batch()
    rows = dense_gradients(model, lambda: model(x, y)[1])
    z, losses = model(x, y)
    target = wanted(model, rows, eq.MGDA(), [1.0, 1.0])
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=z).backward()
    close(gradients(model), target, 1e-12)
    assert balancer.plan.reason == "not two-phase: weight is used before and after the features"


def test_a_parameter_reached_by_tasks_in_different_steps_becomes_shared_and_stays_so():
    model, (x, y) = TwoPart(k=2), batch(k=2)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for absent in ("t0", "t1"):
        losses = model.losses(model.features(x), y)
        losses[absent] = None
        balancer(losses).backward()
    assert balancer.ownership.reached["trunk.0.weight"] == [0, 1]
    assert balancer.ownership.reached["heads.1.bias"] == [1]


@pytest.mark.parametrize("mode", ["inject", "recompute"])
def test_tensor_hooks_fire_once_a_backward_and_act_once(mode):
    model, (x, y) = TwoPart(), batch()
    plain = copy.deepcopy(model)
    eq.Balancer(eq.MGDA(), mode=mode)(plain.losses(plain.features(x), y)).backward()
    calls = []
    for p in (model.trunk[0].weight, model.heads[0].weight):
        p.register_hook(lambda g: calls.append(1) or 2 * g)
    after = []
    model.trunk[0].bias.register_post_accumulate_grad_hook(lambda _: after.append(1))
    eq.Balancer(eq.MGDA(), mode=mode)(model.losses(model.features(x), y)).backward()
    target = gradients(plain)
    target["trunk.0.weight"] *= 2
    target["heads.0.weight"] *= 2
    close(gradients(model), target, 1e-12)
    assert len(calls) == 2
    assert after == [1]


def test_batch_norm_statistics_are_updated_once():
    model, (x, y) = TwoPart(), batch()
    model.trunk.insert(1, nn.BatchNorm1d(8).double())
    eq.Balancer(eq.MGDA())(model.losses(model.features(x), y)).backward()
    assert model.trunk[1].num_batches_tracked.item() == 1


def test_absent_tasks_leave_their_state_untouched_and_the_mean_divides_by_those_present():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.OMDTchebycheff(step_size=0.5))
    balancer(model.losses(model.features(x), y)).backward()
    before = balancer.state["dual"].clone()
    losses = model.losses(model.features(x), y)
    expected = (losses["t0"].item() + losses["t2"].item()) / 2
    losses["t1"] = None
    assert balancer(losses).item() == pytest.approx(expected)
    assert balancer.state["dual"][1] == before[1]
    assert balancer.state["dual"].exp().sum().item() == pytest.approx(1.0)
    assert balancer.last.tasks == ("t0", "t2")


def test_a_task_of_zero_gradient_is_left_out_and_the_others_go_on():
    model, (x, y) = TwoPart(), batch()
    with torch.no_grad():
        model.heads[1].weight.zero_()  # a zero head sends no gradient to the trunk
    balancer = eq.Balancer(eq.MGDA(), heads="weighted")
    balancer(model.losses(model.features(x), y)).backward()
    assert balancer.last.left_out == ("t1",)
    assert balancer.last.weights[1] == 0
    assert model.trunk[0].weight.grad.abs().sum() > 0
    assert model.heads[1].weight.grad.abs().sum() > 0  # its head still learns


def test_trained_parameters_of_uncertainty_weighting_get_their_gradient():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("t0", "t1", "t2"))
    with torch.no_grad():
        balancer.trained["log_variance"].copy_(torch.tensor([0.3, -0.2, 0.0]))
    losses = model.losses(model.features(x), y)
    balancer(losses).backward()
    s = balancer.trained["log_variance"].detach().clone().requires_grad_()
    numbers = torch.tensor([v.item() for v in losses.values()])
    (0.5 * torch.exp(-s) * numbers + s / 2).sum().backward()
    torch.testing.assert_close(balancer.trained["log_variance"].grad, s.grad)
    head = model.heads[0].bias.grad.item()
    model.zero_grad()
    model.losses(model.features(x), y)["t0"].backward()
    assert head == pytest.approx(0.5 * torch.exp(torch.tensor(-0.3)).item() * model.heads[0].bias.grad.item(), rel=1e-6)


def test_last_tells_what_happened():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    losses = model.losses(model.features(x), y)
    balancer(losses)
    assert balancer.last.losses == pytest.approx({name: v.item() for name, v in losses.items()})
    assert torch.allclose(balancer.last.cosines.diagonal(), torch.ones(3, dtype=torch.float64))
    assert balancer.last.status is eq.solve.Status.SOLVED
    assert balancer.last.certificate < 1e-12
    assert balancer.counts == {"SOLVED": 1}
    found = balancer.last.diagnosis
    wanted = eq.diagnose_gradients(balancer.last.gramian, list(balancer.last.losses.values()))
    assert found.conflicting_share == wanted.conflicting_share
    torch.testing.assert_close(torch.from_numpy(found.cosines), balancer.last.cosines)


# ---------------------------------------------------------------------------------------------------- refusals


def losses_of(model=None):
    model, (x, y) = model or TwoPart(), batch()
    return model.losses(model.features(x), y)


def test_a_detached_loss_is_refused_by_name():
    bad = losses_of() | {"t1": torch.tensor(1.0)}
    with pytest.raises(LossError, match=r"task 't1' has no grad_fn: was it built with torch.tensor\(\.\.\.\)"):
        eq.Balancer(eq.LinearScalarization())(bad)


def test_all_bad_losses_are_named_at_once():
    bad = losses_of() | {"t0": 3.0, "t2": torch.ones(4, requires_grad=True)}
    with pytest.raises(
        LossError, match=r"'t0'.*must be a tensor; got float.*'t2'.*must be a scalar; it has shape \(4,\)"
    ):
        eq.Balancer(eq.LinearScalarization())(bad)


def test_a_sum_in_place_of_losses_is_refused():
    with pytest.raises(LossError, match="A sum cannot be taken apart"):
        eq.Balancer(eq.MGDA())(sum(losses_of().values()))


def test_task_names_are_fixed_by_the_first_call():
    balancer = eq.Balancer(eq.LinearScalarization())
    balancer(losses_of())
    reordered = dict(reversed(losses_of().items()))
    balancer(reordered)
    assert balancer.last.tasks == ("t0", "t1", "t2")
    renamed = losses_of()
    renamed["seg"] = renamed.pop("t1")
    with pytest.raises(TaskError, match="missing: 't1'; unknown: 'seg'"):
        balancer(renamed)
    with pytest.raises(TaskError, match="got a sequence of 2 losses"):
        balancer(list(losses_of().values())[:2])


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(TaskError, match="'a' appear more than once"):
        eq.Balancer(eq.MGDA(), tasks=("a", "a"))


def test_an_epoch_method_without_a_clock_raises():
    with pytest.raises(ClockError, match="steps_per_epoch=len"):
        eq.Balancer(eq.DWA())(losses_of())


def test_a_trained_method_without_tasks_raises_before_the_optimizer_is_built():
    with pytest.raises(SettingError, match="the optimizer must know"):
        eq.Balancer(eq.UncertaintyWeighting())


def test_wrong_settings_are_named_all_at_once():
    with pytest.raises(SettingError, match=r"scale='max'.*nonfinite='ignore'"):
        eq.Balancer(eq.MGDA(), scale="max", nonfinite="ignore")
    with pytest.raises(SettingError, match=r"must be an instance: eq.Balancer\(eq.MGDA\(\)\)"):
        eq.Balancer(eq.MGDA)


@pytest.mark.parametrize("method", [eq.LinearScalarization(), eq.MGDA(), eq.OMDTchebycheff()])
def test_a_nan_loss_raises_by_name_and_changes_nothing(method):
    model = TwoPart()
    balancer = eq.Balancer(method)
    balancer(losses_of(model))
    before = copy.deepcopy(balancer.state)
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.nan
    with pytest.raises(NonFiniteError, match="'t1': nan"):
        balancer(bad)
    assert all(torch.equal(before[name], balancer.state[name]) for name in before)
    assert balancer.steps == 1


def test_a_nan_gradient_names_task_and_first_parameter():
    model = TwoPart()
    losses = losses_of(model)
    z = model.trunk[0].weight
    losses["t2"] = losses["t2"] + torch.sqrt((z * 0).sum())  # finite value, infinite slope
    with pytest.raises(NonFiniteError, match=r"'t2': 40 of 40 values, first in trunk.0.weight"):
        eq.Balancer(eq.MGDA(), model=model)(losses)


def test_skip_leaves_the_task_out_and_counts_it():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), nonfinite="skip")
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.nan
    loss = balancer(bad)
    loss.backward()
    assert torch.isfinite(loss)
    assert balancer.counts["skipped t1"] == 1
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert balancer.last.tasks == ("t0", "t2")


def test_propagate_puts_nan_on_every_gradient_so_that_a_scaler_backs_off():
    model = TwoPart()
    balancer = eq.Balancer(eq.PCGrad(), nonfinite="propagate")
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.inf
    balancer(bad).backward()
    assert torch.isnan(model.trunk[0].weight.grad).all()
    assert balancer.counts["propagated"] == 1
    assert balancer.state["step"] == 0


def test_a_preference_that_a_method_cannot_honour_is_refused_by_name():
    with pytest.raises(eq.errors.PreferenceError, match=r"MGDA.*cannot honour a preference of kind `Ray`"):
        eq.Balancer(eq.MGDA())(losses_of(), preference=eq.Ray((1.0, 2.0, 3.0)))


def test_no_method_touches_the_global_random_state():
    for name, method in every_method().items():
        if method.needs == "features":
            continue
        torch.manual_seed(0)
        before = torch.random.get_rng_state()
        with warnings.catch_warnings():
            eq.Balancer(method, tasks=("t0", "t1", "t2"), steps_per_epoch=3)(losses_of(TwoPart()))
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
