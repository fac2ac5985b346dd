"""What indicators ask of their input."""

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array, is_whole, real_numbers
from ...errors import DataError, SettingError

__all__ = ["checked_points", "checked_reference", "refuse_sampling"]


def checked_points(points: ArrayLike, what: str = "points") -> Array:
    """(K, k) finite losses, one row a point, at least one.

    Raises:
        DataError: They are something else.
    """
    array = real_numbers(points, f"`{what}`", DataError, "pass losses, one row a point and one column a task")
    if array.ndim != 2 or not array.size:
        raise DataError(f"`{what}` must have shape (points, tasks), at least one of each; got shape {array.shape}.")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise DataError(f"`{what}` must be finite; found NaN or inf in rows {bad[:20].tolist()}. Leave these out.")
    return array


def checked_reference(reference: ArrayLike, k: int, what: str = "reference") -> Array:
    """(k,) finite numbers.

    Raises:
        SettingError: They are something else.
    """
    array = real_numbers(reference, f"`{what}`", SettingError, f"pass {k} numbers, one a task")
    if array.shape != (k,) or not np.isfinite(array).all():
        raise SettingError(f"`{what}` must be {k} finite numbers, one a task; got {array.tolist()}.")
    return array


def refuse_sampling(samples: object, seed: object, least: int = 1) -> None:
    """Raises `SettingError` where a number of samples or a seed is none."""
    if not (is_whole(samples, least) and is_whole(seed)):
        raise SettingError(
            f"`samples` must be a whole number of at least {least}, `seed` of at least 0; got samples={samples!r}, "
            f"seed={seed!r}."
        )
