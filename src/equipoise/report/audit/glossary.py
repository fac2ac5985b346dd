"""The terms that a report uses, each in one plain sentence: where they stand, and together at the end."""

from collections.abc import Iterator, Sequence
from typing import Any

from ...core.records.audit import Verdict

__all__ = ["explained", "glossary"]

_TERMS = (
    (
        "shared layer",
        ("shared layer", "shared width", "width"),
        "The few numbers that the model computes from a row's inputs and from which every task's own output is made; "
        "its width is how many there are. A table has no such layer: the audit puts the best one there.",
    ),
    (
        "front",
        ("front", "trade-off"),
        "The models of this width that cannot be made better at one task without getting worse at another.",
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
        "One model trained to make small the largest of the tasks' losses, or of their excesses, instead of the sum.",
    ),
    ("excess", ("excess",), "A task's loss minus the loss of the best model of its own: what sharing costs it."),
    (
        "mixture of models",
        ("mixture",),
        "Several models, one of them drawn by lot with fixed probabilities for each use: its losses are the average of "
        "theirs.",
    ),
    (
        "solve",
        (" solves", " solve;"),
        "One weighted sum solved exactly. The best weights are found by trying many; more solves, a harder search.",
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
        "margin",
        ("margin",),
        "How strong such a circle is: were correlations up to it noise, no conflict would be left. 0 is none, 1 the "
        "largest.",
    ),
    ("in-sample", ("in-sample",), "Measured on the rows that the model was fitted to, which flatters it on new rows."),
)


def glossary(cases: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The terms that these cases use, in a fixed order; only our sentences are searched, not a user's names."""
    text = " ".join(word for case in cases for word in _texts(case)).lower()
    return [{"term": term, "words": words} for term, signs, words in _TERMS if any(sign in text for sign in signs)]


def explained(verdict: Verdict) -> dict[str, list[dict[str, str]]]:
    """The terms of ``about``, ``ladder``, ``front`` and ``test``, to be explained beside these parts of a section."""
    kinds = {rung.kind for rung in verdict.ladder}
    ladder = [
        *(["Tchebycheff"] if "tchebycheff" in kinds else []),
        *(["mixture of models"] if "mixture" in kinds else []),
        *(["solve"] if any(rung.solves for rung in verdict.ladder) else []),
    ]
    parts = {
        "about": ["shared layer"],
        "ladder": ladder,
        "front": ["front"],
        "test": ["margin"] if verdict.condition.status == "fails" else [],
    }
    known = {term: words for term, _, words in _TERMS}
    return {part: [{"term": term, "words": known[term]} for term in terms] for part, terms in parts.items()}


def _texts(case: dict[str, Any]) -> Iterator[str]:
    yield case["summary"]
    yield case["caveat"]
    for section in case["sections"]:
        for key in ("headline", "rest", "caption", "about", "basis", "caveat"):
            yield section[key]
        yield from section["effect"]
        yield from section["condition"]["words"]
        yield from (rung["known"] for rung in section["ladder"])
        yield from (rung["words"] for rung in section["ladder"])
        if section["condition"]["edges"]:
            yield "in conflict"
