"""The binary version of CIFAR-10, on files written here in its format."""

import numpy as np
import pytest

from equipoise.data.cifar10 import CLASSES, read_cifar10
from equipoise.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Six files of four records; the pixel of channel c, row i, column j of image n is (n + 64 c + 8 i + j) mod 256."""
    place = np.add.outer(np.add.outer(64 * np.arange(3), 8 * np.arange(32)), np.arange(32))
    for number, name in enumerate([f"data_batch_{n}.bin" for n in range(1, 6)] + ["test_batch.bin"]):
        rows = []
        for n in range(4 * number, 4 * number + 4):
            rows.append(bytes([n % 10]) + ((place + n) % 256).astype(np.uint8).tobytes())
        (tmp_path / name).write_bytes(b"".join(rows))
    return tmp_path


def test_files_come_in_their_order_with_channels_rows_and_columns_in_place(folder):
    images, labels = read_cifar10(folder)
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [n % 10 for n in range(20)]
    assert images[7, 2, 5, 9] == (7 + 64 * 2 + 8 * 5 + 9) % 256
    assert images[13, 0, 31, 0] == (13 + 8 * 31) % 256
    assert read_cifar10(folder, "test").labels.tolist() == [n % 10 for n in range(20, 24)]


@pytest.mark.parametrize("rows", [1, 4, 5, 9, 100])
def test_the_first_rows_are_those_of_the_whole(folder, rows):
    whole, part = read_cifar10(folder), read_cifar10(folder, rows=rows)
    assert len(part.labels) == min(rows, 20)
    assert np.array_equal(part.images, whole.images[:rows])


def test_no_more_files_are_opened_than_the_rows_need(folder):
    (folder / "data_batch_2.bin").unlink()
    assert len(read_cifar10(folder, rows=4).labels) == 4
    with pytest.raises(DataError, match=r"data_batch_2\.bin is not there.*BINARY"):
        read_cifar10(folder, rows=5)


def test_a_file_cut_off_and_one_of_other_labels_are_refused(folder):
    path = folder / "test_batch.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"whole records of 3,073 bytes.*12,291"):
        read_cifar10(folder, "test")
    path.write_bytes(bytes([77]) + whole[1:])
    with pytest.raises(DataError, match="1 of 4 are not, the first 77 in record 0"):
        read_cifar10(folder, "test")


@pytest.mark.parametrize("wrong", [{"split": "validation"}, {"rows": 0}])
def test_settings_outside_their_range_are_refused(folder, wrong):
    with pytest.raises(DataError, match="`split` must be"):
        read_cifar10(folder, **wrong)


def test_there_are_ten_classes():
    assert len(set(CLASSES)) == 10
