"""Recording changes nothing, writes what is true, and keeps to its folder."""

import contextlib
import copy
import dataclasses
import json
import logging
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.core.files import take_lock
from equipoise.core.records.training import TrainingConfig, read_lines
from equipoise.errors import RunFolderError, SettingError
from equipoise.report.training.render import render_training_html
from equipoise.training.recording.folder import read_training
from equipoise.training.recording.gradient_probe import measure_gramian
from equipoise.training.recording.line_file import LineFile

NAMES = ("depth", "normals", "rotation")


class Loop:
    """A user's loop: a trunk, a head a task, plain gradient descent."""

    def __init__(self, method=None, names=NAMES, **settings):
        torch.manual_seed(0)
        self.names = names
        self.trunk = nn.Sequential(nn.Linear(6, 8), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(8, 1) for _ in names])
        self.balancer = eq.Balancer(method or eq.LinearScalarization(), **settings)
        self.parameters = [*self.trunk.parameters(), *self.heads.parameters()]
        self.optimizer = torch.optim.SGD(self.parameters, lr=0.1)
        self.generator = torch.Generator().manual_seed(1)

    def losses(self, absent=()):
        x = torch.randn(16, 6, generator=self.generator)
        features = self.trunk(x)
        return {
            name: None if name in absent else (head(features).squeeze(1) - x[:, i]).square().mean() * 10.0**-i
            for i, (name, head) in enumerate(zip(self.names, self.heads, strict=True))
        }

    def step(self, absent=()):
        losses = self.losses(absent)
        self.optimizer.zero_grad()
        self.balancer(losses).backward()
        self.optimizer.step()
        return losses

    def run(self, steps):
        for _ in range(steps):
            self.step()
        return self


def recorded(folder, method):
    loop = Loop(method)
    with contextlib.closing(eq.record(loop.balancer, folder, every=1)):
        loop.run(2)
    return folder


def lines_of(folder):
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.mark.parametrize("method", [eq.RLW(), eq.MGDA(), eq.GradDrop()], ids=repr)
def test_a_recorded_training_equals_the_unrecorded_one_to_the_bit(folder, method):
    plain, recorded = Loop(method), Loop(method)
    eq.record(recorded.balancer, folder, every=2, gradients=2)
    plain.run(9)
    recorded.run(9)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters, recorded.parameters, strict=True))
    here, there = plain.balancer.state_dict(), recorded.balancer.state_dict()
    assert here.keys() == there.keys()
    assert all(torch.equal(here[key], there[key]) for key in here)


def test_a_line_is_written_at_the_first_step_and_every_so_many(folder):
    loop = Loop()
    eq.record(loop.balancer, folder, every=5)
    loop.run(12)
    assert [line["step"] for line in lines_of(folder)] == [1, 5, 10]


def test_the_numbers_of_a_line_are_those_of_the_step(folder):
    loop = Loop(eq.LinearScalarization((1.0, 2.0, 3.0)))
    eq.record(loop.balancer, folder, every=1, gradients=1)
    losses = loop.step()
    line = read_training(folder).lines[0]
    values = [float(loss.detach()) for loss in losses.values()]
    assert line.raw_losses == pytest.approx(values)
    assert line.weights == pytest.approx((1.0, 2.0, 3.0))
    assert line.weighted_losses == pytest.approx(np.multiply(values, (1, 2, 3)))
    assert line.counts == {"SOLVED": 1}
    assert line.status == "SOLVED"


