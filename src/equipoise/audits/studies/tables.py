"""Records as rows of text: for the console, for a file, for a page."""

from collections.abc import Sequence

from pydantic import ValidationError

from ...core.records.json_text import first_fault
from ...core.records.studies import CapacityRecord, Spread, SurveyRecord, TriplesRecord
from ...core.text import clean
from ...errors import RunFolderError

__all__ = ["StudyRecord", "as_text", "capacity_table", "record_from_json", "survey_table", "table_of", "triples_table"]

StudyRecord = TriplesRecord | SurveyRecord | CapacityRecord
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


def capacity_table(record: CapacityRecord) -> Rows:
    """Header and rows: one a problem, network and part; means over seeds with 95 % intervals.

    A method's cell is by how many ranges of the weighted sums' front a mixture of weighted sums is lower in every loss;
    below 0 the method is ahead of them.
    """
    methods = [end.method for end in record.rows[0].ends]
    header = (
        "problem", "network", "parameters", "judged", "volume, sums", "volume, Tchebycheff", "no weights select",
        "largest gap", *(f"sums ahead of {method}" for method in methods),
    )  # fmt: skip
    rows = [
        (row.problem, row.network, f"{row.parameters:,}", row.part, _interval(row.sums), _interval(row.tchebycheff),
         _interval(row.hidden, 2), _interval(row.gap), *(_interval(end.lead) for end in row.ends))
        for row in record.rows
    ]  # fmt: skip
    return header, rows


def _interval(found: Spread, digits: int = 3) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def table_of(record: StudyRecord) -> Rows:
    """Header and rows of any kind of record."""
    if isinstance(record, CapacityRecord):
        return capacity_table(record)
    return triples_table(record) if isinstance(record, TriplesRecord) else survey_table(record)


def record_from_json(text: str, where: str) -> StudyRecord:
    """A record of any kind, as its own ``model_dump_json`` writes it; `where` is named in the error.

    Raises:
        RunFolderError: It is none.
    """
    kind: type[StudyRecord] = TriplesRecord if '"triples"' in text else SurveyRecord
    if '"experiment"' in text:
        kind = CapacityRecord
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
