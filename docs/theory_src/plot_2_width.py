r"""
2. The width decides how much there is to trade
===============================================

The shared width q is how many numbers the tasks share. What there is to trade shrinks as it grows.
"""

# %%
# Four tasks of rank 4, with correlations between -0.4 and 0.5. The lines are the largest excess over separate models,
# for four ways to make a model of width q.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

gramian = np.array([[1.0, 0.5, -0.4, 0.1], [0.5, 1.0, 0.3, 0.2], [-0.4, 0.3, 1.0, 0.5], [0.1, 0.2, 0.5, 1.0]])
widths = range(1, 5)
found = {"equal weights": [], "best weights found": [], "best single model": [], "best mixture of models": []}
for q in widths:
    point = eq.linear.tchebycheff(gramian, np.ones(4), q)
    found["equal weights"].append(float((1 - eq.linear.scalarized(gramian, np.ones(4), q).captured).max()))
    found["best weights found"].append(eq.linear.best_weights(gramian, np.zeros(4), q, single=point).worst)
    found["best single model"].append(point.value)
    found["best mixture of models"].append(point.mixture_value)
    print(
        f"q = {q}: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in found.items()), f"({point.exactness})"
    )

# %%
# Of k tasks whose predictions are linearly independent (G has rank k):
#
# - **q = 1**: each model is one direction, and the front is a union of curved pieces, one for each pattern of signs.
#   The theory says exactly when weighted sums reach all of it (the next page).
# - **1 < q < k - 1**: no general test is known. For some tasks weighted sums reach everything, for others they do not.
#   The library reports measured gaps there, and says so.
# - **q = k - 1**: as for q = 1, with the inverse of G in place of G.
# - **q >= k**: one model is best at every task, and there is nothing to trade.
#
# Hu et al. (2023), arXiv:2308.13985, state the tests for q = 1 and q = k - 1. If predictions depend on each other, the
# threshold is the rank of G, not the number of tasks; the test for q = 1 is then sufficient and no longer necessary,
# and below the threshold there is no other. ``tests/linear/test_problem.py`` and ``tests/linear/test_condition.py``
# check both.
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for (name, values), color in zip(found.items(), ("#0072B2", "#56B4E9", "#D55E00", "#009E73"), strict=True):
    axes.plot(widths, values, "o-", color=color, label=name)
axes.set(xlabel="shared width q", ylabel="largest excess\n(share of the predictable part)", xticks=list(widths))
axes.legend(fontsize=9)
plt.show()

# %%
# A wider layer is often the cheapest remedy: one more shared number costs a column of weights, while a mixture costs a
# second model. ``equipoise audit`` prints this comparison for a table of yours as a ladder of remedies.
