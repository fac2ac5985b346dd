import numpy as np
import pandas as pd

from equipoise.training.tables.preparing.columns import look_at
from equipoise.training.tables.preparing.giveaways import giveaways

from ..tables_of import mixed, raw


def warnings(frame, targets):
    table = raw(frame)
    return giveaways(table.frame, look_at(table, targets=targets))


def test_ordinary_inputs_are_not_accused():
    assert warnings(mixed(2000), ["y", "kind", "up"]) == []


def test_a_function_of_a_target_is_found_and_the_measure_is_told():
    frame = mixed(2000)
    frame["later"] = np.exp(frame["y"])
    (warning,) = warnings(frame, ["y", "kind", "up"])
    assert warning == (
        "Input 'later' gives target 'y' away: their rank correlation is 1.00000. Is it known before the target is? If "
        "not: --drop=later."
    )


def test_a_target_in_disguise_is_found_by_the_variance_that_it_explains():
    frame = mixed(2000).assign(angle=np.random.default_rng(1).random(2000))
    frame["y"] = np.sin(4 * frame["angle"])
    (warning,) = warnings(frame, ["y", "kind", "up"])
    assert warning.startswith("Input 'angle' gives target 'y' away: alone, cut into 50 bins, it explains 99.")


def test_a_renamed_class_is_found():
    frame = mixed(2000)
    frame["code"] = frame["kind"].map({"high": "A", "mid": "B", "low": "C"})
    (warning,) = warnings(frame.drop(columns="up"), ["y", "kind"])
    assert warning.startswith("Input 'code' gives target 'kind' away: alone it explains 100.0 % of its entropy")


def test_values_that_decide_a_class_in_many_rows_are_named():
    draw = np.random.default_rng(0)
    role = draw.choice(["husband", "wife", "child", "other"], 4000, p=[0.3, 0.1, 0.3, 0.3])
    single = np.where(np.isin(role, ["husband", "wife"]), False, draw.random(4000) < 0.7)
    frame = pd.DataFrame({"role": role, "x": draw.normal(size=4000), "single": single, "v": draw.normal(size=4000)})
    (warning,) = warnings(frame, ["single", "v"])
    share = np.isin(role, ["husband", "wife"]).mean()
    assert f"in {100 * share:.0f} % of the rows" in warning
    assert "'husband' means 'False' and 'wife' means 'False'" in warning


def test_many_bins_of_noise_explain_nothing():
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"c": draw.integers(0, 49, 120), "y": draw.normal(size=120), "v": draw.normal(size=120)})
    assert warnings(frame, ["y", "v"]) == []
