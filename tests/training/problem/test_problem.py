"""Problems: losses over labelled rows only, rows of each task's own, and what is refused."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import DataError, LossError, SettingError, TaskError
from equipoise.training.problem.sources import Batch
from equipoise.training.problem.trees import apart, joined


def squared(column, outputs, batch):
    return (outputs[:, column] - batch[1][:, column]) ** 2


LOSSES = {"a": functools.partial(squared, 0), "b": functools.partial(squared, 1)}


def linear():
    return nn.Linear(3, 2)


def data(missing=()):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 3, generator=generator), torch.randn(12, 2, generator=generator)
    for row, column in missing:
        y[row, column] = torch.nan
    return x, y


def test_unlabelled_rows_count_neither_in_the_loss_nor_in_its_gradient():
    x, y = data(missing=[(1, 0), (4, 0), (4, 1)])
    problem = eq.Problem(linear, LOSSES, train=(x, y))
    rows = problem.sources["train"]
    model = linear().double()
    outputs = model(x.double())
    losses = problem.losses_of(outputs, Batch(rows.data))
    for column, task in enumerate("ab"):
        mine = ~y[:, column].isnan()
        by_hand = (model(x[mine].double())[:, column] - y[mine, column]).square().mean()
        assert losses[task].item() == pytest.approx(by_hand.item(), rel=1e-12)
        got = torch.autograd.grad(losses[task], model.parameters(), retain_graph=True)
        wanted = torch.autograd.grad(by_hand, model.parameters())
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_a_task_without_a_label_in_the_batch_is_absent():
    x, y = data(missing=[(row, 1) for row in range(12)])
    problem = eq.Problem(linear, LOSSES, train=(x, y))
    losses = problem.losses_of(linear()(x), Batch(problem.sources["train"].data))
    assert losses["b"] is None
    assert losses["a"].isfinite()


def test_a_nan_that_no_missing_label_explains_stays_a_failure():
    x, y = data(missing=[(0, 0)])
    problem = eq.Problem(linear, {"a": lambda out, batch: (out[:, 0] - batch[1][:, 0]).sqrt() * 0 / 0}, train=(x, y))
    assert problem.losses_of(linear()(x), Batch(problem.sources["train"].data))["a"].isnan()
    with pytest.raises(eq.errors.NonFiniteError, match="'a'"):
        eq.fit(problem, steps=1)


def test_several_numbers_a_sample_with_missing_labels_are_refused():
    x, y = data(missing=[(0, 0)])
    problem = eq.Problem(linear, {"both": lambda out, batch: (out - batch[1]) ** 2}, train=(x, y))
    with pytest.raises(LossError, match=r"'both'.*shape \(B,\).*\(12, 2\)"):
        problem.losses_of(linear()(x), Batch(problem.sources["train"].data))
    complete = eq.Problem(linear, {"both": lambda out, batch: (out - batch[1]) ** 2}, train=data())
    assert complete.losses_of(linear()(x), Batch(complete.sources["train"].data, may_miss=False))["both"].dim() == 0


def test_each_task_sees_its_own_rows_only():
    parts = {"a": (torch.ones(2, 3), torch.zeros(2)), "b": (2 * torch.ones(3, 3), torch.ones(3))}
    seen = {}

    def loss(task, outputs, batch):
        seen[task] = (outputs.shape, batch[0][:, 0].tolist(), batch[1].tolist())
        return (outputs[:, 0] - batch[1]) ** 2

    problem = eq.Problem(linear, {task: functools.partial(loss, task) for task in "ab"}, train=eq.OwnRows(parts))
    source = problem.sources["train"]
    batch = Batch(source.rows.data, list(source.sizes.values()))
    model = linear()
    losses = problem.losses_of(problem.outputs(model, batch.data), batch)
    assert seen == {"a": ((2, 2), [1, 1], [0, 0]), "b": ((3, 2), [2, 2, 2], [1, 1, 1])}
    by_hand = (model(2 * torch.ones(1, 3))[0, 0] - 1) ** 2
    assert losses["b"].item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_apart_undoes_joined():
    trees = [{"x": torch.arange(n), "y": (torch.arange(n) + 0.5,)} for n in (2, 0, 3)]
    whole = joined(trees)
    for tree, part in zip(trees, apart(whole, [2, 0, 3]), strict=True):
        assert part["x"].tolist() == tree["x"].tolist()
        assert part["y"][0].tolist() == tree["y"][0].tolist()


def test_targets_are_scaled_by_training_rows_alone():
    values = torch.tensor([1.0, 3.0, torch.nan, 5.0, 1e9])
    scales = eq.target_scale({"a": values}, np.array([0, 1, 2, 3]))
    labelled = torch.tensor([1.0, 3.0, 5.0])
    assert (scales["a"].mean, scales["a"].rows) == (3.0, 3)
    assert scales["a"].scale == pytest.approx(float(labelled.std(correction=0)))
    torch.testing.assert_close(scales["a"].invert(scales["a"].apply(labelled)), labelled)
    with pytest.raises(DataError, match="'a' has no label; 'b' has one value only; 'c' has an infinite one"):
        eq.target_scale({"a": values[2:3], "b": torch.ones(4), "c": torch.tensor([1.0, torch.inf])})


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"make_model": nn.Linear(1, 1)}, SettingError, "`make_model` is a module: write lambda"),
        ({"losses": {"a": 1, "b": None}}, SettingError, "loss of 'a' is int; the loss of 'b' is NoneType"),
        ({"losses": {}}, TaskError, "at least one"),
        ({"losses": {3: squared}}, TaskError, r"\[3\]"),
        ({"metrics": {"z": eq.Metric("m", squared)}}, TaskError, "unknown: 'z'"),
        ({"train": None}, DataError, "nothing to train on"),
        ({"train": "rows.csv"}, DataError, "`train` must be a tuple .* got str"),
        ({"train": (torch.ones(2), torch.ones(3))}, DataError, r"0: \(2,\), 1: \(3,\)"),
        ({"train": (torch.ones(0, 2),)}, DataError, "at least one"),
        ({"val": (np.array(["x"]),)}, DataError, "`val` must hold numbers; found an array of type <U1"),
        ({"train": eq.OwnRows({"a": (torch.ones(2),)})}, DataError, "missing: 'b'"),
        (
            {"train": eq.OwnRows({"a": (torch.ones(2, 3),), "b": (torch.ones(2, 4),)})},
            DataError,
            "must have the same structure",
        ),
    ],
    ids=[
        "module",
        "no functions",
        "no task",
        "odd name",
        "metric",
        "none",
        "text",
        "lengths",
        "empty",
        "words",
        "own",
        "structure",
    ],
)
def test_what_cannot_be_a_problem_is_refused(arguments, error, words):
    given = {"make_model": linear, "losses": LOSSES, "train": data()} | arguments
    with pytest.raises(error, match=words):
        eq.Problem(given.pop("make_model"), given.pop("losses"), **given)


def test_a_mapping_without_inputs_says_how_to_name_them():
    x, y = data()
    problem = eq.Problem(linear, {"a": lambda out, batch: out[:, 0] ** 2}, train={"x": x, "y": y})
    with pytest.raises(DataError, match=r"'x', 'y'.*forward=lambda model, batch"):
        eq.fit(problem, steps=1)


def test_a_metric_states_which_way_is_better():
    with pytest.raises(SettingError, match="better='lower' or 'higher'"):
        eq.Metric("accuracy", squared, better="up")
