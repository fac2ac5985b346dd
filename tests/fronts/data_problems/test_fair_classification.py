"""Accuracy against fairness: the loss by hand, whole parts, and a front in which fairness costs accuracy."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import equipoise as eq
from equipoise.errors import DataError
from equipoise.fronts import fair_classification
from equipoise.training.loop.evaluation import evaluate


def people(rows: int = 6000) -> pd.DataFrame:
    """Income depends on sex and on a number; ten rows have no sex."""
    draw = np.random.default_rng(0)
    sex, x = draw.integers(2, size=rows), draw.normal(size=rows)
    rich = x + 1.5 * sex + draw.normal(size=rows) > 1
    frame = pd.DataFrame({"x": x, "sex": np.array(["f", "m"])[sex], "rich": np.array(["no", "yes"])[rich.astype(int)]})
    frame.loc[:9, "sex"] = None
    return frame


def test_the_loss_is_the_difference_of_mean_chances_of_the_rich():
    problem = fair_classification(people(200), "rich", "sex")
    outputs = {"label": torch.logit(torch.tensor([[0.2], [0.9], [0.5], [0.4], [0.7]]))}
    batch = torch.zeros(5, 2), torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]), torch.tensor([0, 0, 0, 1, 1])
    assert problem.losses["fairness"](outputs, batch).item() == pytest.approx((0.4 + 0.7) / 2 - (0.2 + 0.5) / 2)
    assert problem.metrics["fairness"][0].function(outputs, batch) == pytest.approx(0.5)  # one of two, none of two
    assert problem.metrics["label"][0].function(outputs, batch) == pytest.approx(1 / 5)
    assert problem.losses["fairness"](outputs, (batch[0], batch[1] * 0, batch[2])) is None
    assert sum(len(source.data[1]) for source in problem.sources.values()) == 190  # those with a sex


class Blind(torch.nn.Module):
    """Chances by a number that has to do with nothing."""

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"label": 5 * rows[:, :1]}


def test_a_part_is_evaluated_at_once():
    """In pieces, the mean of absolute differences would be another, larger number."""
    frame = people().assign(x=np.random.default_rng(1).normal(size=6000))
    problem = fair_classification(frame, "rich", "sex", drop=["sex"], make_model=Blind)
    source, model, cpu = problem.sources["train"], Blind(), torch.device("cpu")
    assert source.length > 2048
    whole = problem.losses["fairness"](model(source.data[0]), source.data).item()
    assert evaluate(problem, model, source, cpu).losses["fairness"] == pytest.approx(whole, rel=1e-5)
    problem.evaluation_rows = 50
    assert evaluate(problem, model, source, cpu).losses["fairness"] > 3 * whole


def test_fairness_costs_accuracy():
    problem = fair_classification(people(), "rich", "sex")
    fit = partial(eq.fit, problem, steps=300, batch_size=1024, optimizer=partial(torch.optim.Adam, lr=0.01))
    blind, fair = fit(eq.LinearScalarization((1, 0))), fit(eq.LinearScalarization((0.5, 0.5)))
    assert blind.losses["test"]["fairness"] > 0.15
    assert fair.losses["test"]["fairness"] < 0.5 * blind.losses["test"]["fairness"]
    assert fair.losses["test"]["label"] > blind.losses["test"]["label"]


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        ({}, ("wealth", "sex"), "no column 'wealth'"),
        ({"sex": "f"}, ("rich", "sex"), "must hold two groups; found 1: 'f'"),
        ({"rich": "yes"}, ("rich", "sex"), "rich"),
        ({}, ("x", "sex"), "must have two classes; it was read as regression"),
    ],
    ids=["absent", "one group", "one class", "numbers"],
)
def test_what_is_no_two_classes_of_two_groups_is_refused(change, arguments, words):
    with pytest.raises(DataError, match=words):
        fair_classification(people(200).assign(**change), *arguments)
