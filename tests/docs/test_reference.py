"""The reference: nothing public is left out, nothing on it is gone."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import equipoise as eq

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "\n".join(path.read_text() for path in sorted((DOCS / "reference").glob("*.md")))
DIRECTIVES = re.findall(r"^\.\. auto(class|function|module|data):: (\S+)", PAGE, re.MULTILINE)
MODULES = {"data", "errors", "front", "integrations", "laws", "linear", "methods", "rewards", "solve", "__version__"}


@pytest.fixture
def pages(monkeypatch):
    """The module of the site that writes the methods' pages."""
    pytest.importorskip("matplotlib", reason="the pages draw with matplotlib, of the extra `plots`")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return import_module("method_pages")


def test_every_public_name_is_on_the_page():
    written = {name.rsplit(".", 1)[-1] for _, name in DIRECTIVES}
    listed = re.findall(r"^   :members: (.+)$", PAGE, re.MULTILINE)
    written |= {name.strip() for line in listed for name in line.split(",")}
    written |= {kind.__name__ for kind in eq.methods.table.values()}
    assert sorted(set(eq.__all__) - written - MODULES) == []


@pytest.mark.parametrize(
    "module",
    ["data", "errors", "fronts", "integrations", "laws", "linear", "methods", "problems", "report", "rewards", "solve"],
)
def test_every_name_of_a_public_module_is_on_the_page(module):
    if re.search(rf"automodule:: equipoise\.{module}\n   :members:\n", PAGE):
        return  # the page takes all of them
    exported = set(import_module(f"equipoise.{module}").__all__) - {kind.__name__ for kind in eq.methods.table.values()}
    assert sorted(name for name in exported if not re.search(rf"\b{name}\b", PAGE)) == []


def test_every_method_is_in_a_table_and_has_a_page(pages):
    folders = {kind.__module__.split(".methods.")[1].split(".")[0] for kind in eq.methods.table.values()}
    assert folders == set(re.findall(r"^\.\. method-table:: (\w+)", PAGE, re.MULTILINE)) == set(pages.KINDS)
    assert {name for kind in pages.KINDS for name, _ in pages.methods_of(kind)} == set(eq.methods.table)


@pytest.mark.parametrize("name", ["cagrad", "famo", "graddrop", "smoothed"])
def test_the_page_of_a_method_has_its_laws_and_the_inputs_that_break_others(pages, name):
    kind = eq.methods.table[name]
    page = "\n".join(pages.page(name, kind))
    claimed, broken = page.split("Laws that it breaks")
    assert f".. autoclass:: {kind.__module__}.{kind.__name__}" in claimed
    assert set(re.findall(r"^- ``(\w+)``", claimed, re.MULTILINE)) == kind().claims(pages.TASKS)
    assert set(re.findall(r"^- ``(\w+)``", broken, re.MULTILINE)) == set(kind().refutes())
    for example in kind().refutes().values():
        assert str([list(row) for row in example.jacobian]) in broken


def test_the_arrow_of_a_method_is_its_direction(pages):
    axes = pages.direction_figure(eq.MGDA()).axes[0]
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert arrows[-1].xy == pytest.approx(eq.direction(eq.MGDA(), pages.GRADIENTS).numpy())


def test_every_name_on_the_page_exists():
    for kind, name in DIRECTIVES:
        if kind == "module":
            import_module(name)
        else:
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), name
