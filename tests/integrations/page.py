"""The scripts of `docs/frameworks.md` and the snippets of the README, run as they are pasted."""

import re
import runpy
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text()
SCRIPTS = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL))


def readme(start, names):
    """Run the README's snippet that begins with a line, with these names; returns its names."""
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if block.startswith(start)]
    exec(code, names)
    return names


def run(name, folder, monkeypatch):
    """Run a script of the page as a program in an empty folder.

    Returns:
        Its names.
    """
    for script, code in SCRIPTS.items():
        (folder / f"{script}.py").write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for script in SCRIPTS:
        monkeypatch.delitem(sys.modules, script, raising=False)
    try:
        return runpy.run_path(f"{name}.py", run_name="__main__")
    finally:
        for script in SCRIPTS:
            sys.modules.pop(script, None)
