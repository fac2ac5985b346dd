"""A run's folder: the same call goes on, another one is refused with the keys that differ, and what is there stays."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import equipoise as eq
from equipoise.core.files import take_lock
from equipoise.errors import RunFolderError, StateError
from equipoise.training.resuming import checkpoint
from equipoise.training.resuming.plain_data import packed, unpacked
from tests.training.loop.runs import EVERY, STEPS, Net, data, fit, make_problem

ROOT = Path(__file__).parents[3]


class StopError(Exception):
    pass


def stopping_at(step):
    def callback(line, model):
        if line.step == step:
            raise StopError

    return callback


def interrupted(name, folder, step=EVERY, **settings):
    with pytest.raises(StopError):
        fit(name, folder, callbacks=[stopping_at(step)], **settings)


def all_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_finished_run_is_read_and_not_trained_again(tmp_path, monkeypatch):
    first = fit("famo", tmp_path / "run")
    before = all_files(tmp_path / "run")
    monkeypatch.setattr("equipoise.training.loop.one_step.Stepper.step", None)  # would fail if called
    again = fit("famo", tmp_path / "run")
    assert all_files(tmp_path / "run") == before
    assert (again.losses, again.metrics, again.history) == (first.losses, first.metrics, first.history)
    assert again.cost.passes == first.cost.passes
    assert all(torch.equal(v, again.model.state_dict()[name]) for name, v in first.model.state_dict().items())


def test_nothing_in_the_folder_is_a_pickle(tmp_path):
    fit("moco", tmp_path / "run")
    names = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()} - {""}
    assert names == {".json", ".jsonl", ".safetensors"}


def test_changed_data_are_refused_by_name(tmp_path):
    interrupted("mgda", tmp_path / "run")
    before = all_files(tmp_path / "run")
    problem = make_problem(seed=4)
    given = {"steps": STEPS, "every": EVERY, "batch_size": 16, "seed": 5, "folder": tmp_path / "run"}
    with pytest.raises(RunFolderError, match=r"(?s)data\.train: 'sha256 .* there, 'sha256 .* now.*data\.val") as caught:
        eq.fit(problem, eq.MGDA(), **given)
    assert "schedule" in str(caught.value)  # everything that differs is named at once
    assert all_files(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 13}, "steps: 12 there, 13 now"),
        ({"seed": 6}, "seed: 5 there, 6 now"),
        ({"clip": None}, "clip: 1.0 there, None now"),
        ({"optimizer": torch.optim.SGD}, r"optimizer\.class: 'AdamW' there, 'SGD' now"),
        ({"schedule": None}, r"schedule\.factors: .* there, 'absent' now"),
        ({"select": None}, r"select: 'MeanLoss\(weights=None\)' there, '' now"),
        ({"balancer": {"gradients": eq.Every(2)}}, r"balancer\.gradients: 'absent' there, 'Every\("),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_configuration_is_refused(tmp_path, settings, words):
    interrupted("mgda", tmp_path / "run")
    with pytest.raises(RunFolderError, match=words):
        fit("mgda", tmp_path / "run", **settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"steps": "many"}, "steps: Input should be a valid integer"),
        ({"steps": 0}, "steps: Input should be greater than or equal to 1"),
        ({"tasks": []}, "tasks"),
        ({"clip": float("inf")}, "not written by equipoise|finite"),
        ({"format": 2}, r"newer version of equipoise \(format 2; this version knows 1\)"),
    ],
    ids=["unknown key", "type", "range", "no tasks", "infinite", "newer"],
)
def test_a_changed_configuration_is_refused(tmp_path, change, words):
    interrupted("mgda", tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = all_files(tmp_path / "run")
    with pytest.raises(RunFolderError, match=words):
        fit("mgda", tmp_path / "run")
    assert all_files(tmp_path / "run") == before


def test_a_newer_or_damaged_checkpoint_is_refused(tmp_path):
    folder = tmp_path / "run"
    interrupted("mgda", folder)
    state = folder / "checkpoint" / "state.json"
    text = state.read_text()
    state.write_text(json.dumps(json.loads(text) | {"format": 2}))
    with pytest.raises(RunFolderError, match="newer version of equipoise"):
        fit("mgda", folder)
    state.write_text(text)
    tensors = folder / "checkpoint" / json.loads(text)["tensors"]["name"]
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[: len(whole) // 2])  # half copied
    with pytest.raises(RunFolderError, match="SHA-256 differs"):
        fit("mgda", folder)
    tensors.unlink()
    with pytest.raises(RunFolderError, match="No such file"):
        fit("mgda", folder)
    assert fit("mgda", folder, overwrite=True).status == "done"


def test_another_number_of_threads_is_said(tmp_path, caplog):
    interrupted("mgda", tmp_path / "run")
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert fit("mgda", tmp_path / "run").status == "done"
    finally:
        torch.set_num_threads(before)
    assert f"began with {before} threads and goes on with {before + 1}" in caplog.text


def test_lines_that_were_removed_are_missed(tmp_path):
    interrupted("mgda", tmp_path / "run", step=2 * EVERY)
    (tmp_path / "run" / "records.jsonl").write_bytes(b"")
    with pytest.raises(RunFolderError, match="Lines were removed"):
        fit("mgda", tmp_path / "run")


def test_folders_of_others_and_recordings_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="not written by equipoise"):
        fit("mgda", tmp_path, overwrite=True)
    eq.record(eq.Balancer(eq.MGDA(), tasks=("a",)), tmp_path / "recording").close()
    before = all_files(tmp_path / "recording")
    with pytest.raises(RunFolderError, match="holds a recorded training"):
        fit("mgda", tmp_path / "recording", overwrite=True)
    assert all_files(tmp_path / "recording") == before


def test_a_second_process_on_one_folder_is_refused(tmp_path):
    interrupted("mgda", tmp_path / "run")
    before = all_files(tmp_path / "run")
    lock = take_lock(tmp_path / "run", wait=0.0)
    found = []

    def second():
        try:
            fit("mgda", tmp_path / "run")
        except RunFolderError as error:
            found.append(str(error))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join()
    lock.release()
    assert "is being written by another" in found[0]
    assert all_files(tmp_path / "run") == before


def test_a_read_only_folder_is_refused_before_anything_is_trained(tmp_path):
    if os.geteuid() == 0:
        place = Path("/proc/equipoise-run")  # nobody can write there, root included
    else:
        tmp_path.chmod(0o500)
        place = tmp_path / "run"
    with pytest.raises(RunFolderError, match=r"read-only|must be writable"):
        fit("mgda", place)


@pytest.mark.parametrize("full", ["checkpoint", "records"])
def test_a_full_disk_ends_the_run_and_leaves_what_was_written(tmp_path, monkeypatch, full):
    expected = fit("famo", tmp_path / "whole")
    folder, count = tmp_path / "run", iter(range(100))

    def refuse(*arguments):
        if next(count) >= 5 or full == "records":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as patch:
        if full == "checkpoint":
            original = checkpoint.tensors_as_bytes
            patch.setattr(checkpoint, "tensors_as_bytes", refuse)
        else:
            original = os.write
            patch.setattr("equipoise.training.recording.line_file.os.write", refuse)
        with pytest.raises(RunFolderError, match="No space left on device"):
            fit("famo", folder)
    again = fit("famo", folder)
    assert again.history == expected.history
    assert all(torch.equal(v, again.model.state_dict()[name]) for name, v in expected.model.state_dict().items())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_a_signal_saves_and_leaves(tmp_path, number, code):
    program = f"""
