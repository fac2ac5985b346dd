"""Every script of the gallery: well formed, in step with the package, and its first block runs."""

import ast
import re
from pathlib import Path

import pytest

import equipoise as eq

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "gallery_src"
SCRIPTS = [*sorted(FOLDER.glob("plot_*.py")), *sorted((DOCS / "theory_src").glob("plot_*.py"))]
EVERY_SCRIPT = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def first_block(source):
    """The script up to the second block of code: imports and settings, by the gallery's convention."""
    blocks = re.split(r"^# %%.*$", source, flags=re.MULTILINE)
    for end in range(1, len(blocks) + 1):
        code = "".join(blocks[:end])
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(code).body):
            return code
    raise AssertionError("the script imports nothing")


def dotted(node):
    """``eq.laws.families`` as ["eq", "laws", "families"]; None for anything but names and dots."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return None if inner is None else [*inner, node.attr]
    return None


def test_there_are_scripts():
    assert {"plot_directions", "plot_two_task_toy", "plot_mgda_solvers", "plot_rotograd"} <= {p.stem for p in SCRIPTS}


@EVERY_SCRIPT
def test_a_script_opens_with_a_title_and_says_where_numbers_are_drawn_from(path):
    source = path.read_text()
    title, line = ast.get_docstring(ast.parse(source)).splitlines()[:2]
    assert set(line) == {"="}
    assert len(line) >= len(title)
    drawn = re.search(r"default_rng|manual_seed|random_state|\.randn?\(", source)
    assert not drawn or "seed" in source.lower(), "a script that draws random numbers states their seed"


@EVERY_SCRIPT
def test_every_public_name_that_a_script_uses_exists(path):
    tree = ast.parse(path.read_text())
    used = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for names in used:
        if names and names[0] == "eq":
            assert hasattr(eq, names[1]), f"eq.{names[1]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("equipoise"):
            module = __import__(node.module, fromlist=["*"])
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@EVERY_SCRIPT
def test_the_first_block_of_a_script_runs(path, monkeypatch):
    pytest.importorskip("matplotlib", reason="the gallery draws with matplotlib, of the extra `plots`").use("agg")
    monkeypatch.chdir(FOLDER)
    exec(compile(first_block(path.read_text()), str(path), "exec"), {"__name__": "gallery"})


def test_the_directions_page_runs_whole(monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="the gallery draws with matplotlib")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    source = (FOLDER / "plot_directions.py").read_text()
    exec(compile(source, "plot_directions.py", "exec"), {"__name__": "gallery"})
    pyplot.close("all")
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("mean", "MGDA", "PCGrad", "CAGrad", "IMTL-G", "Nash-MTL"))
