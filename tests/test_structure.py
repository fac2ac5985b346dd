"""The shape of the house: which way imports point, what every method states, what no file may hold."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import equipoise as eq

SOURCE = Path(eq.__file__).parent
LAYERS = [  # a module may import from its own line and those above
    {"_version", "errors"},
    {"types", "column_card"},
    {"verdict"},
    {"solve"},
    {"methods", "diagnostics", "masking", "losses", "own_data"},
    {"laws", "records", "linear", "problems"},
    {"distributed", "engine"},
    {"saved_state", "balancer"},
    {"integrations", "data", "doctor", "profiling"},
    {"training", "auditing", "feature_audit", "runs"},
    {"front", "report", "reproduce"},
    {"_public"},
    {"cli", "__init__", "__main__"},
]
LEVEL = {name: number for number, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    found, package = set(), ["equipoise", *path.relative_to(SOURCE).parts[:-1]]
    source = ast.parse(path.read_text())
    for node in ast.walk(source):  # imports for types alone do not count
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = [*base, *(node.module or "").split(".")] if node.module else base
            names = [".".join([*whole, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "equipoise" and len(parts) > 1:
                found.add(parts[1])
    return {name for name in found if name in LEVEL}


def test_every_part_has_its_place():
    assert {part_of(path) for path in FILES} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path):
    if part_of(path) in {"__init__", "__main__", "_public"}:
        pytest.skip("the public face imports everything")
    upward = {name for name in imported_parts(path) if LEVEL[name] > LEVEL[part_of(path)]}
    assert not upward, f"{path.name} imports {upward}, which lies above it"


@pytest.mark.parametrize("path", [p for p in FILES if part_of(p) in {"report", "verdict"}], ids=lambda p: p.name)
def test_reports_never_import_torch(path):
    assert not re.search(r"^\s*(import|from) torch", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_swallows_failures_or_grows_without_end(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 330
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in {path}"
            assert ast.unparse(node.type) not in {"Exception", "BaseException"} or part_of(path) == "cli"


@pytest.mark.parametrize("name", list(eq.methods.table))
def test_every_method_states_what_a_reader_needs(name):
    kind = eq.methods.table[name]
    text = inspect.getdoc(kind) or ""
    for heading in ("Shapes", "Scale", "Degenerate", "Cost", "Source", "Example"):
        assert re.search(rf"^(\w+, )*{heading}(, \w+)*:", text, re.MULTILINE), f"{kind.__name__} lacks '{heading}'"
    assert ">>>" in text
    assert kind.source
    assert kind.cost
    assert getattr(eq, kind.__name__) is kind
    settings = [setting.name for setting in dataclasses.fields(kind)]
    assert [name for name in settings if f"{name}:" not in text and f"{name}, " not in text] == []


def test_importing_the_command_line_imports_neither_torch_nor_pandas():
    heavy = "('torch', 'pandas', 'scipy', 'plotly', 'sklearn')"
    code = f"import sys, equipoise.cli; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_importing_the_package_imports_no_pandas_plotly_or_sklearn():
    code = (
        "import sys, equipoise; print([m for m in ('pandas', 'plotly', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
