"""Between the maximum and the maximum plus mu log k; the log form at mu >= 1 is a weighted sum."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import EquipoiseWarning

from .histories import play, random_history, weigh

losses_of = st.lists(st.floats(-50.0, 50.0), min_size=1, max_size=8)


@settings(deadline=None, max_examples=60)
@given(losses=losses_of, mu=st.floats(1e-4, 10.0))
def test_the_value_lies_between_the_maximum_and_that_plus_mu_log_k(losses, mu):
    method = eq.SmoothTchebycheff(mu=mu, final_mu=mu, relative=False, ideal=None)
    value, hard = float(weigh(method, losses).criterion), max(losses)
    slack = 1e-12 * max(abs(loss) for loss in [*losses, 1.0])
    assert hard - slack <= value <= hard + mu * math.log(len(losses)) + slack


def test_a_given_ideal_is_used_as_written():
    ideal, losses = np.array([10.0, 1.0]), np.array([10.5, 1.51])
    seen = weigh(eq.SmoothTchebycheff(mu=0.1, final_mu=0.1, relative=False, ideal=tuple(ideal)), list(losses))
    raised = np.exp((losses - ideal) / 0.1)
    assert float(seen.criterion) == pytest.approx(0.1 * np.log(raised.sum()), abs=1e-14)
    assert seen.weights.tolist() == pytest.approx(raised / raised.sum(), abs=1e-12)


def test_a_small_mu_is_the_hard_maximum_and_a_large_one_the_mean():
    losses = [1.0, 3.0, 2.9]
    for mu, wanted in ((1e-4, [0.0, 1.0, 0.0]), (1e6, [1 / 3] * 3)):
        method = eq.SmoothTchebycheff(mu=mu, final_mu=mu, relative=False, ideal=None)
        assert weigh(method, losses).weights.tolist() == pytest.approx(wanted, abs=1e-5)


def test_the_plain_form_over_epochs_equals_the_formula_written_out():
    history, weights = random_history(12, 3), (1.0, 2.0, 3.0)
    method = eq.SmoothTchebycheff(weights, mu=0.2, final_mu=0.01, anneal=3, utopia=0.05)
    played = play(method, history, epoch_ends=(1, 3, 5, 7, 9))
    factors = [3 * weight / 6 for weight in weights]
    for number, weighed in enumerate(played):
        seen, now = history[: number + 1], history[number]
        epoch = min(number // 2, 5)
        span = max(
            max(factor * losses[i] for losses in seen) - min(factor * losses[i] for losses in seen)
            for i, factor in enumerate(factors)
        )
        if number == 0:
            span = max(factor * loss for factor, loss in zip(factors, now, strict=True))
        mu = 0.2 * (0.01 / 0.2) ** min(epoch / 3, 1.0) * span
        terms = [factors[i] * (now[i] - 0.95 * min(losses[i] for losses in seen)) for i in range(3)]
        top = max(terms)
        parts = [math.exp((term - top) / mu) for term in terms]
        assert float(weighed.criterion) == pytest.approx(top + mu * math.log(sum(parts)), rel=1e-12)
        wanted = [factors[i] * parts[i] / sum(parts) for i in range(3)]
        assert weighed.weights.tolist() == pytest.approx(wanted, rel=1e-9)


def test_the_log_form_warms_up_measures_the_nadir_for_an_epoch_and_then_balances():
    history = random_history(10, 3)
    played = play(eq.SmoothTchebycheff(form="log", warmup=2, mu=0.3), history, epoch_ends=(1, 3, 5, 7))
    nadir = [(history[4][i] + history[5][i]) / 2 for i in range(3)]
    for number, weighed in enumerate(played):
        now = history[number]
        if number < 6:  # epochs 0, 1, 2
            assert float(weighed.criterion) == pytest.approx(sum(map(math.log, now)) / 3)
            assert weighed.weights.tolist() == pytest.approx([1 / (3 * loss) for loss in now])
        else:
            powers = [(now[i] / nadir[i]) ** (1 / 0.3) for i in range(3)]
            assert float(weighed.criterion) == pytest.approx(0.3 * math.log(sum(powers)))
            assert sum(w * loss for w, loss in zip(weighed.weights.tolist(), now, strict=True)) == pytest.approx(1.0)
    assert played[-1].state["nadir"].tolist() == pytest.approx(nadir)


def test_a_task_absent_from_the_nadirs_epoch_gets_its_nadir_from_the_next_epoch_it_is_seen_in():
    history = random_history(4, 2)
    method = eq.SmoothTchebycheff(form="log", warmup=0)
    played = play(method, history, presents=[(0,), (0, 1), (0, 1), (0, 1)], epoch_ends=(0, 1, 2))
    assert played[0].state["nadir"].isnan().tolist() == [False, True]
    assert played[1].state["nadir"].tolist() == pytest.approx([history[0][0], history[1][1]])
    assert all(torch.isfinite(weighed.weights).all() for weighed in played)


def test_a_weight_of_zero_leaves_a_task_out_of_both_forms():
    for method in (
        eq.SmoothTchebycheff((1.0, 0.0, 2.0), form="log", warmup=0),
        eq.SmoothTchebycheff((1.0, 0.0, 2.0), ideal=None),
    ):
        for weighed in play(method, random_history(4, 3), epoch_ends=(0, 1, 2)):
            assert torch.isfinite(weighed.criterion)
            assert weighed.weights[1] == 0
            assert weighed.weights.max() > 0


def front_points() -> np.ndarray:
    """A concave front of positive losses."""
    angles = np.linspace(0, np.pi / 2, 2001)
    return 0.05 + np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize(("mu", "balanced"), [(2.0, False), (1.0, False), (0.5, False), (0.2, True), (0.05, True)])
def test_only_a_small_mu_of_the_log_form_reaches_the_middle_of_a_concave_front(mu, balanced):
    method = _log_form(mu)
    state = method.end_epoch(weigh(method, [1.0, 1.0]).state)  # nadir (1, 1)
    values = [float(weigh(method, point, state).criterion) for point in front_points()[::20].tolist()]
    best = int(np.argmin(values))
    assert (best == 50) if balanced else (best in (0, 100))


def test_the_log_form_with_mu_one_is_the_logarithm_of_a_weighted_sum():
    method = _log_form(1.0)
    nadir = [2.0, 0.5, 4.0]
    state = method.end_epoch(weigh(method, nadir).state)
    for losses in random_history(5, 3):
        weighed = weigh(method, losses, state)
        total = sum(loss / bad for loss, bad in zip(losses, nadir, strict=True))
        assert float(weighed.criterion) == pytest.approx(math.log(total))
        linear = weigh(eq.LinearScalarization(tuple(1 / bad for bad in nadir)), losses).weights
        assert torch.allclose(weighed.weights * total, linear)


def _log_form(mu: float) -> eq.SmoothTchebycheff:
    if mu < 1:
        return eq.SmoothTchebycheff(form="log", warmup=0, mu=mu)
    with pytest.warns(EquipoiseWarning, match="weighted sum"):
        return eq.SmoothTchebycheff(form="log", warmup=0, mu=mu)
