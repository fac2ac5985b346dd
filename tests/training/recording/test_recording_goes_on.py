"""A recording never ends a training: full disks, deleted folders, forks, links and odd neighbours."""

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch

import equipoise as eq
from equipoise.core.files import take_lock
from equipoise.errors import RunFolderError
from equipoise.report.training.render import render_training_markdown
from equipoise.training.recording import line_file
from equipoise.training.recording import recorder as recording
from equipoise.training.recording.folder import read_neighbours, read_training

TASKS = ("a", "b")


class Loop:
    """Two losses of one weight vector, plain gradient descent; the same numbers each time."""

    def __init__(self, method=None):
        self.weight = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        self.balancer = eq.Balancer(method or eq.MGDA(), tasks=TASKS)

    def run(self, steps):
        for _ in range(steps):
            self.weight.grad = None
            self.balancer({"a": self.weight.square().sum(), "b": (self.weight - 1).square().mean()}).backward()
            with torch.no_grad():
                self.weight -= 0.05 * self.weight.grad
        return self.weight.detach()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    return caplog


def steps_in(folder):
    return [json.loads(line)["step"] for line in (folder / "records.jsonl").read_text().splitlines()]


class FullDisk:
    """`os.write` on a disk that has room for so many more bytes, and then for none."""

    def __init__(self, monkeypatch, room):
        self.room, self.write = room, os.write
        monkeypatch.setattr(line_file.os, "write", self)

    def __call__(self, descriptor, data):
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 300])
def test_a_full_disk_costs_lines_and_nothing_else(folder, monkeypatch, log, room):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(3)
    disk = FullDisk(monkeypatch, room)
    loop.run(20)
    assert recorder.lost == 20
    assert steps_in(folder) == [1, 2, 3]
    disk.room = 10**9
    after = loop.run(4)
    recorder.close()
    assert torch.equal(after, Loop().run(27))
    record = read_training(folder)
    assert [line.step for line in record.lines] == [1, 2, 3, 24, 25, 26, 27]
    assert [line.lost for line in record.lines] == [0, 0, 0, 20, 0, 0, 0]
    assert not record.torn
    said = [entry.getMessage() for entry in log.records if "record" in entry.getMessage()]
    assert len(said) == 3
    assert "step 4 could not be recorded" in said[0]
    assert "recorded again from step 24 on; 20 lines are lost" in said[1]
    assert "20 recorded steps could not be written and are missing, the last of them before step 24" in said[2]
    assert [notice.kind for notice in recorder.notices if notice.kind == "lost lines"] == ["lost lines"]


def test_half_a_line_that_cannot_be_cut_off_at_once_is_cut_off_before_the_next(folder, monkeypatch):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(1)
    whole = (folder / "records.jsonl").read_bytes()
    disk = FullDisk(monkeypatch, 100)

    def refuse(*arguments):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(line_file.os, "ftruncate", refuse)
        loop.run(2)
    assert (folder / "records.jsonl").read_bytes()[: len(whole)] == whole
    assert len((folder / "records.jsonl").read_bytes()) == len(whole) + 100
    disk.room = 10**9
    loop.run(1)
    assert steps_in(folder) == [1, 4]
    assert recorder.lost == 2


def test_the_report_says_that_lines_are_missing(folder, monkeypatch):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    with monkeypatch.context() as patched:
        FullDisk(patched, 0)
        loop.run(7)
    loop.run(3)
    recorder.close()
    page = render_training_markdown(read_training(folder))
    assert "7 recorded steps could not be written and are missing, the last of them before step 8" in page


