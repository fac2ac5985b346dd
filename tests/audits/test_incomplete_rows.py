"""Tables whose rows miss some of their targets: every row with a target is used, and called what it is."""

import numpy as np
import pandas as pd
import pytest

import equipoise as eq
from equipoise.core.records.audit import AuditRecord
from equipoise.report import render_html, render_markdown

ROWS, INPUTS = 80, 4


def gappy(known, seed=0, rows=ROWS, noise=0.5):
    """A frame of inputs and targets; `known` (rows, k) says which targets a row has."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, INPUTS))
    Y = X @ generator.normal(size=(INPUTS, known.shape[1])) + noise * generator.normal(size=known.shape)
    columns = {f"x{i}": X[:, i] for i in range(INPUTS)}
    return pd.DataFrame(columns | {f"y{i}": np.where(known[:, i], Y[:, i], np.nan) for i in range(known.shape[1])})


@pytest.fixture(scope="module")
def six_of_eighty():
    """One target has 74 values, the other 12, and 6 rows have both."""
    number = np.arange(ROWS)
    frame = gappy(np.column_stack([number < 74, number >= 68]))
    return frame, eq.audit(frame, targets=["y0", "y1"], width=1, bootstraps=5)


def test_all_80_rows_are_used_where_6_are_complete(six_of_eighty):
    _, record = six_of_eighty
    (verdict,) = record.verdicts
    assert (record.data.rows, record.data.rows_used, verdict.about.rows) == (80, 80, 80)
    assert verdict.about.split == "in-sample, incomplete rows"
    assert verdict.on_complete_rows is None  # six rows are too few
    assert "fitted to the rows that have its target (12 to 74 of 80)" in verdict.caveat
    assert record.new_rows.absent.startswith("Nothing was measured on new rows, which takes rows with every target")
    said = (
        "80 of 80 rows have a target and were used; 6 are complete in all of them. Rows with a value: 'y0' 74, 'y1' 12."
    )
    assert said in record.data.steps
    page = render_html(record)
    assert "incomplete rows" in page
    assert AuditRecord.model_validate_json(record.model_dump_json()) == record
    assert render_html(AuditRecord.model_validate_json(record.model_dump_json())) == page


def test_losses_are_those_of_each_tasks_own_rows_and_the_gramian_of_all_inputs(six_of_eighty):
    frame, record = six_of_eighty
    inputs = frame[[f"x{i}" for i in range(INPUTS)]].to_numpy()
    fitted, residual = np.zeros((ROWS, 2)), np.zeros(2)
    for task in range(2):
        has = frame[f"y{task}"].notna().to_numpy()
        design = np.column_stack([np.ones(ROWS), inputs])
        coefficients = np.linalg.lstsq(design[has], frame[f"y{task}"][has], rcond=None)[0]
        fitted[:, task] = design @ coefficients
        residual[task] = np.mean((frame[f"y{task}"][has] - fitted[has, task]) ** 2)
    centred = fitted - fitted.mean(axis=0)
    variance = (centred**2).mean(axis=0) + residual
    share = centred / np.sqrt(variance)
    assert [task.separate_loss for task in record.tasks] == pytest.approx(residual / variance, rel=1e-9)
    assert [task.variance for task in record.tasks] == pytest.approx(variance, rel=1e-9)
    # equal weights at width 1: the first principal component of the predictions over all rows
    left, sizes, right = np.linalg.svd(share, full_matrices=False)
    lost = ((share - sizes[0] * np.outer(left[:, 0], right[0])) ** 2).mean(axis=0)
    assert record.verdicts[0].ladder[0].losses == pytest.approx(residual / variance + lost, rel=1e-9)


def test_tasks_that_share_no_row_are_audited():
    known = np.column_stack([np.arange(ROWS) % 2 == 0, np.arange(ROWS) % 2 == 1])
    record = eq.audit(gappy(known), targets=["y0", "y1"], width=1, bootstraps=3)
    assert record.verdicts[0].about.rows == ROWS
    assert sum(record.verdicts[0].bootstrap.statuses.values()) == 3
    with pytest.raises(eq.errors.DataError, match="At least two rows must be complete in all targets, found 0"):
        eq.data.load(_saved(gappy(known)), targets=["y0", "y1"])


def _saved(frame):
    from tempfile import mkdtemp

    path = f"{mkdtemp()}/gappy.csv"
    frame.to_csv(path, index=False)
    return path


def test_complete_rows_stand_beside_and_new_rows_are_measured_on_them():
    generator = np.random.default_rng(3)
    frame = gappy(generator.uniform(size=(ROWS, 2)) < 0.85)
    record = eq.audit(frame, targets=["y0", "y1"], width=1)
    whole = frame.dropna()
    alone = eq.audit(whole, targets=["y0", "y1"], width=1)
    beside, first = record.verdicts[0].on_complete_rows, alone.verdicts[0]
    assert beside.rows == len(whole)
    assert beside.status == first.status
    rungs = {rung.kind: rung.worst_excess for rung in first.ladder}
    assert (beside.equal, beside.single) == pytest.approx((rungs["equal_weights"], rungs["tchebycheff"]), rel=1e-6)
    assert record.verdicts[0].ladder[0].new_rows == alone.verdicts[0].ladder[0].new_rows
    words = f"of the {len(whole)} with every target"
    assert record.new_rows.partition.endswith(words)
    assert words in record.verdicts[0].caveat
    for page in (render_html(record), render_markdown(record)):
        assert f"On the {len(whole)} rows with every target alone:" in page
