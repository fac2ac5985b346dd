"""The sign test is what its derivation says: fair games do not win, and nothing is found by chance."""

import itertools
from math import comb, log

import numpy as np
import pytest
from scipy.integrate import quad

from equipoise.training.recording.alarms.sign_test import SignWatch, log_evidence, next_start, passed


@pytest.mark.parametrize(("wins", "bets"), [(0, 0), (1, 1), (0, 3), (7, 9), (30, 40), (20, 40)])
def test_the_evidence_is_the_mean_over_all_stakes(wins, bets):
    integral, _ = quad(lambda q: 2 * (2 * q) ** wins * (2 - 2 * q) ** (bets - wins), 0.5, 1)
    assert float(log_evidence(np.array([wins]), np.array([bets]))[0]) == pytest.approx(log(integral), abs=1e-9)


@pytest.mark.parametrize("bets", [1, 2, 10, 40])
@pytest.mark.parametrize("p", [0.2, 0.45, 0.5])
def test_its_expectation_is_one_for_a_fair_coin_and_less_for_a_worse_one(p, bets):
    wins = np.arange(bets + 1)
    chance = np.array([comb(bets, w) * p**w * (1 - p) ** (bets - w) for w in wins])
    expected = float(chance @ np.exp(log_evidence(wins, np.full(bets + 1, bets))))
    assert expected == pytest.approx(1.0) if p == 0.5 else expected < 1


def test_a_start_later_in_the_list_needs_more():
    wins = np.array(
        [[14.0], [14.0], [14.0]]
    )  # log E = 7.7 in each row; -log(.001) + log(2), log(6), log(12) are needed
    assert passed(wins, wins, 0.001).ravel().tolist() == [True, False, False]


def test_starts_are_a_tenth_apart_in_whole_blocks():
    places = [32]
    while places[-1] < 5000:
        places.append(next_start(places[-1], 16))
    assert all(place % 16 == 0 for place in places)
    assert all(after - before <= max(16, 0.1 * before) for before, after in itertools.pairwise(places))


def test_fair_coins_are_rarely_found_however_often_one_looks():
    generator, found = np.random.default_rng(0), 0
    for _ in range(30):
        watch = SignWatch(1, 0.2)
        found += any(watch.add(step, generator.integers(0, 2, 1).astype(float)) for step in range(80))
    assert found <= 6  # 6 of 30 are allowed on average; the test is far below its level


def test_a_coin_that_turns_is_found_with_the_time_when_it_turned():
    generator = np.random.default_rng(1)
    watch, found = SignWatch(2, 0.005), {}
    for step in range(400):
        signs = np.array([generator.random() < (0.9 if step >= 200 else 0.4), np.nan])
        for task in watch.add(step, signs):
            found[task] = step
    assert list(found) == [0]
    since, wins, bets = watch.found[0]
    assert 180 <= since <= 240
    assert found[0] < 280
    assert wins > 0.75 * bets
