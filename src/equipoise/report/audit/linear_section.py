"""The pictures of a linear audit for its page: each a block of panels, legend and sentences, or why there is none."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...audits.pictures.catalogue import PICTURES, read_picture
from ...core.records.audit import AuditRecord, Drawn
from ...core.text import plural
from ..pictures.names import said_shorter

__all__ = ["NONE", "add_pictures", "blocks"]

NONE: dict[str, Any] = {"panels": [], "legend": [], "title": "", "caption": "", "basis": "", "absent": "", "place": ""}
"""No picture, and nothing said of it."""


def add_pictures(page: dict[str, Any], records: Sequence[AuditRecord]) -> dict[str, Any]:
    """The page, as `collect` makes it of these records, with ``pictures`` (key -> block) in every case and section."""
    of_case = [key for key, kind in PICTURES.items() if kind.place == "beside the spectrum"]
    of_width = [key for key in PICTURES if key not in of_case]
    for case, record in zip(page["cases"], records, strict=True):
        found: dict[str, Any] = record.pictures or {}
        names = [task.name for task in record.tasks]
        bare = not any(verdict.front for verdict in record.verdicts)
        case["pictures"] = {
            key: NONE if bare else _block(key, found.get(key, ""), record, f"{case['anchor']}-{key}") for key in of_case
        }
        told: set[str] = set()
        for section in case["in_order"]:
            width = section["width"]
            drawn = {key: found.get(key, {}).get(width, "") for key in of_width}
            if section["status"] == "nothing_to_trade":  # one reason is enough
                last = [key for key, picture in drawn.items() if picture and PICTURES[key].place == "test"][-1:]
                drawn = {key: drawn[key] if key in last else "" for key in of_width}
            section["pictures"] = {
                key: NONE
                if isinstance(picture, str) and picture in told
                else _block(key, picture, record, f"{section['anchor']}-{key}")
                for key, picture in drawn.items()
            }
            told |= {block["absent"] for block in section["pictures"].values()}
        for part in (case, *case["in_order"]):
            part["pictures"] = said_shorter(part["pictures"], names)
    return page


def blocks(page: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """All pictures of a page, drawn or not."""
    for case in page["cases"]:
        for part in (case, *case["in_order"]):
            yield from part["pictures"].values()


def _block(key: str, found: Drawn, record: AuditRecord, anchor: str) -> dict[str, Any]:
    if isinstance(found, str):
        return NONE | ({"absent": found, "place": PICTURES[key].place} if found else {})
    picture, about = read_picture(key, found), record.verdicts[0].about
    return {
        "panels": [panel | {"id": f"{anchor}-{number}"} for number, panel in enumerate(picture.panels(), start=1)],
        "legend": picture.legend(),
        "title": picture.title(),
        "caption": picture.caption(),
        "basis": f"{picture.unit()}; {plural(about.rows, 'row')}, {about.split}; {picture.known}.",
        "absent": "",
        "place": picture.place,
    }
