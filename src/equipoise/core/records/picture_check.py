"""Whether the pictures of a record are what the report draws: the keys, the lengths, and one number a task."""

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

__all__ = ["check_picture"]

Points = list[list[float]]


class _Models(BaseModel):
    losses: Points
    piece: list[int]


class _Crease(BaseModel):
    losses: Points
    unreachable: list[bool]


class _Region(BaseModel):
    figure: Literal["feasible region"]
    tasks: list[str]
    width: int
    models: _Models
    pieces: dict[str, str]
    creases: list[_Crease]
    weighted: Points
    others: dict[str, Points]


class _Gap(BaseModel):
    figure: Literal["gap over the front"]
    tasks: list[str]
    width: int
    losses: Points = Field(min_length=1)
    gap: list[float] = Field(min_length=1)
    division: Points | None = None
    weights: Points | None = None


class _Edge(BaseModel):
    start: str = Field(alias="from")
    end: str = Field(alias="to")
    correlation: float
    on_cycle: bool


class _Conflict(BaseModel):
    figure: Literal["conflict graph"]
    tasks: list[str]
    edges: list[_Edge]
    cycle: list[str]
    margin: float
    matrix: str
    least: float


class _Spectrum(BaseModel):
    figure: Literal["spectrum"]
    tasks: list[str]
    widths: list[int] = Field(min_length=1)
    total: list[float]
    captured: Points
    separate: list[float]


_SHAPES: dict[object, type[BaseModel]] = {
    "feasible region": _Region,
    "gap over the front": _Gap,
    "conflict graph": _Conflict,
    "spectrum": _Spectrum,
}


def check_picture(picture: dict[str, Any] | str, k: int) -> str:
    """What is wrong with a picture, or "".

    Args:
        picture: A record to draw, or a sentence that says why there is none.
        k: Tasks of the audit.
    """
    if isinstance(picture, str):
        return ""
    if picture.get("figure") not in _SHAPES:
        return f"figure: one of {', '.join(map(str, _SHAPES))}; found {picture.get('figure')!r}"
    try:
        _SHAPES[picture["figure"]].model_validate(picture)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    wrong = _lengths(picture, k)
    return f"{wrong}: one number a task ({k}), or one a point" if wrong else ""


def _lengths(picture: dict[str, Any], k: int) -> str:
    """The first key whose numbers belong to other tasks or points."""
    if len(picture["tasks"]) != k:
        return "tasks"
    figure = picture["figure"]
    if figure == "spectrum":
        rows, widths = picture["captured"], len(picture["widths"])
        fits = len(picture["total"]) == len(rows) == widths and all(len(row) == k for row in rows)
        known = any(separate < 1 for separate in picture["separate"])
        return "" if fits and len(picture["separate"]) == k and known else "captured"
    if figure == "conflict graph":
        names = [*picture["cycle"], *(edge[end] for edge in picture["edges"] for end in ("from", "to"))]
        drawn = {frozenset((edge["from"], edge["to"])) for edge in picture["edges"]}
        cycle = picture["cycle"]
        pairs = {frozenset(pair) for pair in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True)}
        return "" if set(names) <= set(picture["tasks"]) and pairs <= drawn else "edges"
    if figure == "feasible region":
        pairs_of = [(picture["models"]["losses"], picture["models"]["piece"])]
        pairs_of += [(crease["losses"], crease["unreachable"]) for crease in picture["creases"]]
        if any(len(rows) != len(flags) for rows, flags in pairs_of):
            return "models"
    points = [("losses", picture["losses"])] if figure == "gap over the front" else _region_points(picture)
    wrong = [key for key, rows in points if any(len(row) != k for row in rows)]
    if figure == "gap over the front":
        places = picture.get("division", picture.get("weights"))
        counts = {len(picture["losses"]), len(picture["gap"]), -1 if places is None else len(places)}
        if len(counts) != 1 or any(len(place) != k for place in places or ()):
            wrong.append("division")
    return wrong[0] if wrong else ""


def _region_points(picture: dict[str, Any]) -> list[tuple[str, list[list[float]]]]:
    return [
        ("models", picture["models"]["losses"]),
        ("weighted", picture["weighted"]),
        *((f"others.{name}", rows) for name, rows in picture["others"].items()),
        *(("creases", crease["losses"]) for crease in picture["creases"]),
    ]
