"""Kept iterates: true copies, credits that add up, bounds that survive the cap, buffers that fit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import equipoise as eq
from equipoise.errors import DataError, EquipoiseWarning, LossError, NonFiniteError, SettingError, StateError, TaskError
from equipoise.methods.loss import KeptIterates

from .histories import play, random_history


class Point(nn.Module):
    """A model that is its own losses: theta = F, so that averages of one can be compared with the other's."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(values, dtype=torch.float64))


def run(keeper: KeptIterates, history: list[list[float]]) -> Point:
    model = Point([0.0] * len(history[0]))
    for losses in history:
        with torch.no_grad():
            model.theta.copy_(torch.tensor(losses))
        keeper.keep(model, losses)
    return model


def check_invariants(keeper: KeptIterates, history: list[list[float]], *, drawn: bool = False) -> None:
    shares, losses = keeper.credits, keeper.losses
    assert float(shares.sum()) == pytest.approx(len(history))
    if not drawn:  # past its cap the rule "sample" draws one of two entries: there this holds in expectation only
        total = torch.tensor(history, dtype=torch.float64).sum(0)
        assert ((shares[:, None] * losses).sum(0) <= total + 1e-9 * len(history)).all()
    for i in range(len(keeper)):
        for j in range(len(keeper)):
            assert i == j or not bool((losses[i] <= losses[j]).all()), "one kept iterate dominates another"


histories = st.integers(1, 3).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 6).map(float), min_size=k, max_size=k), min_size=1, max_size=25)
)


@settings(deadline=None, max_examples=60)
@given(history=histories, cap=st.sampled_from([1, 2, 5, 100]), rule=st.sampled_from(["ada", "sample"]))
def test_credits_sum_to_the_steps_no_entry_dominates_another_and_losses_only_fall(history, cap, rule):
    keeper = KeptIterates(rule, cap=cap)
    model = run(keeper, history)
    assert len(keeper) <= cap
    check_invariants(keeper, history, drawn=rule == "sample" and cap < len(history))
    wanted = (keeper.credits[:, None] * keeper.losses).sum(0) / len(history)
    keeper.finalize(model)
    if rule == "ada":  # parameters went through the same averages as losses
        assert torch.allclose(model.theta, wanted, atol=1e-12)
    else:
        assert model.theta.tolist() in history


def test_past_its_cap_sampled_losses_fall_in_expectation():
    history = [[0.0, 3.0], [3.0, 0.0], [1.0, 2.0], [2.0, 1.0]]  # no entry dominates another, so only draws matter
    found = []
    for seed in range(400):
        keeper = KeptIterates("sample", cap=1, seed=seed)
        run(keeper, history)
        found.append((keeper.credits[:, None] * keeper.losses).sum(0))
    mean, total = torch.stack(found).mean(0), torch.tensor(history, dtype=torch.float64).sum(0)
    assert (found[0] > total).any()  # a single draw may exceed the sum: seeds do matter
    assert ((mean - total).abs() < 4 * torch.stack(found).std(0) / 400**0.5).all()


def slow_conversion(history: list[list[float]]) -> list[float]:
    """The algorithm as it is written, in lists."""
    kept: list[tuple[list[float], float]] = []
    for losses in history:
        better = [j for j, (other, _) in enumerate(kept) if all(a >= b for a, b in zip(losses, other, strict=True))]
        if better:
            kept = [(other, credit + (j in better) / len(better)) for j, (other, credit) in enumerate(kept)]
            continue
        worse = [j for j, (other, _) in enumerate(kept) if all(a <= b for a, b in zip(losses, other, strict=True))]
        credit = 1 + sum(kept[j][1] for j in worse)
        kept = [entry for j, entry in enumerate(kept) if j not in worse] + [(losses, credit)]
    return [sum(credit * losses[i] for losses, credit in kept) / len(history) for i in range(len(history[0]))]


@settings(deadline=None, max_examples=40)
@given(history=histories)
def test_without_a_cap_it_is_the_published_algorithm(history):
    keeper = KeptIterates("ada", cap=1000)
    model = run(keeper, history)
    keeper.finalize(model)
    assert model.theta.tolist() == pytest.approx(slow_conversion(history))


