"""Verdicts about new rows in words: what is told, what is not, and where the rows that were fitted say otherwise."""

from functools import cache

import numpy as np
import pytest

import equipoise as eq
from equipoise.audits.held_out.cross_validation import Measured
from equipoise.audits.held_out.told import with_new_rows, without_new_rows
from equipoise.audits.widths.optima import Solutions, in_shares
from equipoise.audits.widths.verdict import verdict_at
from equipoise.core.records.audit import AuditRecord
from equipoise.core.records.new_rows import NewRows, OnNewRows
from equipoise.errors import DataError
from equipoise.linear import LinearProblem
from equipoise.report import render_html, render_markdown

ABOUT = NewRows(
    folds=10, blocks=20, partition="rows drawn at random", penalties=(0.1, 1.0), separate=(0.2, 0.4), searched=True
)
KINDS = ("equal_weights", "best_weights", "tchebycheff", "mixture")


@cache
def in_sample(threshold):
    """Two tasks that share nothing at width 1: the problem, and its verdict without new rows."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(200, 2))
    shares = in_shares(LinearProblem(X, X * [1, 1] + 0.3 * generator.normal(size=(200, 2)), tasks=("a", "b")))
    return shares, verdict_at(Solutions(shares), 1, threshold=threshold)


def told_of(differences, margins, threshold=0.01, equal=None):
    """That verdict, and the same with these numbers for every remedy but equal weights."""
    shares, verdict = in_sample(threshold)
    separate = np.array(ABOUT.separate)

    def rung(values):
        return OnNewRows(losses=tuple(separate + values), differences=values, margins=margins)

    rungs = {(kind, 1): rung(differences) for kind in KINDS} | {("separate", 1): rung((0.0, 0.0))}
    rungs["equal_weights", 2] = OnNewRows(losses=ABOUT.separate, differences=(0.0, 0.0), margins=(0.0, 0.0))
    if equal is not None:
        rungs["equal_weights", 1] = rung(equal)
    return verdict, with_new_rows(verdict, shares, Measured(rungs, ABOUT))


def test_the_interval_of_the_largest_excess_takes_the_largest_ends():
    found = OnNewRows(losses=(0.3, 0.5), differences=(0.1, 0.05), margins=(0.02, 0.2))
    assert found.largest == 0.1
    assert found.interval == pytest.approx((0.08, 0.25))
    assert (found.worse, found.better, found.told) == ((0,), (), "worse")


@pytest.mark.parametrize(
    ("differences", "margins", "told"),
    [
        ((0.1, -0.1), (0.2, 0.2), "not told apart"),
        ((0.1, -0.1), (0.05, 0.2), "worse"),
        ((0.1, -0.1), (0.2, 0.05), "better"),
        ((0.1, -0.1), (0.05, 0.05), "worse and better"),
        ((0.0, 0.0), (0.0, 0.0), "the same"),
    ],
    ids=["apart from nothing", "worse", "better", "both", "same"],
)
def test_something_is_told_only_where_0_is_outside(differences, margins, told):
    assert OnNewRows(losses=(0.5, 0.5), differences=differences, margins=margins).told == told


def test_the_first_sentence_is_about_new_rows_and_the_second_part_is_the_old_verdict():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(60, 2))
    Y = X + 0.3 * generator.normal(size=(60, 2))
    old, new = eq.audit(X, Y, width=1, new_rows=False).verdicts[0], eq.audit(X, Y, width=1).verdicts[0]
    assert new.headline.startswith("On new rows, sharing a layer of width ")
    assert new.words.startswith(new.headline)
    assert new.words.endswith(f"On the rows it was fitted to: {old.words}")
    assert new.model_copy(update={"on_new_rows": None, "headline": "", "words": "", "caveat": "", "ladder": ()}) == (
        old.model_copy(update={"headline": "", "words": "", "caveat": "", "ladder": ()})
    )
    assert "in as few as 58 %" in new.caveat


def test_a_difference_that_is_told_but_small_is_called_small():
    _, new = told_of((0.004, 0.0), (0.001, 0.001))
    assert (new.remedied.width, new.on_new_rows) == (1, "worse")
    assert "by less than 0.01, too little to matter" in new.headline
    _, new = told_of((0.004, 0.0), (0.001, 0.001), threshold=0.9)
    assert "is worse than separate models for a, by less than 0.90, too little to matter" in new.headline
    assert "0.004 of variance (95 % interval 0.003 to 0.005)" in new.headline


def test_what_is_not_told_apart_is_said_so():
    _, new = told_of((0.02, -0.02), (0.1, 0.1), threshold=0.9)
    assert new.on_new_rows == "not told apart"
    assert "is not told apart from separate models" in new.headline


def test_disagreement_is_said():
    old, new = told_of((0.5, 0.5), (0.1, 0.1), threshold=0.6)
    assert old.ladder[0].worst_excess > 0.3
    assert "disagree" not in new.words  # both above what equal weights cost in-sample, both told
    _, new = told_of((0.02, -0.02), (0.1, 0.1), threshold=0.3)
    assert new.remedied.width == 1
    assert "on new rows no task is told to lose against separate models" in new.words


def test_why_nothing_was_measured_is_said_once_in_the_caveat():
    verdict, _ = told_of((0.0, 0.0), (0.0, 0.0))
    assert without_new_rows(verdict, "Too few.").caveat == f"{verdict.caveat} Too few."
    X = np.random.default_rng(0).normal(size=(12, 2))
    record = eq.audit(X, X[:, ::-1] + 0.1 * X**2, width=1)
    assert record.new_rows is not None
    assert "at least 20 rows" in record.new_rows.absent
    assert record.verdicts[0].caveat.endswith(record.new_rows.absent)
    with pytest.raises(DataError, match=r"at least 20 rows.*found 12"):
        eq.audit(X, X[:, ::-1] + 0.1 * X**2, width=1, new_rows=True)
    assert eq.audit(X, X[:, ::-1] + 0.1 * X**2, width=1, new_rows=False).new_rows is None


@pytest.fixture(scope="module")
def bare():
    """Three tasks that share nothing, without new rows."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 3))
    return eq.audit(X, X + 0.3 * generator.normal(size=(40, 3)), new_rows=False)


def test_reports_show_the_column_and_records_come_back(bare):
    record = eq.audit("linnerud")
    assert AuditRecord.model_validate_json(record.model_dump_json()) == record
    page, text = render_html(record), render_markdown(record)
    found = record.verdicts[0].ladder[0].new_rows
    assert found is not None
    for shown in (page, text):
        assert "On new rows" in shown
        assert f"not told apart: {found.largest:.3f} (" in shown
    assert "on new rows, not told apart from separate models; in-sample, a weighted sum is enough" in page
    for shown in (page, text):
        assert "Which task helps which on new rows" in shown
    for shown in (render_html(bare), render_markdown(bare)):
        assert "On new rows" not in shown
        assert "helps which" not in shown


def test_the_width_that_replaces_any_mixture_is_a_line_of_the_ladder(bare):
    assert [verdict.width_as_mixture for verdict in bare.verdicts] == [2, 3, None]
    line = "one model of width 2 is at least as good at every task as any mixture of models of width 1."
    assert line in render_html(bare)
    assert line in render_markdown(bare)
