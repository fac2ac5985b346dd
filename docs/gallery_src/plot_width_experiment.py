r"""
Wide networks have nothing to trade, on the rows they were trained on
=====================================================================

One hidden layer of q units, shared by three tasks; linear heads. If the hidden features of the n training rows are
linearly independent, which takes q >= n, every task can be fitted exactly by its own head, and the front collapses to a
point: no trade-off is left, whatever the weights. This page measures how the front shrinks on the way, and what it
does on rows that were not trained on.

Setting: n = 24 training rows and 400 held-out rows, 3 inputs, 3 tasks with noise of a tenth of their variance, tanh
units. For every width four weightings are trained (one task at .98, or all equal), each from 3 starts, of which the
best weighted training loss is kept; 3 seeds of data. Heads are eliminated by ridge least squares (1e-6), the hidden
layer is trained by L-BFGS. Small networks have many local optima, so figures below width 4 are noisy even so.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import minimize

torch.set_num_threads(1)
ROWS, HELD_OUT, INPUTS, TASKS = 24, 400, 3, 3
WIDTHS, SEEDS, STARTS, RIDGE = (3, 6, 8, 12, 16, 24), (0, 1, 2), 3, 1e-6
WEIGHTS = np.vstack([np.full((3, 3), 0.01) + 0.97 * np.eye(3), np.full((1, 3), 1 / 3)])


def data(seed):
    """Three smooth targets that conflict, unit variance, and noise."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(ROWS + HELD_OUT, INPUTS))
    maps = generator.normal(size=(INPUTS, TASKS))
    y = np.sin(2 * x @ maps) + 0.5 * (x @ maps[:, ::-1]) ** 2
    y = (y - y.mean(0)) / y.std(0) + np.sqrt(0.1) * generator.normal(size=y.shape)
    return torch.tensor(x), torch.tensor(y)


def features(x, theta, width):
    """tanh(x W + b) and a constant."""
    weights = theta[: INPUTS * width].reshape(INPUTS, width)
    return torch.tanh(x @ weights + theta[INPUTS * width :])


def losses(theta, width, x, y, other_x=None, other_y=None):
    """Mean squared errors with each head at its ridge optimum; on other rows with the same heads, where given."""
    hidden = features(x, theta, width)
    system = hidden.T @ hidden / len(x) + RIDGE * torch.eye(width, dtype=torch.float64)
    heads = torch.linalg.solve(system, hidden.T @ y / len(x))
    if other_x is not None:
        return ((other_y - features(other_x, theta, width) @ heads) ** 2).mean(0)
    return ((y - hidden @ heads) ** 2).mean(0)


def trained(width, weights, x, y, seed):
    """The best of several starts on the weighted training loss."""
    best, weights = None, torch.tensor(weights)

    def objective(point):
        theta = torch.tensor(point, requires_grad=True)
        value = (weights * losses(theta, width, x, y)).sum()
        value.backward()
        return float(value.detach()), theta.grad.numpy()

    for start in range(STARTS):
        generator = np.random.default_rng((seed, width, start))
        found = minimize(
            objective,
            generator.normal(size=(INPUTS + 1) * width),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 120},
        )
        if best is None or found.fun < best.fun:
            best = found
    return torch.tensor(best.x)


# %%
# ``spread`` is the largest range of a task's loss over the three one-sided weightings: 0 is a front that is a point.
spread = {"in-sample": [], "held-out": []}
regret = []
for width in WIDTHS:
    rows = {"in-sample": [], "held-out": []}
    for seed in SEEDS:
        x, y = data(seed)
        train, test = (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])
        models = [trained(width, weights, *train, seed) for weights in WEIGHTS]
        with torch.no_grad():
            inside = np.array([losses(theta, width, *train).numpy() for theta in models])
            outside = np.array([losses(theta, width, *train, *test).numpy() for theta in models])
        rows["in-sample"].append(np.ptp(inside[:3], axis=0).max())
        rows["held-out"].append(np.ptp(outside[:3], axis=0).max())
        regret.append((width, float((inside[3] - inside[:3].min(axis=0)).max())))
    for split, values in rows.items():
        spread[split].append(values)
print(f"spread of the front, median over {len(SEEDS)} seeds (range); worst regret of equal weights, median")
for number, width in enumerate(WIDTHS):
    inside, outside = spread["in-sample"][number], spread["held-out"][number]
    lost = np.median([value for at, value in regret if at == width])
    print(
        f"width {width:2}: in-sample {np.median(inside):.4f} ({min(inside):.4f} to {max(inside):.4f}), "
        f"held-out {np.median(outside):8.3f} ({min(outside):.3f} to {max(outside):.3f}), regret {lost:.4f}"
    )

# %%
# In-sample the front shrinks to a point well before q = n. On held-out rows it does not: there the wide networks differ
# by how they overfit, and a collapsed training front is no promise.
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for split, style, color in (("in-sample", "o-", "#0072B2"), ("held-out", "s--", "#D55E00")):
    table = np.maximum(np.array(spread[split]), 1e-7)
    axes.semilogy(WIDTHS, np.median(table, axis=1), style, color=color, label=f"{split}, median of {len(SEEDS)} seeds")
    axes.fill_between(WIDTHS, table.min(axis=1), table.max(axis=1), color=color, alpha=0.15, linewidth=0)
axes.axvline(ROWS, color="black", linewidth=0.8, linestyle=":")
axes.set_xlabel(f"hidden units (dotted: the {ROWS} training rows)")
axes.set_ylabel("spread of the front, share of variance")
axes.legend(fontsize=8)
axes.grid(alpha=0.25)
plt.show()
