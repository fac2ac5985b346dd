"""What the optimizer makes of a direction is measured exactly, or the record says why it is not."""

import json

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.core.records.training import TakenStep, TrainingRecord
from equipoise.report.training.collect import collect_training
from equipoise.training.recording.folder import read_training

NAMES = ("a", "b", "c")


class Loop:
    """A trunk and three heads under any optimizer."""

    def __init__(self, method, optimizer, wide=6, dtype=torch.float32, **settings):
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(5, wide), nn.Tanh()).to(dtype)
        self.heads = nn.ModuleList([nn.Linear(wide, 1) for _ in NAMES]).to(dtype)
        self.model = nn.ModuleList([self.trunk, self.heads])
        self.optimizer = optimizer(self.model.parameters())
        self.balancer = eq.Balancer(method, tasks=NAMES, model=self.model, **settings)
        self.x = torch.randn(8, 5, dtype=dtype)

    def losses(self):
        z = self.trunk(self.x)
        outputs = [head(z).squeeze(1) for head in self.heads]
        return {name: (outputs[i] - self.x[:, i]).square().mean() for i, name in enumerate(NAMES)}

    def step(self):
        self.optimizer.zero_grad()
        self.balancer(self.losses()).backward()
        self.optimizer.step()

    def by_hand(self):
        """A step, with the first-order change of each loss over the trunk and over everything."""
        trunk, everything = list(self.trunk.parameters()), list(self.model.parameters())
        rows = [
            torch.autograd.grad(loss, everything, retain_graph=True, allow_unused=True)
            for loss in self.losses().values()
        ]
        before = [leaf.detach().clone() for leaf in everything]
        self.step()
        moved = [leaf.detach().double() - old.double() for leaf, old in zip(everything, before, strict=True)]
        changes = [
            [0.0 if g is None else float((g.double() * m).sum()) for g, m in zip(row, moved, strict=True)]
            for row in rows
        ]
        return [sum(row[: len(trunk)]) for row in changes], [sum(row) for row in changes]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.3)


def measured(folder):
    return [step for line in read_training(folder).lines for step in line.taken]


@pytest.mark.parametrize(
    ("method", "optimizer", "wide"),
    [(eq.UPGrad(), adam, 6), (eq.MGDA(), sgd, 400), (eq.GradDrop(), adam, 6), (eq.LinearScalarization(), adam, 6)],
    ids=["small model", "wide layer", "Jacobian method", "loss method"],
)
def test_the_numbers_are_those_taken_by_hand(tmp_path, method, optimizer, wide):
    loop = Loop(method, optimizer, wide)
    eq.record(loop.balancer, tmp_path / "run", every=1, gradients=1, steps_taken=1)
    wanted = [loop.by_hand() for _ in range(4)]
    loop.step()
    found = {step.step: step for step in measured(tmp_path / "run")}
    assert sorted(found) == [1, 2, 3, 4] if isinstance(method, eq.LinearScalarization) else [2, 3, 4]
    for number, step in found.items():
        shared, everywhere = wanted[number - 1]
        assert step.shared == pytest.approx(shared, rel=1e-4, abs=1e-8)
        assert step.everywhere == pytest.approx(everywhere, rel=1e-4, abs=1e-8)
        assert step.optimizers == (type(loop.optimizer).__name__,)
        assert (step.looked_at, step.still) == (8, 0)


def test_a_measured_training_equals_the_unmeasured_one_to_the_bit(tmp_path):
    plain, recorded = Loop(eq.MGDA(), adam), Loop(eq.MGDA(), adam)
    eq.record(recorded.balancer, tmp_path / "run", every=3, steps_taken=1)
    for _ in range(6):
        plain.step()
        recorded.step()
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), recorded.model.parameters(), strict=True))


def test_plain_gradient_descent_keeps_the_promise_and_momentum_need_not(tmp_path):
    def raised(folder, optimizer):
        loop = Loop(eq.UPGrad(), optimizer, dtype=torch.float64)
        eq.record(loop.balancer, folder, every=1, steps_taken=1)
        for number in range(30):
            loop.x = torch.randn(8, 5, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
            loop.step()
        steps = measured(folder)
        return sum(any(value > 1e-12 for value in step.shared) for step in steps), len(steps)

    assert raised(tmp_path / "plain", lambda p: torch.optim.SGD(p, lr=0.05)) == (0, 28)
    count, _ = raised(tmp_path / "momentum", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.95))
    assert count > 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"gradients": eq.Sketch(16)}, "'sketch'"),
        ({"gradients": eq.Every(100)}, "'reused'"),
        ({}, "'last layer'"),
    ],
    ids=["sketch", "reused weights", "one layer"],
)
def test_where_gradients_are_not_at_hand_the_record_says_so(tmp_path, settings, why):
    loop = Loop(eq.MGDA(), adam)
    settings = settings or {"gradients": eq.LastLayer(loop.trunk[0].weight)}
    loop.balancer = eq.Balancer(eq.MGDA(), tasks=NAMES, **settings)
    eq.record(loop.balancer, tmp_path / "run", every=4, steps_taken=1)
    for _ in range(9):
        loop.step()
    assert all(step.shared is None and step.looked_at == 8 for step in measured(tmp_path / "run"))
    page = collect_training(read_training(tmp_path / "run"))
    assert page["tasks"][0]["raised"] == "n/a"
    assert "was not measured" in page["taken"][0]
    assert why in page["taken"][0]


