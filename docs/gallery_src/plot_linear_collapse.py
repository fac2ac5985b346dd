r"""
Linear networks collapse at the rank, and what cross-entropy does
=================================================================

A linear network, however deep, has one shared width that counts: its narrowest. From the rank of the tasks'
predictions on, one model is best at every task. The threshold is the rank, not the number of tasks. This page shows
the exact curve and checks it against trained networks of two linear layers; then it repeats the experiment with
cross-entropy, for which no such theorem is known. What is shown there are measurements.
"""

# %%
# Five targets of the built-in robot arm, two of which are combinations of the others: five tasks, rank three.
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import minimize

import equipoise as eq

torch.set_num_threads(1)
table = eq.data.load("arm")
X = (table.inputs - table.inputs.mean(0)) / table.inputs.std(0)
torques = (table.targets - table.targets.mean(0)) / table.targets.std(0)
X = X[:, X.std(0) > 0]
base = torques[:, [0, 4, 6]] - 0.0
fitted = X @ np.linalg.lstsq(X, base, rcond=None)[0]
Y = np.column_stack([fitted, fitted @ [1.0, -1.0, 0.5], fitted @ [0.5, 1.0, 1.0]])
names = ("joint 0", "joint 4", "joint 6", "0 - 4 + 6/2", "0/2 + 4 + 6")
problem = eq.linear.LinearProblem(X, Y, tasks=names)
print(f"{len(names)} tasks, rank {problem.rank}")

# %%
# The spread of the front: largest range of a task's loss over the one-sided weightings (.96 on one task), exactly.
tasks = len(names)
one_sided = np.full((tasks, tasks), 0.01) + 0.95 * np.eye(tasks)
widths = range(1, tasks + 1)


def spread(rows):
    return float(np.ptp(np.array(rows), axis=0).max())


exact = [
    spread([problem.total - eq.linear.scalarized(problem.gramian, w, q).captured for w in one_sided]) for q in widths
]
print("exact spread by width:", [round(value, 6) for value in exact])


# %%
# Trained: X W1 W2 with W1 (p, 8), W2 (8, q), heads (q, 5), all weights by L-BFGS on the weighted loss, best of 2
# starts, 3 seeds of the starts.
def trained_losses(weights, width, seed, loss, targets, layers=(8,), starts=2, steps=250, how=None):
    """Losses of the best of several starts of a linear network: (tasks,)."""
    sizes = [X.shape[1], *layers, width, targets.shape[1]]
    shapes = list(pairwise(sizes))
    inputs, wanted, w = torch.tensor(X), torch.tensor(targets), torch.tensor(weights)

    def forward(theta):
        out, at = inputs, 0
        for rows, columns in shapes:
            out = out @ theta[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
        return loss(out + theta[at:], wanted)

    def objective(point):
        theta = torch.tensor(point, requires_grad=True)
        value = how(forward(theta), w) if how else (w * forward(theta)).sum()
        value.backward()
        return float(value.detach()), theta.grad.numpy()

    best = None
    for start in range(starts):
        generator = np.random.default_rng((seed, start))
        first = np.concatenate([generator.normal(size=a * b) / np.sqrt(a) for a, b in shapes] + [np.zeros(sizes[-1])])
        found = minimize(objective, first, jac=True, method="L-BFGS-B", options={"maxiter": steps})
        if best is None or found.fun < best.fun:
            best = found
    with torch.no_grad():
        return forward(torch.tensor(best.x)).numpy()


def squares(out, wanted):
    return ((wanted - out) ** 2).mean(0)


scaled = (Y - Y.mean(0)) / Y.std(0)
X, scaled = X[::5], scaled[::5]  # every fifth row keeps this page within a minute
scaled = (scaled - scaled.mean(0)) / scaled.std(0)
small = eq.linear.LinearProblem(X, scaled, tasks=names)
X = X - X.mean(0)
for width in (1, 2, 3):
    runs = [
        spread([trained_losses(w, width, seed, squares, scaled, steps=150) for w in one_sided]) for seed in range(3)
    ]
    known = spread([small.total - eq.linear.scalarized(small.gramian, w, width).captured for w in one_sided])
    print(f"width {width}: exact {known:.4f}; trained, 3 seeds: {[round(value, 4) for value in runs]}")

# %%
# Cross-entropy: the same inputs, three binary tasks (is the torque above its median?), one shared linear layer,
# logistic heads. At width 3 the shared layer forbids nothing, so the front is a point there; whether weighted sums
# reach all of the front below that is an open question. The triple is the one whose least-squares problem fails the
# condition at width 1 by the widest margin. Trained are a grid of weighted sums and, on the same grid, the smooth
# worst task (Tchebycheff, temperature .01); each the best of two starts, 3 seeds.
binary = (torques[::5] > np.median(torques[::5], axis=0)).astype(np.float64)
triples = list(combinations(range(binary.shape[1]), 3))
margins = [eq.linear.condition(eq.linear.LinearProblem(X, binary[:, t]).gramian, 1).margin for t in triples]
chosen = triples[int(np.argmax(margins))]
labels = binary[:, chosen]
print(f"joints {chosen}: margin of the least-squares problem {max(margins):.3f}")


def cross_entropy(out, wanted):
    return torch.nn.functional.binary_cross_entropy_with_logits(out, wanted, reduction="none").mean(0)


def plain_sum(values, weights):
    return (weights * values).sum()


def smooth_worst(values, weights):
    return 0.01 * torch.logsumexp(3 * weights * values / 0.01, 0)


corners = np.full((3, 3), 0.02) + 0.94 * np.eye(3)
grid = np.array([(i, j, 6 - i - j) for i in range(1, 5) for j in range(1, 6 - i)], dtype=float) / 6
measured = {}
for width in (1, 2, 3):
    asked = [(w, plain_sum) for w in np.vstack([corners, grid])] + [(w, smooth_worst) for w in grid]
    settings = [f"{how.__name__} {w.round(2).tolist()}" for w, how in asked]
    runs = np.array(
        [
            [trained_losses(w, width, seed, cross_entropy, labels, layers=(), steps=100, how=how) for seed in range(3)]
            for w, how in asked
        ]
    )
    measured[width] = [spread(runs[:3, seed]) for seed in range(3)]
    print(
        f"width {width}: spread of the one-sided weightings, 3 seeds: {[round(value, 4) for value in measured[width]]}"
    )
    if width < 3:
        audit = eq.linear.audit_runs(runs, settings=settings, resamples=20)
        print("  " + audit.words)

# %%
# The pool gap compares measured runs with mixtures of measured runs, in ranges of their losses; it speaks of these runs
# only. A gap at a run of the worst-task criterion says that no weighted sum *of this pool* prefers it, which is what
# the theorem would predict for squared error; it proves nothing for cross-entropy.

# %%
# The exact curve for squared errors falls to zero at the rank; the measured one for cross-entropy falls with the width
# as well.
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
axes.plot(list(widths), exact, "o-", color="#0072B2", label="squared error, exact (share of variance)")
for seed in range(3):
    axes.plot([1, 2, 3], [measured[q][seed] for q in (1, 2, 3)], "s--", color="#D55E00", alpha=0.7,
              label="cross-entropy, measured, 3 seeds (nats)" if seed == 0 else None)  # fmt: skip
axes.axvline(problem.rank, color="black", linewidth=0.8, linestyle=":")
axes.set_xticks(list(widths))
axes.set_xlabel("shared width (dotted: the rank)")
axes.set_ylabel("spread of the front")
axes.legend(fontsize=8)
axes.grid(alpha=0.25)
plt.show()
