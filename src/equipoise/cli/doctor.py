"""``equipoise doctor``: versions, threads, devices, and every method against a known answer."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from .common import Import, Json, import_modules, reporting, show
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..laws.known_answers import Checkup, Environment

__all__ = ["doctor"]


@reporting
def doctor(modules: Import = None, as_json: Json = False) -> None:
    """Check this installation and every method.

    The command shows versions, threads and devices, then runs every method on a Jacobian with a known answer. It exits
    with 1 if a method misses its answer.
    """
    from ..laws.known_answers import environment, examine_methods  # noqa: PLC0415 - imports torch

    import_modules(modules)
    surroundings, checkups = environment(), examine_methods()
    missed = [checkup.name for checkup in checkups if not checkup.passed]
    if as_json:
        found = {"environment": asdict(surroundings), "methods": [asdict(one) for one in checkups], "missed": missed}
        say_json(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    else:
        _show(surroundings, checkups)
        say(f"{len(checkups) - len(missed)} of {len(checkups)} methods agree with what is known of them.")
    if missed:
        say(f"error: {', '.join(missed)} did not; do not trust this installation.", err=True)
        raise typer.Exit(1)


def _show(surroundings: "Environment", checkups: "tuple[Checkup, ...]") -> None:
    from ..core.console import make_table  # noqa: PLC0415 - not for --help

    for name, number in surroundings.versions.items():
        say(f"{name:14} {number}")
    say(f"{'threads':14} {surroundings.threads}")
    say(f"{'devices':14} {', '.join(surroundings.devices)}\n")
    numbers = ("relative error", "ms")
    table = make_table("method", "known answer", *numbers, "result", right=numbers)
    for one in checkups:
        error = "" if one.error is None else f"{one.error:.0e}"
        spent = "" if one.milliseconds is None else f"{one.milliseconds:.2f}"
        table.add_row(one.name, one.check, error, spent, "ok" if one.passed else f"MISS: {one.fault}")
    show(table)
