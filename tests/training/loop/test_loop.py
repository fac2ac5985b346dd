"""The fit loop: the hand-written loop's numbers, selection by the stated rule, clipping, schedules, progress, cost."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import DataError, SettingError
from equipoise.training.loop.selection import Keeper
from tests.training.loop.runs import TASKS, Net, data, fit, make_problem, squared


def by_hand(method, steps, batch_size, seed):
    """What `fit` replaces: the same model, batches and Balancer in a loop written out."""
    x, y = data()
    x, y = x[:40], y[:40]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Net()
        balancer = eq.Balancer(method, tasks=TASKS, model=model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        length = math.ceil(40 / batch_size)
        for step in range(steps):
            epoch, place = divmod(step, length)
            order = torch.from_numpy(np.random.default_rng([seed, 0, epoch]).permutation(40))
            rows = order.tensor_split(length)[place]
            outputs = model(x[rows])
            optimizer.zero_grad()
            balancer({task: squared(task, outputs, (x[rows], y[rows])).mean() for task in TASKS}).backward()
            optimizer.step()
    return model


@pytest.mark.parametrize("method", [eq.LinearScalarization(), eq.UPGrad()], ids=repr)
def test_the_numbers_are_those_of_a_loop_written_by_hand(method):
    fitted = eq.fit(make_problem(), method, steps=7, batch_size=16, seed=5, select=None)
    expected = by_hand(method, 7, 16, 5).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in fitted.model.state_dict().items())
    assert fitted.cost.steps == 7


def test_the_callers_generators_are_put_back():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    eq.fit(make_problem(), steps=2, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["dwa", "softadapt"])
def test_methods_that_move_per_epoch_are_told_of_each(name, monkeypatch):
    told = []
    original = eq.Balancer.end_epoch
    monkeypatch.setattr(eq.Balancer, "end_epoch", lambda self: (told.append(self.steps), original(self))[1])
    fit(name, steps=9, batch_size=16)  # 40 rows: epochs of 3 steps
    assert told == [3, 6]


def test_famo_observes_the_losses_after_the_step(monkeypatch):
    seen = []
    original = eq.Balancer.observe
    monkeypatch.setattr(eq.Balancer, "observe", lambda self, losses: (seen.append(self.steps), original(self, losses)))
    fit("famo", steps=3)
    assert seen == [1, 2, 3]
    seen.clear()
    fit("mgda", steps=3)
    assert seen == []


def test_methods_that_sample_twice_get_a_second_batch_that_is_another(monkeypatch):
    batches = []
    original = eq.Balancer.forward
    monkeypatch.setattr(
        eq.Balancer,
        "forward",
        lambda self, losses, **given: (batches.append((losses, given.get("second"))), original(self, losses, **given))[
            1
        ],
    )
    fit("modo", steps=3)
    assert len(batches) == 3
    for first, second in batches:
        assert second.keys() == first.keys()
        assert all(first[task].item() != second[task].item() for task in TASKS)


def evaluations(model_losses, rule):
    """A keeper that was offered models with these validation losses; each model holds its own number."""
    keeper = Keeper(rule)
    for step, losses in enumerate(model_losses, start=1):
        model = nn.Linear(1, 1)
        nn.init.constant_(model.weight, step)
        keeper.offer(step, dict(zip("ab", losses, strict=True)), model)
    return keeper


PATH = [(4.0, 1.0), (2.0, 2.0), (1.0, 5.0), (3.0, 0.8), (None, 0.1)]  # None: not finite


@pytest.mark.parametrize(
    ("rule", "best"),
    [
        (eq.MeanLoss(), {"": 4}),  # means 2.5, 2, 3, 1.9
        (eq.MeanLoss({"a": 3, "b": 1}), {"": 2}),
        (eq.MeanImprovement({"a": 1.0, "b": 8.0}), {"": 3}),  # 1.06, .125, -.19, 1.05
        (eq.WorstImprovement({"a": 2.0, "b": 1.0}), {"": 4}),  # 1, 1, 4, .5
        (eq.PerTaskBest(), {"": 4, "a": 3, "b": 4}),
    ],
    ids=repr,
)
def test_rules_choose_what_they_say(rule, best):
    keeper = evaluations(PATH, rule)
    found = {key: step for key, (_, step) in keeper.best.items()}
    assert found == {**best, **({"b": 5} if "b" in best else {})}
    assert keeper.states.keys() == set(found.values())
    for step in found.values():
        assert keeper.states[step]["weight"].item() == step
    assert keeper.since == 0 if "b" in best else keeper.since >= 1


def test_the_selected_model_has_the_losses_that_are_shown():
    fitted = eq.fit(make_problem(), eq.MGDA(), steps=40, every=1, batch_size=8, seed=2,
                    optimizer=functools.partial(torch.optim.SGD, lr=0.8))  # fmt: skip
    means = [np.mean(list(line.validation.values())) for line in fitted.history]
    assert fitted.best_step == 1 + int(np.argmin(means)) < 40
    chosen = fitted.history[fitted.best_step - 1]
    assert fitted.losses["val"] == chosen.validation
    assert chosen.improved
    x, y = data()
    outputs = fitted.model(x[52:])
    for task in TASKS:
        expected = squared(task, outputs, (x[52:], y[52:])).mean()
        assert fitted.losses["test"][task] == pytest.approx(expected.item(), rel=1e-6)
    assert fitted.rows == {"val": dict.fromkeys(TASKS, 12), "test": dict.fromkeys(TASKS, 12)}


def test_per_task_best_shows_each_task_at_its_own_best():
    fitted = eq.fit(make_problem(), steps=40, every=2, batch_size=8, seed=2, select=eq.PerTaskBest(),
                    optimizer=functools.partial(torch.optim.SGD, lr=0.8))  # fmt: skip
    for task in TASKS:
        path = [line.validation[task] for line in fitted.history]
        assert fitted.losses["val"][task] == min(path)
        assert fitted.best_steps[task] == 2 * (1 + int(np.argmin(path)))
    assert len({fitted.best_steps[task] for task in TASKS}) > 1
    model = fitted.model_for("b")
    x, y = data()
    loss = squared("b", model(x[40:52]), (x[40:52], y[40:52])).mean()
    assert loss.item() == pytest.approx(fitted.losses["val"]["b"], rel=1e-6)


def test_training_stops_by_the_rule_and_by_a_callback():
    stopped = eq.fit(make_problem(), steps=200, every=1, patience=3, seed=2, batch_size=8,
                     optimizer=functools.partial(torch.optim.SGD, lr=2.0))  # fmt: skip
    assert stopped.status == "stopped early"
    assert stopped.cost.steps == stopped.best_step + 3 < 200
    seen = []
    called = eq.fit(
        make_problem(), steps=9, every=2, callbacks=[lambda line, model: seen.append(line.step) or line.step == 4]
    )
    assert (called.status, called.cost.steps, seen) == ("stopped by a callback", 4, [2, 4])


def test_a_schedule_sets_the_rates_and_a_scheduler_moves_when_it_should():
    falling = eq.fit(make_problem(), steps=4, every=1, schedule=lambda fraction: 1 - fraction)
    assert [line.learning_rates[0] for line in falling.history] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    halving = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    # a line shows the rates that come next; epochs have two steps
    expected = {"step": [0.5, 0.25, 0.125], "epoch": [1, 1, 0.5], "evaluation": [0.5, 0.25, 0.125]}
    for per, rates in expected.items():
        found = eq.fit(make_problem(), steps=3, every=1, batch_size=20, scheduler=halving, scheduler_per=per)
        assert [line.learning_rates[0] * 1e3 for line in found.history] == pytest.approx(rates), per


@pytest.mark.parametrize(
    ("clip", "group"), [(0.01, ""), ({"trunk": 0.01}, "trunk"), ({"heads": 1.0, "heads.b": 0.01}, "heads.b")], ids=repr
)
def test_gradients_are_clipped_by_group(clip, group, monkeypatch):
    norms = []
    original = torch.optim.SGD.step

    def watched(self, closure=None):
        parameters = dict(zip(names, self.param_groups[0]["params"], strict=True))
        mine = [p.grad for name, p in parameters.items() if name.startswith(group) and p.grad is not None]
        norms.append(torch.stack([grad.norm() for grad in mine]).norm().item())
        return original(self, closure)

    names = [name for name, _ in Net().named_parameters()]
    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    eq.fit(make_problem(), steps=3, clip=clip, optimizer=functools.partial(torch.optim.SGD, lr=0.1))
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)


def test_raw_and_weighted_losses_are_told_apart():
    words = []
    fitted = eq.fit(make_problem(), eq.LinearScalarization({"a": 1, "b": 2, "c": 0.5}), steps=3, every=3,
                    progress=lambda done, total, said: words.append((done, total, said)))  # fmt: skip
    line = fitted.history[0]
    for task, weight in {"a": 1, "b": 2, "c": 0.5}.items():
        assert line.weights[task] == pytest.approx(weight)
        assert line.train_weighted[task] == pytest.approx(weight * line.train_raw[task])
    assert words[0][:2] == (3, 3)
    assert words[0][2].startswith(f"train, raw: a {line.train_raw['a']:.4g}")
    assert "train, weighted: a" in words[0][2]
    assert "validation: a" in words[0][2]


def test_cost_counts_backward_passes_of_the_tasks_too():
    assert eq.fit(make_problem(), steps=5).cost.passes == 5
    assert eq.fit(make_problem(), eq.MGDA(), steps=5).cost.passes > 5


def test_labels_may_be_missing_in_every_part():
    fitted = eq.fit(make_problem(missing=True), eq.MGDA(), steps=6, batch_size=8, seed=1)
    assert fitted.rows["val"]["b"] < fitted.rows["val"]["a"] == 12
    assert all(math.isfinite(loss) for part in fitted.losses.values() for loss in part.values())


def problem_with_validation(loss_b):
    x, y = data()
    losses = {task: functools.partial(squared, task) for task in TASKS}
    return eq.Problem(Net, {**losses, "b": loss_b}, train=(x[:40], y[:40]), val=(x[40:52], y[40:52]))


def unlabelled_b(outputs, batch):
    return squared("b", outputs, batch) if len(batch[0]) <= 8 else None  # the validation part comes as one batch of 12


@pytest.mark.parametrize("rule", ["auto", eq.PerTaskBest(), eq.WorstImprovement([1.0, 1.0, 1.0])], ids=repr)
def test_a_task_without_labelled_validation_rows_cannot_be_judged(rule):
    with pytest.raises(DataError, match=r"it has none of 'b'.*\{\.\.\.: 1, 'b': 0\}"):
        eq.fit(problem_with_validation(unlabelled_b), steps=4, batch_size=8, seed=1, select=rule)


def test_the_others_can_be_judged_alone():
    rule = eq.MeanLoss({"a": 1, "b": 0, "c": 1})
    fitted = eq.fit(problem_with_validation(unlabelled_b), steps=12, every=2, batch_size=8, seed=1, select=rule)
    means = [(line.validation["a"] + line.validation["c"]) / 2 for line in fitted.history]
    assert fitted.best_step == 2 * (1 + int(np.argmin(means)))
    assert fitted.losses["val"]["b"] is None
    assert fitted.rows["val"] == {"a": 12, "b": 0, "c": 12}


@pytest.mark.parametrize("rule", ["auto", eq.PerTaskBest()], ids=repr)
def test_nothing_selected_is_said_and_gives_the_last_model(rule, caplog):
    def infinite(outputs, batch):
        found = squared("b", outputs, batch)
        return found if len(found) <= 8 else found + torch.inf

    fitted = eq.fit(problem_with_validation(infinite), steps=4, every=2, batch_size=8, seed=1, select=rule)
    assert "nothing was selected: the model is the last one, of step 4" in caplog.text
    assert fitted.best_step == 4
    assert fitted.losses["val"]["b"] is None
    last = eq.fit(problem_with_validation(infinite), steps=4, every=2, batch_size=8, seed=1, select=None)
    assert all(torch.equal(value, last.model.state_dict()[name]) for name, value in fitted.model.state_dict().items())


def test_lbfgs_gets_its_closure():
    fitted = eq.fit(
        make_problem(dropout=0.0), steps=4, batch_size=None, every=1,
        optimizer=functools.partial(torch.optim.LBFGS, lr=0.5, max_iter=5),
    )  # fmt: skip
    first, last = fitted.history[0], fitted.history[-1]
    assert sum(last.train_raw.values()) < sum(first.train_raw.values())
    assert fitted.cost.passes > 4


@pytest.mark.parametrize("amp", ["bfloat16", torch.bfloat16], ids=["by name", "by type"])
def test_mixed_precision_trains(amp):
    fitted = eq.fit(make_problem(), eq.MGDA(), steps=3, amp=amp)
    assert all(parameter.dtype == torch.float32 for parameter in fitted.model.parameters())
    assert fitted.config.amp == "bfloat16"


def test_what_a_method_trains_gets_a_group_without_decay():
    fitted = fit("uncertaintyweighting", steps=2)
    groups = fitted.config.optimizer["groups"]
    assert [(group["weight_decay"], group["parameters"]) for group in groups] == [(0.01, 67), (0.0, 3)]


def test_arguments_out_of_range_are_named_together():
    with pytest.raises(SettingError) as caught:
        eq.fit(make_problem(), "mgda", steps=0, epochs=1, patience=0.5, amp="int8", balancer={"taks": 1}, select="best")
    said = ("method='mgda'", "steps=0", "give one of the two", "patience=0.5", "amp='int8'", "taks", "select='best'")
    assert [words for words in said if words not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"select": eq.MeanImprovement({"a": 1.0})}, "one number for each of 'a', 'b', 'c'"),
        ({"clip": {"nothing": 1.0}}, "'nothing' fit none. The names begin with 'trunk', 'heads'"),
        ({"clip": -1.0}, "positive"),
        ({"optimizer": lambda model: None}, "returned NoneType"),
    ],
    ids=["baseline", "prefix", "norm", "optimizer"],
)
def test_what_does_not_fit_the_problem_is_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        eq.fit(make_problem(), steps=1, **settings)


def test_averaged_answers_with_its_average():
    fitted = fit("averaged", steps=6, schedule=None)
    assert fitted.best_step == 6
    with pytest.raises(SettingError, match="average of iterates"):
        fit("averaged", select=eq.MeanLoss())
