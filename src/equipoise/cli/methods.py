"""``equipoise methods``: what each balancing method needs, costs and claims."""

import dataclasses
import difflib
import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, listed
from .common import Import, Json, import_modules, reporting, show
from .terminal import say, say_json

if TYPE_CHECKING:
    from ..methods import Method

__all__ = ["methods"]

_TASKS = 3
"""Number of tasks for which claims are listed; a law may hold for two tasks and fail for three."""
_LONG = ("cost", "claims", "source")


@reporting
def methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A method to show in full.")] = None,
    modules: Import = None,
    as_json: Json = False,
) -> None:
    """List the balancing methods: their needs, costs and claims."""
    from ..methods import table  # noqa: PLC0415 - imports torch

    import_modules(modules)

    if name is not None and name.lower() not in table:
        near = difflib.get_close_matches(name.lower(), sorted(table))
        closest = f" Closest: {listed(near)}." if near else ""
        raise InputError(f"NAME must be a method, found {name!r}.{closest} All of them: equipoise methods")
    chosen = sorted(table) if name is None else [name.lower()]
    facts = [_facts(key, table[key]) for key in chosen]
    if as_json:
        say_json(json.dumps(facts if name is None else facts[0], indent=1, ensure_ascii=False) + "\n")
    elif name is None:
        _show_all(facts)
    else:
        _show_one(facts[0])


def _facts(key: str, kind: "type[Method]") -> dict[str, Any]:
    from ..laws import laws  # noqa: PLC0415 - imports torch
    from ..methods import GramianMethod, JacobianMethod, LossMethod  # noqa: PLC0415 - imports torch
    from .plain_math import plain_text  # noqa: PLC0415 - not for --help

    method = kind()
    kinds = {LossMethod: "loss", GramianMethod: "Gramian", JacobianMethod: "Jacobian"}
    text = inspect.getdoc(kind) or ""
    return {
        "name": key,
        "class": kind.__name__,
        "import_path": f"{kind.__module__}.{kind.__qualname__}",
        "does": plain_text(text).split("\n")[0],
        "kind": next((words for base, words in kinds.items() if issubclass(kind, base)), "its own"),
        "needs": method.needs,
        "heads": method.heads,
        "clock": "epoch" if method.per_epoch else "step",
        "remembers": [tensor.name for tensor in method.state_tensors],
        "trains": method.trains,
        "cost": method.cost,
        "claims": {law: laws[law].sentence for law in sorted(method.claims(_TASKS))},
        "settings": {field.name: repr(getattr(method, field.name)) for field in dataclasses.fields(method)},
        "source": method.source,
        "text": plain_text(text),
    }


def _show_all(facts: list[dict[str, Any]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - not for --help

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 1, 0))
    for column in ("class", "needs", "heads", "clock", "cost", "claims", "source"):
        table.add_column(
            column, overflow="fold", no_wrap=column not in _LONG, min_width=20 if column in _LONG else None
        )
    for one in facts:
        shown = one | {"claims": " ".join(one["claims"])}
        table.add_row(*(str(shown[str(column.header)]) for column in table.columns))
    show(table)
    say(f"What a claim means (claims are for {_TASKS} tasks and default settings; the test suite checks each):")
    for law, sentence in sorted({law: words for one in facts for law, words in one["claims"].items()}.items()):
        say(f"  {law:20} {sentence}")
    say("In Python a method is eq.CLASS(), for example eq.CAGrad(c=0.4). One method in full: equipoise methods NAME")


def _show_one(fact: dict[str, Any]) -> None:
    settings = ", ".join(f"{key}={value}" for key, value in fact["settings"].items())
    lines = {
        "name": fact["name"],
        "call": f"{fact['class']}({settings})",
        "kind": fact["kind"],
        "needs": fact["needs"],
        "heads": fact["heads"],
        "clock": fact["clock"],
        "remembers": ", ".join(fact["remembers"]) or "nothing",
        "trains": "yes, give its parameters to an optimizer" if fact["trains"] else "nothing",
        "cost": fact["cost"],
        "claims": "\n           ".join(f"{law}: {words}" for law, words in fact["claims"].items()) or "nothing",
        "source": fact["source"],
    }
    say("\n".join(f"{key:10} {value}" for key, value in lines.items()))
    say(f"\n{fact['text']}")