def test_steps_that_cannot_be_told_apart_are_not_measured(tmp_path):
    loop = Loop(eq.MGDA(), adam)
    eq.record(loop.balancer, tmp_path / "run", every=2, steps_taken=1)
    for _ in range(6):
        loop.balancer(loop.losses()).backward()  # and never a step
    assert measured(tmp_path / "run") == []
    assert "no optimizer of torch.optim stepped" in collect_training(read_training(tmp_path / "run"))["taken"][0]


def test_a_closure_is_measured_where_it_is_called_once(tmp_path):
    loop = Loop(eq.MGDA(), sgd)
    eq.record(loop.balancer, tmp_path / "run", every=1, steps_taken=1)

    def closure():
        loop.optimizer.zero_grad()
        loss = loop.balancer(loop.losses())
        loss.backward()
        return loss

    for _ in range(4):
        loop.optimizer.step(closure)
    assert [step.step for step in measured(tmp_path / "run")] == [2, 3]
    assert all(max(step.shared) < 0 for step in measured(tmp_path / "run"))


@pytest.mark.parametrize("method", [eq.MGDA(), eq.LinearScalarization()], ids=repr)
def test_parameters_that_never_move_are_named(tmp_path, method):
    loop = Loop(method, adam)
    loop.optimizer = torch.optim.Adam(
        [{"params": loop.trunk.parameters()}, {"params": loop.heads[:2].parameters()}], lr=0.01
    )  # the third head was forgotten
    recorder = eq.record(loop.balancer, tmp_path / "run", every=4, steps_taken=2)
    for _ in range(20):
        loop.step()
    (notice,) = [notice for notice in recorder.notices if notice.kind == "not moved"]
    assert "'1.2.weight'" in notice.words
    assert "2 parameters with a gradient did not change" in notice.words
    assert collect_training(read_training(tmp_path / "run"))["headline"] == "Parameters never move."


def test_the_share_of_raised_steps_is_shown_with_its_sample_size(tmp_path):
    loop = Loop(eq.MGDA(), adam)
    eq.record(loop.balancer, tmp_path / "run", every=1, steps_taken=1)
    for _ in range(5):
        loop.step()
    record = read_training(tmp_path / "run")
    lines = []
    for line in record.lines:
        values = (0.5, -0.5, None) if line.step % 2 else (-0.5, -0.5, None)
        taken = tuple(step.model_copy(update={"shared": values, "everywhere": (-1.0,) * 3}) for step in line.taken)
        lines.append(line.model_copy(update={"taken": taken}))
    page = collect_training(TrainingRecord(config=record.config, lines=tuple(lines), torn=False, replaced=0))
    # steps 2 to 4 are in the lines of the steps 3 to 5, of which two are odd
    assert [task["raised"] for task in page["tasks"]] == ["67 % (3)", "0 % (3)", "n/a"]
    assert "raised some task's loss to first order in 2 of 3 measured steps (67 %) on the shared" in page["taken"][0]
    assert "in 0 (0 %) with the tasks' own parameters" in page["taken"][0]


def test_measurements_take_a_hundredth_of_the_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("equipoise.training.recording.effects.time.perf_counter", lambda: clock[0])
    loop = Loop(eq.MGDA(), adam)
    eq.record(loop.balancer, tmp_path / "run", every=10)
    monkeypatch.setattr("equipoise.training.recording.effects.StepProbe", _Costly)
    for _ in range(130):
        clock[0] += 0.05
        loop.step()
    steps = [step.step for step in measured(tmp_path / "run")]
    assert steps == [2, 3, 4, 44, 84, 124]  # .02 s in 40 steps of .05 s is one hundredth


class _Costly:
    """A measurement that takes .02 s."""

    def __init__(self, step, leaves, rows, source, name_of, k):
        self.seconds = 0.02
        self.found = TakenStep(
            step=step,
            optimizers=("Adam",),
            shared=None,
            everywhere=None,
            looked_at=1,
            still=0,
            still_names=(),
            seconds=0.0,
        )

    def result(self):
        return self.found


# ------------------------------------------------------------------------------------------------ the count of steps


def test_the_count_of_steps_is_right_where_nobody_closes_the_recording(tmp_path):
    loop = Loop(eq.LinearScalarization(), sgd)
    recorder = eq.record(loop.balancer, tmp_path / "run", every=20, gradients=None, steps_taken=None)
    for _ in range(348):
        loop.step()
    record = read_training(tmp_path / "run")  # as after a kill: nothing was closed
    assert record.lines[-1].step == 340
    assert record.steps == 348
    page = collect_training(record)
    assert "348 steps, 18 of them recorded." in page["lead"]
    assert page["counted_to"] == "340"
    recorder.close()
    loop.step()
    assert read_training(tmp_path / "run").steps == 348


def test_records_without_a_count_keep_the_step_of_their_last_line(tmp_path):
    loop = Loop(eq.LinearScalarization(), sgd)
    eq.record(loop.balancer, tmp_path / "run", every=2, steps_taken=None)
    for _ in range(5):
        loop.step()
    (tmp_path / "run" / ".equipoise-steps").unlink()
    assert read_training(tmp_path / "run").steps == 4


def test_lines_without_measurements_look_as_they_did_before_there_were_any(tmp_path):
    loop = Loop(eq.LinearScalarization(), sgd)
    eq.record(loop.balancer, tmp_path / "run", every=1, gradients=None, steps_taken=None)
    loop.step()
    keys = json.loads((tmp_path / "run" / "records.jsonl").read_text())
    assert not {"taken", "untaken", "alarms", "lost"} & keys.keys()
