r"""
1. The trade-offs of a linear model
===================================

Several targets are predicted from the same inputs through one shared linear layer of width q, and each target has its
own linear head. How much do the targets stand in each other's way?
"""

# %%
# **A loss has two parts.** For a given shared layer the best head of task i leaves the mean squared error
#
# .. math:: L_i = c_i + G_{ii} - e_i .
#
# :math:`c_i` is what no linear model explains, :math:`G = \hat Y^\top \hat Y / n` holds the inner products of the
# tasks' least-squares predictions, and :math:`e_i \in [0, G_{ii}]` is the part that the shared layer captures. The
# excess :math:`G_{ii} - e_i` is the price of sharing. Inputs and rows play no further role: every trade-off depends on
# :math:`(G, c, q)` alone (Hu et al. 2023, arXiv:2308.13985, section 2; here with the mean over rows in place of the
# sum). ``tests/linear/test_problem.py`` checks this against least squares.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

gramians = {
    "agree: correlation 0.9": np.array([[1.0, 0.9], [0.9, 1.0]]),
    "have little in common: 0.3": np.array([[1.0, 0.3], [0.3, 1.0]]),
    "opposed: -0.9": np.array([[1.0, -0.9], [-0.9, 1.0]]),
}

# %%
# **Two tasks, one shared number.** With q = 1 the model has one number for both tasks. Each point is one model; its
# coordinates are the shares of the two predictable parts that it loses. The lower left edge is the *Pareto front*: no
# model there can be improved at one task without harm to the other. Dots mark what weighted sums with the weights 0.05,
# 0.10, ..., 0.95 choose, exactly (:func:`equipoise.linear.scalarized`); the star is the balanced model, whose largest
# excess is smallest (:func:`equipoise.linear.tchebycheff`).
figure, grid = plt.subplots(1, 3, figsize=(10.5, 3.6), sharex=True, sharey=True, layout="constrained")
for axes, (name, gramian) in zip(grid, gramians.items(), strict=True):
    every = 1 - eq.linear.surface_points(gramian, 1, 400).captured
    axes.plot(*every.T, ".", color="#bbbbbb", markersize=2)
    chosen = np.array([eq.linear.scalarized(gramian, (w, 1 - w), 1).captured for w in np.arange(0.05, 1, 0.05)])
    axes.plot(*(1 - chosen).T, "o", color="#0072B2", markersize=4, label="weighted sums")
    balanced = eq.linear.tchebycheff(gramian, (1, 1), 1)
    axes.plot(*(1 - balanced.captured), "*", color="#D55E00", markersize=14, label="balanced model")
    axes.set_title(name, fontsize=10)
    axes.set_aspect("equal")
    print(f"{name:28} largest excess of the balanced model: {balanced.value:.3f} ({balanced.exactness})")
grid[0].legend(fontsize=8)
grid[0].set_ylabel("excess of task 2")
figure.supxlabel("excess of task 1 (shares of its predictable part, in-sample)", fontsize=10)
plt.show()

# %%
# **The sign does not matter.** A head may turn its output around, so tasks with correlation -0.9 share as well as tasks
# with 0.9. With two tasks a weighted sum reaches every best trade-off, at every width: one pair cannot contradict
# itself (Hu et al. 2023; ``tests/linear/test_condition.py``). Trouble needs three.
