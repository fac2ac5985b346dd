"""Problems with k unknowns, solved to machine precision: arrays in, `Solution` out.

NumPy float64 throughout. Nothing here knows what a task, a loss or a network is. What all solvers have in common:

* `gramian` is G, (k, k), in squared units of a gradient, without a zero on its diagonal; what is no Gramian raises
  `GramianError`, unless it is `checked`: known to be one. C, `cosines`, are G after every gradient was divided by its
  norm (`equilibrate`). Replacing G by c G changes no weights.
* `factor` is R, (r, k), with R^T R = G, for gradients that nearly cancel: it keeps the digits that squaring loses.
* Weights are (k,). ``STATIONARY``: zero lies in the convex hull of the gradients. ``RANK_DEFICIENT``: the gradients
  depend on each other, several weights give the same direction, and those of least norm are returned.
"""

from .solution import Solution, Status

__all__ = ["Solution", "Status"]