def test_the_mean_rule_is_the_plain_mean():
    history = random_history(30, 3)
    keeper = KeptIterates("mean", cap=1)
    model = run(keeper, history)
    keeper.finalize(model)
    assert torch.allclose(model.theta, torch.tensor(history, dtype=torch.float64).mean(0))
    assert len(keeper) == 1


def test_the_count_rule_counts_fully_and_can_be_worse_than_split_credit():
    # the third iterate is dominated by the first two: split, each gets 1/2; counted fully, each gets 1
    history = [[0.0, 3.0], [1.0, 0.0], [1.0, 3.0]]
    keepers = {rule: KeptIterates(rule) for rule in ("ada", "count")}
    for keeper in keepers.values():
        run(keeper, history)
    assert keepers["ada"].credits.tolist() == [1.5, 1.5]
    assert keepers["count"].credits.tolist() == [2.0, 2.0]
    with pytest.warns(EquipoiseWarning, match="credits exceed"):
        eq.Averaged(rule="count")


def test_kept_parameters_do_not_follow_the_model():
    model = nn.Linear(2, 2)
    keeper = KeptIterates("ada")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    keeper.keep(model, {"a": 1.0, "b": 2.0})
    for parameter in model.parameters():
        parameter.data -= 5.0  # in place, as optimizers do
    answer = keeper.answer()
    assert all(torch.equal(answer[name], value) for name, value in before.items())
    keeper.finalize(model)
    model.weight.data += 1.0
    assert torch.equal(keeper.answer()["weight"], before["weight"])


def test_a_sample_is_drawn_in_proportion_to_credit_also_past_the_cap():
    history = [[0.0, 5.0], [5.0, 0.0], [6.0, 1.0], [7.0, 1.0]]  # the last two give their credit to the second
    for cap in (1, 10):
        drawn = []
        for seed in range(400):
            keeper = KeptIterates("sample", cap=cap, seed=seed)
            model = run(keeper, history)
            keeper.finalize(model)
            first = model.theta.tolist()
            keeper.finalize(model)
            assert model.theta.tolist() == first
            drawn.append(first == [5.0, 0.0])
        # past the cap the first two meet at equal credit; only then can the second take what it dominates
        assert sum(drawn) / 400 == pytest.approx(0.75 if cap == 10 else 0.5, abs=0.08)


def test_only_every_so_many_calls_count_and_losses_may_carry_gradients():
    model = Point([1.0, 2.0])
    keeper = eq.Averaged(every=3).keeper()
    for _ in range(7):
        keeper.keep(model, {"a": model.theta.sum(), "b": model.theta.prod()})
    assert (keeper.calls, keeper.iterates) == (7, 3)


def test_an_evaluation_decides_instead_of_the_batch_and_modes_are_put_back():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    model[1].eval()

    def evaluate(net):
        assert not torch.is_grad_enabled()
        net.eval()
        return {"a": net[0].bias.abs().sum()}

    keeper = eq.Averaged(dominance="evaluation").keeper(evaluate)
    keeper.keep(model, {"a": -100.0})
    assert keeper.losses.item() == pytest.approx(abs(float(model[0].bias.detach())))
    assert [module.training for module in model.modules()] == [True, True, False]
    with pytest.raises(SettingError, match="needs `evaluate`"):
        eq.Averaged(dominance="evaluation").keeper()


def normalised() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_batch_statistics_are_measured_anew_for_averaged_parameters():
    model, batches = normalised(), [(torch.randn(16, 3), None) for _ in range(5)]
    model[1].momentum = 0.3
    keeper = KeptIterates("mean")
    for x, _ in batches:
        keeper.keep(model, {"a": float(model(x).detach().square().mean())})
        with torch.no_grad():
            model[0].weight += 0.1
    with pytest.raises(SettingError, match=r"running statistics of '1' belong to no averaged parameters"):
        keeper.finalize(model)
    with pytest.raises(DataError, match="at least one batch"):
        keeper.finalize(model, loader=[])
    model.eval()
    keeper.finalize(model, loader=batches)
    hidden = [model[0](x).detach() for x, _ in batches]
    assert torch.allclose(model[1].running_mean, torch.stack([h.mean(0) for h in hidden]).mean(0), atol=1e-6)
    assert torch.allclose(model[1].running_var, torch.stack([h.var(0) for h in hidden]).mean(0), atol=1e-6)
    assert model[1].momentum == 0.3
    assert not model.training


