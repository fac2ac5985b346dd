import numpy as np
import pandas as pd
import pytest

from equipoise.errors import DataError
from equipoise.training.tables.fit_table import fit_table
from equipoise.training.tables.preparing.columns import look_at
from equipoise.training.tables.preparing.splitting import splits

from ..tables_of import mixed, raw


def looked(frame, **options):
    return look_at(raw(frame), **({"targets": ["y", "kind", "up"]} | options))


def test_kinds_and_roles_are_inferred():
    found = looked(mixed())
    assert [(target.name, target.kind, target.classes) for target in found.targets] == [
        ("y", "regression", ()),
        ("kind", "classes", ("high", "low", "mid")),
        ("up", "binary", ("False", "True")),
    ]
    assert found.inputs == {"x": "numbers", "z": "numbers", "colour": "classes", "day": "dates", "flag": "booleans"}
    assert [card.role for card in found.cards] == ["input"] * 5 + ["target"] * 3
    assert {card.name: card.missing for card in found.cards if card.missing} == {"x": 18, "y": 24}
    assert any("'y' is missing in 24 of 120 rows" in step for step in found.steps)


def test_a_column_of_two_numbers_is_two_classes():
    frame = mixed()
    frame["up"] = np.where(frame["up"], 2.0, 5.5)
    assert looked(frame).targets[2].classes == ("2", "5.5")


def test_group_and_time_are_no_inputs_unless_named():
    found = looked(mixed(), group="colour", time=None)
    assert "colour" not in found.inputs
    assert "divides the rows (--group)" in {card.name: card.done for card in found.cards}["colour"]
    assert looked(mixed(), group="colour", inputs=["colour", "x"]).inputs == {"colour": "classes", "x": "numbers"}


BAD = {
    "one row": (lambda frame: frame.head(1), "At least two rows of data are needed, found 1"),
    "all-NaN target": (lambda frame: frame.assign(y=np.nan), "found none at all in 'y'"),
    "constant target": (lambda frame: frame.assign(kind="a"), "Target 'kind' is 'a' in all 120 rows"),
    "infinite target": (lambda frame: frame.assign(y=np.inf), "Target 'y' must be finite, found 120 infinite values"),
    "infinite input": (
        lambda frame: frame.assign(z=frame["z"].where(frame["z"] < 1, -np.inf)),
        r"Input 'z' must be finite, found \d+ infinite values",
    ),
    "date target": (lambda frame: frame.assign(y=frame["day"]), "Target 'y' holds dates"),
    "twins": (lambda frame: frame.assign(up=frame["kind"]), "Targets 'kind' and 'up' are identical in every row"),
    "mixed types": (
        lambda frame: frame.assign(z=[*map(str, range(100)), *["lots"] * 20]),
        r"Column 'z' holds numbers in 100 of 120 cells, and others: 'lots' \(20\)",
    ),
    "day or month": (lambda frame: frame.assign(day="03/04/2024"), "day or month first"),
    "free text": (
        lambda frame: frame.assign(kind=[f"t{number}" for number in range(120)]),
        "Target 'kind' is free text",
    ),
    "no inputs": (lambda frame: frame[["y", "kind", "up"]], "No input column is left"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_with_what_was_found(case):
    change, words = BAD[case]
    with pytest.raises(DataError, match=words):
        looked(change(mixed()))


def test_all_problems_are_told_at_once():
    frame = mixed().assign(y=np.nan, kind="a", z=[np.inf, *range(119)])
    with pytest.raises(DataError) as caught:
        looked(frame)
    assert [name in str(caught.value) for name in ("'y'", "'kind'", "'z'")] == [True] * 3


def test_a_class_with_one_member_is_a_warning():
    frame = mixed()
    frame.loc[0, "kind"] = "only one"
    assert any("'only one' (1)" in warning for warning in looked(frame).warnings)


def test_identifiers_are_left_out_with_a_warning():
    found = looked(mixed().assign(row_id=np.arange(120)[::-1]))
    assert "row_id" not in found.inputs
    assert any("'row_id' was left out" in warning for warning in found.warnings)


def test_200_targets_are_tasks_each():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(60, 202))
    frame = pd.DataFrame(values, columns=["a", "b", *(f"t{number}" for number in range(200))])
    names = list(frame.columns[2:])
    fitted = fit_table(frame, targets=names, seeds=1, epochs=1, hidden=(4,), baselines=(), width=1)
    assert [task.name for task in fitted.record.tasks] == names
    assert fitted.predict(frame.head(2)).shape == (2, 200)


def test_a_group_of_one_lies_on_one_side_and_groups_never_on_two():
    frame = mixed()
    frame["customer"] = ["alone", *np.repeat(np.arange(17), 7).astype(str)]
    columns = looked(frame, group="customer")
    (split,) = splits(frame, columns, [3], group="customer", time=None)
    sides = [set(frame["customer"].iloc[rows]) for rows in split.parts.values()]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert sum("alone" in side for side in sides) == 1


def test_a_split_by_time_tests_on_the_latest_rows():
    frame = mixed()
    (split,) = splits(frame, looked(frame, time="day"), [0], group=None, time="day")
    assert frame["day"].iloc[split.train].max() < frame["day"].iloc[split.val].min()
    assert frame["day"].iloc[split.val].max() < frame["day"].iloc[split.test].min()


def test_group_and_time_together_and_gaps_are_refused():
    frame = mixed()
    with pytest.raises(DataError, match="not by both"):
        splits(frame, looked(frame), [0], group="colour", time="day")
    with pytest.raises(DataError, match=r"'x' must be known for every row, .* missing in 18 rows"):
        splits(frame, looked(frame), [0], group="x", time=None)


def test_random_splits_keep_the_shares_of_classes():
    frame = mixed(600)
    columns = looked(frame)
    (split,) = splits(frame, columns, [1], group=None, time=None)
    shares = [frame["kind"].iloc[rows].value_counts(normalize=True).sort_index() for rows in split.parts.values()]
    assert max(abs(part - shares[0]).max() for part in shares) < 0.03
