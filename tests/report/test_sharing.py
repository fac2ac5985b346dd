"""Which task helps which, as a page tells it: the matrix, the advice, and what is said where there are many tasks."""

import numpy as np
import pytest

import equipoise as eq
from equipoise.audits.held_out.helping import sharing_of
from equipoise.core.records.new_rows import NewRows
from equipoise.report import render_html, render_markdown
from equipoise.report.audit.sharing import MOST_SQUARE, sharing_part


@pytest.fixture(scope="module")
def bare():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 2))
    return eq.audit(X, np.column_stack([X, X.sum(axis=1)]) + generator.normal(size=(30, 3)), width=1, new_rows=False)


def told(record, pairs, together, error=0.01, expected=None):
    """The record with these changes of its tasks' losses on new rows."""
    k = len(record.tasks)
    changes = np.zeros((k, k))
    for place, value in pairs.items():
        changes[place] = value
    errors = np.full((k, k), error)
    sharing = sharing_of((changes, errors), (np.array(together), errors[0]), [1] * 7 + [2] * 3, 19, expected)
    return record.model_copy(update={"new_rows": NewRows(separate=(0.2,) * k, folds=10, sharing=sharing)})


def test_a_matrix_marks_only_what_is_told(bare):
    record = told(bare, {(0, 1): -0.2, (2, 0): 0.3, (2, 1): 0.01}, [0.0, 0.0, 0.3])
    part = sharing_part(record)
    marks = [[cell["mark"] if cell else "own" for cell in row["cells"]] for row in part["rows"]]
    assert marks == [["own", "▼", "", ""], ["", "own", "", ""], ["▲", "", "own", "▲"]]
    assert part["rows"][0]["cells"][1] | {"margin": ""} == {
        "change": "−0.200", "margin": "", "told": "helps", "mark": "▼", "shade": "positive strong"
    }  # fmt: skip
    assert part["rows"][2]["cells"][1]["shade"] == "untold"
    share, alone, cannot, count = part["said"]
    assert share == "Share: y0 with y1 (−0.200)."
    assert alone.startswith("Train alone: y2. No sharing is told to help it")
    assert cannot.startswith("Cannot tell: y1.")
    assert count == (
        "Of 6 ordered pairs of tasks, 1 helps (y0 by sharing with y1), 1 harms (y2 by sharing with y0) and 4 cannot "
        "be told."
    )
    assert "(width 1 in 7 of 10 folds and width 2 in 3 of 10 folds)" in part["caption"]
    assert "over all 6 pairs (over the 3 tasks in the last column)" in part["caption"]
    page, text = render_html(record), render_markdown(record)
    for shown in (page, text):
        assert "Which task helps which on new rows" in shown
        assert "Train alone: y2." in shown
    assert "| y0 | 0.200 |  | −0.200 ± 0.021 ▼ |" in text


def test_what_costs_or_changes_too_little_to_matter_is_said_so(bare):
    small = told(bare, {}, [0.004, 0.0, 0.0], error=0.0005)
    alone, cannot, count = sharing_part(small)["said"]
    assert "what it costs is below 0.01, too little to matter" in alone
    assert "changes a loss by at most 0.001 either way (95 %), too little to matter" in cannot
    assert count == "Of 6 ordered pairs of tasks, none can be told to help or harm."
    wide = told(bare, {}, [0.004, 0.0, 0.0], error=0.1)
    assert "too little to matter" not in " ".join(sharing_part(wide)["said"])


def test_theory_is_counted_against_what_is_told(bare):
    expected = np.zeros((3, 3))
    expected[0, 1], expected[2, 0] = -0.15, -0.1
    part = sharing_part(told(bare, {(0, 1): -0.2, (2, 0): 0.3}, [0.0] * 3, expected=expected))
    assert "at most 0.400 from what was measured; it has the sign of 1 of the 2 told here" in part["theory"]
    assert "arXiv:2603.28739" in part["theory"]
    assert sharing_part(told(bare, {}, [0.0] * 3))["theory"] == ""


def test_of_many_tasks_the_largest_changes_are_shown(bare):
    k = MOST_SQUARE + 1
    many = bare.model_copy(
        update={"tasks": tuple(bare.tasks[0].model_copy(update={"name": f"t{i}"}) for i in range(k))}
    )
    part = sharing_part(told(many, {(3, 4): 0.9, (5, 6): -0.8}, [0.0] * k))
    assert part["rows"] == []
    assert [(pair["one"], pair["other"], pair["told"]) for pair in part["pairs"][:2]] == [
        ("t3", "t4", "harms"), ("t5", "t6", "helps")
    ]  # fmt: skip
    assert part["of"] == "156"


def test_nothing_is_shown_where_nothing_was_measured(bare):
    assert sharing_part(bare) is None
    absent = bare.model_copy(update={"new_rows": NewRows(absent="Too few rows.")})
    assert sharing_part(absent) is None
    assert "Which task helps which" not in render_html(absent)