import os, sys, torch
torch.set_num_threads(1)
from tests.training.loop.runs import fit
from equipoise.training.loop.one_step import Stepper
original = Stepper.step
def step(self, n):
    if n == 6:
        os.kill(os.getpid(), {int(number)})
    original(self, n)
Stepper.step = step
try:
    fit("famo", sys.argv[1], save_seconds=1e9)
except KeyboardInterrupt:
    sys.exit(130)
"""
    folder = tmp_path / "run"
    run = subprocess.run([sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, check=False)
    assert run.returncode == code, run.stderr.decode()[-2000:]
    assert json.loads((folder / "checkpoint" / "state.json").read_text())["step"] == 7
    whole, again = fit("famo"), fit("famo", folder)
    assert again.history == whole.history
    assert all(torch.equal(v, again.model.state_dict()[name]) for name, v in whole.model.state_dict().items())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def loader_problem(kind, **settings):
    x, y = data()
    sampler = {"generator": torch.Generator().manual_seed(9)} if settings.pop("own", False) else {}
    loader = kind(TensorDataset(x[:40], y[:40]), batch_size=16, shuffle=True, **sampler, **settings)
    losses = {
        task: (lambda out, batch, i=i, task=task: (out[task] - batch[1][:, i]) ** 2) for i, task in enumerate("abc")
    }
    return eq.Problem(Net, losses, train=loader, val=(x[40:], y[40:]))


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("own", [False, True], ids=["global generator", "own generator"])
@pytest.mark.parametrize("stateful", [True, False], ids=["stateful", "plain"])
def test_loaders_go_on_where_they_were(tmp_path, stateful, own):
    from torchdata.stateful_dataloader import StatefulDataLoader

    kind = StatefulDataLoader if stateful else DataLoader
    given = {"steps": 11, "every": 4, "seed": 5, "save_seconds": 0.0}

    def problem(seed=1):
        torch.manual_seed(seed)  # a sampler without a generator takes its seed when it is built
        return loader_problem(kind, own=own)

    whole = eq.fit(problem(), eq.MGDA(), **given)
    for step in (4, 8):
        folder = tmp_path / str(step)
        with pytest.raises(StopError):
            eq.fit(problem(), eq.MGDA(), folder=folder, callbacks=[stopping_at(step)], **given)
        saved = json.loads((folder / "checkpoint" / "state.json").read_text())["step"]
        assert saved == (step - 1 if stateful else 3 * ((step - 1) // 3))  # a plain loader only between its epochs
        again = eq.fit(problem(2), eq.MGDA(), folder=folder, **given)
        assert again.history == whole.history
        assert all(torch.equal(v, again.model.state_dict()[name]) for name, v in whole.model.state_dict().items())


def test_nested_states_come_back_as_they_were():
    tree = {"a": [1, 2.5, None, True], 3: ("x", float("nan")), "t": {"u": torch.arange(3)}, "$tuple": -float("inf")}
    plain, tensors = packed(tree)
    back = unpacked(json.loads(json.dumps(plain, allow_nan=False)), tensors)
    assert back["a"] == tree["a"]
    assert back[3][0] == "x"
    assert back[3][1] != back[3][1]
    assert back["$tuple"] == tree["$tuple"]
    assert torch.equal(back["t"]["u"], tree["t"]["u"])
    with pytest.raises(StateError, match=r"'a/0' is a builtins\.object"):
        packed({"a": [object()]})
