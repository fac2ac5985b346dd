r"""
The shortcut of MGDA-UB does not descend
========================================

MGDA-UB takes the min-norm point of the gradients at the shared features instead of those at the shared weights, and
moves the weights with the same combination. It was claimed that every loss falls along that direction. Su (2022) saw
that this is wrong; here are two counterexamples and what happens on a real linear model.
"""

# %%
# In the plane: the feature gradients are (0, 1) and (-1, -1); the weights move the features by diag(1, 4).
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

features = np.array([[0.0, 1.0], [-1.0, -1.0]])
moved = np.diag([1.0, 4.0])
weights = eq.weights(eq.MGDA(), features @ features.T).numpy()
direction = weights @ features
true = features @ moved @ features.T
print("weights", weights.round(4), "direction", direction.round(4))
print("inner products with the feature gradients:", (features @ direction).round(4))
print("true rates of descent of the two losses:  ", (true @ weights).round(4))
print("ub_descent_margin:", round(eq.linear.ub_descent_margin(true, weights), 4))

# %%
# In matrix form: x = (1, -2) and y = (1, 1) conflict, and diag(3, 1) makes them agree. No sign survives a positive
# definite factor.
x, y = np.array([1.0, -2.0]), np.array([1.0, 1.0])
print("x.y =", x @ y, "  x.My =", x @ np.diag([3.0, 1.0]) @ y)

# %%
# A linear model of width 1 on three joints of the built-in robot arm, heads eliminated, from a random start. MGDA's
# losses all fall; those of MGDA-UB rise for hundreds of steps, and the norm of its feature gradient stays far from 0 at
# the end, because it contains residuals that no model removes.
table = eq.data.load("arm")
problem = eq.linear.LinearProblem(table.inputs, table.targets[:, [0, 4, 6]])
rest = problem.target_moments - problem.gramian
plain = eq.linear.mgda_ub(problem.gramian, np.zeros((3, 3)), 1, seed=1, dimensions=21)
short = eq.linear.mgda_ub(problem.gramian, rest, 1, seed=1, dimensions=21)
for name, path in (("MGDA", plain), ("MGDA-UB", short)):
    print(
        f"{name}: {path.steps} steps, {path.rises} of them raised a loss; at the end the true gradient is "
        f"{path.stationarity:.1e}, the feature gradient {path.feature_norm:.1e}, saddle index {path.saddle_index}"
    )
figure, grid = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
unexplained = np.diag(rest)
for axes, (name, path, offset) in zip(grid, (("MGDA", plain, unexplained), ("MGDA-UB", short, 0.0)), strict=True):
    axes.plot(path.history + offset)
    axes.set_title(f"{name}: {path.rises} steps raise a loss", fontsize=10)
    axes.set_xlabel("step")
    axes.set_xscale("symlog")
    axes.grid(alpha=0.25)
grid[0].set_ylabel("loss, share of variance")
plt.show()
