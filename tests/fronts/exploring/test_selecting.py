"""Which epoch serves a preference."""

import math

import pytest

import equipoise as eq
from equipoise.errors import PreferenceError
from equipoise.fronts.exploring.selecting import PreferredLoss, preference_value

LOSSES = {"a": 2.0, "b": 5.0}


def test_values_are_those_of_the_formulas():
    assert preference_value(eq.LinearScalarization((0.25, 0.75)), LOSSES) == pytest.approx(4.25)
    assert preference_value(eq.Tchebycheff((0.9, 0.1), ideal=None), LOSSES) == pytest.approx(1.8, abs=1e-3)
    assert preference_value(eq.Tchebycheff((0.5, 0.5), ideal=(1.0, 4.5)), LOSSES) == pytest.approx(0.5, abs=1e-3)
    assert preference_value(eq.Tchebycheff({"b": 1.0, "a": 0.0}, ideal=None), LOSSES) == pytest.approx(5.0, abs=1e-3)


def test_a_task_without_weight_does_not_count_and_a_diverged_one_with_weight_is_infinite():
    lost = {"a": 1.0, "b": math.inf}
    assert PreferredLoss(eq.LinearScalarization((1.0, 0.0))).scores(lost) == {"": 1.0}
    assert PreferredLoss(eq.LinearScalarization((0.5, 0.5))).scores(lost) == {"": math.inf}


def test_of_equal_maxima_the_lower_rest_wins():
    rule = PreferredLoss(eq.Tchebycheff((0.5, 0.5), ideal=None))
    assert rule.scores({"a": 1.0, "b": 0.5})[""] < rule.scores({"a": 1.0, "b": 0.9})[""]


def test_a_preference_that_depends_on_the_run_is_refused():
    with pytest.raises(PreferenceError, match="running ideal"):
        preference_value(eq.Tchebycheff((0.5, 0.5)), LOSSES)
    with pytest.raises(PreferenceError, match="with weights"):
        preference_value(eq.LinearScalarization(), LOSSES)
