"""Read numbers from lists, arrays, data frames and torch tensors without silent loss."""

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

__all__ = ["Array", "is_whole", "real_numbers"]

Array = NDArray[np.float64]
"""Numbers as everything here computes with them."""


def is_whole(value: object, least: int = 0) -> bool:
    """Whether a setting is a whole number of at least `least`; True and False are none.

    Example:
        >>> is_whole(3), is_whole(3.0), is_whole(True), is_whole(0, least=1)
        (True, False, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def real_numbers(values: Any, what: str, error: type[InputError], remedy: str) -> Array:
    """`values` as float64, of whatever shape: a copy, or the array itself where nobody can change it.

    Torch tensors on any device, with or without a gradient, also in lists, are recognised by their methods, so torch is
    not imported here. The message says `what` the numbers are and, as a clause, the `remedy`.

    Raises:
        InputError: As `error`: text, rows of different lengths, a sparse matrix, complex numbers (their imaginary part
            would be lost silently), dates, or a masked array (its mask would be).

    Example:
        >>> real_numbers([1, 2], "weights", InputError, "pass one number a task")
        array([1., 2.])
    """
    if isinstance(values, np.ma.MaskedArray):
        raise error(
            f"{what} must be a plain array; found a masked one. Fill it (.filled(...)), or leave these rows out"
        )
    if hasattr(values, "tocsr") or getattr(values, "is_sparse", False) is True:
        raise error(f"{what} must be a dense array; found a sparse one. Make it dense if it fits into memory")
    owner = isinstance(values, np.ndarray) and values.dtype == np.float64 and values.base is None
    if owner and not values.flags.writeable:
        return np.asarray(values)  # a large table is not copied once more
    try:
        array = np.asarray(_without_graph(values))
        text = array.dtype == object and any(isinstance(value, str) for value in array.flat)
        if array.dtype.kind in "biufO" and not text:  # NumPy would read "1" as 1.0, and drop imaginary parts
            return np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise error(f"{what} must be numbers; {problem}: {remedy}") from problem
    if np.iscomplexobj(array):
        raise error(f"{what} must be real; found complex numbers. Pass the real part if that is what is meant")
    found = "dates or times" if array.dtype.kind in "mM" else "text"
    raise error(f"{what} must be numbers; found {found}, {reprlib.repr(array.tolist())}: {remedy}")


def _without_graph(values: Any) -> Any:
    """Tensors as arrays on the CPU, also inside of lists."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        tensor = values.detach().cpu()
        # half precisions that NumPy does not know are widened by torch
        return (tensor.resolve_conj() if tensor.is_complex() else tensor.double()).numpy()
    if isinstance(values, list | tuple) and any(isinstance(v, list | tuple) or hasattr(v, "detach") for v in values):
        return [_without_graph(value) for value in values]
    return values
