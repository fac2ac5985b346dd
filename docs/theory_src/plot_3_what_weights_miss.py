r"""
3. Why a weighted sum misses balanced points
============================================

A weighted sum finds the points of a front at which a plane can rest. Where the front bends inwards, none can: those
trade-offs exist, and no weights lead to them.
"""

# %%
# **Three tasks that contradict each other.** Every pair of predictions has a negative correlation. Turn task 1 around,
# and it agrees with 2 and 3; but 2 and 3 still oppose each other. No choice of signs makes all correlations
# non-negative.
#
# For q = 1 this is the test: weighted sums reach every best trade-off if some signs :math:`s_i = \pm 1` make :math:`s_i
# s_j G_{ij} \ge 0` for all pairs, and, where G is invertible, only then (Hu et al. 2023, arXiv:2308.13985;
# ``tests/linear/test_condition.py`` compares it with brute force over all signs). To *reach* a model means here that
# some weights, non-negative and not all zero, have it among their optima.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

gramian = np.array([[1.0, -0.4, -0.3], [-0.4, 1.0, -0.5], [-0.3, -0.5, 1.0]])
test = eq.linear.condition(gramian, width=1)
print(f"The condition {test.status}: {', '.join(test.cycle)} are in conflict, by a margin of {test.margin:.2f}.")

# %%
# **Which models are out of reach.** Each point below is a model of the Pareto front. Its two coordinates are those of
# the triangle of excesses, so a corner is a model that serves two tasks and neglects the third. For each one,
# :func:`equipoise.linear.reach` gives weights that have it among their optima, or proves that none have.
points = eq.linear.surface_points(gramian, 1, 700)
front = [
    captured
    for captured in points.captured
    if eq.linear.pareto_test(gramian, 1, captured, tolerance=1e-6).status == "optimal"
]
reached = np.array([eq.linear.reach(gramian, 1, captured, tolerance=1e-6).status == "reachable" for captured in front])
excess = 1 - np.array(front)
share = reached.mean()
print(f"Pareto-optimal: {len(front)} of {len(points.captured)} sampled models; of those weights reach {share:.0%}.")

# %%
# The balanced model, the one whose largest excess is smallest, lies in the part that is out of reach.
corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def place(losses):
    """Corners of the triangle are the three tasks; a point is drawn where its excesses balance."""
    return losses / losses.sum(axis=-1, keepdims=True) @ corners


balanced = 1 - eq.linear.tchebycheff(gramian, np.ones(3), 1).captured
figure, axes = plt.subplots(figsize=(5.6, 4.8), layout="constrained")
axes.plot(*corners[[0, 1, 2, 0]].T, color="#808080", linewidth=1)
axes.plot(*place(excess[reached]).T, "o", color="#0072B2", markersize=4, label="some weights choose it")
axes.plot(*place(excess[~reached]).T, "x", color="#D55E00", markersize=5, label="no weights choose it")
axes.plot(*place(balanced), "*", color="black", markersize=15, label="balanced model")
for corner, name in zip(corners, ("all excess in task 1", "in task 2", "in task 3"), strict=True):
    axes.annotate(name, corner, (0, -14 if corner[1] == 0 else 6), textcoords="offset points", ha="center", fontsize=9)
axes.set_aspect("equal")
axes.set_axis_off()
axes.legend(fontsize=9, loc="upper right")
plt.show()

# %%
# **How much it costs.** That points are missed says nothing about how much is lost. The best that a search over weights
# finds is a largest excess of 0.697, and even that is only one of several optima of the same weights, so training with
# them need not end there; the best single model has 0.650. A test that fails by a small margin costs next to nothing.
# So an audit goes by the cost, and states the test as the reason.
weights = eq.linear.best_weights(gramian, np.zeros(3), 1)
single = eq.linear.tchebycheff(gramian, np.ones(3), 1)
for name, value, how in (
    ("weights", weights.worst, weights.exactness),
    ("single model", single.value, single.exactness),
):
    print(f"best {name}: {value:.3f} ({how})")
