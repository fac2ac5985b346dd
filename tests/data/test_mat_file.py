"""MATLAB files."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from equipoise.data import load
from equipoise.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 3)), RNG.normal(size=(9, 2))


def saved(tmp_path, name="t.mat", **variables):
    path = tmp_path / name
    savemat(path, variables)
    return path


def test_one_matrix_is_the_table(tmp_path):
    table = load(saved(tmp_path, data=np.hstack([X, Y])), targets=["data3", "data4"])
    np.testing.assert_array_equal(table.inputs, X)
    np.testing.assert_array_equal(table.targets, Y)
    assert table.input_names == ("data0", "data1", "data2")


def test_matrices_with_the_same_rows_stand_side_by_side(tmp_path):
    path = saved(tmp_path, X=csc_array(X), Y=Y, y=Y[:, :1] ** 3, note="text", other=np.eye(4))
    table = load(path, targets=["Y0", "Y1", "y"])
    np.testing.assert_array_equal(table.inputs, X)
    assert table.tasks == ("Y0", "Y1", "y")
    assert "other (4, 4)" in table.steps[1]
    assert "note" in table.steps[1]


def test_names_can_be_given(tmp_path):
    path = saved(tmp_path, data=np.hstack([X, Y]))
    assert load(path, targets=["u", "v"], names=["a", "b", "c", "u", "v"]).input_names == ("a", "b", "c")
    with pytest.raises(DataError, match="--names must name all 5 columns, found 2"):
        load(path, targets=["u", "v"], names=["u", "v"])
    with pytest.raises(DataError, match="found more than once: 'u'"):
        load(path, targets=["u", "v"], names=["u", "u", "c", "d", "v"])


def test_cells_are_refused_with_the_reason(tmp_path):
    cells = np.empty((1, 3), dtype=object)
    for task in range(3):
        cells[0, task] = X
    with pytest.raises(DataError, match=r"X \(1, 3\) object\. Cell arrays with one table a task have no shared rows"):
        load(saved(tmp_path, X=cells), targets=["a", "b"])


def test_a_file_without_a_matrix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"must hold a numeric matrix with two rows or more, found x \(1, 3\) float64"):
        load(saved(tmp_path, x=X[:1]), targets=["a", "b"])


@pytest.mark.parametrize(
    "content", [b"no matlab at all, but long enough to be looked at" * 9, b"MATLAB 5.0 MAT-file, cut"]
)
def test_other_content_is_refused(tmp_path, content):
    path = tmp_path / "t.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a MATLAB file, or is damaged"):
        load(path, targets=["a", "b"])


def test_version_7_3_is_refused_with_what_to_type(tmp_path):
    path = tmp_path / "t.mat"
    path.write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" + bytes(600)
    )
    with pytest.raises(DataError, match=r"version 7\.3 \(HDF5\)\. Save it with save\(\.\.\., '-v7'\)"):
        load(path, targets=["a", "b"])


def test_no_header_is_for_text_tables(tmp_path):
    with pytest.raises(DataError, match="--no-header is for text tables"):
        load(saved(tmp_path, data=np.hstack([X, Y])), header=False)


def test_a_matrix_shaped_like_sarcos_is_recognised_by_name(tmp_path):
    values = RNG.normal(size=(40, 28))
    table = load(saved(tmp_path, sarcos_inv=values))
    assert table.tasks == tuple(f"joint{joint}" for joint in range(7))
    assert table.input_names[6:8] == ("position6", "velocity0")
    np.testing.assert_array_equal(table.targets, values[:, 21:])
    with pytest.raises(DataError, match="which columns are the tasks"):
        load(saved(tmp_path, other=values))


def test_sarcos_is_read_whole_and_in_part(data_folder):
    path = data_folder / "sarcos" / "sarcos_inv_test.mat"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    values = loadmat(path)["sarcos_inv_test"]
    whole = load(path)
    np.testing.assert_array_equal(whole.inputs, values[:, :21])
    np.testing.assert_array_equal(whole.targets, values[:, 21:])
    assert "overlaps its training split" in whole.warnings[0]
    part = load(path, targets=["joint0", "joint4", "joint6"])
    np.testing.assert_array_equal(part.inputs, values[:, :21])
    np.testing.assert_array_equal(part.targets, values[:, [21, 25, 27]])
    assert len(part.sha256) == 64


@pytest.mark.parametrize("file", ["malsar_school/school.mat", "landmine/LandmineData.mat"])
def test_one_table_a_task_is_refused(data_folder, file):
    if not (data_folder / file).is_file():
        pytest.skip(f"no file {data_folder / file}")
    with pytest.raises(DataError, match="Cell arrays with one table a task have no shared rows"):
        load(data_folder / file)
