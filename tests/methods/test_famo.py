"""Log-losses weighted by logits that Adam moves."""

import math

import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError

from .histories import play, random_history, weigh


def by_the_book(history: list[list[float]], after: list[list[float]], gamma: float, lr: float, lowest: list[float]):
    """Weights of every step, with autograd's softmax and torch's own Adam."""
    logits = torch.zeros(len(lowest), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=lr, weight_decay=gamma)
    found, bounds = [], torch.tensor(lowest, dtype=torch.float64)
    for losses, later in zip(history, after, strict=True):
        distances = torch.tensor(losses, dtype=torch.float64) - bounds + 1e-8
        shares = torch.softmax(logits.detach(), 0)
        found.append((shares / distances / (shares / distances).sum()).tolist())
        change = distances.log() - (torch.tensor(later, dtype=torch.float64) - bounds + 1e-8).log()
        (logits.grad,) = torch.autograd.grad(torch.softmax(logits, 0), logits, grad_outputs=change)
        adam.step()
    return found


def test_one_step_by_hand():
    seen = weigh(eq.FAMO(floor=0.0), [2.0, 1.0, 4.0])
    assert seen.weights.tolist() == pytest.approx([2 / 7, 4 / 7, 1 / 7])
    scale = (0.5 + 1 + 0.25) / 3
    assert float(seen.criterion) == pytest.approx((math.log(2.0) + math.log(4.0)) / 3 / scale)


def test_with_the_next_steps_losses_it_is_the_published_update():
    history = random_history(12, 3)
    wanted = by_the_book(history[:-1], history[1:], 1e-3, 0.025, [0.0] * 3)
    for weighed, weights in zip(play(eq.FAMO(), history), wanted, strict=False):
        assert weighed.weights.tolist() == pytest.approx(weights, rel=1e-9)


def test_with_losses_observed_after_the_step_it_is_the_published_update_too():
    history, after = random_history(8, 3, seed=1), random_history(8, 3, seed=2)
    lowest = [-0.5, 0.01, 0.2]
    method = eq.FAMO(gamma=0.01, lr=0.1, min_losses=tuple(lowest))
    wanted, state = by_the_book(history, after, 0.01, 0.1, lowest), None
    for losses, later, weights in zip(history, after, wanted, strict=True):
        weighed = weigh(method, losses, state)
        assert weighed.weights.tolist() == pytest.approx(weights, rel=1e-9)
        state = method.observe(torch.tensor(later, dtype=torch.float64), weighed.state)
        assert state["before"].isnan().all()


def test_a_task_that_falls_faster_loses_weight():
    last = play(eq.FAMO(lr=0.1), [[math.exp(-0.2 * t), math.exp(-0.01 * t)] for t in range(20)])[-1]
    assert last.state["logits"][0] < last.state["logits"][1]


def test_present_tasks_move_among_themselves_and_a_new_one_waits():
    history = random_history(4, 3)
    played = play(eq.FAMO(gamma=0.0), history, presents=[(0, 1), (0, 1, 2), (0, 2), (0, 1, 2)])
    pair = play(eq.FAMO(gamma=0.0), [losses[:2] for losses in history[:2]])
    assert torch.allclose(played[1].state["logits"][:2], pair[1].state["logits"])
    assert [step.state["moves"].tolist() for step in played] == [[0, 0, 0], [1, 1, 0], [2, 1, 1], [3, 2, 2]]
    assert played[1].state["logits"][2] == 0


def test_losses_at_or_below_their_lower_bound_are_refused():
    with pytest.raises(LossError, match=r"must lie above it; those of 'b' are \[0\.3\]\. Use a lower `min_losses`"):
        weigh(eq.FAMO(min_losses=(0.0, 0.5)), [1.0, 0.3])
    state = weigh(eq.FAMO(), [1.0, 1.0]).state
    for bad in (-1.0, float("nan")):
        with pytest.raises(LossError, match=r"numbers \[1\] are"):
            eq.FAMO().observe(torch.tensor([1.0, bad], dtype=torch.float64), state)
