"""All pictures of an audit: made from the problem, checked when a record is read, found by their key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ...core.records.as_json import refuse_places
from ...core.records.audit import AuditRecord, Drawn, Verdict
from ...core.records.json_text import first_fault
from .conflict import Conflict
from .gap import Gap
from .picture import Picture
from .region import Region
from .spectrum import Spectrum

if TYPE_CHECKING:
    from ..widths.optima import Shares

__all__ = ["PICTURES", "arranged", "check_pictures", "read_picture"]

PICTURES: dict[str, type[Picture]] = {kind.key: kind for kind in (Spectrum, Gap, Conflict, Region)}
"""In the order of the page."""
_NOTHING = "No pictures of this width: one model is best at every task, so there is nothing to see."


def arranged(shares: Shares, verdicts: Sequence[Verdict]) -> dict[str, Drawn | dict[int, Drawn]]:
    """All pictures of an audit, each a record to draw or a sentence that says why there is none.

    No search is made here: what was searched for (weighted sums, balanced models and by how much a mixture beats them)
    is taken from the verdicts' points; the rest is exact geometry of the Gramian. A verdict without points gets no
    pictures. Cost: 10 ms a width up to 3 tasks, below 5 ms otherwise.
    """
    drawn = [verdict for verdict in verdicts if verdict.front]
    return {
        key: _plain(kind.arrange(shares, verdicts[0]))
        if kind.place == "beside the spectrum"
        else {
            verdict.about.width: _NOTHING
            if verdict.status == "nothing_to_trade"
            else _plain(kind.arrange(shares, verdict))
            for verdict in drawn
        }
        for key, kind in PICTURES.items()
    }


def _plain(picture: Picture | str) -> Drawn:
    return picture if isinstance(picture, str) else picture.record()


def read_picture(key: str, record: dict[str, Any]) -> Picture:
    """The picture that a record holds.

    Raises:
        ValueError: No such picture, or fields that do not fit it (pydantic's `ValidationError` is one).
    """
    if key not in PICTURES:
        raise ValueError(f"a picture must be one of {', '.join(PICTURES)}; found {key!r}")
    return PICTURES[key].model_validate(record)


def check_pictures(record: AuditRecord) -> None:
    """Refuse a record with a picture that could not be drawn, or that belongs to other tasks.

    Raises:
        ValueError: The first five places at once.
    """
    refuse_places([f"pictures.{place}" for place in _misfits(record.pictures or {}, len(record.tasks))])


def _misfits(pictures: dict[str, Any], k: int) -> Iterator[str]:
    for key, found in pictures.items():
        if key not in PICTURES:
            yield f"{key}: no such picture; one of {', '.join(PICTURES)}"
            continue
        whole = PICTURES[key].place == "beside the spectrum"
        for place, picture in {key: found}.items() if whole else ((f"{key}.{q}", one) for q, one in found.items()):
            if wrong := "" if isinstance(picture, str) else _misfit(key, picture, k):
                yield f"{place}.{wrong}"


def _misfit(key: str, record: dict[str, Any], k: int) -> str:
    try:
        picture = read_picture(key, record)
    except ValidationError as error:
        return first_fault(error)
    wrong = picture.misfit() if len(picture.tasks) == k else "tasks"
    return f"{wrong}: one number a task ({k}), or one a point" if wrong else ""
