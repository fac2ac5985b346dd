"""Built-in sets, their cards, and what importing the package costs."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_linnerud

from equipoise import data
from equipoise.data import BUILTINS, Card, load, load_arm
from equipoise.data.builtin.catalogue import READERS
from equipoise.errors import DataError


@pytest.mark.parametrize("name", BUILTINS)
def test_a_card_says_what_the_loader_gives(name):
    card, table = BUILTINS[name], load(name)
    assert card.name == table.name == name
    assert (card.rows, card.inputs) == table.inputs.shape
    assert (card.rows, len(card.tasks)) == table.targets.shape
    assert card.tasks == table.tasks
    assert card.units == table.units
    assert card.sha256 == table.sha256
    assert card.licence in table.source
    few_rows = ["There are 3 inputs for 20 rows"] if name == "linnerud" else []
    assert [warning.split(":")[0] for warning in table.warnings] == few_rows
    assert table.kinds == ("regression",) * len(card.tasks)


def test_cards_and_readers_name_the_same_sets():
    assert set(BUILTINS) == set(READERS)
    for name in BUILTINS:
        assert f"``{name}``" in data.__doc__


def test_linnerud_is_that_of_scikit_learn():
    table, bunch = load("linnerud"), load_linnerud()
    np.testing.assert_array_equal(table.inputs, bunch.data)
    np.testing.assert_array_equal(table.targets, bunch.target)


def published(values):
    """The numbers with the decimals that were published; scikit-learn 1.5 bundles some with a last bit that is off."""
    found = np.array([[float(f"{value:.4f}") for value in row] for row in values])
    np.testing.assert_allclose(found, values, rtol=1e-15)
    return found


def test_diabetes_takes_two_inputs_as_tasks_and_says_so():
    table, bunch = load("diabetes"), load_diabetes(scaled=False)
    assert table.input_names == ("age", "sex", "s1", "s2", "s3", "s4", "s5", "s6")
    np.testing.assert_array_equal(table.targets, published(np.column_stack([bunch.data[:, 2:4], bunch.target])))
    np.testing.assert_array_equal(table.inputs, published(np.delete(bunch.data, [2, 3], axis=1)))
    assert "inputs where the set was published, are tasks here" in table.steps[0]


def test_diabetes_with_two_of_its_tasks_does_not_make_the_third_an_input():
    assert load("diabetes", targets=["bp", "bmi"]).inputs.shape == (442, 8)


def test_the_default_arm_is_that_of_its_loader():
    np.testing.assert_array_equal(load("arm").targets, load_arm().targets)


def test_other_bundled_values_than_those_of_the_card_are_doubted():
    card = BUILTINS["linnerud"]
    assert isinstance(card, Card)
    assert "differ" in card.doubts(np.ones((20, 6)))[0]


def test_importing_the_data_package_brings_no_pandas_and_no_scikit_learn():
    code = (
        "import sys; from equipoise.data import BUILTINS, Table, inverse_dynamics; "
        "assert not {'pandas', 'sklearn', 'scipy.io'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_are_all_there_and_others_are_not():
    for name in data.__all__:
        assert getattr(data, name) is not None
        assert name in dir(data)
    with pytest.raises(AttributeError, match="no attribute 'loads'"):
        data.loads  # noqa: B018


def test_adult_is_read_without_header(data_folder):
    path = data_folder / "adult" / "adult-test.csv"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    names = (
        "age,workclass,weight,education,years,marital,occupation,relationship,race,sex,gain,loss,hours,country,income"
    )
    with pytest.raises(DataError, match="looks like data: '25', 'Private', '226802'"):
        load(path, targets=["column15", "column6"])
    table = load(path, targets=["income", "sex"], header=False, names=names.split(","), drop=["marital"])
    assert table.rows == table.rows_used == 16281
    assert table.tasks == ("income=>50K.", "sex=Male")
    assert table.targets[:, 0].mean() == pytest.approx(0.2362, abs=1e-4)
    assert "workclass=(missing)" in table.input_names
    assert not [name for name in table.input_names if "marital" in name]


def test_tox21_uses_the_rows_complete_in_the_targets_and_drops_identifiers(data_folder):
    path = data_folder / "tox21" / "tox21.csv.gz"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    twelve = "NR-AR,NR-AR-LBD,NR-AhR,NR-Aromatase,NR-ER,NR-ER-LBD,NR-PPAR-gamma,SR-ARE,SR-ATAD5,SR-HSE,SR-MMP,SR-p53"
    table = load(path, targets=twelve.split(","))
    present = pd.read_csv(path)[twelve.split(",")].notna()
    assert table.rows_used == present.all(axis=1).sum()
    assert table.few_complete == (present.all(axis=1).mean() < 0.5)
    left_out = [warning.split(" was left out")[0] for warning in table.warnings if "was left out" in warning]
    assert left_out == ["Input 'mol_id'", "Input 'SMILES'"]
    assert table.input_names == ("rdkit_pass",)
    assert set(table.kinds) == {"least squares on classes"}