@pytest.mark.parametrize("method", [eq.LinearScalarization((1.0, 2.0, 3.0)), eq.MGDA()], ids=repr)
def test_gradients_agree_with_those_taken_by_hand(folder, method):
    loop = Loop(method)
    eq.record(loop.balancer, folder, every=1, gradients=1)
    losses = loop.losses()
    shared = list(loop.trunk.parameters())
    rows = [
        torch.cat([g.ravel() for g in torch.autograd.grad(loss, shared, retain_graph=True)]).double().numpy()
        for loss in losses.values()
    ]
    loop.balancer(losses).backward()
    line = read_training(folder).lines[0]
    found = line.gradients
    sizes = [np.linalg.norm(row) for row in rows]
    update = sum(weight * row for weight, row in zip(line.weights, rows, strict=True))
    pulls = [weight * size for weight, size in zip(line.weights, sizes, strict=True)]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert found.norms == pytest.approx(sizes, rel=1e-5)
    assert found.shares == pytest.approx([pull / sum(pulls) for pull in pulls], rel=1e-4, abs=1e-9)
    assert found.to_update == pytest.approx([cosine(row, update) for row in rows], abs=1e-4)
    pairs = [cosine(rows[i], rows[j]) for i, j in [(0, 1), (0, 2), (1, 2)]]
    assert found.cosines == pytest.approx(pairs, abs=1e-5)
    assert found.conflicting == pytest.approx(sum(pair < 0 for pair in pairs) / 3)
    assert found.measured == ("by the method" if isinstance(method, eq.MGDA) else "by the record")


def test_a_method_without_weights_is_recorded_without_weights(folder):
    loop = Loop(eq.GradDrop())
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    line = read_training(folder).lines[0]
    assert line.weights is None
    assert line.weighted_losses is None
    assert line.gradients.shares is None
    assert all(norm > 0 for norm in line.gradients.norms)


def test_weights_by_group_are_recorded_as_their_means(folder):
    loop = Loop(eq.MGDA(), granularity="tensor")
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    line = read_training(folder).lines[0]
    assert line.groups == len(loop.balancer.last.groups) == 2
    assert line.weights == pytest.approx(loop.balancer.last.weights.mean(dim=0).tolist())
    assert line.gradients.shares is None
    assert line.gradients.norms is not None


def test_absent_tasks_have_no_numbers(folder):
    loop = Loop(tasks=NAMES)
    eq.record(loop.balancer, folder, every=1, gradients=1)
    loop.step(absent=("normals",))
    line = read_training(folder).lines[0]
    assert line.raw_losses[1] is None
    assert line.weights == (0.5, None, 0.5)
    assert line.gradients.norms[1] is None
    assert line.gradients.cosines[0] is None
    assert line.gradients.cosines[1] is not None


def test_a_step_without_outcome_is_recorded_as_such_and_not_with_old_numbers(folder):
    loop = Loop(tasks=NAMES, nonfinite="propagate", method=eq.MGDA())
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    losses = {name: loss * float("nan") for name, loss in loop.losses().items()}
    loop.balancer(losses).backward()
    first, second = read_training(folder).lines
    assert first.status == "SOLVED"
    assert second.status == "NO_OUTCOME"
    assert second.raw_losses == (None, None, None)
    assert second.counts["propagated"] == 1


def test_evaluation_is_not_a_step(folder):
    loop = Loop()
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    with torch.no_grad():
        loop.balancer(loop.losses())
    loop.balancer.eval()
    loop.balancer(loop.losses())
    assert len(lines_of(folder)) == 1


def test_gradients_are_measured_rarely_by_default_and_never_when_switched_off(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "equipoise.training.recording.described._STEPS_PER_PASS", 10
    )  # three tasks: every 30 steps by default
    for setting, wanted in [("auto", [1, 30]), (None, []), (7, [1, 10, 20, 30])]:
        loop = Loop()
        eq.record(loop.balancer, tmp_path / str(setting), every=5, gradients=setting)
        loop.run(32)
        measured = [line.step for line in read_training(tmp_path / str(setting)).lines if line.gradients]
        assert measured == wanted


def test_parameters_of_one_task_do_not_count_as_shared():
    shared, own = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    both = torch.cat([shared, own]).square()  # one node with two parents: every parameter looks reached by both losses
    gramian = measure_gramian([both[:2].sum(), both.sum()])
    assert torch.equal(gramian, torch.full((2, 2), 8.0, dtype=torch.float64))


def test_measuring_leaves_no_trace_and_fires_no_hook():
    weight = torch.ones(2, requires_grad=True)
    fired = []
    weight.register_hook(fired.append)
    losses = [weight.sum(), weight.square().sum()]
    before = torch.get_rng_state()
    measure_gramian(losses)
    assert weight.grad is None
    assert not fired
    assert torch.equal(torch.get_rng_state(), before)
    sum(losses).backward()
    assert torch.equal(weight.grad, torch.full((2,), 3.0))


