"""Tables that keep rows which miss some targets: where NaN stands, and what is encoded from the rows that are known."""

import numpy as np
import pandas as pd
import pytest

from equipoise.data import encode_frame
from equipoise.errors import DataError

ROWS = 120


def frame():
    generator = np.random.default_rng(0)
    x = generator.normal(size=ROWS)
    kind = np.where(x > 0.4, "high", np.where(x < -0.4, "low", "mid")).astype(object)
    price = 2 * x + generator.normal(size=ROWS)
    price[:20], kind[30:50] = np.nan, None
    flag = np.where(np.arange(ROWS) % 3 == 0, "yes", "no").astype(object)
    flag[:5] = None
    price[115:], kind[115:], flag[115:] = np.nan, None, None  # rows without any target
    return pd.DataFrame({"x": x, "z": generator.normal(size=ROWS), "price": price, "kind": kind, "flag": flag})


def test_rows_with_any_target_are_kept_and_gaps_are_nan():
    given = frame()
    table = encode_frame(given, targets=["price", "kind", "flag"], incomplete=True)
    assert table.tasks == ("price", "kind", "flag=yes")
    assert (table.rows, table.rows_used) == (ROWS, 115)
    known = given[["price", "kind", "flag"]].notna().to_numpy()[:115]
    np.testing.assert_array_equal(~np.isnan(table.targets), known)
    np.testing.assert_array_equal(table.complete, known.all(axis=1))
    np.testing.assert_array_equal(table.targets[:, 0], given["price"][:115])
    assert table.few_complete == (2 * known.all(axis=1).sum() < ROWS)
    scores = table.targets[known[:, 1], 1]  # mean 0 and variance 1 over the rows that have a class
    assert (scores.mean(), scores.var()) == pytest.approx((0.0, 1.0), abs=1e-12)


def test_without_gaps_or_without_being_asked_nothing_changes():
    given = frame()
    whole = given.dropna()
    usual = encode_frame(given, targets=["price", "kind"])
    assert usual.rows_used == given[["price", "kind"]].notna().all(axis=1).sum()
    assert usual.complete.all()
    one, two = (encode_frame(whole, targets=["price", "kind"], incomplete=asked) for asked in (False, True))
    np.testing.assert_array_equal(one.targets, two.targets)
    np.testing.assert_array_equal(one.inputs, two.inputs)
    assert (one.steps, one.warnings) == (two.steps, two.warnings)


def test_what_is_wrong_on_the_known_rows_is_refused():
    given = frame()
    given["same"] = given["price"]
    with pytest.raises(DataError, match="'price' and 'same' are identical"):
        encode_frame(given, targets=["price", "same", "kind"], incomplete=True)
    given["flat"] = np.where(given["price"].notna(), 3.0, np.nan)
    with pytest.raises(DataError, match=r"'flat' is constant: '3' in all 95 rows that have it"):
        encode_frame(given, targets=["kind", "flat"], incomplete=True)


def test_an_input_that_is_a_target_is_seen_on_the_rows_that_have_it():
    given = frame()
    given["cents"] = np.where(given["price"].notna(), 100 * given["price"] + 1, 0.0)
    table = encode_frame(given, targets=["price", "flag"], incomplete=True)
    assert any("Input 'cents' is target 'price' up to unit" in warning for warning in table.warnings)


def test_many_inputs_are_doubted_for_the_target_with_fewest_rows():
    generator = np.random.default_rng(1)
    given = pd.DataFrame(generator.normal(size=(ROWS, 7)), columns=[*"abcde", "u", "v"])
    given.loc[20:, "v"] = np.nan
    table = encode_frame(given, targets=["u", "v"], incomplete=True)
    assert any(words.startswith("There are 5 inputs for 20 rows of 'v':") for words in table.warnings)
