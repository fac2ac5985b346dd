"""What to see in the pictures of linear models, a sentence each, and what the numbers rest on."""

from collections.abc import Mapping
from typing import Any

from ...core.records.audit import AuditRecord
from ..text import clean, joined, plural, share

__all__ = ["basis", "caption"]


def caption(picture: Mapping[str, Any], record: AuditRecord) -> str:
    """What to see in a picture.

    Args:
        picture: A record of `equipoise.linear.pictures`.
        record: Of the audit.
    """
    says = {
        "spectrum": _spectrum,
        "conflict graph": _conflict,
        "feasible region": _region,
        "gap over the front": _gap,
    }
    return says[picture["figure"]](picture)


def basis(picture: Mapping[str, Any], record: AuditRecord) -> str:
    """Unit, rows, split, and how sure the numbers are."""
    unit, known = {
        "spectrum": (
            "Shares of the tasks' predictable variance, each task in units of its own variance",
            "exact, for linear models",
        ),
        "conflict graph": (
            f"{str(picture.get('matrix', 'correlations')).capitalize()}, from −1 to 1",
            "exact, for linear models",
        ),
        "feasible region": (
            "Losses in shares of each task's variance",
            "surfaces and what lies on the front are exact, at a sample of points; what weights reach is a sweep",
        ),
        "gap over the front": (
            "Gaps and losses in shares of variance",
            "each gap is attained by a mixture; models not tried may have larger ones (found by search)",
        ),
    }[picture["figure"]]
    about = record.verdicts[0].about
    return f"{unit}; {plural(about.rows, 'row')}, {about.split}; {known}."


def _spectrum(picture: Mapping[str, Any]) -> str:
    total, rows, names = picture["total"], picture["captured"], [clean(name) for name in picture["tasks"]]
    known = [i for i, separate in enumerate(picture["separate"]) if separate < 1]
    least = min(known, key=rows[0].__getitem__)
    enough = next(width for width, value in zip(picture["widths"], total, strict=True) if value > 1 - 1e-6)
    near = next(width for width, value in zip(picture["widths"], total, strict=True) if value >= 0.95)
    most = f" {share(total[near - 1])} from width {near} on," if 1 < near < enough else ""
    return (
        f"A layer of width 1 captures at best {share(total[0])} of what can be predicted of all tasks together,{most} "
        f"and everything from width {enough} on; of single tasks, {names[least]} gets least from width 1 with equal "
        f"weights ({share(rows[0][least])} of its own)."
    )


def _conflict(picture: Mapping[str, Any]) -> str:
    cycle = [clean(name) for name in picture["cycle"]]
    if not cycle:
        return (
            "No circle of tasks has an odd number of negative correlations: the tasks can be turned around (their sign "
            "flipped) so that none is negative, and then weights reach every best trade-off."
        )
    return (
        f"The coloured circle of {joined(cycle)} holds an odd number of negative correlations; if correlations up to "
        f"{share(picture['margin'])} were noise, no such circle would be left."
    )


def _region(picture: Mapping[str, Any]) -> str:
    creases = picture["creases"]
    drawn = sum(len(crease["losses"]) for crease in creases)
    hidden = sum(sum(crease["unreachable"]) for crease in creases)
    order = joined([clean(name) for name in picture["tasks"]])
    first = (
        "Every dot is a model, coloured by the signs with which its one number enters the tasks"
        if picture["width"] == 1
        else "Every dot is a model, coloured by the signs with which what its layer leaves out enters the tasks"
    )
    if not creases:
        return f"{first} ({order}); black dots are what weights reach."
    if hidden:
        return (
            f"{first} ({order}); {hidden} of {drawn} points drawn where two surfaces meet are on the front, and there "
            "the front has a fold that no weights reach (crosses), nor the models around it."
        )
    return (
        f"{first} ({order}); none of {drawn} points drawn where two surfaces meet is on the front, so no fold there "
        "hides a model from weights."
    )


def _gap(picture: Mapping[str, Any]) -> str:
    gaps, losses = picture["gap"], picture["losses"]
    largest = max(gaps)
    place = gaps.index(largest)
    where = ", ".join(f"{clean(name)} {share(x)}" for name, x in zip(picture["tasks"], losses[place], strict=True))
    reached = sum(gap == 0 for gap in gaps)
    return (
        f"A mixture improves every task at once by up to {share(largest)} of variance, over the model at {where}; "
        f"{reached} of the {len(gaps)} balanced models drawn are reached by some weights and cannot be improved so."
    )
