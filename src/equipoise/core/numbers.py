"""Numbers as callers hand them over: lists, arrays, data frames and torch tensors, read without silent loss."""

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

__all__ = ["real_numbers"]


def real_numbers(values: Any, what: str, error: type[InputError], remedy: str) -> NDArray[np.float64]:
    """A float64 copy of `values`, of whatever shape.

    Tensors are recognised by their methods, so torch is not imported here.

    Args:
        values: Array-like, or a torch tensor on any device, with or without a gradient.
        what: What the numbers are, as the subject of the message.
        error: Raised where they are none.
        remedy: What to pass instead, a clause.

    Raises:
        InputError: As `error`: text, rows of different lengths, or complex numbers (their imaginary part would be
            lost without a word).

    Example:
        >>> real_numbers([1, 2], "weights", InputError, "pass one number a task")
        array([1., 2.])
    """
    given = values
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        tensor = values.detach().cpu()
        # half precisions that NumPy does not know are widened by torch
        given = (tensor.resolve_conj() if tensor.is_complex() else tensor.double()).numpy()
    try:
        array = np.asarray(given)
        if array.dtype.kind not in "USc":  # NumPy would read "1" as 1.0, and drop imaginary parts
            return np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise error(f"{what} must be numbers; {problem}: {remedy}") from problem
    if np.iscomplexobj(array):
        raise error(f"{what} must be real; found complex numbers. Pass the real part if that is what is meant")
    raise error(f"{what} must be numbers; found text, {reprlib.repr(array.tolist())}: {remedy}")
