"""Stacked models take the same steps as separate ones, and what cannot be stacked says why."""

import copy

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import LossError
from equipoise.training.loop.feeding import make_feed
from equipoise.training.stacked.copies import make_copies, put_values, values_of

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(48, 3, generator=DRAW), torch.randn(48, 2, generator=DRAW)
LOSSES = {name: lambda out, batch, i=i: (out[:, i] - batch[1][:, i]) ** 2 for i, name in enumerate("ab")}


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x if self.weight.sum() > 0 else -x)


class Counting(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return super().forward(x)


class Projected(nn.Linear):
    """A buffer that is drawn anew for each model."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("signs", torch.randn(sizes[0]).sign())

    def forward(self, x):
        return super().forward(x * self.signs)


def problem_of(make, y=Y, losses=LOSSES, **more):
    return eq.Problem(make, losses, train=more.pop("train", (X, y)), **more)


def copies_of(problem, count=3, *, own=True, optimizer=None, batch_size=16):
    torch.manual_seed(5)
    models = [problem.make_model() for _ in range(count)]
    source = problem.sources["train"]
    feeds = [make_feed(source, batch_size, seed, torch.device("cpu")) for seed in range(count if own else 1)]
    before = copy.deepcopy(models)
    return before, feeds, make_copies(problem, models, optimizer, [feed.batch(0) for feed in feeds])


def by_hand(problem, models, feeds, weights, steps, optimizer):
    """The loop that everybody writes."""
    for number, model in enumerate(models):
        moving = optimizer(model.parameters())
        feed = feeds[number if len(feeds) > 1 else 0]
        for step in range(steps):
            batch = feed.batch(step)
            found = problem.losses_of(problem.outputs(model, batch.data), batch).values()
            moving.zero_grad()
            sum(w * loss for w, loss in zip(weights[number], found, strict=True) if loss is not None).backward()
            moving.step()
    return torch.stack([values_of(model) for model in models])


def missing(y):
    y = y.clone()
    y[::3, 1] = torch.nan
    y[1::5, 0] = torch.nan
    return y


@pytest.mark.parametrize("own", [True, False], ids=["own_batches", "common_batches"])
@pytest.mark.parametrize("labels", [Y, missing(Y)], ids=["all_labels", "missing_labels"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW], ids=["SGD", "AdamW"])
def test_the_same_steps_as_a_loop_over_models(kind, labels, own):
    def optimizer(parameters):
        return kind(parameters, lr=0.01, weight_decay=0.1)

    problem = problem_of(lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), Projected(8, 2)), labels)
    models, feeds, copies = copies_of(problem, own=own, optimizer=lambda model: optimizer(model.parameters()))
    assert copies.reason == ""
    weights = torch.tensor([[1.0, 0.0], [0.3, 0.7], [2.0, 1.0]], dtype=torch.float64)
    for step in range(6):
        losses, present = copies.losses([feed.batch(step) for feed in feeds])
        assert present.all()
        copies.step(losses, weights)
    expected = by_hand(problem, models, feeds, weights.tolist(), 6, optimizer)
    assert copies.values() == pytest.approx(expected, abs=2e-6)
    assert (copies.values() - torch.stack([values_of(model) for model in models])).abs().max() < 1e-6  # both moved


def test_groups_of_the_users_optimizer_stay_apart():
    def two_groups(model):
        return torch.optim.SGD([{"params": [model.weight], "lr": 0.0}, {"params": [model.bias]}], lr=0.5)

    problem = problem_of(lambda: nn.Linear(3, 2))
    models, feeds, copies = copies_of(problem, optimizer=two_groups)
    assert copies.rates == [0.0, 0.5]
    losses, _ = copies.losses([feed.batch(0) for feed in feeds])
    copies.step(losses, torch.ones_like(losses))
    for now, before in zip(copies.models, models, strict=True):
        assert torch.equal(now.weight, before.weight)
        assert not torch.equal(now.bias, before.bias)


def test_tasks_with_rows_of_their_own_and_heads_in_the_losses():
    own = eq.OwnRows({"a": (X[:20], Y[:20, :1]), "b": (X[20:], Y[20:, 1:])})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.heads = nn.Linear(3, 4), nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 1)})

    problem = problem_of(
        Net,
        losses={t: lambda out, batch, t=t: (out[1][t](out[0]) - batch[1]).square().mean(1) for t in "ab"},
        train=own,
        forward=lambda model, batch: (model.trunk(batch[0]).tanh(), model.heads),
    )
    models, feeds, copies = copies_of(problem, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
    assert copies.reason == ""
    for step in range(3):
        losses, _ = copies.losses([feed.batch(step) for feed in feeds])
        copies.step(losses, torch.ones_like(losses))
    expected = by_hand(problem, models, feeds, [[1, 1]] * 3, 3, lambda p: torch.optim.SGD(p, lr=0.1))
    assert copies.values() == pytest.approx(expected, abs=2e-6)


def test_a_task_without_a_label_in_the_batch_is_absent_for_that_model_only():
    y = Y.clone()
    y[:24, 0] = torch.nan
    problem = problem_of(lambda: nn.Linear(3, 2), y)
    _, feeds, copies = copies_of(problem, own=False, batch_size=None)
    halves = [copy.copy(feeds[0].batch(0)) for _ in range(3)]
    for number, half in enumerate(halves):
        half.data = (X[:24], y[:24]) if number == 1 else (X[24:], y[24:])
    losses, present = copies.losses(halves)
    assert present.tolist() == [[True, True], [False, True], [True, True]]
    assert losses[1, 0] == 0
    copies.step(losses, present.double())
    assert torch.isfinite(copies.values()).all()


CANNOT = {
    "batch normalisation ('1') keeps running statistics of each model": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
    ),
    "the model or a loss draws random numbers, such as dropout": lambda: nn.Sequential(nn.Dropout(), nn.Linear(3, 2)),
    "the model or a loss branches on values of tensors": lambda: Branching(3, 2),
    "the model changes its buffers in a forward pass": lambda: Counting(3, 2),
}


@pytest.mark.parametrize("reason", CANNOT)
def test_what_cannot_be_stacked_steps_one_by_one_and_says_why(reason):
    problem = problem_of(CANNOT[reason])
    state = torch.get_rng_state()
    models, feeds, copies = copies_of(problem, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1))
    assert copies.reason == reason
    assert torch.equal(
        torch.stack([values_of(model) for model in models]), copies.values()
    )  # the trial changed nothing
    torch.manual_seed(1)
    losses, _ = copies.losses([feed.batch(0) for feed in feeds])
    copies.step(losses, torch.ones_like(losses))
    torch.manual_seed(1)
    for model in models:
        model.train()
    expected = by_hand(problem, models, feeds, [[1, 1]] * 3, 1, lambda p: torch.optim.SGD(p, lr=0.1))
    assert copies.values() == pytest.approx(expected, abs=1e-6)
    torch.set_rng_state(state)


def test_an_optimizer_that_looks_across_parameters_is_not_stacked():
    problem = problem_of(lambda: nn.Linear(3, 2))
    copies = copies_of(problem, optimizer=lambda model: torch.optim.Adafactor(model.parameters()))[2]
    assert copies.reason == "Adafactor is not known to treat each number for itself"


def test_values_are_put_back_and_the_optimizer_forgets():
    problem = problem_of(lambda: Projected(3, 2))
    _, feeds, copies = copies_of(problem, optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.1))
    start = copies.values()
    ends = []
    for _ in range(2):
        for step in range(2):
            losses, _ = copies.losses([feed.batch(step) for feed in feeds])
            copies.step(losses, torch.ones_like(losses))
        ends.append(copies.values())
        copies.restart(start)
    assert torch.equal(*ends)
    assert torch.equal(copies.values(), start)
    other = problem.make_model()
    put_values(other, start[1])
    assert torch.equal(other(X), copies.models[1](X))


def test_losses_of_several_numbers_a_sample_with_missing_labels_are_refused_as_in_a_loop():
    problem = problem_of(lambda: nn.Linear(3, 2), missing(Y), {"a": lambda out, batch: (out - batch[1]) ** 2})
    with pytest.raises(LossError, match="shape"):
        copies_of(problem)[2].losses([make_feed(problem.sources["train"], 16, 0, torch.device("cpu")).batch(0)])
