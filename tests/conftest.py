"""Fixtures for all tests: the folder of real data, and SARCOS as arrays."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize  # noqa: F401 - the first solve imports it, and no time limit of an example should count that
import torch
from hypothesis import settings
from scipy.io import loadmat

gc.disable()  # while the suite is imported nothing becomes garbage, and a look at everything takes half a second
torch.set_num_threads(1)
# what must pass before anything lands is the same each time; elsewhere every run looks at new examples
settings.register_profile("landing", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("landing")
ROOT = Path(__file__).parent.parent


def pytest_collection_finish() -> None:
    """From here on collections look at what tests make, not at the 800,000 objects of imported modules and tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, or a skip that says what is missing."""
    folder = Path(os.environ.get("EQUIPOISE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}; set EQUIPOISE_DATA")
    return folder


@pytest.fixture(scope="session")
def sarcos(data_folder: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """SARCOS test split: inputs (4449, 21) and torques (4449, 7), standardised with ddof = 0, and their names."""
    path = data_folder / "sarcos" / "sarcos_inv_test.mat"
    if not path.is_file():
        pytest.skip(f"no SARCOS file at {path}")
    table = next(value for name, value in loadmat(path).items() if not name.startswith("__"))
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    return table[:, :21], table[:, 21:28], tuple(f"joint{i}" for i in range(7))
