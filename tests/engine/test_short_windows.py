"""Windows that end early are balanced as they stand or refused by name; nothing moves into the next one."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import ClockError, EquipoiseWarning, LossError, NonFiniteError

from .comparing import losses_of
from .problems import TwoPart, batch

METHODS = [eq.MGDA(), eq.MoCo(), eq.OMDTchebycheff(), eq.LinearScalarization()]


def parts(n=12, size=4):
    x, y = batch(n=n)
    return list(zip(x.split(size), y.split(size), strict=True))


def gradients(model):
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def close(model, other):
    for p, q in zip(gradients(model), gradients(other), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("way", ["method", "argument"])
@pytest.mark.parametrize("setting", [{}, {"mode": "recompute"}])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_three_of_four_give_what_one_batch_of_the_three_gives(method, setting, way):
    if setting and isinstance(method, eq.methods.JacobianMethod):
        setting = {}
    model = TwoPart()
    other = copy.deepcopy(model)
    balancer, plain = (eq.Balancer(method, model=m, **setting) for m in (model, other))
    balancer.accumulate(4)
    three = parts()
    for number, (x, y) in enumerate(three):
        loss = balancer(losses_of(model, x, y), flush=way == "argument" and number == 2)
        loss.backward()
    if way == "method":
        assert balancer.waiting == 3
        assert all(g is None for g in gradients(model))
        loss = balancer.flush()
        loss.backward()
    whole = plain(losses_of(other, *batch(n=12)))
    whole.backward()
    close(model, other)
    if way == "method":
        assert loss.item() == pytest.approx(whole.item(), rel=1e-12)
    assert (balancer.waiting, balancer.steps) == (0, 1)
    for key, value in plain.state.items():
        torch.testing.assert_close(balancer.state[key], value, rtol=1e-10, atol=1e-12)
    for x, y in parts(n=16):  # the next window is a whole one
        balancer(losses_of(model, x, y))
    assert (balancer.waiting, balancer.steps) == (0, 2)


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_an_optimizer_that_steps_in_a_short_window_is_stopped_by_name(method, closure):
    model = TwoPart()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    balancer = eq.Balancer(method, model=model)
    balancer.accumulate(4)
    for number, (x, y) in enumerate(parts(n=28)):  # an epoch of 7
        if closure and number in (3, 6):  # as Lightning does it: the last micro-batch comes inside the step

            def work(x=x, y=y):
                loss = balancer(losses_of(model, x, y))
                loss.backward()
                return loss

            step = partial(optimizer.step, work)
        else:
            balancer(losses_of(model, x, y)).backward()
            step = optimizer.step
        if number == 3:
            step()
            optimizer.zero_grad()
        if number == 6:
            before = copy.deepcopy(model.state_dict())
            with pytest.raises(ClockError, match=r"SGD steps while 3 of 4 micro-batches wait.*flush=True.*discard\(\)"):
                step()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    balancer.flush().backward()
    optimizer.step()
    assert balancer.steps == 2


def test_an_optimizer_of_other_parameters_may_step_at_any_time():
    model, other = TwoPart(), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    for method in METHODS:
        balancer = eq.Balancer(method, model=model)
        balancer.accumulate(2)
        balancer(losses_of(model, *batch()))
        optimizer.step()
        assert balancer.waiting == 1
        balancer.discard()


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_parameters_changed_by_hand_in_a_window_are_noticed(method):
    model = TwoPart()
    balancer = eq.Balancer(method, model=model)
    balancer.accumulate(3)
    balancer(losses_of(model, *batch()))
    with torch.no_grad():
        model.trunk[0].weight.mul_(0.9)
    with pytest.raises(ClockError, match=r"1 parameters \(shapes \(8, 5\)\) were changed while 1 of 3 micro-batches"):
        balancer(losses_of(model, *batch()))
    assert balancer.waiting == 1
    balancer.discard()
    balancer(losses_of(model, *batch()))
    assert balancer.waiting == 1


@pytest.mark.parametrize("again", [1, 2, 4])
def test_accumulate_again_with_micro_batches_waiting_is_refused(again):
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA())
    balancer.accumulate(4)
    balancer(losses_of(model, *batch()))
    with pytest.raises(ClockError, match="called again while 1 of 4 micro-batches waits"):
        balancer.accumulate(again)
    assert (balancer.waiting, balancer.accumulation.steps) == (1, 4)
    balancer.discard()
    balancer.accumulate(again)
    balancer(losses_of(model, *batch()))
    assert balancer.waiting == (0 if again == 1 else 1)


def test_flush_without_anything_to_balance_or_without_gradients_is_refused():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA())
    with pytest.raises(ClockError, match=r"no micro-batch that waits.*if balancer\.waiting"):
        balancer.flush()
    balancer.accumulate(2)
    balancer(losses_of(model, *batch()))
    with torch.no_grad(), pytest.raises(ClockError, match=r"outside torch\.no_grad"):
        balancer.flush()
    balancer.eval()
    with pytest.raises(ClockError, match="in train mode"):
        balancer.flush()
    assert balancer.waiting == 1
    with pytest.raises(LossError, match="`losses` is None"):
        balancer(None)
    balancer.train()
    balancer.accumulation = None
    assert balancer(losses_of(model, *batch()), flush=True).requires_grad  # without windows every batch is the last


def test_a_window_that_cannot_be_balanced_is_forgotten_and_says_so():
    leaf = torch.ones((), requires_grad=True)
    balancer = eq.Balancer(eq.ScaleInvariant(), tasks=("a", "b"))
    balancer.accumulate(2)
    balancer([leaf * 1e-40, leaf])
    with pytest.raises(NonFiniteError, match="weight inf") as caught:
        balancer([leaf * 1e-40, leaf])
    assert caught.value.__notes__ == ["This window (2 of 2 micro-batches) was forgotten."]
    assert (balancer.waiting, balancer.steps) == (0, 0)
    balancer([leaf, 2 * leaf])
    balancer([leaf, 2 * leaf])
    assert balancer.last.losses == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize("flush", [False, True])
@pytest.mark.parametrize("over", ["steps", "done", 1])
@pytest.mark.parametrize("method", [eq.MGDA(), eq.UncertaintyWeighting()], ids=repr)
def test_divided_follows_what_really_divides(method, over, flush):
    """Lightning and Accelerate divide by the setting, Trainer by what there was, or by nothing."""
    count = 3 if flush else 4
    number = {"steps": 4, "done": count}.get(over, 1)
    model, other = TwoPart(), TwoPart()
    balancer, plain = (eq.Balancer(method, tasks=("t0", "t1", "t2"), model=m) for m in (model, other))
    balancer.accumulate(4, divided=True)
    for i, (x, y) in enumerate(parts(n=4 * count)):
        (balancer(losses_of(model, x, y), flush=i == count - 1) / number).backward()
    plain(losses_of(other, *batch(n=4 * count))).backward()
    close(model, other)
    for p, q in zip(balancer.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.parametrize(("steps", "number"), [(3, 3), (3, 1), (4, 4)])
def test_divided_sees_through_the_power_of_two_of_a_grad_scaler(steps, number):
    model, other = TwoPart(), TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer.accumulate(steps, divided=True)
    for x, y in parts(n=4 * steps):
        (balancer(losses_of(model, x, y)) / number * 2.0**16).backward()
    (eq.Balancer(eq.MGDA(), model=other)(losses_of(other, *batch(n=4 * steps))) * 2.0**16).backward()
    close(model, other)


def test_a_division_that_nobody_announced_is_worth_a_warning():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA())
    balancer.accumulate(2)
    for scale, warned in ((0.5, True), (1.0, False), (0.7, False), (65536.0, False)):
        balancer(losses_of(model, *batch())).backward()
        loss = balancer(losses_of(model, *batch())) * scale
        if warned:
            with pytest.warns(EquipoiseWarning, match=r"divided by 2 before backward.*divided=True"):
                loss.backward()
        else:
            loss.backward()


def test_a_short_window_is_recorded(tmp_path):
    from equipoise.training.recording.folder import read_training

    model = TwoPart()
    balancer = eq.Balancer(eq.OMDTchebycheff())
    recorder = eq.record(balancer, tmp_path / "run", every=1, gradients=1)
    balancer.accumulate(4)
    for x, y in parts():
        balancer(losses_of(model, x, y))
    balancer.flush().backward()
    recorder.close()
    (line,) = read_training(tmp_path / "run").lines
    assert line.raw_losses == pytest.approx([v.item() for v in losses_of(model, *batch(n=12)).values()])
