"""The program itself: help, version, exit codes, and what it imports."""

import errno
import inspect
import subprocess
import sys

import pytest
import typer

from equipoise._version import __version__
from equipoise.cli import app as program
from equipoise.cli import audit as audit_module
from equipoise.cli.app import app
from equipoise.cli.common import command_line, names_of
from equipoise.errors import ClockError

COMMANDS = [command.callback.__name__ for command in app.registered_commands]


def python(code, **kwargs):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **kwargs)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["audit", "--help"], ["demo", "-h"]])
def test_help_and_version_import_nothing_heavy(arguments):
    done = python(
        "import sys\n"
        f"sys.argv = ['equipoise', *{arguments!r}]\n"
        "from equipoise.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'plotly', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed(run):
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"equipoise {__version__}\n")


def test_python_dash_m_is_the_program():
    done = subprocess.run([sys.executable, "-m", "equipoise", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"equipoise {__version__}\n"


def test_the_commands_are_these():
    assert COMMANDS == ["demo", "audit", "fit", "predict", "explore", "rewards", "runs", "report", "methods", "doctor"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_is_documented(run, name):
    assert run(name, "--help").exit_code == 0
    command = typer.main.get_command(app).commands[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), (name, parameter.name)
    assert inspect.getdoc(inspect.getmodule(command.callback))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("group", [(), ("reproduce",)])
def test_the_summary_of_every_command_is_one_whole_sentence(run, group, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    command = typer.main.get_command(app)
    commands = command.commands["reproduce"].commands if group else command.commands
    lines = run(*group, "--help").stdout.split("Commands:\n")[1].splitlines()
    shown = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert shown == {name: one.help.split("\n")[0] for name, one in commands.items()}
    assert all(summary.endswith(".") and not summary.endswith("..") for summary in shown.values())


@pytest.mark.parametrize("arguments", [["audit"], ["nonsense"], ["audit", "x.csv", "--width", "wide"], ["demo", "--x"]])
def test_wrong_usage_exits_with_2(run, arguments):
    assert run(*arguments).exit_code == 2


def test_an_interrupt_exits_with_130(run, table, monkeypatch):
    monkeypatch.setattr(audit_module, "progress_on_stderr", lambda quiet: (_ for _ in ()).throw(KeyboardInterrupt))
    done = run("audit", table, "--targets", "a,b")
    assert done.exit_code == 130
    assert "interrupted" in done.stderr
    assert sorted(path.name for path in table.parent.iterdir()) == ["toy.csv"]


def test_an_error_that_is_not_the_inputs_exits_with_1(run, table, monkeypatch):
    def wrong(quiet):
        raise ClockError("no clock")

    monkeypatch.setattr(audit_module, "progress_on_stderr", wrong)
    done = run("audit", table, "--targets", "a,b")
    assert done.exit_code == 1
    assert done.stderr == "error: no clock\n"


BROKEN = (
    "import sys\n"
    "import equipoise.cli.audit as audit\n"
    "def broken(quiet):\n    raise ZeroDivisionError('oops')\n"
    "audit.progress_on_stderr = broken\n"
    "sys.argv = ['equipoise', *{flags!r}, 'audit', 'toy.csv']\n"
    "from equipoise.cli import main\nmain()\n"
)


def test_a_fault_of_ours_says_what_to_do_and_exits_with_1():
    done = python(BROKEN.format(flags=[]))
    assert done.returncode == 1
    assert "internal error: ZeroDivisionError: oops" in done.stderr
    assert "equipoise --debug" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback():
    done = python(BROKEN.format(flags=["--debug"]))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert program.main.__doc__


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (None, None),
        ([], None),
        (["a,b"], ("a", "b")),
        ([" a , b ,"], ("a", "b")),
        (['a,"b, c"'], ("a", "b, c")),
        (["a,b", "c"], ("a,b", "c")),
    ],
)
def test_names_with_commas_can_be_given(values, names):
    assert names_of(values) == names


@pytest.mark.parametrize("names", [("a", "b"), ("a,b", "c"), ("it's", 'say "x"'), (" a", "b"), ("$(rm)", "é")])
def test_the_command_shown_gives_the_same_names_back(names):
    import shlex

    words = shlex.split(command_line("audit", "x.csv", targets=names))
    values = [words[i + 1] for i, word in enumerate(words) if word == "--targets"]
    assert names_of(values) == names


@pytest.mark.parametrize("option", ["--width", "--bootstraps", "--seed"])
@pytest.mark.parametrize("value", ["1.5", "wide", "-1"])
def test_a_number_that_cannot_be_is_shown_as_it_was_typed(run, table, option, value):
    done = run("audit", table, "--targets", "a,b", option, value)
    assert done.exit_code == 2
    assert value in done.stderr
    assert "whole number" in done.stderr


def test_a_full_disk_is_no_fault_of_ours(run, table, monkeypatch):
    def full(quiet):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audit_module, "progress_on_stderr", full)
    done = run("audit", table, "--targets", "a,b")
    assert done.exit_code == 1
    assert done.stderr == "error: the system says: [Errno 28] No space left on device\n"
