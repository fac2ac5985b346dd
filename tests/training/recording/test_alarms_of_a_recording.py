"""A recording says which task stopped improving, since when, what it costs, and which one is starved; else nothing."""

import logging

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.core.records.training import Alarm
from equipoise.report.training.collect import collect_training
from equipoise.training.recording.folder import read_training
from equipoise.training.recording.run_checks import notices

TASKS = ("depth", "normals", "noise")
TIME = np.arange(300)
IMPROVING = [0.05 + 0.95 * (1 + TIME / 20) ** -0.9, (1 + TIME / 30) ** -0.8]


def recorded(folder, third, **settings):
    """A training whose losses follow curves, with gradients of equal size that agree."""
    balancer = eq.Balancer(eq.LinearScalarization(), tasks=TASKS)
    recorder = eq.record(balancer, folder, every=20, gradients=20, **settings)
    weight = torch.zeros(1, requires_grad=True)
    losses = np.stack([*IMPROVING, third], axis=1) * np.random.default_rng(0).gamma(60, 1 / 60, (len(TIME), 3))
    for row in losses:
        balancer({name: weight.sum() + value for name, value in zip(TASKS, row.tolist(), strict=True)}).backward()
    recorder.close()
    return recorder, read_training(folder)


def test_a_task_of_noise_is_named_with_since_when_and_what_it_costs(tmp_path, caplog):
    caplog.set_level(logging.WARNING, logger="equipoise")
    recorder, record = recorded(tmp_path / "run", np.where(TIME < 10, 1.3, 1.0))
    (alarm,) = [alarm for line in record.lines for alarm in line.alarms]
    assert (alarm.kind, alarm.task) == ("stopped", 2)
    (notice,) = [notice for notice in recorder.notices if notice.kind == "stopped improving"]
    assert notice.subject == "noise"
    lines = sum(line.step >= alarm.since for line in record.lines)
    assert f"has stopped improving since about step {alarm.since}" in notice.words
    assert "made up 33 % of the update" in notice.words
    assert "went against another task in 0 of" in notice.words
    assert "at most 1 % of runs give such an alarm for nothing" in notice.words
    assert len([entry for entry in caplog.records if "has stopped improving" in entry.message]) == 1
    page = collect_training(record)
    assert page["headline"] == "A task has stopped improving."
    assert f"median of {lines} recorded steps" in page["notices"][0]["words"]


def test_a_task_that_has_finished_is_no_doubt(tmp_path):
    recorder, record = recorded(tmp_path / "run", np.maximum(np.exp(-TIME / 15), 0.1))
    kinds = {notice.kind for notice in recorder.notices}
    assert kinds <= {"finished"}
    assert collect_training(record)["headline"] == "Nothing was found that should worry you."


def test_a_healthy_run_has_no_alarm(tmp_path):
    recorder, record = recorded(tmp_path / "run", (1 + TIME / 40) ** -0.7)
    assert recorder.notices == []
    assert all(line.alarms == () for line in record.lines)


def test_a_task_whose_loss_every_direction_raises_is_starved(tmp_path):
    balancer = eq.Balancer(eq.LinearScalarization(), tasks=("strong", "weak"))
    recorder = eq.record(balancer, tmp_path / "run", every=1, gradients=1)
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    for _ in range(30):
        optimizer.zero_grad()
        balancer({"strong": 3 * weight.sum() + 10, "weak": 10 - weight.sum()}).backward()
        optimizer.step()
    recorder.close()
    (notice,) = recorder.notices
    assert (notice.kind, notice.subject) == ("starved", "weak")
    assert "the method's direction raised its loss to first order on the shared parameters in 14 of 14" in notice.words
    assert "It made up 25 % of the update (median)" in notice.words
    alarms = [alarm for line in read_training(tmp_path / "run").lines for alarm in line.alarms]
    assert {alarm.measured for alarm in alarms} == {"steps taken", "directions"}
    assert all(alarm.count == alarm.of for alarm in alarms)


@pytest.mark.parametrize(("share", "kind"), [(0.2, "finished"), (0.6, "stopped improving")])
def test_a_finished_task_is_a_doubt_where_it_takes_more_than_its_part(tmp_path, share, kind):
    _, record = recorded(tmp_path / "run", (1 + TIME / 40) ** -0.7)
    alarm = Alarm(kind="stopped", task=2, since=100, found=200, own=1.0, others=0.5, before=0.2)
    shares = (0.5 - share / 2, 0.5 - share / 2, share)
    lines = [
        line.model_copy(
            update={
                "gradients": line.gradients.model_copy(update={"shares": shares}),
                "alarms": (alarm,) if line.step == 200 else (),
            }
        )
        for line in record.lines
    ]
    found = notices(record.model_copy(update={"lines": tuple(lines)}))
    assert [notice.kind for notice in found] == [kind]
