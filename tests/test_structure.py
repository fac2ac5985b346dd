"""The shape of the house: which way imports point, what every method states, what no file may hold."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import equipoise as eq

SOURCE = Path(eq.__file__).parent
FLOORS = [  # a room may import from its own floor and those above this line; `balancer` is the door of `balancing`
    {"_version", "errors"},
    {"core"},
    {"solve"},
    {"diagnostics", "methods", "data"},
    {"laws", "linear", "problems", "engine", "rewards"},
    {"balancing"},
    {"audits", "training"},
    {"fronts", "integrations", "comparison"},
    {"report"},
    {"_public"},
    {"cli", "__init__", "__main__"},
]
FLOOR = {name: number for number, floor in enumerate(FLOORS) for name in floor}
CROWDED = {  # folders of more than a dozen files, and why
    "cli": "one command a file, and what they share",
    "core": "one small helper a file, for every floor above",
    "core/records": "one kind of record a file",
    "methods/loss": "a catalogue: one method a file",
    "methods/gramian": "a catalogue: one method a file",
    "solve": "a catalogue: one k x k problem a file",
}
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str:
    """The folder of a file, as a dotted name; the file itself at the top."""
    if not module:
        return "__init__"
    inside = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    return inside or module


def part_of(module: str) -> str:
    first = room_of(module).split(".")[0]
    return "balancing" if first == "balancer" else first


def imports_of(module: str) -> set[str]:
    """Modules of ours that a file imports, inside functions and for types alone too."""
    path, found = MODULES[module], set()
    package = ["equipoise", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = [*base, *(node.module or "").split(".")] if node.module else base
            found |= {name for alias in node.names for name in (".".join([*whole, alias.name]), ".".join(whole))}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    ours = {name.removeprefix("equipoise").lstrip(".") for name in found if name.split(".")[0] == "equipoise"}
    exact = {name for name in ours & set(MODULES) if name}
    packages = {name for name in exact if any(other.startswith(f"{name}.") for other in exact)}
    return exact - packages - {module}


IMPORTING = [module for module in MODULES if module not in {"", "_public"}]


@cache
def imports() -> dict[str, set[str]]:
    """Of every file, what `imports_of` finds; collecting the tests reads no file."""
    return {module: imports_of(module) for module in IMPORTING}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of names that reach each other."""
    order = TopologicalSorter(arrows)
    try:
        order.prepare()
    except CycleError as error:
        return [error.args[1]]
    return []


def test_every_part_has_its_floor():
    assert {part_of(module) for module in MODULES} <= set(FLOOR)


@pytest.mark.parametrize("module", IMPORTING)
def test_imports_point_one_way(module):
    upward = {name for name in imports()[module] if FLOOR[part_of(name)] > FLOOR[part_of(module)]}
    assert not upward, f"{module} imports {upward}, which lies above it"


def test_no_circle_between_files():
    assert circles(imports()) == []


def test_no_circle_between_parts():
    arrows: dict[str, set[str]] = {}
    for module, found in imports().items():
        arrows.setdefault(part_of(module), set()).update(part_of(name) for name in found)
    assert circles({part: found - {part} for part, found in arrows.items()}) == []


@pytest.mark.parametrize("part", sorted({room.split(".")[0] for room in map(room_of, MODULES) if "." in room}))
def test_no_circle_between_the_rooms_of_a_part(part):
    arrows: dict[str, set[str]] = {}
    for module, found in imports().items():
        here = room_of(module)
        if here.startswith(f"{part}."):  # files of the part itself are its door or what its rooms share
            arrows.setdefault(here, set()).update(
                there for there in map(room_of, found) if there.startswith(f"{part}.") and there != here
            )
    assert circles(arrows) == []


def test_crowded_folders_say_why():
    count = Counter(room_of(module) for module in MODULES)
    assert {room.replace(".", "/") for room, files in count.items() if files > 13} == set(CROWDED)


def test_no_room_is_named_like_a_public_function():
    """A package `equipoise/audit` would replace the function `equipoise.audit` once it is imported."""
    rooms = {module for module in MODULES if module and "." not in module and module not in {"_public", "__main__"}}
    shadowed = {name for name in eq.__all__ if name in rooms and not inspect.ismodule(getattr(eq, name))}
    assert shadowed == set()


def test_tests_are_laid_out_like_the_source():
    root = Path(__file__).parent
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("test_*.py")} - {"."}
    rooms = {path.parent.relative_to(SOURCE).as_posix() for path in FILES} | {"docs", "diagnostics"}
    assert folders <= rooms


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.is_relative_to(SOURCE / "report") or "records" in p.parts], ids=lambda p: p.name
)
def test_reports_never_import_torch(path):
    assert not re.search(r"^\s*(import|from) torch", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_swallows_failures_or_grows_without_end(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 330
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in {path}"
            assert ast.unparse(node.type) not in {"Exception", "BaseException"} or path.parent.name == "cli"


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


def test_building_a_balancer_imports_nothing_that_its_steps_may_not_need():
    heavy = "('scipy', 'pydantic', 'pandas', 'plotly', 'sklearn', 'matplotlib')"
    code = f"import sys, equipoise as eq; eq.Balancer(eq.CAGrad()); print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


SECTION = re.compile(r"^ *(?:Args|Attributes):\n((?:(?: {4,}.*)?\n)+)", re.MULTILINE)
FRAGMENT = re.compile(
    r"(how|whose|where|when|who|of|on|in|at|by|for|from|theirs|to|as|with|those|these|that)\b", re.IGNORECASE
)


def described(text: str) -> list[tuple[str, str]]:
    """Name and description of every argument and attribute that a docstring lists."""
    found = []
    for block in SECTION.findall(f"{text}\n"):
        indent = len(block) - len(block.lstrip(" "))
        for entry in re.split(rf"^ {{{indent}}}(?=\S)", block, flags=re.MULTILINE)[1:]:
            name, _, description = " ".join(entry.split()).partition(": ")
            found.append((name, description))
    return found


@pytest.mark.parametrize("part", sorted({part_of(module) for module in MODULES}))
def test_arguments_are_described_in_whole_phrases(part):
    """Not "k: How many." or "seed: Of the draws."."""
    fragments = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())) if part_of(module) == part else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                entries = described(ast.get_docstring(node) or "")
                fragments += [
                    f"{module}, {node.name}: `{name}: {text}`"
                    for name, text in entries
                    if len(text.split()) < 3 or FRAGMENT.match(text)
                ]
    assert fragments == []
