"""Numbers as callers hand them over, where the linear models expect the function: see `equipoise.solve.real_numbers`."""

from ..solve.real_numbers import real_numbers

__all__ = ["real_numbers"]
