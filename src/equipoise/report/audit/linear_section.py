"""The pictures of a linear audit for its page: each a block of panels, legend and sentences, or why there is none."""

from collections.abc import Sequence
from typing import Any

from ...core.records.audit import AuditRecord, Pictures
from ..pictures.linear_figures import legend_of, linear_panels
from ..pictures.names import said_shorter
from .linear_captions import basis, caption

__all__ = ["add_pictures", "blocks"]

_NONE: dict[str, Any] = {"panels": [], "legend": [], "title": "", "caption": "", "basis": "", "absent": ""}
_PARTS = ("gap", "conflict", "region")
_NOTHING = Pictures(spectrum="", conflict={}, region={}, gap={})


def add_pictures(page: dict[str, Any], records: Sequence[AuditRecord]) -> dict[str, Any]:
    """The page with ``spectrum`` in every case, and ``gap``, ``conflict`` and ``region`` in every section.

    Args:
        page: As `collect` makes it of these records.
        records: One a case.
    """
    for case, record in zip(page["cases"], records, strict=True):
        found = record.pictures or _NOTHING
        bare = not any(verdict.front for verdict in record.verdicts)
        case["spectrum"] = _NONE if bare else _block(found.spectrum, record, f"{case['anchor']}-spectrum")
        told: set[str] = set()
        for section in case["in_order"]:
            for name, pictures in (("gap", found.gap), ("conflict", found.conflict), ("region", found.region)):
                picture = pictures.get(section["width"], "")
                again = isinstance(picture, str) and picture in told
                section[name] = _NONE if again else _block(picture, record, f"{section['anchor']}-{name}")
                told.add(section[name]["absent"])
            if section["status"] == "nothing_to_trade":  # one reason is enough
                section["gap"] = section["conflict"] = _NONE
        names = [task.name for task in record.tasks]
        for part, key in [(case, "spectrum"), *((s, key) for s in case["in_order"] for key in _PARTS)]:
            part[key] = said_shorter(part[key], names)
    return page


def blocks(page: dict[str, Any]) -> list[dict[str, Any]]:
    """All pictures of a page, drawn or not."""
    sections = [section for case in page["cases"] for section in case["in_order"]]
    inside = [section[name] for section in sections for name in _PARTS]
    return [*(case["spectrum"] for case in page["cases"]), *inside]


def _block(picture: dict[str, Any] | str, record: AuditRecord, anchor: str) -> dict[str, Any]:
    if isinstance(picture, str):
        return _NONE | {"absent": picture}
    panels = linear_panels(picture)
    for panel in panels:
        panel["figure"]["layout"]["showlegend"] = False  # the legend stands beside all panels
    return {
        "panels": [panel | {"id": f"{anchor}-{number}"} for number, panel in enumerate(panels, start=1)],
        "legend": [] if picture["figure"] == "gap over the front" else legend_of(panels[0]),
        "title": _title(picture),
        "caption": caption(picture, record),
        "basis": basis(picture, record),
        "absent": "",
    }


def _title(picture: dict[str, Any]) -> str:
    conflict = "Which tasks are in conflict" if picture.get("cycle") else "Why no tasks are in conflict"
    return {
        "spectrum": "",
        "gap over the front": "Where a mixture of models helps every task",
        "conflict graph": conflict,
        "feasible region": "All models, and what weights reach of them",
    }[str(picture["figure"])]