def test_what_is_too_large_to_measure_is_left_out(monkeypatch):
    monkeypatch.setattr("equipoise.training.recording.gradient_probe.MOST_BYTES", 15)
    weight = torch.ones(2, requires_grad=True)
    assert measure_gramian([weight.sum(), weight.sum()]) is None


# ------------------------------------------------------------------------------------------------ folders


def test_the_same_training_goes_on_in_its_folder(folder):
    first = Loop(eq.OMDTchebycheff())
    recorder = eq.record(first.balancer, folder, every=2)
    first.run(6)
    saved = first.balancer.state_dict()
    first.run(4)
    recorder.close()
    second = Loop(eq.OMDTchebycheff(), tasks=NAMES)
    second.balancer.load_state_dict(saved)
    eq.record(second.balancer, folder, every=2)
    second.run(2)
    record = read_training(folder)
    assert [line.step for line in record.lines] == [1, 2, 4, 6, 8]
    assert record.replaced == 2  # steps 8 and 10 of the part that was trained again


def test_another_training_is_refused_with_what_differs(folder):
    first = Loop(eq.MGDA())
    eq.record(first.balancer, folder, every=1).close()
    assert not folder.exists()  # nothing is written before the tasks are known
    recorder = eq.record(first.balancer, folder, every=1)
    first.step()
    recorder.close()
    before = (folder / "config.json").read_bytes()
    with pytest.raises(RunFolderError, match=r"(?s)method: .MGDA.*tasks") as refusal:
        eq.record(Loop(eq.RLW(), tasks=("a", "b", "c")).balancer, folder)
    assert "overwrite=True" in str(refusal.value)
    assert (folder / "config.json").read_bytes() == before


def test_overwrite_replaces_only_our_own_files(folder):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.step()
    recorder.close()
    (folder / "notes.txt").write_text("mine")
    other = Loop(eq.RLW())
    eq.record(other.balancer, folder, every=1, overwrite=True)
    other.run(2)
    assert (folder / "notes.txt").read_text() == "mine"
    assert read_training(folder).config.method == repr(eq.RLW())
    assert len(lines_of(folder)) == 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_others_is_left_alone(folder, overwrite):
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"):
        eq.record(Loop().balancer, folder, overwrite=overwrite)
    (folder / "config.json").write_text('{"written_by": "equipoise", "command": "audit"}')
    with pytest.raises(RunFolderError, match="holds an audit, which a recorded training never replaces"):
        eq.record(Loop().balancer, folder, overwrite=overwrite)
    assert (folder / "thesis.tex").read_text() == "years of work"


def test_missing_parents_are_made_when_there_is_something_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    eq.record(Loop().balancer, "runs/first")  # its tasks are not known yet
    assert list(tmp_path.iterdir()) == []
    eq.record(Loop(tasks=NAMES).balancer, "runs/first").close()
    names = {path.name for path in (tmp_path / "runs" / "first").iterdir()}
    assert names == {"config.json", "records.jsonl", ".equipoise-lock", ".equipoise-steps"}


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "file/run"):
        with pytest.raises(RunFolderError, match="is a file"):
            eq.record(Loop().balancer, tmp_path / name)


def test_two_recordings_cannot_share_a_folder(folder):
    first, second = Loop(tasks=NAMES), Loop(tasks=NAMES)
    recorder = eq.record(first.balancer, folder)
    with pytest.raises(RunFolderError, match="another recording"):
        eq.record(second.balancer, folder)
    recorder.close()
    eq.record(second.balancer, folder)


def test_the_folder_is_free_again_when_the_balancer_is_gone(folder):
    loop = Loop(tasks=NAMES)
    eq.record(loop.balancer, folder)
    with pytest.raises(RunFolderError, match="being written"):
        eq.record(Loop(tasks=NAMES).balancer, folder)
    del loop
    eq.record(Loop(tasks=NAMES).balancer, folder)


