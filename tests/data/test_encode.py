"""What the encoder makes of columns that can be used, and what it says about them."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from equipoise.data import Table, encode_frame, load
from equipoise.data.columns import option
from equipoise.data.encoding.inputs import MAX_LEVELS
from equipoise.data.table import CLASSES, REGRESSION
from equipoise.errors import DataError

RNG = np.random.default_rng(1)
ROWS = 30


def encode(targets=("u", "v"), inputs=None, drop=(), **columns):
    base = {name: RNG.normal(size=ROWS) for name in ("x", "u", "v")}
    return encode_frame(pd.DataFrame(base | columns), targets=targets, inputs=inputs, drop=drop)


def frame_of(**columns):
    return pd.DataFrame({"u": RNG.normal(size=ROWS), "v": RNG.normal(size=ROWS)} | columns)


def column(table, name):
    return table.inputs[:, table.input_names.index(name)]


def said(table, *parts):
    text = " ".join((*table.steps, *table.warnings))
    return all(part in text for part in parts)


def test_numbers_stay_as_they_are():
    x, u = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
    table = encode(x=x, u=u)
    np.testing.assert_array_equal(table.inputs, x[:, None])
    np.testing.assert_array_equal(table.targets[:, 0], u)
    assert table.kinds == (REGRESSION, REGRESSION)
    assert (table.rows, table.rows_used, table.few_complete) == (ROWS, ROWS, False)
    assert table.steps == ("Columns that were not named became inputs: 'x'.",)
    assert table.warnings == ()


def test_targets_keep_the_order_in_which_they_were_listed():
    assert encode(targets=["v", "u"]).tasks == ("v", "u")


def test_missing_inputs_become_the_mean_and_are_marked():
    x = np.arange(ROWS) % 7 + 0.5
    x[[3, 8]] = np.nan
    table = encode(x=x)
    filled = column(table, "x")
    assert filled[3] == filled[8] == pytest.approx(np.nanmean(x))
    np.testing.assert_array_equal(column(table, "x missing"), np.isnan(x).astype(float))
    assert said(table, "filled with the column's mean", "'x' (2)")


def test_columns_missing_in_the_same_rows_share_one_mark():
    gone = np.where(np.arange(ROWS) < 5, np.nan, RNG.normal(size=ROWS))
    other = np.where(np.arange(ROWS) < 6, np.nan, RNG.normal(size=ROWS))
    table = encode(x=gone, y=gone**2, z=other)
    assert table.input_names == ("x", "y", "z", "x missing", "z missing")


def test_classes_are_measured_from_the_most_frequent_level():
    colour = np.array(["red"] * 15 + ["blue"] * 10 + ["green"] * 5)
    table = encode(colour=colour)
    assert table.input_names == ("x", "colour=blue", "colour=green")
    np.testing.assert_array_equal(column(table, "colour=blue"), colour == "blue")
    assert said(table, "measured from the most frequent: 'colour'")


def test_a_missing_class_is_a_level_of_its_own():
    table = encode(colour=["red"] * 15 + ["blue"] * 10 + [None] * 5)
    np.testing.assert_array_equal(column(table, "colour=(missing)"), np.arange(ROWS) >= 25)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(ROWS) % 2 == 0,
        pd.array([True, False, None] * 10, dtype="boolean"),
        pd.Series([True, False] * 15, dtype=object),
    ],
)
def test_booleans_become_0_and_1(values):
    table = encode(flag=values)
    present = ~pd.isna(values)
    expected = np.asarray(values)[present].astype(float)
    np.testing.assert_array_equal(column(table, "flag")[present], expected)


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, 2, None, 4, 4] * 6, dtype="Int64"),
        pd.Series([1, 2, None, 4, 4] * 6, dtype=object),
        pd.Series([Decimal(1), Decimal(2), None, Decimal(4), Decimal(4)] * 6, dtype=object),
        np.array([1, 2, np.nan, 4, 4] * 6, dtype=np.float32),
    ],
)
def test_numbers_of_any_type_are_numbers(values):
    table = encode(n=values)
    np.testing.assert_array_equal(column(table, "n")[:5], [1, 2, 2.75, 4, 4])


def test_rare_levels_share_one_column():
    levels = [f"level {row:03d}" for row in range(100)] + ["common"] * 60
    table = encode_frame(
        pd.DataFrame({"c": levels, "u": RNG.normal(size=160), "v": RNG.normal(size=160)}), targets=["u", "v"]
    )
    assert len(table.input_names) == MAX_LEVELS - 1
    assert "c=(other)" in table.input_names
    assert column(table, "c=(other)").sum() == 100 - (MAX_LEVELS - 2)
    assert said(table, "'c' has 101 levels")


def test_constant_and_empty_inputs_are_left_out_and_said():
    table = encode(same=7, only="a", nothing=np.nan)
    assert table.input_names == ("x",)
    assert said(table, "Constant inputs were left out: 'same', 'only'", "without any value were left out: 'nothing'")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("customer_id", RNG.permutation(ROWS) + 1000),
        ("ID", RNG.permutation(ROWS)),
        ("orderId", RNG.permutation(ROWS)),
        ("index", np.arange(ROWS)),
        ("Unnamed: 0", np.arange(ROWS)),
        ("whatever", np.arange(ROWS) * 3 + 5),
        ("falling", -np.arange(ROWS)),
        ("comment", [f"text {row}" for row in range(ROWS)]),
    ],
)
def test_identifiers_are_left_out_with_a_warning_unless_listed(name, values):
    table = encode(**{name: values})
    assert table.input_names == ("x",)
    assert len(table.warnings) == 1
    assert f"Input {name!r} was left out" in table.warnings[0]
    assert table.columns[-1].role == "left out"
    kind = "categorical" if name == "comment" else "numeric"
    assert option(kind, name) in table.warnings[0]
    kept = encode(inputs=["x", name], **{name: values})
    assert len(kept.input_names) > 1
    followed = encode_frame(
        frame_of(x=1.5 * RNG.normal(size=ROWS), **{name: values}), targets=["u", "v"], **{kind: [name]}
    )
    assert followed.input_names == kept.input_names


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("humid", RNG.permutation(ROWS)),
        ("grid", RNG.permutation(ROWS)),
        ("rising", np.arange(ROWS) + 0.5),
        ("id", np.arange(ROWS) // 2),
    ],
)
def test_numbers_that_only_resemble_identifiers_are_kept(name, values):
    assert encode(**{name: values}).input_names == ("x", name)


def test_dates_are_left_out_with_a_warning():
    table = encode(day=pd.date_range("2024-01-01", periods=ROWS))
    assert table.input_names == ("x",)
    assert said(table, "hold dates were left out: 'day'", "--date=day")
    table = encode_frame(
        frame_of(x=1.0, day=pd.date_range("2024-01-01", periods=ROWS)), targets=["u", "v"], date=["day"]
    )
    np.testing.assert_array_equal(table.inputs[:, 0], np.arange(ROWS))
    assert table.columns[-1].done == "days since 2024-01-01"


def test_each_target_of_classes_is_one_task():
    mood = pd.Categorical(["low", "mid", "high"] * 10, categories=["low", "mid", "high"], ordered=True)
    table = encode(targets=["u", "bought", "mood"], bought=["no", "yes"] * 15, mood=mood)
    assert table.tasks == ("u", "bought=yes", "mood")
    assert table.kinds == (REGRESSION, CLASSES, CLASSES)
    np.testing.assert_array_equal(table.targets[:3, 2], [0, 1, 2])
    assert said(table, "'mood' has 3 classes with an order", "0 to 2 in the order low < mid < high")


def test_an_ordered_category_keeps_the_order_that_it_was_given():
    grades = pd.Categorical(["c", "a", "b"] * 10, categories=["c", "b", "a"], ordered=True)
    np.testing.assert_array_equal(encode(targets=["u", "g"], g=grades).targets[:3, 1], [0, 2, 1])


def test_classes_without_an_order_get_the_scores_that_the_inputs_predict_best():
    colours = np.array(["red", "green", "blue"] * 20)
    x, y = RNG.normal(size=(2, 60)) + np.array([(colours == "green") * 2.0, (colours == "red") * 1.0])
    frame = pd.DataFrame({"x": x, "y": y, "u": RNG.normal(size=60), "colour": colours})
    scores = encode_frame(frame, targets=["u", "colour"]).targets[:, 1]
    assert scores.mean() == pytest.approx(0, abs=1e-12)
    assert scores.var() == pytest.approx(1)
    centred = np.column_stack([x - x.mean(), y - y.mean()])

    def explained(values):
        fit = centred @ np.linalg.lstsq(centred, values, rcond=None)[0]
        return fit @ fit / (values @ values)

    best = explained(scores)
    discriminant = LinearDiscriminantAnalysis(n_components=1).fit(centred, colours)  # an independent way to the same
    projected = discriminant.transform(centred)[:, 0]
    means = {colour: projected[colours == colour].mean() for colour in set(colours)}
    other = np.array([means[colour] for colour in colours])
    assert explained(other - other.mean()) == pytest.approx(best, rel=1e-9)
    for red, green, blue in RNG.normal(size=(50, 3)):
        values = np.select([colours == "red", colours == "green"], [red, green], blue)
        assert explained(values - values.mean()) <= best + 1e-12


def test_a_class_of_a_few_rows_does_not_count():
    kinds = np.array(["a"] * 14 + ["b"] * 13 + ["rare"] * 3)
    x = np.where(kinds == "rare", 50.0, np.where(kinds == "a", 1.0, 0.0)) + 0.1 * RNG.normal(size=ROWS)
    table = encode(targets=["u", "kind"], x=x, kind=kinds)
    np.testing.assert_allclose(table.targets[kinds == "rare", 1], 0, atol=1e-12)
    assert said(table, "fewer than 10 rows do not count", "rare (3)")
    assert said(
        encode(targets=["u", "w"], w=["no"] * 26 + ["yes"] * 4), "rests on a class of fewer than 10 rows, yes (4)"
    )
    with pytest.raises(DataError, match=r"two classes of 10 rows or more, found .p .7.., .q .8.., .r .15.."):
        encode(targets=["u", "kind"], kind=["p"] * 7 + ["q"] * 8 + ["r"] * 15)


@pytest.mark.parametrize("values", [np.arange(ROWS) % 2 == 0, pd.Categorical(["False", "True"] * 15)])
def test_a_boolean_target_is_a_class(values):
    table = encode(targets=["u", "flag"], flag=values)
    assert table.tasks == ("u", "flag=True")
    np.testing.assert_array_equal(table.targets[:, 1], [str(value) == "True" for value in values])


def test_a_target_of_two_numbers_is_labelled_as_classes_with_its_numbers_kept():
    table = encode(targets=["u", "label"], label=np.arange(ROWS) % 2 + 1)
    assert table.kinds == (REGRESSION, CLASSES)
    assert set(table.targets[:, 1]) == {1.0, 2.0}
    assert said(table, "'label' has two values (1, 2)")


def test_rows_complete_in_the_targets_are_used_and_counted():
    u, v = RNG.normal(size=(2, ROWS))
    u[:4], v[3:7] = np.nan, np.nan
    x = RNG.normal(size=ROWS)
    table = encode(x=x, u=u, v=v)
    np.testing.assert_array_equal(table.inputs[:, 0], x[7:])
    assert (table.rows, table.rows_used, table.few_complete) == (ROWS, 23, False)
    assert said(table, "23 of 30 rows are complete in the targets and were used (77 %). Missing: 'u' 4, 'v' 4.")


def test_under_half_complete_is_a_warning_and_a_flag():
    u = RNG.normal(size=ROWS)
    u[:16] = np.nan
    table = encode(u=u)
    assert table.few_complete
    assert said(table, "Under half of the rows (14 of 30)")
    u[15] = 0.3
    assert not encode(u=u).few_complete


def test_missing_inputs_are_filled_with_the_mean_over_the_rows_that_are_used():
    u, x = RNG.normal(size=ROWS), np.arange(ROWS) + 0.5
    u[20:], x[0] = np.nan, np.nan
    assert column(encode(u=u, x=x), "x")[0] == pytest.approx(np.mean(np.arange(1, 20) + 0.5))


def test_targets_equal_up_to_unit_and_sign_are_a_warning():
    celsius = RNG.normal(size=ROWS)
    table = encode(targets=["u", "v"], u=celsius, v=32 - 1.8 * celsius)
    assert said(table, "Targets 'u' and 'v' are the same up to unit, sign and origin")


def test_an_input_that_gives_a_target_away_is_a_warning():
    price = RNG.normal(size=ROWS)
    table = encode(u=price, cents=100 * price + 3)
    assert said(table, "Input 'cents' is target 'u' up to unit, sign and origin")
    assert not said(table, "Input 'x'")


def test_many_inputs_for_the_rows_are_a_doubt_with_the_share_that_noise_would_keep():
    names = [f"n{number}" for number in range(12)]
    table = encode_frame(pd.DataFrame(RNG.normal(size=(61, 14)), columns=[*names, "u", "v"]), targets=["u", "v"])
    assert said(table, "12 inputs for 61 rows: of a target of pure noise, a linear model would leave 0.80")
    noise = RNG.normal(size=(61, 500)) - 0.0
    centred = table.inputs - table.inputs.mean(axis=0)
    noise -= noise.mean(axis=0)
    left = noise - centred @ np.linalg.lstsq(centred, noise, rcond=None)[0]
    assert (left**2).sum() / (noise**2).sum() == pytest.approx(1 - 12 / 60, abs=0.01)
    assert not said(encode(), "pure noise")


def test_inputs_that_nobody_named_and_that_are_called_like_targets_are_a_doubt():
    table = encode_frame(pd.DataFrame(RNG.normal(size=(30, 4)), columns=["x", "y1", "y2", "y3"]), targets=["y1", "y2"])
    assert said(table, "Inputs are called like targets: 'y3'", "Columns that were not named became inputs: 'x', 'y3'")
    assert not said(encode(), "called like targets")


def test_a_number_that_stands_for_missing_is_a_doubt_and_its_advice_works():
    x = RNG.uniform(3, 60, size=ROWS).round(2)
    x[[4, 9, 20]] = -999
    assert said(encode(x=x), "'x' holds -999 in 3 rows, far from its other values", "type --na=-999")
    table = encode_frame(frame_of(x=x), targets=["u", "v"], na=["-999"])
    assert table.input_names == ("x", "x missing")
    assert column(table, "x")[4] == pytest.approx(x[x > 0].mean())
    assert table.columns[2].missing == 3
    assert not table.warnings
    assert not encode(x=RNG.integers(0, 99, size=ROWS)).warnings


def test_whole_numbers_beyond_double_precision_keep_their_digits():
    steps = RNG.integers(-50, 50, size=ROWS)
    table = encode(v=2**60 + steps, x=pd.array([*(2**61 + steps[:-1]), None], dtype="Int64"))
    np.testing.assert_array_equal(table.targets[:, 1], steps - steps.min())
    np.testing.assert_array_equal(column(table, "x")[:-1], steps[:-1] - steps[:-1].min())
    assert table.columns[2].done == "its smallest value was subtracted, so that no digit is lost"


def test_more_inputs_than_rows_is_a_warning():
    wide = pd.DataFrame(RNG.normal(size=(6, 8)), columns=list("abcdefuv"))
    assert said(
        encode_frame(wide, targets=["u", "v"]), "6 inputs for 6 rows: with that many, a linear model fits almost any"
    )


def test_inputs_and_drop_choose_columns_in_the_order_listed():
    assert encode(inputs=["z", "x"], z=RNG.normal(size=ROWS), y=1.5).input_names == ("z", "x")
    table = encode(drop=["y"], y=RNG.normal(size=ROWS))
    assert table.input_names == ("x",)
    assert said(table, "Left out as asked: 'y'")


def test_the_other_columns_of_a_declared_target_set_are_never_inputs():
    table = load("arm", targets=["joint4", "joint0"])
    assert table.tasks == ("joint4", "joint0")
    assert table.units == ("N m", "N m")
    assert table.inputs.shape == (2000, 21)
    assert said(table, "never inputs and were left out: 'joint1', 'joint2', 'joint3', 'joint5', 'joint6'")


def test_names_match_after_unicode_composition_and_without_blanks_at_the_ends():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    table = encode(targets=[composed, " u "], **{f"{decomposed} ": RNG.normal(size=ROWS)})
    assert table.tasks == (composed, "u")


def test_hostile_names_pass_unchanged():
    hostile = "</script><img src=x onerror=alert(1)>"
    assert encode(targets=["u", hostile], **{hostile: RNG.normal(size=ROWS)}).tasks == ("u", hostile)


def test_a_table_is_read_only_and_its_own_copy():
    inputs = np.ones((3, 1))
    table = Table("t", "s", inputs, ("a",), np.eye(3)[:, :2], ("u", "v"), ("", ""), (REGRESSION,) * 2, 3, 3)
    inputs[0] = 9
    assert table.inputs[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table.targets[0, 0] = 5


def test_a_table_that_does_not_fit_together_is_refused_with_all_reasons():
    with pytest.raises(DataError) as caught:
        Table(
            "t", "s", np.full((3, 1), np.nan), ("a", "b"), np.eye(3)[:, :2], ("u", "u"), ("",), (REGRESSION,) * 2, 3, 2
        )
    for part in (
        "inputs (rows) must have 2 entries, found 3",
        "targets (rows) must have 2 entries, found 3",
        "input_names must have 1 entries, found 2",
        "units must have 2 entries, found 1",
        "found twice: 'u'",
        "inputs must be finite, found 3",
    ):
        assert part in str(caught.value)


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6)) | st.just(np.nan)
texts = st.sampled_from(["a", "b", "c", "d e", None])


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(6, 25))
def test_any_mixture_of_columns_becomes_finite_numbers_of_the_right_shape(data, rows):
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    gone = data.draw(st.integers(0, rows - 5))
    first = generator.normal(size=rows)
    first[:gone] = np.nan
    columns = {
        "anchor": generator.normal(size=rows),
        "number": data.draw(arrays(np.float64, rows, elements=numbers)),
        "text": data.draw(st.lists(texts, min_size=rows, max_size=rows)),
        "flag": data.draw(arrays(np.bool_, rows)),
        "u": first,
        "v": generator.normal(size=rows),
    }
    table = encode_frame(pd.DataFrame(columns), targets=["u", "v"])
    used = rows - gone
    assert table.inputs.shape == (used, len(table.input_names))
    assert table.targets.shape == (used, 2)
    assert table.rows_used == used
    assert table.few_complete == (2 * used < rows)
    assert len(set(table.input_names)) == len(table.input_names)
    assert np.isfinite(table.inputs).all()
    assert (np.ptp(table.inputs, axis=0) > 0).all()
    np.testing.assert_array_equal(table.targets[:, 1], columns["v"][gone:])


@settings(deadline=None, max_examples=40)
@given(st.lists(texts, min_size=8, max_size=30))
def test_one_hot_columns_and_the_left_out_level_partition_the_rows(values):
    generator = np.random.default_rng(0)
    rows = len(values)
    frame = pd.DataFrame({"c": values, "x": generator.normal(size=rows)})
    frame[["u", "v"]] = generator.normal(size=(rows, 2))
    table = encode_frame(frame, targets=["u", "v"], inputs=["x", "c"])
    hot = table.inputs[:, [name.startswith("c=") for name in table.input_names]]
    assert hot.shape[1] == len(set(values)) - 1
    assert set(np.unique(hot)) <= {0.0, 1.0}
    assert hot.sum(axis=1).max(initial=0) <= 1
    left_out = rows - hot.sum()
    assert left_out >= hot.sum(axis=0).max(initial=0)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order):
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(generator.normal(size=(12, 3)), columns=["x", "u", "v"])
    frame["c"] = list("aaabbbbbcccc")
    frame.loc[2, "x"] = np.nan
    straight = encode_frame(frame, targets=["u", "v"])
    shuffled = encode_frame(frame.iloc[list(order)], targets=["u", "v"])
    assert straight.input_names == shuffled.input_names
    np.testing.assert_allclose(straight.inputs[list(order)], shuffled.inputs, rtol=1e-14)
