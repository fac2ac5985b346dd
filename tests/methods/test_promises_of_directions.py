"""A method that raises no loss to first order says for what it promises it."""

import inspect

import pytest

import equipoise as eq

PROMISING = [method for kind in eq.methods.table.values() if "no_conflict" in (method := kind()).claims(3)]
PROMISING += [eq.CAGrad(c=1.0), eq.CappedMGDA(cap=1.0)]


def test_these_settings_promise_it():
    assert all("no_conflict" in method.claims(3) for method in PROMISING)
    assert {"MGDA", "UPGrad", "DualProj", "NashMTL", "FairGrad", "EDM"} <= {type(m).__name__ for m in PROMISING}


@pytest.mark.parametrize("method", PROMISING, ids=repr)
def test_the_promise_is_for_the_direction_and_not_for_the_step_of_adam(method):
    text = " ".join((inspect.getdoc(type(method)) or "").split())
    assert "holds for this direction and not for the step that momentum or Adam makes of it" in text
    assert "`equipoise.record` counts" in text
