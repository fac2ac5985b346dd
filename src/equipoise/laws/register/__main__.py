"""``python -m equipoise.laws.register``: examine every implementation that is installed, and print what was found."""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from ..._version import __version__
from ..cases import Case
from .examine import Row, examine, inputs
from .packages import PACKAGES, Package
from .words import page, summary

_MISSING = (ImportError, RuntimeError, AttributeError)  # what a package raises whose own dependencies do not fit


def main(given: list[str] | None = None) -> None:
    """Examine, print, and write the files that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m equipoise.laws.register", description=__doc__)
    parser.add_argument("--package", action="append", help="examine this package only; may be given several times")
    parser.add_argument("--quick", action="store_true", help="leave out the random inputs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of the documentation")
    options = parser.parse_args(given)
    names = [package.distribution for package in PACKAGES]
    unknown = sorted(set(options.package or ()) - set(names))
    if unknown:
        parser.error(f"--package must be one of {', '.join(names)}; got {', '.join(unknown)}")
    chosen = [package for package in PACKAGES if not options.package or package.distribution in options.package]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # solvers warn on many inputs; what they return is what counts here
        rows, skipped = _examined(chosen, list(inputs(quick=options.quick)))
    sys.stdout.write(summary(rows, skipped) + "\n")
    if options.json:
        plain = [{**asdict(row), "worst": row.worst if math.isfinite(row.worst) else None} for row in rows]
        options.json.write_text(json.dumps({"rows": plain, "skipped": skipped}, indent=1, allow_nan=False))
    if options.markdown:
        options.markdown.write_text(page(rows, skipped, quick=options.quick))


def _examined(packages: Sequence[Package], cases: Sequence[Case]) -> tuple[list[Row], dict[str, str]]:
    """Rows, ours first, and the packages that were skipped with the reason."""
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    ours = {repr(theirs.ours): theirs.ours for package in packages for theirs in package.methods.values()}
    for name, method in ours.items():
        rows += examine(method, "equipoise", __version__, name, cases)
    for package in packages:
        if package.version is None:
            skipped[package.distribution] = "not installed"
            continue
        try:
            import_module(package.module)
        except _MISSING as fault:
            skipped[f"{package.distribution} {package.version}"] = f"{package.module} does not import: {fault}"
            continue
        for name, theirs in package.methods.items():
            rows += examine(theirs, package.distribution, package.version, name, cases)
    return rows, skipped


if __name__ == "__main__":
    main()
