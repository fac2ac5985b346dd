"""Digit problems: what an image holds, that no source image is in two parts, and files in the format of MNIST."""

import gzip
import struct

import numpy as np
import pytest
import torch

from equipoise.errors import DataError, SettingError
from equipoise.fronts import overlapped_digits, rotated_digits


def written(folder, images: np.ndarray, labels: np.ndarray, name: str = "t10k", zipped: bool = True):
    """Files in the format of MNIST."""
    files = {
        f"{name}-images-idx3-ubyte": struct.pack(">4i", 2051, *images.shape) + images.astype(np.uint8).tobytes(),
        f"{name}-labels-idx1-ubyte": struct.pack(">2i", 2049, len(labels)) + labels.astype(np.uint8).tobytes(),
    }
    for file, content in files.items():
        (folder / (file + ".gz" if zipped else file)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


def test_the_brighter_pixel_counts_where_digits_meet_and_no_image_is_in_two_parts(tmp_path):
    """Image i has brightness 10 i everywhere."""
    images = np.zeros((20, 2, 4), dtype=int)
    images[:] = np.arange(20)[:, None, None] * 10
    problem = overlapped_digits(source=written(tmp_path, images, np.arange(20) % 10), pairs=(400, 50, 50))
    seen = {}
    for part, source in problem.sources.items():
        canvas, left, right = source.data
        shown = (canvas.reshape(-1, 2, 6) * 255 / 10).round().long()
        assert torch.equal(shown[:, 0, 0] % 10, left)
        assert torch.equal(shown[:, 0, 5] % 10, right)
        for column in range(2, 4):
            assert torch.equal(shown[:, 1, column], torch.maximum(shown[:, 0, 0], shown[:, 0, 5]))
        seen[part] = set(shown[:, 0, [0, 5]].ravel().tolist())
    assert {part: len(numbers) for part, numbers in seen.items()} == {"train": 12, "val": 4, "test": 4}
    assert len(set.union(*seen.values())) == 20


def test_losses_and_metrics_are_those_of_the_outputs():
    problem = overlapped_digits(pairs=(30, 5, 5))
    batch = problem.sources["train"].data
    sure = {
        task: 50 * torch.nn.functional.one_hot(batch[place], 10).float() for place, task in enumerate(problem.tasks, 1)
    }
    for task in problem.tasks:
        assert problem.losses[task](sure, batch).max() < 1e-6
        assert problem.metrics[task][0].function(sure, batch) == 1
        guess = {task: torch.zeros(30, 10)}
        torch.testing.assert_close(problem.losses[task](guess, batch), torch.full((30,), np.log(10)).float())
    turned = rotated_digits(0)
    x, label, angle = turned.sources["test"].data
    right = {"digit": 50 * torch.nn.functional.one_hot(label, 10).float(), "angle": angle[:, None] + 1}
    assert turned.metrics["angle"][0].function(right, (x, label, angle)) == pytest.approx(60 / np.sqrt(3))
    assert turned.losses["angle"](right, (x, label, angle)).mean() == pytest.approx(1)


@pytest.mark.parametrize("zipped", [True, False])
def test_all_pairs_of_files_in_a_folder_are_read(tmp_path, zipped):
    images = np.full((10, 4, 4), 255)
    written(tmp_path, images, np.zeros(10), "train", zipped)
    written(tmp_path, images, np.ones(10), "t10k", zipped)
    labels = torch.cat([rotated_digits(0, tmp_path).sources[part].data[1] for part in ("train", "val", "test")])
    assert labels.bincount().tolist() == [10, 10]


def test_files_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        overlapped_digits(source=tmp_path / "absent")
    with pytest.raises(DataError, match="it has none"):
        overlapped_digits(source=tmp_path)
    written(tmp_path, np.zeros((3, 2, 2)), np.zeros(4))
    with pytest.raises(DataError, match=r"has 3 images, and t10k-labels-idx1-ubyte\.gz has 4 labels"):
        rotated_digits(0, tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\1"))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is no file of 1-dimensional bytes"):
        rotated_digits(0, tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"needs t10k-labels-idx1-ubyte\.gz beside it"):
        rotated_digits(0, tmp_path)


def test_bad_settings_are_refused():
    with pytest.raises(SettingError, match="pairs=\\(1, 2\\)"):
        overlapped_digits(pairs=(1, 2))
    with pytest.raises(SettingError, match="seed"):
        rotated_digits(-1)
