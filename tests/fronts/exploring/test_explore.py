"""Explorations of fronts that are known by formula, and of a small problem with held-out rows."""

import json
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import DataError, LossError, RunFolderError, SettingError, TaskError
from equipoise.fronts.exploring import running
from equipoise.fronts.exploring.judging import chosen_points, judged_points, point_run, said
from equipoise.fronts.exploring.running import RUNS
from equipoise.fronts.exploring.subject import cosine
from equipoise.fronts.refined_sweep import Sweep
from equipoise.problems import ZDT2, Function, Quadratic, named
from equipoise.training.executors import runs
from equipoise.training.executors.runs import Outcome

SMALL = {"sums": 3, "tchebycheff": 2, "seeds": 2, "steps": 150}


@pytest.fixture(scope="module")
def concave(tmp_path_factory):
    """One exploration of ZDT2, whose front 1 - f1^2 lies above its chord."""
    folder = tmp_path_factory.mktemp("zdt2") / "run"
    wish = eq.Bounds({"f1": 0.4}, minimise="f2")
    return folder, eq.explore(ZDT2(3), **SMALL, wish=wish, folder=folder, conditioned=50).record


def test_of_a_concave_front_weights_select_the_ends_and_miss_the_rest_by_the_depth_below_it(concave):
    _, record = concave
    inside = [point for point in record.points if 0.02 < point.losses[0] < 0.98]
    assert len(inside) == 2
    assert {point.kind for point in inside} == {"tchebycheff"}
    for point in inside:
        f1, f2 = point.losses
        assert f2 == pytest.approx(1 - f1**2, abs=2e-3)
        assert point.support == "none"
        assert point.gap == pytest.approx((f1 + f2 - 1) / 2, abs=1e-6)  # to the chord from (0, 1) to (1, 0)
        assert dict(point.mixture).keys() <= {"S1", "S2", "S3"}
        assert point.interval[0] <= point.gap <= point.interval[1]
    assert {p.support for p in record.points if p not in inside} == {"weights"}
    assert ("S1", "S2") in record.emptiest
    assert record.volumes[0] == pytest.approx(record.volumes[1])


def test_the_best_under_a_bound_is_the_end_and_a_mixture_does_better(concave):
    _, record = concave
    knee, bound = record.chosen
    assert knee.status.endswith(("the end of f1", "the end of f2"))
    assert bound.wish == "the best f2 with f1 at most 0.4"
    below = [point for point in record.points if point.losses[0] <= 0.4]
    assert bound.losses == min((point.losses for point in below), key=lambda losses: losses[1])
    assert bound.mixture_losses == pytest.approx((0.4, 0.6), abs=1e-3)
    assert bound.test == {}  # a formula has no rows to hold out


def test_of_a_convex_front_weights_select_everything():
    found = eq.explore(Quadratic(3), **SMALL | {"seeds": 1})
    assert found.unselected == ()
    assert found.losses.shape == (5, 2)
    assert np.sqrt(found.losses).sum(axis=1) == pytest.approx(1, abs=0.02)  # sqrt f1 + sqrt f2 = 1 on the front
    assert found.record.resamples == 0
    assert found.record.chosen[0].status == "ok"  # the middle, far below the chord
    assert {point.interval for point in found.record.points} == {None}


def test_the_same_call_on_the_same_folder_trains_nothing(concave, monkeypatch):
    folder, record = concave
    monkeypatch.setattr("equipoise.fronts.exploring.running.run_all", None)
    again = eq.explore(ZDT2(3), **SMALL, wish=eq.Bounds({"f1": 0.4}, minimise="f2"), folder=folder, conditioned=50)
    assert again.record == record
    with pytest.raises(RunFolderError, match=r"steps: 150 there, 151 now"):
        eq.explore(ZDT2(3), **SMALL | {"steps": 151}, wish=eq.Bounds({"f1": 0.4}, minimise="f2"), folder=folder,
                   conditioned=50)  # fmt: skip
    run = record.points[0].runs[0]
    assert (folder / run.folder / "checkpoint").is_dir()
    assert run.folder.startswith(f"{RUNS}/")


