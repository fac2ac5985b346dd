"""Which task helps which: against slow refits of every pair, against a simulation, and as told."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student

from equipoise.audits.held_out.cross_validation import measure
from equipoise.audits.held_out.helping import sharing_of
from equipoise.linear.held_out.first_order import expected_changes
from equipoise.linear.held_out.row_blocks import row_blocks

from .refits import TASKS, Refit

ORDERED = [(a, b) for a in range(3) for b in range(3) if a != b]


class Pair(Refit):
    """A training part on which two tasks may share a layer of width 1 with equal weights."""

    def pair_errors(self, X, Y, task, partner):
        kept = np.linalg.svd(self.fitted[:, [task, partner]])[2][0]
        mix = np.eye(len(self.units))
        mix[[task, partner], task] = kept * kept[0]
        return self.errors(X, Y, mix)[task]


def test_pairs_agree_with_refits_of_every_fold(refitted):
    X, Y, blocks, penalties, measured = refitted
    sums = np.zeros((3, 3))
    for fold in range(10):
        train = blocks.block // 2 != fold
        model = Pair(X[train], Y[train], penalties[fold])
        alone = model.errors(X[~train], Y[~train])
        for a, b in ORDERED:
            sums[a, b] += model.pair_errors(X[~train], Y[~train], a, b) - alone[a]
    expected = sums / (len(Y) * Y.var(axis=0))[:, None]
    assert np.array(measured.about.sharing.pairs) == pytest.approx(expected, abs=1e-8)
    assert np.abs(expected[~np.eye(3, dtype=bool)]).min() > 1e-4


def test_errors_of_pairs_agree_with_a_jackknife_of_refits(refitted, overall):
    X, Y, blocks, _, measured = refitted
    sums = np.zeros((20, 3, 3))
    for pair in combinations(range(20), 2):
        train = ~np.isin(blocks.block, pair)
        model = Pair(X[train], Y[train], overall)
        for tested, without in (pair, pair[::-1]):
            rows = blocks.block == tested
            alone = model.errors(X[rows], Y[rows])
            for a, b in ORDERED:
                sums[without, a, b] += model.pair_errors(X[rows], Y[rows], a, b) - alone[a]
    rows_left = np.array([(blocks.block != block).sum() for block in range(20)])
    values = sums / rows_left[:, None, None] / Y.var(axis=0)[:, None]
    errors = np.sqrt(19 / 20 * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
    errors = np.maximum(errors, (errors + errors.T) / 2)  # never less than the mean of a pair's two
    sharing = measured.about.sharing
    assert np.array(sharing.pair_errors) == pytest.approx(errors, abs=1e-8)
    # Holm's procedure by hand, over the six ordered pairs
    raw = {pair: 2 * student.sf(abs(sharing.pairs[pair[0]][pair[1]]) / errors[pair], 19) for pair in ORDERED}
    least = 0.0
    for rank, (a, b) in enumerate(sorted(ORDERED, key=raw.__getitem__)):
        least = max(least, min(1.0, (6 - rank) * raw[a, b]))
        assert sharing.pair_p_values[a][b] == pytest.approx(least, rel=1e-6)
    assert sharing.quantile == pytest.approx(student.ppf(0.975, 19))


def test_all_together_take_the_width_that_the_training_part_chooses(refitted):
    X, Y, blocks, penalties, measured = refitted
    folds, sums, widths = blocks.block // 2, np.zeros(3), []
    for fold in range(10):
        inner = np.zeros((2, 3))
        for other in set(range(10)) - {fold}:
            train, rows = ~np.isin(folds, [fold, other]), folds == other
            model = Refit(X[train], Y[train], penalties[fold])
            inner += [model.errors(X[rows], Y[rows], model.equal(width)) for width in (1, 2)]
        train = folds != fold
        widths.append(1 + int((inner / Y[train].var(axis=0)).mean(axis=1).argmin()))
        model = Refit(X[train], Y[train], penalties[fold])
        sums += model.errors(X[~train], Y[~train], model.equal(widths[-1])) - model.errors(X[~train], Y[~train])
    sharing = measured.about.sharing
    assert sharing.together == pytest.approx(sums / len(Y) / Y.var(axis=0), abs=1e-8)
    assert sharing.widths == {width: widths.count(width) for width in sorted(set(widths))}


def test_theory_to_first_order_agrees_with_a_simulation():
    """Least squares on drawn rows, losses from the true coefficients: one signal, unequal noise, then two signals."""
    generator = np.random.default_rng(0)
    rows, inputs, draws = 300, 6, 1_500
    for second, levels in ((0.0, (0.5, 1.2)), (0.02, (1.0, 1.0))):
        B = np.zeros((inputs, 2))
        B[0], B[1] = (1.0, 0.7), (-0.7 * second**0.5, second**0.5)  # orthogonal rows: the two singular directions
        changes = np.zeros((draws, 2))
        for draw in range(draws):
            X = generator.normal(size=(rows, inputs))
            noise = generator.normal(size=(rows, 2)) * np.sqrt(levels)
            found = B + np.linalg.solve(X.T @ X, X.T @ noise)
            kept = np.linalg.svd(found)[2][0]
            shared = found @ np.outer(kept, kept)
            changes[draw] = ((shared - B) ** 2 - (found - B) ** 2).sum(axis=0)
        S = B.T @ B + np.diag(levels)
        # moments whose noise, taken off as the formula does, leaves the truth
        G = B.T @ B + np.diag(levels) * inputs / rows
        expected = expected_changes(G, G + np.diag(levels) * (rows - inputs - 1) / rows, rows, inputs)
        error = changes.std(axis=0) / draws**0.5
        assert S[0, 0] > expected[0, 1] != expected[1, 0]
        np.testing.assert_allclose(changes.mean(axis=0), expected[[0, 1], [1, 0]], atol=4 * error.max(), rtol=0.08)


def test_two_equal_signals_help_each_other_unless_one_is_three_times_as_noisy():
    signal = np.full((2, 2), 0.5)
    for level, helped in ((2.9, True), (3.1, False)):
        noise = np.diag([0.1, 0.1 * level])
        G = signal + noise * 10 / 1_000
        changes = expected_changes(G, G + noise * 989 / 1_000, 1_000, 10)
        assert (changes[0, 1] < 0) == helped
        assert changes[1, 0] < 0
    assert expected_changes(G, G, 40, 10) is None


def test_help_and_harm_are_told_and_theory_expects_what_is_measured():
    generator = np.random.default_rng(1)
    X = generator.normal(size=(400, 20))
    signal, noise = X @ generator.normal(size=20), generator.normal(size=(400, 3))
    Y = np.column_stack([signal, signal, X[:, 0]]) + noise * [6.0, 0.3, 0.3]
    sharing = measure(X, Y, row_blocks(400), tasks=TASKS, widths=[1], searched=False).about.sharing
    assert sharing.told(0, 1) == "helps"  # the same signal with little noise
    assert sharing.told(1, 0) == "cannot tell"
    assert sharing.told(1, 2) == sharing.told(2, 1) == "harms"  # another signal
    assert sharing.advice(0) == "share"
    assert sharing.partners(0, "harms") == [2]
    assert sharing.widths == {2: 10}
    np.testing.assert_allclose(sharing.pairs, sharing.expected, atol=0.01)


@pytest.mark.parametrize(
    ("pairs", "together", "advice"),
    [
        ({(0, 1): -0.2}, 0.2, "share"),
        ({}, -0.2, "share"),
        ({(0, 1): 0.2, (0, 2): 0.2}, 0.0, "alone"),
        ({(0, 1): 0.2}, 0.0, "cannot tell"),
        ({}, 0.2, "alone"),
        ({}, 0.0, "cannot tell"),
    ],
    ids=["a partner helps", "all help", "each harms", "one harms", "all harm", "nothing told"],
)
def test_advice_follows_what_is_told(pairs, together, advice):
    changes, errors = np.full((3, 3), 0.001), np.full((3, 3), 0.01)
    for place, value in pairs.items():
        changes[place] = value
    sharing = sharing_of((changes, errors), (np.array([together, 0.0, 0.0]), np.full(3, 0.01)), [1], 19, None)
    assert sharing.advice(0) == advice


def test_changes_of_rounding_are_the_same():
    changes, errors = np.full((2, 2), 3e-16), np.full((2, 2), 1e-17)
    sharing = sharing_of((changes, errors), (changes[0], errors[0]), [1], 19, None)
    assert sharing.told(0, 1) == sharing.told(1, None) == "the same"
    assert sharing.advice(0) == "the same"