def test_a_disk_that_is_full_from_the_start_is_tried_again(folder, monkeypatch, log):
    loop = Loop()
    loop.balancer = eq.Balancer(eq.MGDA())  # the first step fixes the tasks, and opens the folder
    recorder = eq.record(loop.balancer, folder, every=1)

    def refuse(*arguments, **named):
        raise RunFolderError("the folder must be writable; the system says: No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(recording, "open_training", refuse)
        loop.run(2)
    loop.run(2)
    assert recorder.lost == 2
    assert steps_in(folder) == [3, 4]
    assert read_training(folder).lines[0].lost == 2


def test_a_folder_deleted_in_the_middle_is_said_counted_and_not_made_again(folder, log):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(20)
    shutil.rmtree(folder)
    after = loop.run(30)
    assert recorder.lost == 30
    recorder.close()
    assert torch.equal(after, Loop().run(50))
    assert not folder.exists()
    said = [entry.getMessage() for entry in log.records]
    assert any("step 21 could not be recorded" in words and "was deleted while" in words for words in said)
    assert any("the last 30 lines of this recording are lost" in words for words in said)


def test_a_folder_that_is_moved_keeps_its_lines(folder, log):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(2)
    folder.rename(folder.with_name("best"))
    loop.run(4)
    recorder.close()
    assert recorder.lost == 0
    assert [line.step for line in read_training(folder.with_name("best")).lines] == [1, 2, 3, 4, 5, 6]
    assert [entry.levelname for entry in log.records if "was moved" in entry.getMessage()] == ["WARNING"]


def test_nothing_is_written_into_a_file_that_took_the_place_of_ours(folder):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(2)
    (folder / "records.jsonl").unlink()
    (folder / "records.jsonl").write_text("mine\n")
    loop.run(2)
    recorder.close()
    assert (folder / "records.jsonl").read_text() == "mine\n"
    assert recorder.lost == 2


def test_closing_says_what_is_wrong_and_frees_the_folder(folder, log):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(2)
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    recorder.close()
    assert any("cannot be looked at: line 3" in entry.getMessage() for entry in log.records)
    take_lock(folder, wait=0.0).release()


def test_gradients_that_cannot_be_measured_cost_the_gradients_alone(folder, monkeypatch, log):
    loop = Loop(eq.LinearScalarization())
    recorder = eq.record(loop.balancer, folder, every=1, gradients=1)

    def no_memory(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("equipoise.training.recording.line.measure_gradients", no_memory)
    loop.run(3)
    assert recorder.lost == 0
    assert [line.gradients for line in read_training(folder).lines] == [None] * 3
    assert [entry.getMessage() for entry in log.records if "out of memory" in entry.getMessage()] == [
        f"{folder}: gradients could not be measured: CUDA out of memory"
    ]


# ------------------------------------------------------------------------------------------------ processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("parent_first", [True, False])
def test_a_forked_process_writes_nothing_and_frees_nothing(folder, parent_first):
    loop = Loop()
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(5)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            loop.weight.data *= 3  # another experiment
            loop.run(10)
            recorder.close()
            status = 0
        finally:
            os._exit(status)
    if parent_first:
        loop.run(3)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(RunFolderError, match="being written"):
        take_lock(folder, wait=0.0)
    if not parent_first:
        loop.run(3)
    recorder.close()
    record = read_training(folder)
    assert [line.step for line in record.lines] == list(range(1, 9))
    assert record.replaced == 0
    plain = Loop()
    plain.run(7)
    assert record.lines[-1].raw_losses[0] == float(plain.weight.detach().square().sum())


def test_a_killed_process_leaves_the_folder_free(folder):
    folder.mkdir()
    code = "import sys, pathlib, time\nfrom equipoise.core.files import take_lock\n"
    code += "lock = take_lock(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="being written by another recording or command"):
            take_lock(folder, wait=0.0)
        other.send_signal(signal.SIGKILL)
    take_lock(folder, wait=5.0).release()


# ------------------------------------------------------------------------------------------------ links


@pytest.fixture
def thesis(tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("chapter one\nchapter two, not ended by a line break")
    return path


def recorded(folder, method=None, steps=3):
    loop = Loop(method)
    recorder = eq.record(loop.balancer, folder, every=1)
    loop.run(steps)
    recorder.close()
    return folder


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_overwriting_replaces_a_link_and_leaves_what_it_points_to(folder, thesis, link):
    recorded(folder)
    (folder / "records.jsonl").unlink()
    link(thesis, folder / "records.jsonl")
    before = thesis.read_text()
    loop = Loop()
    eq.record(loop.balancer, folder, every=1, overwrite=True)
    loop.run(2)
    assert thesis.read_text() == before
    assert steps_in(folder) == [1, 2]


@pytest.mark.parametrize(("link", "words"), [(os.symlink, "is a link"), (os.link, "line 1 of records.jsonl")])
def test_going_on_behind_a_link_or_foreign_lines_is_refused(folder, thesis, link, words):
    recorded(folder)
    (folder / "records.jsonl").unlink()
    link(thesis, folder / "records.jsonl")
    before = thesis.read_text()
    with pytest.raises(RunFolderError, match=words):
        eq.record(Loop().balancer, folder)
    assert thesis.read_text() == before
    take_lock(folder, wait=0.0).release()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("name", ["records.jsonl", "config.json"])
def test_a_pipe_in_ones_own_folder_is_refused_and_waits_for_nobody(folder, name):
    recorded(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RunFolderError, match="not a plain file"):
        eq.record(Loop().balancer, folder)
    with pytest.raises(RunFolderError, match="not a plain file"):
        read_training(folder)


# ------------------------------------------------------------------------------------------------ neighbours


def sparse(path):
    with path.open("ab") as file:
        file.truncate(20 << 30)


def zero(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def deep(path):
    path.write_text("[" * 100_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
@pytest.mark.parametrize("name", ["records.jsonl", "config.json"])
@pytest.mark.parametrize("spoil", [sparse, zero, pipe, deep])
def test_a_neighbour_that_somebody_spoilt_is_left_out(tmp_path, name, spoil):
    mine, other = recorded(tmp_path / "mine"), recorded(tmp_path / "other", eq.PCGrad(), steps=5)
    good = recorded(tmp_path / "good", eq.PCGrad())
    for line, twin in ((mine, other), (mine, good)):  # the same losses under the name of another method
        (twin / "records.jsonl").write_bytes((line / "records.jsonl").read_bytes())
    spoil(other / name)
    assert list(read_neighbours(mine, read_training(mine))) == ["good"]
