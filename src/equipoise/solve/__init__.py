"""Problems with k unknowns, solved to machine precision: arrays in, `Solution` out.

NumPy float64 throughout. Nothing here knows what a task, a loss or a network is.
"""

from .solution import Solution, Status

__all__ = ["Solution", "Status"]
