"""The terms that a report uses, each in one plain sentence."""

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["glossary"]

_TERMS = (
    (
        "shared layer",
        ("shared layer", "shared width", "width"),
        "The few numbers that the model computes from the inputs and from which every task's own output is made; its "
        "width is how many there are.",
    ),
    (
        "weighted sum",
        ("weighted sum", "weights"),
        "One model trained to make small the sum of all tasks' losses, each multiplied by a fixed weight; with equal "
        "weights all tasks count the same.",
    ),
    (
        "Tchebycheff",
        ("tchebycheff", "balanced model", "worst task"),
        "One model trained to make small the largest of the tasks' losses instead of their sum.",
    ),
    (
        "mixture of models",
        ("mixture",),
        "Several models, one of them drawn by lot with fixed probabilities for each use: its losses are the average of "
        "theirs.",
    ),
    (
        "separate models",
        ("separate models",),
        "One model a task, each with a layer of its own, so that nothing is traded.",
    ),
    (
        "share of variance",
        ("variance",),
        "The mean squared error divided by the variance of the task's target: 0 is perfect, 1 is predicting the mean.",
    ),
    (
        "conflict",
        ("in conflict",),
        "A circle of tasks of which an odd number of neighbours disagree in sign, however single tasks are turned "
        "around; it keeps some trade-offs out of reach of every weighted sum.",
    ),
    (
        "in-sample",
        ("in-sample",),
        "Measured on the rows that the model was fitted to, which flatters it on new rows.",
    ),
)


def glossary(cases: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The terms that these cases use, in a fixed order.

    Args:
        cases: As `collect` makes them; only their own sentences are searched, not the names of a user's table.
    """
    text = " ".join(word for case in cases for word in _texts(case)).lower()
    return [{"term": term, "words": words} for term, signs, words in _TERMS if any(sign in text for sign in signs)]


def _texts(case: dict[str, Any]) -> Iterator[str]:
    yield case["summary"]
    yield case["caveat"]
    for section in case["sections"]:
        for key in ("headline", "rest", "caption", "about", "basis", "caveat"):
            yield section[key]
        yield from section["effect"]
        yield from (rung["words"] for rung in section["ladder"])
        if section["condition"]["edges"]:
            yield "in conflict"
