"""The program: its commands, its version, and what happens when something goes wrong."""

import sys
from types import TracebackType
from typing import Annotated

import typer

from .._version import __version__
from .audit import audit
from .demo import demo
from .doctor import doctor
from .explore import explore
from .fit import fit
from .methods import methods
from .predict import predict
from .report import report
from .reproduce import reproduce
from .rewards import rewards
from .runs import runs
from .terminal import make_streams_safe, say

__all__ = ["app", "main"]

app = typer.Typer(
    name="equipoise",
    help="Measure multi-task trade-offs: which exist, which a weighted sum can reach, and what reaches the rest.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
for _command in (demo, audit, fit, predict, explore, rewards, runs, report, methods, doctor):
    app.command()(_command)
app.add_typer(reproduce)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"equipoise {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback if equipoise itself fails.")] = False,
) -> None:
    del version
    if debug:
        sys.excepthook = sys.__excepthook__


def main() -> None:
    """Run the program; exit with 0 done, 1 our fault, 2 bad input, 3 partly done, 130 interrupted."""
    sys.excepthook = _unexpected
    make_streams_safe()
    typer.main.get_command(app)(prog_name="equipoise")


def _unexpected(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Report an internal error; Python then exits with 1."""
    del traceback
    if issubclass(kind, KeyboardInterrupt):
        say("interrupted", err=True)
        return
    say(
        f"internal error: {kind.__name__}: {error}\n"
        "This is a fault of equipoise, not of your data. To report it, run the same command as\n"
        f"  equipoise --debug ...\nand send the traceback, the command and the version ({__version__}).",
        err=True,
    )
