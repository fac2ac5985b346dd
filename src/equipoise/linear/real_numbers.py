"""Numbers as callers hand them over; kept here for the linear models."""

from ..solve.real_numbers import real_numbers

__all__ = ["real_numbers"]