def test_a_torn_last_line_is_dropped_and_not_continued(folder):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(3)
    recorder.close()
    path = folder / "records.jsonl"
    whole = path.read_bytes()
    for cut in (1, 10, len(whole) // 4):
        path.write_bytes(whole[:-cut])
        record = read_training(folder)
        assert record.torn
        assert [line.step for line in record.lines] == [1, 2]
    LineFile(folder / "records.jsonl", take_lock(folder)).close()  # what the next recording does first
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:2])


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(folder):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(3)
    recorder.close()
    lines = (folder / "records.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "records.jsonl").write_bytes(lines[0] + b'{"step": 2}\n' + lines[2])
    with pytest.raises(RunFolderError, match="line 2"):
        read_training(folder)


def test_every_line_is_one_write(folder, monkeypatch):
    writes = []
    loop = Loop(tasks=NAMES)
    eq.record(loop.balancer, folder, every=1)
    real = __import__("os").write
    monkeypatch.setattr(
        "equipoise.training.recording.line_file.os.write", lambda fd, data: writes.append(data) or real(fd, data)
    )
    loop.run(3)
    assert len(writes) == 3
    assert all(data.count(b"\n") == 1 and data.endswith(b"\n") for data in writes)


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": 2.5}, {"gradients": 0}, {"gradients": "often"}])
def test_settings_out_of_range_are_refused(folder, settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        eq.record(Loop().balancer, folder, **settings)


def test_a_copy_of_the_balancer_is_not_recorded(folder):
    loop = Loop()
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    for copied in (copy.deepcopy(loop.balancer), pickle.loads(pickle.dumps(loop.balancer))):
        losses = loop.losses()
        copied(losses).backward()
        assert copied.steps == 2
    assert len(lines_of(folder)) == 1


def test_notices_are_logged_once_through_the_library_logger(folder, caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    loop = Loop(eq.OMDTchebycheff(step_size=1e-12))
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(70)
    recorder.close()
    recorder.close()
    said = [entry for entry in caplog.records if "same weight" in entry.message]
    assert len(said) == 1
    assert said[0].name == "equipoise"
    assert said[0].levelno == logging.WARNING
    assert [notice.kind for notice in recorder.notices].count("uniform weights") == 1


def test_lines_with_other_numbers_of_tasks_are_refused(folder):
    loop = Loop()
    eq.record(loop.balancer, folder, every=1)
    loop.step()
    record = read_training(folder)
    fewer = TrainingConfig(**{**record.config.model_dump(), "tasks": ("one",)})
    with pytest.raises(RunFolderError, match="1 tasks"):
        read_lines(fewer, (folder / "records.jsonl").read_bytes())


@pytest.mark.parametrize(
    ("settings", "place"),
    [({}, "shared parameters"), ({"gradients": eq.Sketch(64)}, "sketch"), ({"layer": "trunk"}, "one layer")],
)
def test_a_line_says_where_gradients_were_taken(folder, settings, place):
    loop = Loop(eq.MGDA())
    if "layer" in settings:
        settings = {"layer": loop.trunk[0]}
    loop.balancer = eq.Balancer(eq.MGDA(), **settings)
    eq.record(loop.balancer, folder, every=1)
    loop.run(2)
    assert {line["gradients"]["at"] for line in lines_of(folder)} == {place}


@dataclasses.dataclass(frozen=True)
class Mine(eq.LinearScalarization):
    """A method from outside the package."""


def test_the_class_of_a_method_is_stored_by_its_path_and_shown_where_it_is_from_outside(tmp_path):
    theirs, ours = (read_training(recorded(tmp_path / repr(method), method)) for method in (Mine(), eq.MGDA()))
    assert theirs.config.method_class == f"{__name__}.Mine"
    assert ours.config.method_class == "equipoise.methods.gramian.mgda.MGDA"
    assert theirs.config.method_class in render_training_html(theirs)
    assert ours.config.method_class not in render_training_html(ours)


def test_a_folder_without_the_path_goes_on_and_another_class_of_the_same_name_is_refused(tmp_path):
    config = read_training(recorded(tmp_path / "run", Mine())).config
    older, other, moved = (
        config.model_copy(update={"method_class": path}) for path in ("", "other.Mine", "equipoise.methods.Mine")
    )
    assert config.differences(older) == older.differences(config) == config.differences(moved) == []
    assert config.differences(other) == [f"method_class: '{__name__}.Mine' there, 'other.Mine' now"]
