"""
Smooth and hard Tchebycheff on a convex and a concave front
===========================================================

Which points of a front does a scalarization reach when its preference is varied? Two problems with two parameters and
a known front: a convex one, :math:`L_i = \\|\\theta - c_i\\|^2`, and a concave one (Fonseca and Fleming, 1995),
:math:`L_i = 1 - \\exp(-\\|\\theta - c_i\\|^2)`, with :math:`c_1 = (1, 1)/\\sqrt 2` and :math:`c_2 = -c_1`. Both
have the segment between the :math:`c_i` as their Pareto set. 11 preferences each, exact gradients, no noise; about
half a minute.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import equipoise as eq

torch.set_num_threads(1)
CENTRE = torch.full((2,), 2**-0.5, dtype=torch.float64)
PREFERENCES = np.linspace(0.05, 0.95, 11)
STEPS = 300
PROBLEMS = {
    "convex": lambda theta, centre: (theta - centre).square().sum(),
    "concave": lambda theta, centre: 1 - torch.exp(-(theta - centre).square().sum()),
}

# %%
# Descent
# -------
# The start is a little off the balanced point, so that nothing rests there by symmetry. The log form
# minimises a mean of logs in its first epoch, of one step here, and takes the losses of that step as nadir.

METHODS = {
    "weighted sum": eq.LinearScalarization,
    "Tchebycheff": lambda w: eq.Tchebycheff(w, ideal=None),
    "smooth, mu = 0.1": lambda w: eq.SmoothTchebycheff(w, mu=0.1, final_mu=0.1, relative=False, ideal=None),
    "smooth, mu = 0.01": lambda w: eq.SmoothTchebycheff(w, mu=0.01, final_mu=0.01, relative=False, ideal=None),
    "log form, mu = 0.1": lambda w: eq.SmoothTchebycheff(w, mu=0.1, form="log", warmup=0),
    "log form, mu = 1": lambda w: eq.SmoothTchebycheff(w, mu=1.0, form="log", warmup=0),
    "log form, mu = 2": lambda w: eq.SmoothTchebycheff(w, mu=2.0, form="log", warmup=0),
}


def solve(problem: str, name: str, preference: float) -> tuple[float, float]:
    """The losses where the descent ends."""
    theta = (0.03 * CENTRE).clone().requires_grad_()
    method = METHODS[name]((preference, 1 - preference))
    balancer = eq.Balancer(method, tasks=("a", "b"), steps_per_epoch="manual" if method.per_epoch else None)
    optimizer = torch.optim.Adam([theta], lr=0.05)
    clock = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t / 20))
    measure = PROBLEMS[problem]
    for step in range(STEPS):
        losses = {"a": measure(theta, CENTRE), "b": measure(theta, -CENTRE)}
        optimizer.zero_grad()
        balancer(losses).backward()
        optimizer.step()
        clock.step()
        if step == 0:
            balancer.end_epoch()
    return float(measure(theta, CENTRE)), float(measure(theta, -CENTRE))


ends = {
    problem: {name: np.array([solve(problem, name, w) for w in PREFERENCES]) for name in METHODS}
    for problem in PROBLEMS
}

# %%
# Where they end
# --------------
# The front as an arc, 0 at one end and 1 at the other. Reported: how many of the 11 ends lie strictly inside (between 5
# and 95 % of the arc), and the widest hole between neighbours, in percent of the arc (8 % would be an even spread).

along = torch.linspace(-1, 1, 2_001, dtype=torch.float64)


def front(problem: str) -> np.ndarray:
    """The front, (2001, 2)."""
    measure = PROBLEMS[problem]
    return np.array([[float(measure(s * CENTRE, sign * CENTRE)) for sign in (1, -1)] for s in along])


fronts = {problem: front(problem) for problem in PROBLEMS}
for problem, found in ends.items():
    curve = fronts[problem]
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    arc /= arc[-1]
    print(
        f"{problem} front, {len(PREFERENCES)} preferences from {PREFERENCES[0]:.2f} to {PREFERENCES[-1]:.2f}, "
        "losses on the problem itself"
    )
    for name, points in found.items():
        squared = ((points[:, None] - curve[None]) ** 2).sum(axis=2)
        places = np.sort(arc[squared.argmin(axis=1)])
        inside = int(((places > 0.05) & (places < 0.95)).sum())
        hole = np.diff(np.concatenate([[0], places, [1]])).max()
        off = float(np.sqrt(squared.min(axis=1)).max())
        print(f"    {name:20s} {inside:2d} inside   widest hole {hole:4.0%}   farthest from the front {off:.0e}")

# %%
figure, axes = plt.subplots(2, len(METHODS), figsize=(15, 5), sharex="row", sharey="row")
for row, (problem, found) in zip(axes, ends.items(), strict=True):
    for cell, (name, points) in zip(row, found.items(), strict=True):
        cell.plot(*fronts[problem].T, color="#a3a9b1", lw=1)
        cell.scatter(*points.T, c=PREFERENCES, cmap="cividis", s=22, zorder=3, edgecolor="white", linewidth=0.4)
        cell.set_title(name if problem == "convex" else "", fontsize=10)
        cell.set_xlabel("loss a" if problem == "concave" else "")
    row[0].set_ylabel(f"{problem}\nloss b")
figure.suptitle("Ends of 11 descents; dark to light: rising weight of loss a")
figure.tight_layout()
plt.show()

# %%
# In the log form the smoothing acts on log-losses: for mu = 1 the criterion is the log of a weighted sum, so its
# minimisers are that sum's and no others; mu = 2 bends the other way still. The library warns about it.
# What this does not say: two parameters and exact gradients; on networks the smoothing also changes how fast training
# converges.
