"""Methods from texts: every setting of every method comes back as it was, and nothing is evaluated."""

import dataclasses

import pytest

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.methods.by_name import method_by_name

PLAIN = (str, int, float, bool, type(None))


@pytest.mark.parametrize("name", list(eq.methods.table))
def test_every_plain_setting_can_be_typed(name):
    method = eq.methods.table[name]()
    values = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    typed = [f"{key}={value}" for key, value in values.items() if isinstance(value, PLAIN)]
    assert method_by_name(name, typed) == method


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("CAGrad", ["c=0.4", "rescale=none"], eq.CAGrad(c=0.4, rescale=None)),
        ("smoothtchebycheff", ["mu=1e-2", "relative=false"], eq.SmoothTchebycheff(mu=0.01, relative=False)),
        ("linearscalarization", ["weights=0.3,0.7"], eq.LinearScalarization((0.3, 0.7))),
        ("linearscalarization", ["weights=a:b:0.3,c:0.7"], eq.LinearScalarization({"a:b": 0.3, "c": 0.7})),
        ("tchebycheff", ["ideal=0.1,0.2"], eq.Tchebycheff(ideal=(0.1, 0.2))),
        ("uncertaintyweighting", ["kinds=a:regression,b:classification"],
         eq.UncertaintyWeighting(kinds={"a": "regression", "b": "classification"})),
    ],
)  # fmt: skip
def test_settings_as_they_are_typed(name, settings, expected):
    assert method_by_name(name, settings) == expected


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("cagard", [], "Closest: 'cagrad'"),
        ("cagrad", ["d=1"], "CAGrad has the settings 'c', 'rescale'"),
        ("cagrad", ["c"], "NAME=VALUE"),
        ("cagrad", ["c=__import__('os')"], "c must be a number"),
        ("cagrad", ["c=0.1", "c=0.2"], "'c' is set twice"),
        ("cagrad", ["rescale=x", "c=y"], "rescale must be '1.c.2', '1.c' or none; found 'x'; c must be a number"),
        ("rlw", ["seed=1.5"], "seed must be a whole number"),
        ("smoothed", ["method=mgda"], "cannot be given as text"),
        ("linearscalarization", ["weights=a:0.3,0.7"], "one value a task"),
        ("cagrad", ["c=-1"], "c"),
        ("mgda", ["zero="], "leave out"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, settings, words):
    with pytest.raises(SettingError, match=words):
        method_by_name(name, settings)