def test_after_an_interruption_the_runs_that_are_there_are_used(tmp_path, monkeypatch):
    arguments = {"sums": 3, "tchebycheff": 1, "seeds": 1, "steps": 20}
    whole = eq.explore("quad", **arguments).record

    def interrupt(done, expected, words):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        eq.explore("quad", **arguments, folder=tmp_path / "run", progress=interrupt)
    kept = {path.parent.name for path in (tmp_path / "run" / RUNS).glob("*/result.json")}
    assert len(kept) == 3
    trained = []
    real = runs.fit
    monkeypatch.setattr(runs, "fit", lambda *args, **more: trained.append(1) or real(*args, **more))
    found = eq.explore("quad", **arguments, folder=tmp_path / "run").record
    assert len(trained) == len(whole.points) + len(whole.singles) - 3
    assert [point.losses for point in found.points] == [point.losses for point in whole.points]
    assert {run.folder.split("/")[1] for single in found.singles for run in single.runs} <= kept


def test_a_pool_whose_process_died_is_replaced_and_costs_no_result(monkeypatch):
    arguments = {"sums": 2, "tchebycheff": 0, "seeds": 2, "steps": 5}
    pools = []

    class Broken:
        def __init__(self, jobs, **more):
            pools.append(jobs)

        def submit(self, *call):
            future = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future

        def shutdown(self, **more):
            pools.append("closed")

    real = running.run_all
    here = lambda runs, executor=None, jobs=1, **more: real(runs, executor, **more)  # noqa: E731 - in this process
    monkeypatch.setattr(running, "ProcessPoolExecutor", Broken)
    monkeypatch.setattr(running, "run_all", here)
    found = eq.explore("quad", **arguments, jobs=8).record
    assert pools == [2, "closed"] * 4  # at most one process a seed; two corners and two single tasks
    assert [p.losses for p in found.points] == [p.losses for p in eq.explore("quad", **arguments).record.points]


def loss(place, outputs, batch):
    return (outputs[:, place] - batch[1][:, place]) ** 2


def gap(place, outputs, batch):
    return float((outputs[:, place] - batch[1][:, place]).abs().mean())


def rows(seed, shift=0.0):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(24, 3))).float()
    return x, torch.stack([x[:, 0] + 1, x[:, 0] - 1], dim=1) + shift


def opposed(shift=0.0, test=True):
    """Two tasks that one shared output cannot serve both."""
    return eq.Problem(
        partial(Shared),
        {"up": partial(loss, 0), "down": partial(loss, 1)},
        {"up": eq.Metric("absolute error", partial(gap, 0))},
        train=rows(0), val=rows(1), test=rows(2, shift) if test else None, name="opposed",
    )  # fmt: skip


class Shared(nn.Module):
    def __init__(self, after=nn.Identity):
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.after = after()

    def forward(self, x):
        return self.after(self.layer(x)).expand(-1, 2)


