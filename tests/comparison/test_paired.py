"""Intervals over paired seeds, against simulation: coverage, false verdicts, power, and tests written by others."""

import math

import numpy as np
import pytest
from scipy import stats

from equipoise.comparison.paired import LEVEL, POWER, detectable, paired, power, seeds_needed
from equipoise.errors import SettingError


def overlapping(generator, times, n, overlap, mean=0.0):
    """Normal differences whose correlation is what the correction supposes: n_test / (n_train + n_test)."""
    rho = overlap / (1 + overlap)
    shared = generator.standard_normal((times, 1)) * math.sqrt(rho)
    return mean + shared + generator.standard_normal((times, n)) * math.sqrt(1 - rho)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_intervals_cover_the_truth_as_often_as_they_say(n):
    times, overlap = 2500, 0.15 / 0.7
    found = [paired(row, overlap) for row in overlapping(np.random.default_rng(n), times, n, overlap, mean=0.3)]
    covered = sum(one.low <= 0.3 <= one.high for one in found) / times
    assert covered == pytest.approx(1 - LEVEL, abs=3 * math.sqrt(LEVEL * (1 - LEVEL) / times))


def test_without_the_correction_intervals_would_miss_the_truth_far_more_often():
    rows = overlapping(np.random.default_rng(0), 4000, 10, 0.15 / 0.7)
    missed = sum(not one.low <= 0 <= one.high for one in (paired(row, 0.0) for row in rows)) / 4000
    assert missed > 4 * LEVEL


def test_without_overlap_it_is_the_paired_t_test():
    first, second = np.random.default_rng(1).standard_normal((2, 7))
    theirs = stats.ttest_rel(first, second)
    ours = paired(first - second, 0.0)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(1 - LEVEL)))
    assert 2 * min(ours.p_below(), ours.p_above()) == pytest.approx(theirs.pvalue)


def log_errors(rows, targets, columns, train, test):
    """Logarithm of the held-out mean squared error of least squares on some of the columns."""
    solved, *_ = np.linalg.lstsq(rows[np.ix_(train, columns)], targets[train], rcond=None)
    return math.log(np.mean((rows[np.ix_(test, columns)] @ solved - targets[test]) ** 2))


def false_verdicts(seeds, times, corrected):
    """How often two learners that are equally good on average are told apart: each sees half of the columns."""
    generator, found = np.random.default_rng(7), 0
    for _ in range(times):
        rows = generator.standard_normal((100, 8))
        targets = rows.sum(axis=1) + generator.standard_normal(100)
        logs = []
        for _ in range(seeds):
            order = generator.permutation(100)
            train, test = order[:70], order[85:]
            logs.append(
                log_errors(rows, targets, range(4), train, test) - log_errors(rows, targets, range(4, 8), train, test)
            )
        one = paired(logs, 15 / 70 if corrected else 0.0)
        found += min(one.p_below(), one.p_above()) <= LEVEL / 2
    return found / times


@pytest.mark.parametrize("seeds", [3, 10])
def test_learners_that_are_equally_good_are_told_apart_no_more_often_than_stated(seeds):
    times = 900
    assert false_verdicts(seeds, times, corrected=True) <= LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / times)


def test_learners_that_are_equally_good_would_be_told_apart_too_often_without_the_correction():
    assert false_verdicts(10, 500, corrected=False) > 2 * LEVEL


@pytest.mark.parametrize(("n", "overlap"), [(3, 0.0), (3, 0.2), (5, 0.2), (12, 0.1)])
def test_a_detectable_difference_is_detected_as_often_as_it_says(n, overlap):
    scale = math.sqrt(1 / (1 - overlap / (1 + overlap)))  # the standard deviation of one difference, given S = 1
    true = detectable(n, 1.0, overlap)
    rows = overlapping(np.random.default_rng(n), 6000, n, overlap, mean=true / scale)
    rate = sum(one.low > 0 or one.high < 0 for one in (paired(row, overlap) for row in rows)) / 6000
    assert rate == pytest.approx(POWER, abs=0.02)


@pytest.mark.parametrize(("n", "size"), [(3, 1.5), (5, 1.0), (20, 0.5)])
def test_the_power_is_that_of_the_noncentral_t_distribution(n, size):
    edge, shift = stats.t.isf(LEVEL / 2, n - 1), size * math.sqrt(n)
    theirs = stats.nct.sf(edge, n - 1, shift) + stats.nct.cdf(-edge, n - 1, shift)
    assert power(size, n, 1.0, 0.0) == pytest.approx(theirs, abs=1e-4)


def test_the_seeds_needed_are_the_fewest():
    for size in (1.0, 1.5, 3.0):
        n = seeds_needed(size, 1.0, 0.1)
        assert power(size, n, 1.0, 0.1) >= POWER > power(size, n - 1, 1.0, 0.1)


def test_one_pair_and_equal_pairs_have_no_interval_and_no_verdict():
    for differences in ([-0.3], [-0.3, -0.3, -0.3], [-0.3, -0.3 - 1e-16, -0.1 - 0.2]):
        one = paired(differences, 0.2)
        assert one.mean == pytest.approx(-0.3)
        assert (one.low, one.high, one.p_below(), one.p_above()) == (None, None, 1.0, 1.0)


@pytest.mark.parametrize("differences", [[], [math.nan, 1.0], [math.inf]])
def test_what_is_no_difference_is_refused(differences):
    with pytest.raises(SettingError, match="finite differences"):
        paired(differences, 0.2)
