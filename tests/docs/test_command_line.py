"""The reference of the command line: nothing of ``--help`` is left out, and its examples run."""

import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import equipoise.fronts.capacity.experiment as capacity
from equipoise.cli.app import app
from tests.docs.test_readme import _parts

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "command-line.md").read_text()
GROUP = "reproduce"
ELSEWHERE = ("$ equipoise demo", "$ equipoise doctor")  # run whole by tests/cli/test_demo_and_methods.py, tests/laws
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHOWN = [line for lines in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
         for line in lines.splitlines()]  # fmt: skip
EXAMPLES = [line for line in SHOWN if not line.startswith(ELSEWHERE)]
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*(?![\w-])")
QUICK = {  # what makes a training of an example short; its questions and its output stay
    "audit": ("--no-new-rows",),
    "fit": ("--epochs", "1", "--hidden", "4", "--trials", "1", "--seeds", "1", "-j", "1"),
    "explore": ("--sums", "2", "--tchebycheff", "1", "--seeds", "1", "-j", "1", "--hidden", "4", "--epochs", "1"),
    "zdt2": ("--sums", "2", "--tchebycheff", "1", "--seeds", "1", "--steps", "3"),
    "sarcos": ("--starts", "2", "--directions", "2"),
    "survey": ("--directions", "2"),
}


def names(*before):
    """Commands as ``equipoise --help`` lists them, those of a group with its name before theirs."""
    listed = CliRunner().invoke(app, [*before, "--help"]).stdout.split("Commands:\n")[1].splitlines()
    found = [line.split()[0] for line in listed if re.match(r"  \S", line)]
    return [name for one in found for name in (names(one) if one == GROUP else [" ".join((*before, one))])]


COMMANDS = names()


@pytest.fixture(scope="module")
def written():
    """The module of the site that writes the tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_ext")
        for needed in ("sphinx", "matplotlib"):
            pytest.importorskip(needed, reason="the tables are written by the documentation's own code")
        yield import_module("command_tables")
    for module in ("command_tables", "method_tables", "method_pages"):
        sys.modules.pop(module, None)


def test_every_command_has_a_section_an_example_and_its_table():
    assert sorted(SECTIONS) == sorted(COMMANDS)
    assert len(SHOWN) == len(EXAMPLES) + len(ELSEWHERE) >= len(COMMANDS)
    for name, words in SECTIONS.items():
        assert f"$ equipoise {name}" in words
        assert f".. command:: {name}\n" in words
        assert f"(#{name.replace(' ', '-')})" in PAGE


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_option_of_help_is_in_the_table_with_its_words(written, name):
    directive = written.Command.__new__(written.Command)
    directive.arguments = [name] if name else []
    page = " ".join("\n".join(directive.lines()).replace("\\", "").replace("``", "").split())
    told = CliRunner().invoke(app, [*name.split(), "--help"]).stdout
    shown = " ".join(told.split())
    flags = {flag for line in re.findall(r"^  (-.*)", told, re.MULTILINE) for flag in FLAG.findall(line.split("  ")[0])}
    assert flags - set(FLAG.findall(page)) == {"-h", "--help"}
    for parameter in written.parameters(dict(written.commands())[name]) if name else ():
        for flag in parameter.flags:
            assert flag in shown
        assert parameter.words.replace("\\", "") in page
        assert parameter.words in shown
        assert parameter.default in {"none", "off", "required"} or parameter.default.strip("`").split()[0] in shown


def test_types_defaults_and_groups_are_told_in_words(written):
    """Every kind of parameter once."""
    of = {
        (name, each.flags[0]): (each.value, each.default, each.group)
        for name, command in written.commands()
        for each in written.parameters(command)
    }
    assert of["fit", "DATA"] == ("text", "required", "Arguments")
    assert of["fit", "--seeds"] == ("``N``, whole number", "``3``", "Options")
    assert of["fit", "--targets"] == ("``NAMES``, text, once or more", "none", "How the table is read")
    assert of["fit", "--overwrite"] == ("switch", "off", "The run and what it prints")
    assert of["audit", "--new-rows"] == ("switch", "where rows suffice", "Options")
    assert of["explore", "--jobs"] == ("``N``, whole number", "all cores for tables", "Options")
    assert of["reproduce survey", "--threshold"] == ("``SHARE``, number", "``0.01``", "Options")
    assert of["reproduce survey", "--most"] == ("``N``, whole number, at least 1", "``1000``", "Options")
    assert of["reproduce sarcos", "--data"] == ("``PATH``, path", "required", "Options")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    parts = _parts()
    parts.to_csv(folder / "parts.csv", index=False)
    parts.drop(columns=["strength", "waste", "thickness"]).head(3).to_csv(folder / "new.csv", index=False)
    (folder / "tables").mkdir()
    parts[["temperature", "speed", "strength", "waste", "thickness"]].to_csv(folder / "tables" / "a.csv", index=False)
    (folder / "tables" / "targets.json").write_text(json.dumps({"a.csv": ["strength", "waste", "thickness"]}))
    draw = np.random.default_rng(0)
    rewards = pd.DataFrame(draw.normal(size=(48, 2)), columns=["helpful", "short"])
    rewards.assign(prompt=np.repeat(range(12), 4)).to_csv(folder / "completions.csv", index=False)
    rates = np.repeat([0.1, 0.2, 0.3], 2)
    sweep = pd.DataFrame({"lr": rates, "seed": [0, 1] * 3, "error": 1 - rates, "latency": rates})
    (sweep + 0.001 * draw.random(sweep.shape) * [0, 0, 1, 1]).to_csv(folder / "sweep.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def outputs(files):
    """What each example printed, run in the order of the page: later ones use the folders of earlier ones."""
    found = {}
    whole = capacity.reproduce_capacity

    def short(table, **settings):
        return whole(table, **settings | {"networks": capacity.NETWORKS[:1], "preferences": 3, "steps": 2, "seeds": 1})

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(files)
        patch.setattr(capacity, "reproduce_capacity", short)  # a minute otherwise
        for example in EXAMPLES:
            words = shlex.split(example.removeprefix("$ equipoise "))
            quick = next((QUICK[word] for word in reversed(words[:2]) if word in QUICK), ())
            found[example] = CliRunner().invoke(app, [*words, *quick])
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs_and_writes_what_it_says(outputs, files, example):
    done = outputs[example]
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout
    named = re.search(r"--out (\S+)", example)
    if named:
        last = done.stdout.splitlines()[-1]
        assert last.startswith(named[1])
        assert (files / last).is_file()
