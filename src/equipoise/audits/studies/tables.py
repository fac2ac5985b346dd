"""Records as rows of text: for the console, for a file, for a page."""

from collections.abc import Sequence

from pydantic import ValidationError

from ...core.records.json_text import first_fault
from ...core.records.studies import SurveyRecord, TriplesRecord
from ...core.text import clean
from ...errors import RunFolderError

__all__ = ["as_text", "record_from_json", "survey_table", "table_of", "triples_table"]

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def triples_table(record: TriplesRecord) -> Rows:
    """Header and rows: one a triple and width.

    A cell such as ``20 / 3 / 3`` counts points that are Pareto-stationary (to 1e-6), that are Pareto-optimal, and of
    these the ones out of reach of all weights.
    """
    header = ("tasks", "width", "condition", "margin", "MGDA", "MGDA-UB", "Tchebycheff", "largest lead", "members")
    rows: list[tuple[str, ...]] = []
    for triple in record.triples:
        cells: dict[str, str] = {
            run.method: f"{run.stationary} / {run.optimal} / {run.out_of_reach}" for run in triple.runs
        }
        margin = f"{triple.margin:.4f}" if triple.condition == "fails" else ""
        lead = f"{triple.largest_lead:.4f}" if triple.largest_lead > record.tolerance else "0"
        rows.append(
            (", ".join(triple.tasks), str(triple.width), triple.condition, margin,
             *(cells[method] for method in header[4:7]), lead, str(triple.members or ""))
        )  # fmt: skip
    return header, rows


def survey_table(record: SurveyRecord) -> Rows:
    """Header and rows: one a set, subset size and width."""
    header = (
        "set", "rows", "inputs", "tasks", "subset", "width", "subsets", "holds", "fails", "open",
        "margin (median, max)", "at stake (median, max)", f"over {record.threshold:g}", "worst subset", "note",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for row in record.rows:
        if not row.subsets:
            rows.append((row.data, str(row.rows), str(row.inputs), str(row.tasks), *[""] * 10, row.note))
            continue
        others = row.undetermined + row.single_point
        rest = f"{others} undetermined or single point" if others else ""
        counts = (row.rows, row.inputs, row.tasks, row.size, row.width, row.subsets, row.holds, row.fails, row.open)
        note = "; ".join(part for part in (rest, row.note) if part)
        stakes = (_pair(row.margin), _pair(row.stake), str(row.matter), ", ".join(row.worst))
        rows.append((row.data, *map(str, counts), *stakes, note))
    return header, rows


def table_of(record: TriplesRecord | SurveyRecord) -> Rows:
    """Header and rows of either kind of record."""
    return triples_table(record) if isinstance(record, TriplesRecord) else survey_table(record)


def record_from_json(text: str, where: str) -> TriplesRecord | SurveyRecord:
    """A record of either kind, as its own ``model_dump_json`` writes it; `where` is named in the error.

    Raises:
        RunFolderError: It is neither.
    """
    kind: type[TriplesRecord | SurveyRecord] = TriplesRecord if '"triples"' in text else SurveyRecord
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise RunFolderError(
            f"The record in {where!r} must be one of this version of equipoise; {first_fault(error)}. Run its command "
            "again with --overwrite."
        ) from error


def _pair(values: tuple[float, float] | None) -> str:
    return "" if values is None else f"{values[0]:.4f}, {values[1]:.4f}"


def as_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Example:
        >>> print(as_text(("a", "b"), [("1", "2")]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(clean(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
