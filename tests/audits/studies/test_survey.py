"""The survey counts what the theorem and the exact routes say, subset by subset."""

import itertools

import numpy as np
import pytest

from equipoise.audits.studies import SurveyRecord, reproduce_triples, survey_problem
from equipoise.audits.studies.tables import survey_table
from equipoise.errors import SettingError
from equipoise.linear import LinearProblem, condition, reach, tchebycheff


def problem(seed=0, tasks=5):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(200, 8))
    return LinearProblem(X, X @ generator.normal(size=(8, tasks)) + generator.normal(size=(200, tasks)))


def test_counts_are_those_of_the_condition_over_all_subsets():
    table = problem()
    rows = {(row.size, row.width): row for row in survey_problem(table, "toy", directions=2)}
    assert set(rows) == {(3, 1), (3, 2), (4, 1), (4, 2), (4, 3)}
    for (size, width), row in rows.items():
        found = [
            condition(table.gramian[np.ix_(subset, subset)], width) for subset in itertools.combinations(range(5), size)
        ]
        assert row.subsets == len(found)
        assert row.fails == sum(one.status == "fails" for one in found)
        assert row.holds == sum(one.status == "holds" for one in found)
        assert row.open == sum(one.status == "open" for one in found)
        if row.margin:
            assert row.margin[1] == pytest.approx(max(one.margin for one in found))
        assert row.holds + row.fails + row.open + row.undetermined + row.single_point == row.subsets


def test_what_is_at_stake_is_a_lead_that_reach_confirms():
    table = problem(3)
    (row,) = [row for row in survey_problem(table, "toy", sizes=(3,), directions=1) if row.width == 1]
    leads = []
    for subset in itertools.combinations(range(5), 3):
        G = table.gramian[np.ix_(subset, subset)]
        if condition(G, 1).status == "fails":
            point = tchebycheff(G, np.ones(3), 1)
            leads.append(max(reach(G, 1, point.captured, np.ones(3)).lower, 0.0))
    assert row.stake[1] == pytest.approx(max(leads), abs=1e-6)
    assert row.stake[0] == pytest.approx(np.median(leads), abs=1e-6)


def test_sarcos_counts_are_the_known_ones(sarcos):
    X, Y, names = sarcos
    rows = {
        row.width: row for row in survey_problem(LinearProblem(X, Y, tasks=names), "SARCOS", sizes=(3,), directions=1)
    }
    assert (rows[1].fails, rows[1].subsets) == (15, 35)
    assert (rows[2].fails, rows[2].subsets) == (5, 35)
    header, text = survey_table(SurveyRecord(
        rows=tuple(rows.values()), directions=1, threshold=0.01, seed=0
    ))  # fmt: skip
    assert all(len(row) == len(header) for row in text)


def test_the_known_triple_has_ends_that_are_optimal_and_that_no_weights_reach(data_folder):
    from equipoise.data import load

    path = data_folder / "sarcos" / "sarcos_inv_test.mat"
    if not path.is_file():
        pytest.skip(f"no SARCOS file at {path}")
    record = reproduce_triples(load(path), triples=[("joint0", "joint4", "joint6")], widths=(1,), directions=10)
    (triple,) = record.triples
    runs = {run.method: run for run in triple.runs}
    assert runs["MGDA"].out_of_reach >= 1
    assert runs["MGDA"].stationary == 20
    assert runs["MGDA"].optimal < 20
    assert runs["MGDA"].rises == 0
    assert runs["MGDA-UB"].rises > 0
    assert triple.members == 2
    assert triple.condition == "fails"


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match="sizes"):
        survey_problem(problem(), "toy", sizes=(2,))