def test_a_sampled_iterate_brings_its_own_buffers_and_needs_no_loader():
    model = normalised()
    keeper = KeptIterates("sample")
    model(torch.randn(8, 3))
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    keeper.keep(model, [1.0])
    model(torch.randn(8, 3) + 10)
    keeper.finalize(model)
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


def test_half_precision_parameters_are_averaged_in_single():
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    keeper = KeptIterates("mean")
    for number in range(256):
        with torch.no_grad():
            model.weight.fill_(1.0 if number % 2 else 1.0078125)  # neighbours in bfloat16
        keeper.keep(model, [1.0])
    assert keeper.answer()["weight"].item() == pytest.approx(1.00390625, rel=1e-6)
    keeper.finalize(model)
    assert model.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("rule", ["ada", "mean", "sample"])
def test_a_run_that_is_cut_in_two_by_save_and_load_ends_the_same_to_the_bit(rule):
    history = random_history(20, 3)
    whole = KeptIterates(rule, cap=3, seed=2)
    run(whole, history)
    first, second = KeptIterates(rule, cap=3, seed=2), KeptIterates(rule, cap=3, seed=2)
    run(first, history[:11])
    second.load_state_dict(first.state_dict())
    run(first, history[11:])  # the one that saved goes on: what was loaded must be its own copy
    run(second, history[11:])
    assert torch.equal(second.credits, whole.credits)
    assert torch.equal(second.answer()["theta"], whole.answer()["theta"])
    fresh = KeptIterates(rule)
    fresh.load_state_dict(KeptIterates(rule).state_dict())
    assert len(fresh) == 0
    with pytest.raises(StateError, match="must hold"):
        fresh.load_state_dict({"losses": torch.zeros(1, 1)})


def test_what_cannot_be_kept_is_refused():
    model, keeper = Point([1.0, 2.0]), KeptIterates()
    with pytest.raises(StateError, match=r"nothing was kept: call keep\(model, losses\)"):
        keeper.finalize(model)
    with pytest.raises(LossError, match="needs the losses"):
        keeper.keep(model)
    with pytest.raises(NonFiniteError, match="must be finite"):
        keeper.keep(model, {"a": 1.0, "b": float("nan")})
    with pytest.raises(LossError, match="one number a task"):
        keeper.keep(model, {"a": torch.ones(2)})
    keeper = KeptIterates()
    keeper.keep(model, {"a": 1.0, "b": 2.0})
    with pytest.raises(TaskError, match="same tasks in the same order as before"):
        keeper.keep(model, {"a": 1.0, "c": 2.0})
    with pytest.raises(TaskError, match="same tasks"):
        keeper.keep(model, [1.0, 2.0])
    with pytest.raises(StateError, match="'bias', 'theta', 'weight' differ"):
        keeper.finalize(nn.Linear(2, 2))


def test_training_is_that_of_the_inner_method():
    history = random_history(6, 3)
    for inner in (eq.OMDTchebycheff(step_size=0.5), eq.FAMO(), eq.DWA()):
        wrapped = eq.Averaged(inner, rule="mean")
        ends = (1, 3) if inner.per_epoch else ()
        pairs = zip(play(inner, history, epoch_ends=ends), play(wrapped, history, epoch_ends=ends), strict=True)
        assert all(torch.equal(first.weights, second.weights) for first, second in pairs)
        assert wrapped.state_tensors == inner.state_tensors
        assert wrapped.per_epoch == inner.per_epoch
        assert eq.Averaged(inner, rule="mean") == wrapped
