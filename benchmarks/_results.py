"""What the benchmarks leave: tables in Markdown, versions and machine they ran on, and two files a benchmark."""

import json
import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def machine() -> str:
    """Version of PyTorch, and the processor."""
    return f"torch {torch.__version__}, {platform.processor() or platform.machine()}"


def versions(*packages: str) -> dict[str, str]:
    """Versions of these packages and of Python, and the number of threads."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return {**found, "python": platform.python_version(), "threads": str(torch.get_num_threads())}


def write(folder: Path, name: str, found: Any, text: str) -> None:
    """Write ``name.json`` and ``name.md`` into the folder, and print the text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text.rstrip("\n") + "\n")
    print(text)
