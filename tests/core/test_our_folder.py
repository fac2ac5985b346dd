"""Whose folder it is: every kind of run asks the same question, and none destroys what cannot be computed again."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import equipoise as eq
from equipoise.cli.app import app
from equipoise.core import our_folder
from equipoise.core.files import LOCK, locked, read_file, replace_file, take_lock
from equipoise.core.our_folder import CONFIG, found_for, what_is_in
from equipoise.errors import RunFolderError

COMMANDS = {
    "audit": ("audit", "linnerud", "--targets", "Waist,Pulse", "--width", "1", "--no-new-rows"),
    "demo": ("demo",),
    "reproduction": ("reproduce", "sarcos", "-t", "a,b,c", "--starts", "1", "--directions", "1", "--data", "toy.csv"),
}


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch):
    """A small table where the test runs."""
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(3).normal(size=(60, 7)).round(4)
    numbers[:, 4:] += numbers[:, 1:4]
    pd.DataFrame(numbers, columns=["x", "y", "z", "w", "a", "b", "c"]).to_csv("toy.csv", index=False)


def run(kind, folder, *more):
    return CliRunner().invoke(app, [*COMMANDS[kind], "-q", "--out", str(folder), *more])


def train(folder, overwrite=False):
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    balancer = eq.Balancer(eq.MGDA(), tasks=("a", "b"))
    recorder = eq.record(balancer, folder, every=1, overwrite=overwrite)
    for _ in range(3):
        balancer({"a": weight.square().sum(), "b": (weight - 1).square().sum()}).backward()
    recorder.close()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


def card(folder, **config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_no_command_replaces_a_recorded_training(tmp_path, command, more):
    train(tmp_path / "run")
    before = contents(tmp_path / "run")
    made = run(command, tmp_path / "run", *more)
    assert made.exit_code == 2
    assert "holds a recorded training, which" in made.stderr
    assert "never replaces" in made.stderr
    assert contents(tmp_path / "run") == before
    train(tmp_path / "run")  # and it goes on there


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("writer", ["equipoise", "equipoise reproduce"])
def test_no_recording_replaces_a_computed_run(tmp_path, writer, overwrite):
    folder = card(tmp_path / "run", written_by=writer, command="audit")
    before = contents(folder)
    with pytest.raises(RunFolderError, match="which a recorded training never replaces"):
        train(folder, overwrite)
    assert contents(folder) == before


def test_an_audit_and_a_reproduction_replace_each_other_where_that_is_asked(tmp_path):
    folder = tmp_path / "run"
    assert run("reproduction", folder).exit_code == 0
    assert set(contents(folder)) == {"config.json", "record.json", "table.md"}
    refused = run("audit", folder)
    assert refused.exit_code == 2
    assert "holds what 'equipoise reproduce' wrote" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert run("audit", folder, "--overwrite").exit_code == 0
    assert set(contents(folder)) == {"config.json", "record.json", "report.html"}
    assert run("reproduction", folder).exit_code == 2
    assert run("reproduction", folder, "--overwrite").exit_code == 0
    assert set(contents(folder)) == {"config.json", "record.json", "table.md"}


@pytest.mark.parametrize("wanted", ["audit", "reproduction", "training"])
@pytest.mark.parametrize("config", [{"command": "a later one"}, {"command": ["audit"]}, {}])
def test_a_run_of_a_later_version_is_left_alone(tmp_path, wanted, config):
    folder = card(tmp_path / "run", written_by="equipoise", **config)
    with pytest.raises(RunFolderError, match="a run of another version of equipoise"):
        found_for(folder, wanted, overwrite=True, instead="Choose another.")


@pytest.mark.parametrize("config", [{"written_by": ["equipoise"]}, {"written_by": {}}, {"written_by": None}, {}])
def test_a_config_of_others_makes_a_folder_foreign(tmp_path, config):
    found = what_is_in(card(tmp_path / "run", **config))
    assert (found.kind, found.names) == ("foreign", ("config.json",))


def test_our_lock_and_half_written_files_count_as_nothing(tmp_path):
    (tmp_path / "toy.csv").unlink()
    (tmp_path / LOCK).touch()
    (tmp_path / ".config.json.1.equipoise-tmp").write_text('{"half')
    assert what_is_in(tmp_path).kind == "nothing"
    assert what_is_in(tmp_path / "absent").kind == "nothing"


def test_report_says_what_a_folder_is_that_it_cannot_render(tmp_path):
    folder = card(tmp_path / "run", written_by="equipoise", command="a later one")
    made = CliRunner().invoke(app, ["report", str(folder)])
    assert made.exit_code == 2
    assert "holds a run of another version of equipoise" in made.stderr


# ------------------------------------------------------------------------------------------------ files


def test_only_plain_files_are_read(tmp_path):
    (tmp_path / "plain").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_file(tmp_path / "plain", 5) == read_file(tmp_path / "link") == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_file(tmp_path / "plain", 4)
    for name in ("pipe", "zero", "."):
        with pytest.raises(OSError, match="not a plain file"):
            read_file(tmp_path / name)


def test_replacing_a_file_follows_no_link(tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "report.html").symlink_to(other)
    (tmp_path / f".report.html.{os.getpid()}.equipoise-tmp").symlink_to(other)
    replace_file(tmp_path / "report.html", "new")
    assert other.read_text() == "mine"
    assert not (tmp_path / "report.html").is_symlink()
    assert (tmp_path / "report.html").read_text() == "new"


def test_the_lock_does_not_follow_or_change_a_link_of_its_name(tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).symlink_to(other)
    with pytest.raises(RunFolderError, match="must be writable"):
        take_lock(folder, wait=0.0)
    assert other.read_text() == "mine"


def test_a_disk_without_locks_is_said_and_used(tmp_path, monkeypatch, caplog):
    import errno

    from equipoise.core import files

    def no_locks(*arguments, **named):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.FileLock, "acquire", no_locks)
    with caplog.at_level(logging.WARNING, logger="equipoise"), locked(tmp_path):
        pass
    assert "this disk has no locks" in caplog.text


def test_the_lock_is_one_for_threads_and_processes(tmp_path):
    with locked(tmp_path), pytest.raises(RunFolderError, match="being written"):
        take_lock(tmp_path, wait=0.0)
    take_lock(tmp_path, wait=0.0).release()


@pytest.mark.parametrize("moment", ["before the names", "between the two looks", "after both"])
def test_a_run_that_begins_while_we_look_is_never_taken_for_files_of_others(tmp_path, monkeypatch, moment):
    run = tmp_path / "run"
    run.mkdir()
    config = json.dumps({"written_by": "equipoise", "command": "audit"})
    own_read, own_iterdir = our_folder.read_file, Path.iterdir

    def iterdir(folder):
        if moment == "before the names":
            replace_file(run / CONFIG, config)
        return own_iterdir(folder)

    def read(path, most):
        if moment == "between the two looks":
            replace_file(run / CONFIG, config)
        try:
            return own_read(path, most)
        finally:
            replace_file(run / CONFIG, config)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(our_folder, "read_file", read)
    assert what_is_in(run).kind == ("nothing" if moment == "after both" else "audit")
    assert what_is_in(run).kind == "audit"
