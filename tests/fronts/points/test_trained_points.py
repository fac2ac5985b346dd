"""Models for preferences against closed forms; limits hold on the part that they were set on, or the miss is said."""

import numpy as np
import pytest

import equipoise as eq
from equipoise.fronts.indicators import ray_angles
from tests.fronts.sets.linear_problem import adam, make_problem

WISHES = (
    eq.Ray((1, 3)),
    eq.Bounds({"left": 0.04}),
    eq.Bounds({"left": 0.1, "right": 0.1}),
    eq.LinearScalarization((0.3, 0.7)),
    eq.Bounds({"right": 4.0}),
)


@pytest.fixture(scope="module")
def found():
    return eq.front.find_points(make_problem(), WISHES, 500, optimizer=adam)


def test_each_preference_has_its_closed_form(found):
    assert (found.part, found.trained, found.preferences) == ("val", "together", WISHES)
    assert ray_angles(found.losses[:1], np.array([[1, 3]])).max() < 0.5
    assert np.sqrt(found.losses[0]).sum() == pytest.approx(1.0, abs=0.01)
    assert found.losses[1] == pytest.approx([0.04, 0.64], rel=0.02)
    assert found.losses[3] == pytest.approx([0.49, 0.09], rel=0.03)
    assert found.losses[4] == pytest.approx([0.0, 1.0], abs=0.01)  # the limit does not bind


def test_limits_hold_to_a_percent_or_the_status_says_by_how_much_they_are_missed(found):
    assert found.statuses[1] == "ok"
    assert found.losses[1, 0] <= 0.04 * 1.01
    # the point nearest to both limits is (1/4, 1/4)
    assert found.statuses[2].startswith("infeasible: no point found meets all limits; 'left' is 0.2")
    assert "'right' is 0.2" in found.statuses[2]
    assert found.misses[2] == pytest.approx(0.15, abs=0.01)
    assert found.misses[[0, 1, 3, 4]] == pytest.approx([0, 0, 0, 0], abs=4e-4)


def test_the_chosen_models_are_looked_at_on_the_test_part(found):
    assert found.test_losses == pytest.approx(found.losses, rel=1e-9)
    assert found.parameters[3] == pytest.approx([0.15] * 4, abs=5e-3)  # 0.3 of the way from the right to the left end
    assert found.model(3)(make_problem().sources["val"].data[0]).shape == (32,)
