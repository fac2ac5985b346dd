"""What reaches a terminal: every encoding can show it, and no name from a table acts there."""

import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from equipoise.cli import main
from equipoise.cli.progress import left


def program(folder, *arguments, encoding="utf-8"):
    """The program with the streams that a process of this encoding has."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        for name, value in {"stdout": out, "stderr": err, "excepthook": sys.excepthook}.items():
            patch.setattr(sys, name, value)
        patch.setattr(sys, "argv", ["equipoise", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
    return SimpleNamespace(returncode=stop.value.code or 0, stdout=out.buffer.getvalue(), stderr=err.buffer.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table whose names hold signs that few encodings have, and an audit of it."""
    place = tmp_path_factory.mktemp("signs")
    lines = ["x1,x2,größe,y−1,\U0001f600"]
    lines += [f"{i % 11},{i * i % 7},{i * 3 % 5},{i * 5 % 11},{i * i % 13}" for i in range(60)]
    (place / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = program(
        place, "audit", "t.csv", "-t", "größe,y−1,\U0001f600", "--width", "1", "--no-new-rows", "-q", "-o", "out"
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
@pytest.mark.parametrize("form", [(), ("--markdown",)])
def test_every_encoding_gets_the_whole_result(folder, encoding, form):
    done = program(folder, "report", "out", *form, encoding=encoding)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert ("größe" if encoding != "ascii" else "gr\\u00f6\\u00dfe".replace("\\\\", "\\")) in text.replace("\\\\", "\\")
    assert ("y−1" if encoding == "utf-8" else "y-1") in text.replace("y\\-1", "y-1")


def test_a_process_writes_the_same(folder):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "200"}
    command = [sys.executable, "-m", "equipoise", "report", "out"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, program(folder, "report", "out", encoding="ascii").stdout)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_the_same_data_in_every_encoding(folder, encoding):
    done = program(folder, "report", "out", "--json", encoding=encoding)
    assert json.loads(done.stdout.decode(encoding)) == json.loads((folder / "out/record.json").read_text("utf-8"))


def test_no_escape_sequence_of_a_column_reaches_the_terminal(tmp_path):
    name = "\x1b]0;PWNED\x07y\x9b31m"
    lines = [f"x1,{name},a,b", *(f"{i},{i * i % 7},{i * 3 % 5},{i * 5 % 11}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for targets in (("-t", "nope,b"), ("-t", "a,b"), ("-t", name, "-t", "b"), ("-t", "a,b", "--json")):
        done = program(
            tmp_path, "audit", "t.csv", "--width", "1", "--no-new-rows", "--overwrite", "-o", "out", *targets
        )
        shown = (done.stdout + done.stderr).decode()
        assert done.returncode in {0, 2}, shown
        assert not {"\x1b", "\x07", "\x9b"} & set(shown), targets


@pytest.mark.parametrize(
    ("seconds", "done", "total", "words"),
    [
        (60.0, 10, 40, "about 3 min left"),
        (30.0, 3, 4, "about 10 s left"),
        (3600.0, 1, 4, "about 3 h left"),
        (4.0, 1, 100, ""),
        (60.0, 0, 40, ""),
        (60.0, 40, 40, ""),
    ],
)
def test_the_time_left_is_a_guess_from_the_steps_so_far(seconds, done, total, words):
    assert left(seconds, done, total) == words


def test_steps_of_an_earlier_run_do_not_count_for_the_guess(monkeypatch, capsys):
    module = sys.modules["equipoise.cli.progress"]
    clock = iter([0.0, 10.0, 20.0, 80.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False, raising=False)
    with module.progress_on_stderr(quiet=False) as progress:
        progress(0, 0, "reading")
        progress(900, 1000, "first")
        progress(910, 1000, "then")  # 10 steps in 60 s, 90 to go
    assert capsys.readouterr().err.splitlines() == [
        "reading", "first (900 of 1000)", "then (910 of 1000, about 9 min left)",
    ]  # fmt: skip
