"""Line searches whose value cannot fit the gradient: refused by name, before anything changes."""

import pytest

import equipoise as eq
from equipoise.errors import EquipoiseError, SettingError

from .problems import TwoPart
from .test_line_search import WEIGHTS, trained


def test_a_line_search_with_a_value_that_cannot_fit_is_refused_before_anything_changes():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA())
    with pytest.raises(EquipoiseError, match=r"LBFGS with a line search .*value='weighted'"):
        trained(balancer, model, line_search_fn="strong_wolfe")
    assert balancer.steps == 0
    assert balancer.tasks is None
    with pytest.raises(EquipoiseError, match=r"MoCo gives a direction.*line_search_fn=None"):
        trained(eq.Balancer(eq.MoCo()), model, line_search_fn="strong_wolfe")
    accumulating = eq.Balancer(eq.LinearScalarization(WEIGHTS))
    accumulating.accumulate(2)
    with pytest.raises(EquipoiseError, match="accumulate"):
        trained(accumulating, model, line_search_fn="strong_wolfe")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": "own"}, "heads='own'"),
        ({"granularity": "tensor"}, "several sets of weights"),
        ({"nonfinite": "skip"}, "nonfinite='skip'"),
    ],
)
def test_settings_that_do_not_fit_the_weighted_value_are_named(settings, words):
    with pytest.raises(SettingError, match=words):
        eq.Balancer(eq.MGDA(), value="weighted", **settings)
    with pytest.raises(SettingError, match="value='sum'"):
        eq.Balancer(eq.MGDA(), value="sum")
    with pytest.raises(SettingError, match="cannot be accumulated"):
        eq.Balancer(eq.MGDA(), value="weighted").accumulate(2)
