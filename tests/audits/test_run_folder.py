"""Whose folder it is, and that files in it are whole or absent."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from equipoise import audit
from equipoise.audits import run_folder
from equipoise.audits.run_folder import RunConfig, RunFolder, read_records, slug
from equipoise.core.files import LOCK
from equipoise.core.records.as_json import records_from_json, records_to_json
from equipoise.errors import RunFolderError

CONFIG = RunConfig(command="audit", version="0.1.0", data="toy.csv", sha256="ab", targets=("a", "b"), width=1)


@pytest.fixture(scope="module")
def record():
    return audit("linnerud", width=1, new_rows=False, title="toy é", command="equipoise audit linnerud --width 1")


@pytest.fixture
def written(tmp_path, record):
    path = tmp_path / "run"
    RunFolder(path, CONFIG).write([record], "<html>1</html>")
    return path


def contents(path: Path):
    """What lies there, but for the lock."""
    return {entry.name: entry.read_bytes() for entry in path.iterdir() if entry.name != LOCK}


def test_a_new_folder_holds_config_record_and_report(written, record):
    assert set(contents(written)) == {"config.json", "record.json", "report.html"}
    assert RunConfig.model_validate_json((written / "config.json").read_text()) == CONFIG
    assert read_records(written) == (record,)


def test_asking_changes_nothing_on_disk(tmp_path):
    folder = RunFolder(tmp_path / "run", CONFIG)
    assert folder.records() is None
    assert not (tmp_path / "run").exists()


def test_an_empty_folder_may_be_used(tmp_path, record):
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run", CONFIG).write([record], "x")
    assert read_records(tmp_path / "run") == (record,)


def test_the_same_configuration_finds_its_record(written, record):
    assert RunFolder(written, CONFIG).records() == (record,)


def test_another_configuration_is_refused_with_every_key_that_differs(written):
    before = contents(written)
    other = CONFIG.model_copy(update={"width": 2, "targets": ("a", "c")})
    with pytest.raises(RunFolderError) as caught:
        RunFolder(written, other)
    message = str(caught.value)
    assert "width: 1 there, 2 now" in message
    assert "targets: ['a', 'b'] there, ['a', 'c'] now" in message
    assert "sha256" not in message
    assert "--overwrite" in message
    assert contents(written) == before


def test_changed_data_is_another_configuration(written):
    with pytest.raises(RunFolderError, match=r"content of the data \(sha256\): 'ab' there, 'cd' now"):
        RunFolder(written, CONFIG.model_copy(update={"sha256": "cd"}))


def test_overwrite_replaces_a_run_of_ours_and_leaves_other_files(written, record):
    (written / "notes.txt").write_text("mine")
    other = CONFIG.model_copy(update={"width": 2})
    folder = RunFolder(written, other, overwrite=True)
    assert folder.records() is None
    assert (written / "record.json").exists()
    folder.write([record, record], "<html>2</html>")
    assert (written / "notes.txt").read_text() == "mine"
    assert (written / "report.html").read_text() == "<html>2</html>"
    assert RunFolder(written, other).records() == (record, record)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "x"},
        {"config.json": "{}"},
        {"config.json": "not json"},
        {"config.json": '{"written_by": "another program"}'},
        {"config.json": "[1]"},
        {"record.json": "{}"},
    ],
)
def test_a_foreign_folder_is_refused_even_with_overwrite(tmp_path, files, overwrite):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(RunFolderError, match="not written by equipoise"):
        RunFolder(tmp_path, CONFIG, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_a_config_with_unknown_keys_is_refused_and_may_be_overwritten(written):
    config = json.loads((written / "config.json").read_text())
    (written / "config.json").write_text(json.dumps(config | {"new": 1}))
    with pytest.raises(RunFolderError, match="another version of equipoise"):
        RunFolder(written, CONFIG)
    assert RunFolder(written, CONFIG, overwrite=True).records() is None


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder(tmp_path / "run", CONFIG)


def test_a_parent_that_is_a_file_is_named(tmp_path):
    (tmp_path / "nowhere").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot be made: .*nowhere.* is a file"):
        RunFolder(tmp_path / "nowhere" / "run", CONFIG)


def test_a_dangling_link_is_named(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "gone")
    with pytest.raises(RunFolderError, match="link to something that is not there"):
        RunFolder(tmp_path / "run", CONFIG)


@pytest.mark.parametrize("exists", [True, False])
def test_a_read_only_place_is_named(tmp_path, monkeypatch, exists):
    if exists:
        (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunFolderError, match="read-only"):
        RunFolder(tmp_path / "run", CONFIG)


def test_a_disk_that_refuses_leaves_the_old_files_and_no_temporary_one(written, record, monkeypatch):
    before = contents(written)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        RunFolder(written, CONFIG).write([record], "new")
    assert contents(written) == before


def test_a_crash_between_files_never_leaves_a_record_under_another_configuration(written, record, monkeypatch):
    other = CONFIG.model_copy(update={"width": 2})
    folder = RunFolder(written, other, overwrite=True)
    replace, calls = run_folder.replace_file, []

    def crash(path, text):
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(path, text)

    monkeypatch.setattr(run_folder, "replace_file", crash)
    with pytest.raises(KeyboardInterrupt):
        folder.write([record], "new")
    monkeypatch.undo()
    again = RunFolder(written, other)
    assert again.records() is None
    again.write([record], "new")
    assert read_records(written) == (record,)


def test_leftovers_of_a_killed_run_are_ignored_and_removed(tmp_path, record):
    leftover = tmp_path / ".record.json.123.equipoise-tmp"
    leftover.write_text('{"half')
    folder = RunFolder(tmp_path, CONFIG)
    assert folder.records() is None
    folder.write([record], "x")
    assert not leftover.exists()
    assert read_records(tmp_path) == (record,)


@pytest.mark.parametrize("text", ['{"half', "[]", "{}", "", '{"title": 1}', "\x00"])
def test_a_damaged_record_is_refused_with_what_to_type(written, text):
    (written / "record.json").write_text(text)
    with pytest.raises(RunFolderError, match="--overwrite"):
        RunFolder(written, CONFIG).records()


def test_an_unfinished_run_says_so(written):
    (written / "record.json").unlink()
    with pytest.raises(RunFolderError, match="did not finish"):
        read_records(written)
    assert RunFolder(written, CONFIG).records() is None


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_reading_what_is_no_run_folder_is_refused(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(RunFolderError):
        read_records(tmp_path / "run")


def test_records_survive_json(record):
    for records in [(record,), (record, record)]:
        assert records_from_json(records_to_json(records)) == records
    assert isinstance(json.loads(records_to_json([record])), dict)
    assert isinstance(json.loads(records_to_json([record, record])), list)


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b\\c", ".hidden", "x\x00y", "-rf", "a" * 500, "ΔΔ", ""])
def test_a_slug_is_one_harmless_part_of_a_path(text):
    part = slug(text)
    assert set(part) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not part.startswith("-")
    assert len(part) <= 60
    assert len(RunFolder.default("audit", text).parts) == 1


def test_a_run_that_another_one_overtook_refuses_to_mix_with_it(tmp_path, record):
    slow = RunFolder(tmp_path / "run", CONFIG)
    RunFolder(tmp_path / "run", CONFIG.model_copy(update={"width": 2})).write([record], "2")
    before = contents(tmp_path / "run")
    with pytest.raises(RunFolderError, match="width: 2 there, 1 now"):
        slow.write([record], "1")
    assert contents(tmp_path / "run") == before


def test_two_writers_of_one_folder_take_turns(tmp_path, record):
    def write(number: int) -> None:
        RunFolder(tmp_path / "run", CONFIG).write([record], f"{number}" * 100_000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(24)))
    assert set(contents(tmp_path / "run")) == {"config.json", "record.json", "report.html"}
    assert read_records(tmp_path / "run") == (record,)


def test_a_long_value_is_shown_by_its_start(written):
    with pytest.raises(RunFolderError, match=r"content of the data \(sha256\): 'ab' there, 'cccccccccccc\.\.\.' now"):
        RunFolder(written, CONFIG.model_copy(update={"sha256": "c" * 64}))
