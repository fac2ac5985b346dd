"""One pass over rows with preferences of their own is one pass for each preference: outputs and gradients."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import PreferenceError, SettingError
from equipoise.fronts import Conditioned
from equipoise.fronts.conditioned.step_losses import in_one_pass, in_passes, why_not_one_pass
from equipoise.training.problem.sources import Batch

FORMS = ["adapters", "film", "input"]


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 5, padding_idx=0)
        self.between = nn.Linear(5, 5)
        self.head = nn.Linear(5, 2, bias=False)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.between(self.table(numbers))).sum(1))


class Attending(nn.Module):
    """Attention reads the weight of its last layer without calling the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0])


class ByTime(nn.Module):
    """A recurrence of one layer whose first axis is not the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.t()[..., None]).sum(0)


torch.manual_seed(0)
NETS = {
    "dense": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), torch.randn(6, 4)),
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"),
            nn.Tanh(),
            nn.Conv2d(4, 3, 2, stride=2, dilation=2),
            nn.Flatten(),
            nn.Linear(12, 2),
        ),
        torch.randn(6, 2, 6, 6),
    ),
    "series": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 2, bias=False), nn.Flatten(), nn.Linear(9, 2)),
        torch.randn(6, 2, 4),
    ),
    "words": (Words, torch.tensor([[0, 1, 2], [3, 4, 5], [6, 6, 0], [1, 1, 1], [2, 0, 0], [5, 4, 3]])),
}


def conditioned(make, form: str) -> Conditioned:
    torch.manual_seed(0)
    model = Conditioned(make().double(), ["a", "b", "c"], rank=2, form=form)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        if isinstance(model.model, Words) and form != "input":  # the row of padding is 0 and never trained
            held = model.model.table.parametrizations["weight"]
            held.original[0] = 0
            if form == "adapters":
                held[0].up[:, 0] = 0
    return model


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for name in sorted(NETS) for form in FORMS if form != "input" or name in ("dense", "images")],
)
def test_each_row_is_as_if_alone(name, form):
    make, x = NETS[name]
    x = x.double() if x.is_floating_point() else x
    model = conditioned(make, form)
    preferences = torch.tensor(np.random.default_rng(0).dirichlet([1, 1, 1], len(x)))
    with model.prefer_rows(preferences):
        together = model(x)
    (together**2).sum().backward()
    found = {place: parameter.grad.clone() for place, parameter in model.named_parameters()}
    model.zero_grad()
    alone = []
    for row, preference in zip(x, preferences, strict=True):
        model.prefer(preference.tolist())
        alone.append(model(row[None]))
        (alone[-1] ** 2).sum().backward()
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-12, atol=1e-12)
    for place, parameter in model.named_parameters():
        torch.testing.assert_close(found[place], parameter.grad, rtol=1e-10, atol=1e-10, msg=place)


def test_the_block_ends():
    model = conditioned(NETS["dense"][0], "adapters")
    x = NETS["dense"][1].double()
    before = model(x)
    two = model.prefer_rows(torch.eye(3)[:2])
    with pytest.raises(SettingError, match=r"for 2 rows, and the input of layer '0' has shape \(6, 4\)"), two:
        model(x)
    assert torch.equal(model(x), before)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.eye(2), r"shape \(N, 3\)"),
        (torch.ones(3), r"shape \(N, 3\)"),
        (torch.eye(3) * torch.tensor([1, 1, 2]), r"rows \[2\]|found \[0\.0, 0\.0, 2\.0\]|in rows"),
    ],
    ids=["tasks", "one", "sum"],
)
def test_bad_preferences_are_refused(given, words):
    with pytest.raises(PreferenceError, match=words):
        conditioned(NETS["dense"][0], "film").prefer_rows(given)


UNABLE = {
    "transposed": nn.ConvTranspose1d(2, 2, 1),
    "grouped": nn.Conv1d(2, 2, 1, groups=2),
    "bag": nn.EmbeddingBag(3, 2),
    "normed": nn.Embedding(3, 2, max_norm=1.0),
}


@pytest.mark.parametrize("name", sorted(UNABLE))
def test_layers_that_cannot_are_named(name):
    model = Conditioned(nn.Sequential(UNABLE[name]), ["a", "b"], rank=1)
    with pytest.raises(SettingError, match="'0' can't have a preference of each row"):
        model.prefer_rows(torch.eye(2))


def squares(index: int):
    return lambda outputs, batch: (outputs[:, index] - batch[1]) ** 2


def problem(make, x: torch.Tensor, y: torch.Tensor, mean: bool = False) -> eq.Problem:
    first = squares(0)
    losses = {"a": (lambda out, batch: first(out, batch).mean()) if mean else first, "b": squares(1)}
    return eq.Problem(make, losses, train=(x, y))


X, Y = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7.0)
MISSING = torch.where(Y == 2, torch.nan, Y)
DENSE = NETS["dense"][0]


@pytest.mark.parametrize(
    "made",
    [problem(DENSE, X, Y), problem(DENSE, X, Y, mean=True), problem(DENSE, X, MISSING)],
    ids=["rows", "scalar", "missing"],
)
def test_losses_of_the_parts_are_those_of_passes(made):
    """Seven rows for three preferences: parts of 3, 2 and 2; for nine preferences the last two get none."""
    torch.manual_seed(0)
    model = Conditioned(made.make_model(), made.tasks, rank=1)
    assert why_not_one_pass(made, model, made_batch(made)) == ""
    assert all(
        (parameter == 0).all() for name, parameter in model.named_parameters() if name.endswith(("up", "offsets"))
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    shares = np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])
    one = in_one_pass(made, model, made_batch(made), shares)
    x, y = made.sources["train"].data
    parts = [Batch((x[rows], y[rows])) for rows in (slice(0, 3), slice(3, 5), slice(5, 7))]
    two = in_passes(made, model, parts, shares)
    np.testing.assert_array_equal(one.places, two.places)
    torch.testing.assert_close(one.losses, two.losses)
    many = in_one_pass(made, model, made_batch(made), np.repeat(shares, 3, axis=0))
    assert many.places[:, 0].max() == 6


def made_batch(made: eq.Problem) -> Batch:
    source = made.sources["train"]
    return Batch(source.data, None, source.may_miss)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), "batch normalisation"),
        (Attending, "differ from those of a pass for each"),
        (ByTime, r"input of layer 'head' has shape \(4, 7, 1\)"),
        (
            lambda: nn.Sequential(nn.Unflatten(1, (4, 1)), nn.ConvTranspose1d(4, 2, 1), nn.Flatten()),
            "layer '1' knows no",
        ),
    ],
    ids=["norm", "unseen layer", "other axis", "layer"],
)
def test_the_reason_against_one_pass_is_found(make, words):
    made = problem(make, X, Y)
    torch.manual_seed(0)
    model = Conditioned(made.make_model(), made.tasks, rank=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert re.search(words, why_not_one_pass(made, model, made_batch(made)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    found = eq.front.fit_conditioned(made, steps=4, batch_size=6, points=3, rank=1)
    assert (found.together, found.passes) == (2, 2)
    # a batch of four rows has as many as the inputs have columns: the losses tell the axes apart
    assert re.search(f"{words}|differ from", found.why)


def test_how_many_preferences_a_step_has():
    made = problem(DENSE, X, Y)
    fit = lambda **settings: eq.front.fit_conditioned(made, steps=2, points=3, **settings)  # noqa: E731
    one = fit()
    assert (one.together, one.passes, one.why) == (8, 1, "")
    assert (fit(together=3).together, fit(together=3).passes) == (3, 1)
    joint = fit(criterion="hypervolume", reference=[100.0, 100.0])
    assert (joint.together, joint.passes) == (4, 4)
    assert "same rows" in joint.why
