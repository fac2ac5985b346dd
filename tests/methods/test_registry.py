"""Methods from outside: registered by class, known by name everywhere, refused with all faults at once."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from typer.testing import CliRunner

import equipoise as eq
from equipoise.cli.app import app
from equipoise.errors import SettingError
from equipoise.laws.known_answers import examine_methods
from equipoise.methods import Answer, GramianMethod


@dataclass(frozen=True)
class Halving(GramianMethod):
    """Half of the mean gradient."""

    source = "Nobody (2026)"
    cost = "none"

    def weights(self, gramian, state, step):
        return Answer(torch.full((len(gramian),), 0.5 / step.count, dtype=torch.float64), state)


@pytest.fixture
def halving():
    yield eq.methods.register(Halving)
    eq.methods.unregister(Halving)


def test_a_registered_method_is_in_the_table_and_examined(halving):
    assert eq.methods.table["halving"] is halving
    (found,) = [one for one in examine_methods() if one.name == "halving"]
    assert found.passed
    assert found.check.startswith("laws:")


def test_registering_again_replaces_and_unregistering_removes(halving):
    @dataclass(frozen=True)
    class Twin(Halving):
        factor: float = 0.5

    Twin.__name__, Twin.__qualname__, twin = halving.__name__, halving.__qualname__, Twin
    eq.methods.register(twin)
    assert eq.methods.table["halving"] is twin
    eq.methods.register(halving)


def test_every_fault_of_a_class_is_named_at_once():
    class MGDA(GramianMethod):  # not even a dataclass of its own
        pass

    with pytest.raises(SettingError) as refusal:
        eq.methods.register(MGDA)
    for fault in (
        "frozen dataclass",
        "define weights",
        "`source`",
        "`cost`",
        "belongs to equipoise.methods.gramian.mgda",
    ):
        assert fault in str(refusal.value)
    assert eq.methods.table["mgda"] is eq.MGDA


@pytest.mark.parametrize("thing", [eq.MGDA(), "mgda", int, GramianMethod])
def test_what_is_no_class_of_a_method_is_refused(thing):
    with pytest.raises(SettingError):
        eq.methods.register(thing)


def test_methods_of_the_package_cannot_be_unregistered():
    with pytest.raises(SettingError, match="was not registered"):
        eq.methods.unregister(eq.MGDA)


def test_the_command_line_sees_what_an_imported_module_registers(tmp_path, monkeypatch):
    (tmp_path / "my_methods.py").write_text(
        "from dataclasses import dataclass\nimport torch\nimport equipoise as eq\n"
        "from equipoise.methods import Answer, GramianMethod\n"
        "@eq.methods.register\n@dataclass(frozen=True)\nclass Mine(GramianMethod):\n    'Mine.'\n"
        "    source = 'me'\n    cost = 'none'\n"
        "    def weights(self, gramian, state, step):\n"
        "        return Answer(torch.full((len(gramian),), 1 / step.count, dtype=torch.float64), state)\n"
    )
    words = ["methods", "mine", "--json"]
    command = [sys.executable, "-m", "equipoise", *words, "--import", "my_methods"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["import_path"] == "my_methods.Mine"
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert CliRunner().invoke(app, words).exit_code == 2
    wrong = CliRunner().invoke(app, [*words, "--import", "nowhere"])
    assert wrong.exit_code == 2
    assert "'nowhere' cannot be imported" in wrong.stderr
