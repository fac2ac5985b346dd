"""
Random loss weights: how much noise, and does it converge?
==========================================================

`RLW` draws new task weights at every step. Its expected direction is that of equal weights; what it adds is noise. This
page measures the noise, and asks whether the iterates come to rest at a Pareto-stationary point: one where some convex
combination of the tasks' gradients is zero. The distance to that is

.. math:: \\min_{a \\in \\Delta} \\Bigl\\| \\sum_i a_i \\nabla L_i(\\theta) \\Bigr\\|

Three tasks: digits of scikit-learn turned by 0, 90 and 180 degrees; one linear softmax model for all. Each loss holds
:math:`0.05 \\|\\theta\\|^2`, so it is strongly convex and equal weights converge fast; what is left is due to the
random weights. Losses and gradients are those of all 1,797 digits unless a batch is mentioned. Five seeds; about a
minute.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import equipoise as eq
from equipoise.solve.min_norm import min_norm_point

torch.set_num_threads(1)
TASKS = ("0 degrees", "90 degrees", "180 degrees")
STEPS, RATE, SEEDS = 600, 0.5, range(5)
digits = load_digits()
images = torch.tensor(digits.images / 16, dtype=torch.float32)
turned = torch.stack([torch.rot90(images, quarter, dims=(1, 2)).flatten(1) for quarter in range(3)])
labels = torch.tensor(digits.target)


def losses_of(model: nn.Module, rows: slice | torch.Tensor = slice(None)) -> dict[str, torch.Tensor]:
    """Cross-entropy of each task, plus 0.05 times the squared norm of the parameters."""
    penalty = 0.05 * sum(parameter.square().sum() for parameter in model.parameters())
    return {
        name: nn.functional.cross_entropy(model(turned[task, rows]), labels[rows]) + penalty
        for task, name in enumerate(TASKS)
    }


def jacobian(model: nn.Module, rows: slice | torch.Tensor = slice(None)) -> np.ndarray:
    """Gradients of the tasks, (3, 650)."""
    found = []
    for loss in losses_of(model, rows).values():
        parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        found.append(torch.cat([part.ravel() for part in parts]).double().numpy())
    return np.array(found)


def distance(model: nn.Module) -> float:
    """To Pareto stationarity, in nats per unit of parameter."""
    rows = jacobian(model)
    return float(np.linalg.norm(min_norm_point(rows @ rows.T).value @ rows))


# %%
# Descent
# -------
# Equal weights and RLW with a constant step, RLW with a step falling as 1/sqrt(t) and as 1/t. No mini-batches: all
# noise is that of the weights.

SCHEDULES = {
    "equal weights, constant step": (eq.LinearScalarization, lambda t: 1.0),
    "RLW, constant step": (eq.RLW, lambda t: 1.0),
    "RLW, step ~ 1/sqrt(t)": (eq.RLW, lambda t: (1 + t / 50) ** -0.5),
    "RLW, step ~ 1/t": (eq.RLW, lambda t: 1 / (1 + t / 50)),
}


def descend(name: str, seed: int) -> tuple[np.ndarray, nn.Module]:
    """Distances every ten steps, and the last model."""
    kind, schedule = SCHEDULES[name]
    torch.manual_seed(seed)
    model = nn.Linear(64, 10)
    balancer = eq.Balancer(kind(seed=seed) if kind is eq.RLW else kind(), tasks=TASKS)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    clock = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    found = []
    for step in range(STEPS + 1):
        if step % 10 == 0:
            found.append(distance(model))
        optimizer.zero_grad()
        balancer(losses_of(model)).backward()
        optimizer.step()
        clock.step()
    return np.array(found), model


runs = {name: [descend(name, seed) for seed in SEEDS] for name in SCHEDULES}
print(
    "distance to Pareto stationarity, nats per unit of parameter; "
    f"full batch, n = {len(labels)}, mean of {len(SEEDS)} seeds"
)
for name, found in runs.items():
    curves = np.array([curve for curve, _ in found])
    print(
        f"{name:30s} step 0 {curves[:, 0].mean():.2e}   step 100 {curves[:, 10].mean():.2e}   "
        f"steps 500 to 600 {curves[:, -11:].mean():.2e} (sd over seeds {curves[:, -11:].mean(axis=1).std(ddof=1):.0e})"
    )

# %%
# The size of the noise
# ---------------------
# The norm of the step's gradient over 2,000 draws at a fixed model: with the weights drawn anew, with a mini-batch of
# 64 drawn anew, and with both. Full-batch equal weights always give the same norm.

generator = torch.Generator().manual_seed(0)
models = {
    "at the start": nn.Linear(64, 10),
    "after 600 steps of equal weights": runs["equal weights, constant step"][0][1],
}
torch.manual_seed(0)
models["at the start"].reset_parameters()
noise: dict[str, dict[str, tuple[float, float]]] = {}
for where, model in models.items():
    whole = jacobian(model)
    batches = [jacobian(model, torch.randint(len(labels), (64,), generator=generator)) for _ in range(500)]
    draws = eq.Balancer(eq.RLW(), tasks=TASKS)
    weights = []
    for _ in range(2_000):
        draws({name: torch.ones((), requires_grad=True) * 1.0 for name in TASKS})
        weights.append(draws.last.weights.numpy())
    norms = {
        "RLW, full batch": [np.linalg.norm(drawn @ whole) for drawn in weights],
        "equal weights, batch of 64": [np.linalg.norm(rows.mean(axis=0)) for rows in batches],
        "RLW, batch of 64": [np.linalg.norm(drawn @ batches[i % 500]) for i, drawn in enumerate(weights)],
    }
    equal = float(np.linalg.norm(whole.mean(axis=0)))
    noise[where] = {name: (float(np.mean(values)), float(np.var(values))) for name, values in norms.items()}
    print(f"{where}: norm with equal weights, full batch {equal:.4f} (variance 0)")
    for name, (mean, variance) in noise[where].items():
        print(
            f"    {name:28s} mean {mean:.4f}   variance {variance:.2e}   "
            f"standard deviation {variance**0.5 / mean:.0%} of the mean"
        )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(1.3, 1))
lines = zip(runs.items(), ("-", "--", "-.", ":"), ("#0072b2", "#d55e00", "#009e73", "#cc79a7"), strict=True)
for (name, found), style, color in lines:
    curves = np.array([curve for curve, _ in found])
    left.plot(range(0, STEPS + 1, 10), curves.mean(axis=0), style, color=color, label=name)
    left.fill_between(range(0, STEPS + 1, 10), curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.15, lw=0)
left.set(
    xlabel="step", ylabel="distance to Pareto stationarity", yscale="log", title="Mean and range of 5 seeds, full batch"
)
left.legend(frameon=False, fontsize=9)
positions = np.arange(3)
for offset, (where, found) in zip((-0.2, 0.2), noise.items(), strict=True):
    right.barh(positions + offset, [variance for _, variance in found.values()], height=0.36, label=where)
right.set_yticks(positions, list(noise["at the start"]))
right.set(xlabel="variance of the gradient's norm", title="Noise at a fixed model")
right.invert_yaxis()
right.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.4, -0.2))
figure.tight_layout()
plt.show()

# %%
# What this does not say: whether the noise helps or harms on new data; nothing here is measured on held-out data.
