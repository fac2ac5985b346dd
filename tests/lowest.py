"""The lowest versions that pyproject.toml allows, one requirement a line: what ``make test-lowest`` installs.

torch is left out: it is installed before, in the one version whose CPU build is at hand. Tools that look at the source
and take no part in the tests are left out as well.
"""

import re
import tomllib
from pathlib import Path

ELSEWHERE = {"torch", "mypy", "pandas-stubs", "ruff", "scipy-stubs"}


def lowest(project: dict) -> list[str]:
    """Name and floor of each dependency that the tests need.

    Example:
        >>> lowest({"dependencies": ["numpy>=2.0", "torch>=2.6"], "optional-dependencies": {"dev": ["ruff>=0.9"]}})
        ['numpy==2.0']
    """
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras.get("plots", []), *extras.get("dev", [])]
    pairs = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in wanted]
    if None in pairs:
        raise SystemExit(f"every dependency must be NAME>=VERSION; found {wanted[pairs.index(None)]!r}")
    return [f"{name}=={floor}" for name, floor in (pair.groups() for pair in pairs) if name not in ELSEWHERE]


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "pyproject.toml"
    print("\n".join(lowest(tomllib.loads(path.read_text(encoding="utf-8"))["project"])))
