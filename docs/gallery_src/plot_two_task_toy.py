r"""
Two valleys, two bowls: where methods go
========================================

The plane on which the papers of CAGrad and Nash-MTL draw their paths. In the upper half each task has a valley, narrow
and steep like a logarithm; in the lower half each has a bowl, and the Pareto set lies between the two. A run that
starts above must leave the valleys to get there.
"""

# %%
# Two tasks, two parameters, three published starts, gradients in closed form. Losses have no unit. Nothing is random:
# PCGrad's orders have no choice with two tasks. The papers take 100,000 steps of Adam at a learning rate of 0.001; for
# this page it is 0.03 and 6,500 steps. ``benchmarks/toy.py`` runs the full length.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq
from equipoise.problems import CAGRAD_STARTS, TwoTaskToy, descend

toy = TwoTaskToy()
optimum = toy.mean_optimum()
pareto = toy.pareto_points(np.linspace(0, 1, 101))
methods = {
    "mean": eq.LinearScalarization(),
    "MGDA": eq.MGDA(),
    "PCGrad": eq.PCGrad(),
    "CAGrad": eq.CAGrad(c=0.5, rescale="1+c"),
}
LEARNING_RATE, STEPS = 0.03, 6500

# %%
# Each path is a list of points; ``descend`` asks the method for a direction at every step and gives it to Adam.
paths = {
    name: descend(method, toy, CAGRAD_STARTS, steps=STEPS, learning_rate=LEARNING_RATE, every=5)
    for name, method in methods.items()
}

print(f"ends after {STEPS} steps at {LEARNING_RATE}; minimum of the mean loss ({optimum[0]:.2f}, {optimum[1]:.2f})")
for name, runs in paths.items():
    print(f"{name:8}" + "   ".join(f"({run.end[0]:6.2f}, {run.end[1]:6.2f})" for run in runs))

# %%
# The grey lines are levels of the mean loss, the green line is the Pareto set, the star the minimum of the mean loss.
# Circles are starts, squares are ends (below the star where they reach it).
#
# MGDA and PCGrad stop at the first point of the Pareto set that they reach: there the gradients point in opposite
# directions, so no direction is left that lowers both losses (MGDA) or survives the projection (PCGrad). CAGrad's
# direction stays near the mean gradient, so it follows the Pareto set on to the mean's own minimum.
COLORS = ("#0072B2", "#D55E00", "#CC79A7")
first, second = np.meshgrid(np.linspace(-10, 10, 241), np.linspace(-10, 10, 241))
mean_loss = toy.losses(np.stack([first, second], axis=-1)).mean(axis=-1)
figure, grid = plt.subplots(1, 4, figsize=(12.5, 3.9), sharex=True, sharey=True, layout="constrained")
for axes, (name, runs) in zip(grid, paths.items(), strict=True):
    axes.contour(first, second, mean_loss, levels=18, colors="#999999", linewidths=0.5, linestyles="-")
    axes.plot(*pareto.T, color="#009E73", linewidth=4, alpha=0.6, solid_capstyle="round")
    for run, color in zip(runs, COLORS, strict=True):
        axes.plot(*run.points.T, color=color, linewidth=1.5)
        axes.plot(*run.points[0], "o", color=color, markersize=6)
        axes.plot(*run.end, "s", color=color, markeredgecolor="white", markersize=8, zorder=4)
    axes.plot(*optimum, "*", color="gold", markeredgecolor="black", markersize=13, zorder=5)
    axes.set_title(name, fontsize=11, loc="left")
    axes.set(aspect="equal", xlim=(-10, 10), ylim=(-10, 10))
figure.supxlabel("first parameter", fontsize=9)
figure.supylabel("second parameter", fontsize=9)
plt.show()

# %%
# The mean gradient crosses the valleys here, while the papers show that it does not. Both are right: the step size
# decides. At 0.001 it is still in a valley after 100,000 steps, from two of the three starts. In a valley the steep
# task's gradient changes sign from one side to the other, and Adam divides by its size, so that what is left along the
# valley's floor is small. A larger step jumps out; a small one stays. CAGrad also asks the worse-off loss to fall, and
# goes on along the floor at either rate.
#
# Below is the second parameter of the run from the upper left corner, at both learning rates, over learning rate times
# steps: the distance that Adam can have gone.
corner = CAGRAD_STARTS[:1]
lines = {}
for name in ("mean", "CAGrad"):
    lines[name, LEARNING_RATE] = paths[name][0]
    (lines[name, 0.001],) = descend(methods[name], toy, corner, steps=20_000, learning_rate=0.001, every=20)

figure, axes = plt.subplots(figsize=(10, 3.8), layout="constrained")
for (name, rate), run in lines.items():
    style = {"color": "#555555" if name == "mean" else "#D55E00", "linestyle": "-" if rate < 0.01 else "--"}
    axes.plot(rate * run.steps, run.points[:, 1], label=f"{name}, learning rate {rate:g}", linewidth=1.8, **style)
axes.axhline(optimum[1], color="#009E73", linewidth=1)
axes.text(0.3, optimum[1] + 0.2, "minimum of the mean loss", fontsize=8)
axes.axhline(0, color="#999999", linewidth=0.8)
axes.text(0.3, 0.2, "valleys above, bowls below", fontsize=8)
axes.set(xlim=(0, 20), xlabel="learning rate x steps", ylabel="second parameter")
axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
