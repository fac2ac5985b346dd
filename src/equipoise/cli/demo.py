"""``equipoise demo``: the same question on two tables, with two answers."""

from typing import TYPE_CHECKING

from .._version import __version__
from .common import Json, Out, Overwrite, Quiet, command_line, finish, reporting
from .progress import progress_on_stderr

if TYPE_CHECKING:
    from ..core.progress import Progress
    from ..core.records.audit import AuditRecord

__all__ = ["demo"]

_TITLE = "Is a weighted sum of the losses enough? Two tables, two answers"
_WIDTH = 1
_CASES = (
    ("diabetes", None, "Diabetes patients: body mass, blood pressure and disease progression, one shared feature"),
    ("arm", ("joint0", "joint4", "joint5"), "A robot arm: torques of joints 0, 4 and 5, one shared feature"),
)
"""Built-in set, targets, title. The arm's three torques are the triple with the largest conflict among all 35."""


@reporting
def demo(out: Out = None, overwrite: Overwrite = False, quiet: Quiet = False, as_json: Json = False) -> None:
    """Audit two built-in tables that get opposite answers.

    On one a weighted sum of the losses is enough, on the other it is not. Nothing is downloaded. The command writes
    config.json, record.json and report.html to equipoise-demo/.
    """
    from ..audits.run_folder import RunConfig, RunFolder  # noqa: PLC0415 - not for --help

    config = RunConfig(command="demo", version=__version__, data="built in", width=_WIDTH, title=_TITLE)
    folder = RunFolder(out or RunFolder.default("demo"), config, overwrite=overwrite)
    records = folder.records()
    if records is None:
        with progress_on_stderr(quiet) as progress:
            records = tuple(_case(number, progress) for number in range(len(_CASES)))
    finish(folder, records, _TITLE, as_json, hint="Your own table: equipoise audit your.csv --targets a,b,c")


def _case(number: int, progress: "Progress") -> "AuditRecord":
    from ..audits.table_audit import audit  # noqa: PLC0415 - imports numpy, pandas, scipy

    source, targets, title = _CASES[number]

    def told(done: int, total: int, words: str) -> None:
        progress(number * total + done, len(_CASES) * total, f"{source}: {words}")

    command = command_line("audit", source, targets=targets, width=_WIDTH)
    return audit(source, targets=targets, width=_WIDTH, command=command, title=title, progress=told)
