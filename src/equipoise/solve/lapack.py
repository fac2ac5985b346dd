"""LAPACK by way of SciPy, imported by the first problem that needs it."""

from functools import cache
from typing import Any

__all__ = ["lapack"]


@cache
def lapack() -> Any:
    """The module ``scipy.linalg.lapack``. Importing it takes a quarter of what all of equipoise does."""
    from scipy.linalg import lapack as found  # noqa: PLC0415 - slow to import, and building a Balancer solves nothing

    return found
