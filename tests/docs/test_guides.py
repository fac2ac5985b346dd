"""The guides: their snippets run as doctests; what they list is what the code has."""

import re
from pathlib import Path

import pytest

import equipoise as eq
from equipoise.laws import laws
from equipoise.solve import Status
from equipoise.training.recording import run_checks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def first_cells(page, heading):
    """First cells of the table under a heading, without the head of the table."""
    section = page.split(f"## {heading}")[1].split("\n## ")[0]
    return [row.split("|")[1].strip().strip("`") for row in section.splitlines() if row.startswith("|")][2:]


def test_every_status_and_every_notice_is_explained():
    page = (DOCS / "guides" / "notices.md").read_text()
    assert first_cells(page, "The status of a step") == [status.name for status in Status]
    kinds = set(re.findall(r'kind="([^"]+)"', Path(run_checks.__file__).read_text())) - {"Gramian method"}
    assert set(first_cells(page, "Notices about a run")) == kinds


def test_methods_and_laws_that_a_page_names_exist():
    page = (DOCS / "which-method.md").read_text()
    for name in re.findall(r"`(?:eq\.)?([A-Z]\w+)\(", page):
        assert hasattr(eq, name), name
    assert set(re.findall(r"`([a-z_]+_[a-z]+)`", page)) <= set(laws)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_every_link_between_pages_leads_to_a_page(path):
    words = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", words):
        place = (path.parent / target).resolve()
        generated = place.parent.name in {"gallery", "theory", "methods"}
        assert generated or place.exists() or place.with_suffix(".md").exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_what_a_page_takes_from_the_readme_is_there(path):
    readme = (DOCS.parent / "README.md").read_text()
    for name, words in re.findall(r'^:(start-after|end-before): "(.+)"$', path.read_text(), re.MULTILINE):
        assert readme.count(f"\n{words}\n") == 1, (name, words)
