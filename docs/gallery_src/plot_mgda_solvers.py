r"""
Five ways to the shortest vector
================================

MGDA asks for weights on the simplex that make :math:`a^\top G a` least. The library solves this exactly, in finitely
many pivots; ``solver=`` also offers the four iterative routes of the literature. This page shows how they converge.
"""

# %%
# Six families of gradients, ten tasks each, seed 0: the inputs on which the laws of all methods are checked.
# ``rank-deficient`` has rank 6, ``ill`` singular values from 1 to 0.001, ``imbalanced`` norms over six decades.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.min_norm_routes import min_norm_by, routes

TASKS, SEED, ITERATIONS = 10, 0, 5000
NAMES = ("well", "rank-deficient", "ill", "conflicting", "nearly opposite", "imbalanced")
gramians = {}
for case in eq.laws.families(TASKS, seed=SEED, scales=(1.0,)):
    name = case.name.split(",")[0]
    if name in NAMES:
        gramians[name] = case.jacobian @ case.jacobian.T

# %%
# The measure is the duality gap :math:`a^\top G a - \min_i (G a)_i`. It is never less than the distance to the optimal
# value, and each route can compute it from its own iterate; that is the certificate which ``eq.MGDA(solver=...)``
# reports. It is divided here by the optimal value, from the exact solve: a gap of 1 means "as large as the answer".
exact = {name: min_norm_point(gramian) for name, gramian in gramians.items()}
found = {
    name: {route: min_norm_by(route, gramian, iterations=ITERATIONS, tolerance=1e-15) for route in routes}
    for name, gramian in gramians.items()
}


def relative_gaps(name, route):
    """The curve of one route, in units of the optimal value."""
    optimum = exact[name].value @ gramians[name] @ exact[name].value
    return found[name][route].gaps * np.diagonal(gramians[name]).max() / optimum


print(f"relative gap at the end (after so many iterations), k = {TASKS}, seed {SEED}")
print(f"{'':16}{'exact':>18}" + "".join(f"{route:>18}" for route in routes))
for name in NAMES:
    cells = [f"{exact[name].certificate:.0e} ({exact[name].iterations})"]
    for route in routes:
        cells.append(f"{relative_gaps(name, route)[-1]:.0e} ({found[name][route].iterations})")
    print(f"{name:16}" + "".join(f"{cell:>18}" for cell in cells))

# %%
# Both axes are logarithmic, so a straight line is a power of the iteration number. The best gap so far is drawn: that
# of the iterate one would return.
#
# - ``exact`` pivots from one set of active tasks to another. Its star is the one point it returns: the gap that
#   rounding leaves, which grows with the condition of the problem.
# - ``frank-wolfe`` moves to the vertex of steepest descent, by the best step. Where the answer lies inside a face it
#   zigzags towards it.
# - ``averaging`` moves to the same vertices with the step 1/(t+1), whatever the gradients.
# - ``smooth`` solves a smoothed problem by Newton's method and sharpens it fourfold at each iteration: one of its
#   iterations is a few linear solves, so its count does not compare with the others'.
# - ``softmax`` descends on unconstrained logits. It has no rate; it stops where rounding hides further descent.
COLORS = {"frank-wolfe": "#0072B2", "averaging": "#E69F00", "smooth": "#009E73", "softmax": "#CC79A7"}
STYLES = {"frank-wolfe": "-", "averaging": "--", "smooth": "-", "softmax": "-."}
FLOOR = 1e-17  # gaps that rounding made zero are drawn here
figure, grid = plt.subplots(2, 3, figsize=(11, 6.2), sharex=True, sharey=True, layout="constrained")
for axes, name in zip(grid.flat, NAMES, strict=True):
    for route in routes:
        gaps = np.maximum(np.minimum.accumulate(relative_gaps(name, route)), FLOOR)
        steps = np.arange(1, len(gaps) + 1)
        axes.loglog(steps, gaps, color=COLORS[route], linestyle=STYLES[route], label=route, linewidth=1.8)
        axes.plot(steps[-1], gaps[-1], "o", color=COLORS[route], markersize=4)
    solved = exact[name]
    axes.plot(
        solved.iterations + 1,
        max(solved.certificate, FLOOR),
        "*",
        color="black",
        markersize=11,
        label="exact",
        zorder=5,
    )
    axes.set_title(name, fontsize=10, loc="left")
    axes.grid(alpha=0.25)
handles, labels = grid[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside upper center", ncols=5, fontsize=9)
figure.supxlabel(f"1 + iterations ({TASKS} tasks)", fontsize=9)
figure.supylabel("best duality gap so far / optimal value", fontsize=9)
plt.show()