class Bare(nn.Module):
    """Parameters without a layer that a preference could act on."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.offset.expand(len(x), -1)


PROBLEM = {"sums": 3, "tchebycheff": 1, "seeds": 1, "epochs": 100, "settings": {"batch_size": None, "every": 10}}
PROBLEM["settings"]["optimizer"] = partial(torch.optim.Adam, lr=0.1)


def test_the_test_part_is_shown_for_chosen_points_and_decides_nothing(tmp_path):
    found = eq.explore(opposed(), **PROBLEM, folder=tmp_path / "a").record
    other = eq.explore(opposed(shift=3.0), **PROBLEM, folder=tmp_path / "b").record
    same = [{point.name: (point.losses, point.support) for point in record.points} for record in (found, other)]
    assert same[0] == same[1]
    assert [choice.point for choice in found.chosen] == [choice.point for choice in other.chosen]
    assert found.chosen[0].test != other.chosen[0].test
    assert "test" not in json.loads(found.points[0].model_dump_json())
    assert found.rows == (24, 24)
    # one output a distance o from the middle of two targets that lie 2 apart: losses (1 - o)^2 and (1 + o)^2
    for point in found.points:
        assert np.sqrt(point.losses).sum() == pytest.approx(2.0, abs=0.1)
        missed = point.runs[0].metrics["up"]["absolute error"]
        assert missed == pytest.approx(np.sqrt(point.losses[0]), abs=0.1)
    assert [single.loss for single in found.singles] == pytest.approx([0.0, 0.0], abs=0.05)


@pytest.mark.parametrize(
    "changed",
    [{"make_model": Bare}, {"make_model": partial(Shared, nn.Tanh)}, {"losses": {"up": partial(loss, 1)}}],
    ids=["model", "activation", "loss"],
)
def test_a_folder_of_another_network_or_loss_is_refused(tmp_path, changed):
    """Its data are the same: the record there is not of this problem."""
    arguments = {"sums": 2, "tchebycheff": 0, "seeds": 1, "steps": 1, "folder": tmp_path / "run"}
    first = eq.explore(opposed(), **arguments).record
    other = opposed()
    other.make_model = changed.get("make_model", other.make_model)
    other.losses |= changed.get("losses", {})
    with pytest.raises(RunFolderError, match="It differs in\n  problem: "):
        eq.explore(other, **arguments)
    assert eq.explore(opposed(), **arguments).record == first


def test_seeds_that_are_trained_together_give_the_same_points():
    arguments = PROBLEM | {"sums": 2, "tchebycheff": 0, "seeds": 2, "epochs": 20}
    apart, together = (eq.explore(opposed(test=False), **arguments, stack=stack).losses for stack in (False, True))
    assert together == pytest.approx(apart, rel=1e-3)


def test_one_model_for_all_preferences_of_a_problem():
    found = eq.explore(opposed(test=False), **PROBLEM | {"tchebycheff": 0}, conditioned=60)
    curve = found.record.conditioned
    assert len(curve.preferences) == len(curve.losses) == 41
    assert found.conditioned.model.tasks == ("up", "down")
    assert curve.losses[0] == pytest.approx(found.conditioned.losses["val"][0])
    assert found.record.chosen[0].test == {}


def outcomes_of(losses):
    """Point -> (losses of each seed), as outcomes of its trainings, and the sweep of their means."""
    outcomes = [
        [Outcome(key=f"{name}{seed}", status="done", words="", losses={"val": dict(zip("xy", found, strict=True))})
         for seed, found in enumerate(each)]
        for name, each in losses.items()
    ]  # fmt: skip
    means = np.array([np.mean(each, axis=0) for each in losses.values()])
    count = len(losses)
    preferences = (eq.LinearScalarization((0.5, 0.5)),) * count
    return Sweep(("x", "y"), preferences, means, ("",) * count, (None,) * count, (), 0.0, ""), outcomes


def test_the_mean_of_seeds_that_end_at_different_places_is_no_point():
    """Weights (1/2, 1/2) on a concave front end at either end; their mean would lie on the chord."""
    ends = {0: (0.0, 1.0), 1: (1.0, 0.0)}
    losses = {"a": (ends[0], ends[0]), "b": (ends[1], ends[1]), "torn": (ends[0], ends[1]), "t": ((0.7, 0.7),) * 2}
    sweep, outcomes = outcomes_of(losses)
    found = judged_points(sweep, 3, outcomes, (0, 1), kept=False)
    assert [point.support for point in found.points] == ["weights", "weights", "scattered", "none"]
    assert found.held == (0, 1, 3)
    assert found.points[3].gap == pytest.approx(0.2)


def test_an_end_whose_seeds_differ_in_one_loss_is_a_noisy_point_and_no_torn_one():
    """It is far lower in y than all others with every seed; x, whose range is small, is noisy there."""
    losses = {
        "low x": ((1.75, 19.9), (1.68, 17.8), (1.69, 24.0)),
        "low y": ((3.5, 1.8), (3.3, 3.7), (5.5, 4.1)),
        "bad": ((3.6, 28.0), (3.5, 26.0), (3.7, 29.0)),
    }
    sweep, outcomes = outcomes_of(losses)
    found = judged_points(sweep, 3, outcomes, (0, 1, 2), kept=False)
    assert [point.support for point in found.points] == ["weights", "weights", "dominated"]
    assert found.held == (0, 1, 2)


def test_points_are_torn_though_their_means_are_all_the_same():
    """Every preference ends at one end with one seed and at the other with the other: the means have no range."""
    ends = ((0.0, 1.0), (1.0, 0.0))
    sweep, outcomes = outcomes_of({"a": ends, "b": ends[::-1], "c": ends})
    found = judged_points(sweep, 3, outcomes, (0, 1), kept=False)
    assert {point.support for point in found.points} == {"scattered"}


def test_a_front_of_one_point_has_no_ends():
    sweep, outcomes = outcomes_of({"a": ((0.0, 0.0),), "b": ((1.0, 0.5),)})
    judged = judged_points(sweep, 2, outcomes, (0,), kept=False)
    (knee,) = chosen_points(judged, sweep.tasks, outcomes, (0,), None)
    assert (knee.point, knee.status) == ("S1", "it is the only non-dominated point")


@pytest.mark.parametrize(
    ("problem", "changed", "error", "words"),
    [
        ("quad", {"wish": eq.Bounds({"speed": 1.0})}, TaskError, "speed"),
        ("quad", {"sums": 1, "seeds": 0, "jobs": 0}, SettingError, "sums=1.*jobs=0.*seeds=0"),
        ("quad", {"epochs": 3}, SettingError, "epochs cannot be used with a formula problem"),
        (named("quad"), {"targets": ["a"]}, SettingError, "targets cannot be used"),
        (3, {}, SettingError, "takes a name"),
        (eq.Problem(Shared, {"a": partial(loss, 0), "b": partial(loss, 1)}, train=rows(0)), {"steps": 2}, DataError,
         "val="),
        (opposed(), {}, SettingError, "`steps` or `epochs`"),
        (opposed(), {"steps": 2, "settings": {"seed": 1}}, SettingError, "sets the method, the seed"),
        (opposed(), {"steps": 2, "jobs": 2}, SettingError, "importable function"),
        ("quad", {"stack": True, "jobs": 2}, SettingError, "leave out jobs"),
        ("quad", {"steps": 0, "epochs": 1.5, "gap": 2}, SettingError, "steps=0 .*epochs=1.5 .*gap=2 .between 0 and 1"),
        ("dtlz2", {"sums": 3}, SettingError, "`sums` must be at least 6 for 3 tasks"),
        (Function(lambda x: x.square(), [-1.0], [1.0]), {}, TaskError, "at least two losses"),
        (Function(lambda x: torch.cat([x.square(), 0 * x + 3], 1), [-1.0], [1.0]), {}, LossError,
         "'f2' are constant at all 8 starts"),
        ("quad", {"conditioned": 3}, SettingError, "`conditioned` must be 0 or at least 10 steps"),
        (eq.Problem(Bare, {"a": partial(loss, 0), "b": partial(loss, 1)}, train=rows(0), val=rows(1)),
         {"steps": 2, "conditioned": 5}, SettingError, "no layer to adapt.*'Bare'"),
        ("zdt9", {}, DataError, "neither a formula problem, a digit problem, .* file here. Formula problems: 'quad'"),
        ("quad", {"targets": ["f1", "f2"]}, SettingError, "targets cannot be used with the formula problem 'quad'"),
    ],
    ids=["wish", "numbers", "epochs", "columns", "kind", "no val", "no steps", "taken", "jobs", "stack", "sizes",
         "corners", "one loss", "constant", "few steps", "no layer", "unknown", "columns of a name"],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_trained(problem, changed, error, words, monkeypatch):
    monkeypatch.setattr("equipoise.fronts.exploring.running.run_all", None)
    with pytest.raises(error, match=words):
        eq.explore(problem, **changed)


def test_a_preference_that_fails_with_every_seed_says_why():
    broken = eq.Problem(
        Shared, {"a": partial(loss, 0), "b": lambda outputs, batch: outputs.sum() / 0}, train=rows(0), val=rows(1)
    )
    with pytest.raises(eq.errors.EquipoiseError, match="failed with every seed"):
        eq.explore(broken, steps=2, seeds=1, sums=2)


def test_a_run_whose_losses_are_not_finite_counts_as_failed():
    outcome = Outcome(key="k", status="done", words="done", losses={"val": {"x": 1.0, "y": None}})
    found = point_run(outcome, 0, ("x", "y"), kept=False)
    assert (found.status, found.losses, found.folder) == ("failed", None, "")
    assert "not finite" in found.words


def test_wishes_in_words():
    assert said(eq.ReferencePoint({"a": 1, "b": 2}), ("a", "b")) == "nearest to the reference a 1, b 2"
    assert said(eq.Ray((1, 2)), ("a", "b")) == "losses in the proportion a 1, b 2"
    assert said(eq.Bounds({"a": 0.3}), ("a", "b", "c")) == "the best b and c with a at most 0.3"


def test_digits_are_explored_by_name_with_rows_of_each_seed():
    found = eq.explore("rotated-digits", sums=2, tchebycheff=0, seeds=2, epochs=1, hidden=(4,))
    record = found.record
    assert [task.name for task in record.tasks] == ["digit", "angle"]
    assert record.rows == (270, 449)
    assert "1 epoch in batches of 256" in record.budget
    first, second = (run.losses for run in record.points[0].runs)
    assert first != second
    alone = eq.fit(
        eq.front.rotated_digits(1, hidden=(4,)),
        eq.LinearScalarization((1.0, 0.0)),
        epochs=1,
        batch_size=256,
        seed=1,
        schedule=cosine,
        optimizer=partial(torch.optim.AdamW, lr=3e-3),
    )
    run = record.singles[0].runs[1]
    assert run.losses == pytest.approx(list(alone.losses["val"].values()))
    with pytest.raises(SettingError, match="targets, steps cannot be used with a digit problem"):
        eq.explore("overlapped-digits", targets=["a"], steps=3)
    with pytest.raises(DataError, match="there is no such folder"):
        eq.explore("overlapped-digits:nowhere")
