"""Saved between balances of several micro-batches, inside an epoch, with tasks absent on both sides: the same run."""

import copy

import pytest
import torch
from torch import nn

import equipoise as eq
from tests.engine.comparing import every_method

TASKS = ("a", "b", "c")
LEARNT = {name: method for name, method in every_method().items() if method.needs != "features"}


def losses_of(model: nn.Module, number: int) -> dict[str, torch.Tensor | None]:
    """Of one micro-batch. Task b is absent from balances 1, 2 and 4, and c from some micro-batches."""
    generator = torch.Generator().manual_seed(number)
    out = model(torch.randn(6, 4, generator=generator))
    found = {name: (out[:, i] - i).square().mean() + 0.1 for i, name in enumerate(TASKS)}
    balance = number // 2
    return {**found, "b": None if balance in (1, 2, 4) else found["b"], "c": None if number % 5 == 0 else found["c"]}


def train(method, start, stop, saved=None, cut=None):
    """Balances `start` to `stop`, each of two micro-batches; an epoch is three. The states at the end and at `cut`."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    balancer = eq.Balancer(method, tasks=TASKS, steps_per_epoch=3 if method.per_epoch else None, model=model)
    balancer.accumulate(2)
    groups = [{"params": list(part.parameters())} for part in (model, balancer) if list(part.parameters())]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    if saved is not None:
        for part, state in zip((model, balancer, optimizer), saved, strict=True):
            part.load_state_dict(state)
    parts, states = (model, balancer, optimizer), []
    for number in range(2 * start, 2 * stop):
        if cut is not None and number == 2 * cut:
            states = [copy.deepcopy(part.state_dict()) for part in parts]
        balancer(losses_of(model, number)).backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()
    return [part.state_dict() for part in parts], states


@pytest.mark.parametrize("name", list(LEARNT))
@pytest.mark.parametrize("cut", [2, 4])
def test_a_run_cut_inside_an_epoch_between_steps_with_absent_tasks_goes_on_to_the_bit(name, cut):
    method = LEARNT[name]
    whole, saved = train(method, 0, 7, cut=cut)
    resumed, _ = train(method, cut, 7, saved)
    for one, other in zip(whole[:2], resumed[:2], strict=True):
        assert one.keys() == other.keys()
        for key, tensor in one.items():
            assert tensor.numpy().tobytes() == other[key].numpy().tobytes(), key


def test_nothing_is_saved_while_micro_batches_wait():
    model = nn.Linear(4, 3)
    balancer = eq.Balancer(eq.OMDTchebycheff(), tasks=TASKS)
    balancer.accumulate(2)
    balancer(losses_of(model, 1))
    with pytest.raises(eq.errors.StateError, match="1 of 2 micro-batches are waiting"):
        balancer.state_dict()
