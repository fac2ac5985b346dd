"""The doctor: finds every method well, and notices one that is not."""

import dataclasses
import json
from types import MappingProxyType

import pytest
import torch
from typer.testing import CliRunner

import equipoise as eq
from equipoise.cli.app import app
from equipoise.laws import known_answers as doctor
from equipoise.methods.base import Answer


def test_every_method_of_the_table_agrees_with_its_known_answer():
    checkups = doctor.examine_methods()
    assert [one.name for one in checkups] == list(eq.methods.table)
    assert {one.name: one.fault for one in checkups if not one.passed} == {}


def test_every_known_answer_belongs_to_a_method():
    assert set(doctor.answers) <= set(eq.methods.table)
    gramian = {name for name, kind in eq.methods.table.items() if not issubclass(kind, eq.methods.LossMethod)}
    assert gramian <= set(doctor.answers)


class Sick(eq.PCGrad):
    def weights(self, gramian, state, step):
        return Answer(torch.ones(len(gramian), dtype=torch.float64), state)


class Refusing(eq.PCGrad):
    def weights(self, gramian, state, step):
        raise eq.errors.LossError("no")


@pytest.fixture
def sick_table(monkeypatch):
    table = MappingProxyType({"mgda": eq.MGDA, "pcgrad": Sick, "upgrad": Refusing})
    monkeypatch.setattr(doctor, "table", table)


def test_a_miss_says_what_was_found_and_what_is_known(sick_table):
    well, sick, refusing = doctor.examine_methods()
    assert well.passed
    assert sick.fault == "found [0.0, 1.0], known is [0.25, 0.75]"
    assert refusing.fault == "LossError: no"


def test_a_method_without_a_stored_answer_has_its_laws_checked(monkeypatch):
    monkeypatch.setattr(doctor, "answers", MappingProxyType({}))
    monkeypatch.setattr(doctor, "table", MappingProxyType({"mgda": eq.MGDA}))
    (checkup,) = doctor.examine_methods()
    assert checkup.passed
    assert checkup.check.startswith("laws: ")


def test_the_command_prints_a_table_and_exits_with_zero():
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for word in ("torch", "threads", "devices", "cpu", "nashmtl", "graddrop"):
        assert word in result.stdout
    assert "MISS" not in result.stdout


def test_the_command_exits_with_one_on_any_miss(sick_table):
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "MISS" in result.stdout
    assert "pcgrad, upgrad did not" in result.stderr


def test_the_record_is_json(sick_table):
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(result.stdout)
    assert found["missed"] == ["pcgrad", "upgrad"]
    assert {field.name for field in dataclasses.fields(doctor.Checkup)} == set(found["methods"][0])
    assert found["environment"]["versions"]["torch"] == torch.__version__
