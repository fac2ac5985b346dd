"""`eq.weights` and `eq.direction` want a method, not its class or name."""

import pytest

import equipoise as eq
from equipoise.errors import SettingError

IDENTITY = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("call", [eq.weights, eq.direction])
@pytest.mark.parametrize(
    ("method", "instance"),
    [
        ("mgda", "eq.MGDA()"),
        ("PCGrad", "eq.PCGrad()"),
        (eq.MGDA, "eq.MGDA()"),
        ("no such", "eq.MGDA()"),
        (3, "eq.MGDA()"),
    ],
)
def test_a_class_or_a_name_is_refused_with_the_instance_to_give(call, method, instance):
    with pytest.raises(SettingError, match="give an instance") as caught:
        call(method, IDENTITY)
    assert instance in str(caught.value)
