r"""
4. Mixtures: two models in place of one
=======================================

Train two models and draw one of them at random for each use. The expected losses are averages, and averages fill every
hole of a front.
"""

# %%
# **The exact statement.** The expected losses of mixtures form the convex hull of those of single models. A point is
# out of reach for all weights (non-negative, not all zero, ties counted) exactly where some mixture is better at
# *every* task at once: both questions are one optimisation problem and its dual (``tests/linear/test_reach.py``,
# ``tests/linear/test_reach_by_semidefinite_program.py``). So the gap has two readings: what weights miss, and what a
# mixture gains.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

gramian = np.array([[1.0, -0.4, -0.3], [-0.4, 1.0, -0.5], [-0.3, -0.5, 1.0]])
point = eq.linear.tchebycheff(gramian, np.ones(3), 1)
print(f"best single model: {point.value:.3f}, best mixture: {point.mixture_value:.3f} (largest expected excess)")
for share, captured in zip(point.mixture_weights, point.mixture_captured, strict=True):
    print(f"  used with probability {share:.3f}: excesses {np.round(1 - captured, 3)}")

# %%
# **Few models are enough.** Some best mixture has m members with m (m + 1) / 2 <= k: one for two tasks, at most two for
# three to five tasks, at most three for six to nine (Pataki 1998, on the rank of extreme solutions of semidefinite
# programmes; ``tests/linear/test_mixture_oracle.py`` compares with CVXPY).
#
# **A wider layer replaces any mixture.** Let m be the largest whole number with m (m + 1) / 2 <= k. One model of width
# q + m - 1 is at least as good as every mixture at width q: by the same bound, some best mixture needs no more than q +
# m - 1 directions in all (``tests/linear/test_width_bound.py``). For three to five tasks that is one more shared
# number.
bars = {
    "equal weights": float((1 - eq.linear.scalarized(gramian, np.ones(3), 1).captured).max()),
    "best weights found (at a tie)": eq.linear.best_weights(gramian, np.zeros(3), 1).worst,
    "best single model": point.value,
    "mixture of two models": point.mixture_value,
    "one model of width 2": eq.linear.tchebycheff(gramian, np.ones(3), 2).value,
}
figure, axes = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
axes.barh(list(bars), list(bars.values()), color="#0072B2")
for row, value in enumerate(bars.values()):
    axes.annotate(f"{value:.3f}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
axes.invert_yaxis()
axes.set_xlim(0, 1.1)
axes.set_xlabel("largest excess over separate models (share of the predictable part)")
plt.show()

# %%
# **When not to.** A mixture is fair on average, not for a single use: one of its members may be poor at the task that a
# particular row is about. :class:`equipoise.MixtureModel` draws by row, by request, or averages where predictions may
# be averaged.
