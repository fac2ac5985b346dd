"""The audit of a table: what it refuses, and what it says once."""

import numpy as np
import pandas as pd
import pytest

import equipoise as eq
from equipoise.audits.table_audit import audit
from equipoise.data import load
from equipoise.errors import DataError, SettingError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 3))
FRAME = pd.DataFrame(np.c_[X, X[:, 0] + X[:, 1], X[:, 1] - X[:, 2]], columns=list("abcuv"))


def test_a_table_takes_no_second_choice_of_columns():
    with pytest.raises(SettingError, match=r"give 'targets', 'drop' to equipoise\.data\.load"):
        audit(load("linnerud"), targets=["Pulse", "Weight"], drop=["Jumps"], width=1)


@pytest.mark.parametrize("bad", [-1, 1.5, "5", True, None])
def test_seed_must_be_a_whole_number(bad):
    with pytest.raises(SettingError, match="seed="):
        audit("linnerud", width=1, seed=bad)


@pytest.mark.parametrize("bad", [-1, 1.5, "5", True])
def test_bootstraps_must_be_a_whole_number(bad):
    with pytest.raises(SettingError, match="bootstraps="):
        audit("linnerud", width=1, bootstraps=bad)


@pytest.mark.parametrize("source", [None, 3, [[1, 2]], b"x.csv", X, {"a": [1]}, FRAME["a"]])
def test_what_is_no_table_is_refused_by_its_type(source):
    with pytest.raises(DataError, match=f"found {type(source).__name__}"):
        audit(source, targets=["a", "b"])


def test_every_doubt_is_a_sentence_and_said_once():
    wide = pd.DataFrame(RNG.normal(size=(6, 12)), columns=list("abcdefghijuv"))
    (doubt,) = audit(wide, targets=["u", "v"], width=1, new_rows=False).data.warnings
    assert doubt.startswith("There are 10 inputs for 6 rows")
    *_, doubt = audit(FRAME, targets=["u", "v"], width=1, new_rows=False).data.warnings
    assert doubt == "The inputs determine 'u', 'v' exactly: is a target among the inputs?"


def test_all_widths_are_summed_up_and_one_width_is_not():
    every, one = eq.audit("linnerud", new_rows=False), eq.audit("linnerud", width=1, new_rows=False)
    assert every.summary.startswith(f"Nothing is left to trade from width {every.smallest_width} on.")
    assert one.summary == ""
