"""The page of frameworks: each of its scripts is run by a test, and every name on it exists."""

import re
from pathlib import Path

import equipoise as eq
from tests.integrations.page import PAGE, SCRIPTS


def test_every_script_of_the_page_is_run_by_a_test():
    """`two_tasks` is imported by all of them."""
    tests = "".join(path.read_text() for path in (Path(__file__).parents[1] / "integrations").glob("test_*.py"))
    assert set(re.findall(r'\brun\("(\w+)"', tests)) == SCRIPTS.keys() - {"two_tasks"}
    assert len(SCRIPTS) == PAGE.count("```python") == 7


def test_every_name_on_the_page_exists():
    named = set(re.findall(r"eq\.(?:integrations\.)?(\w+)\(", PAGE))
    assert {name for name in named if not hasattr(eq.integrations, name) and not hasattr(eq, name)} == set()
    assert set(eq.integrations.__all__) <= {*re.findall(r"\w+", PAGE)}
