"""The page of public names: nothing public is left out, nothing on it is gone."""

import re
from importlib import import_module
from pathlib import Path

import pytest

import equipoise as eq

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
DIRECTIVES = re.findall(r"^\.\. auto(class|function|module|data):: (\S+)", PAGE, re.MULTILINE)
MODULES = {"data", "errors", "front", "integrations", "laws", "linear", "methods", "rewards", "solve", "__version__"}


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


def test_every_method_has_a_folder_that_the_page_names():
    folders = {kind.__module__.split(".methods.")[1].split(".")[0] for kind in eq.methods.table.values()}
    assert folders == set(re.findall(r"^\.\. method-classes:: (\w+)", PAGE, re.MULTILINE))
    assert folders == set(re.findall(r"^\.\. method-table:: (\w+)", PAGE, re.MULTILINE))


def test_every_name_on_the_page_exists():
    for kind, name in DIRECTIVES:
        if kind == "module":
            import_module(name)
        else:
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), name
