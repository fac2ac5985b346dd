r"""
5. Tchebycheff: ask for the worst task
======================================

If the balanced point is what you want, ask for it: minimise the largest weighted loss in place of the sum.
"""

# %%
# **It reaches every Pareto point.** Take a point z that lies below what any model attains, in every task. A model that
# alone minimises :math:`\max_i w_i (L_i - z_i)` is Pareto-optimal, and each Pareto-optimal model is a minimum for some
# positive weights, however the front bends (Miettinen 1999, theorem 3.4.5; ``tests/linear/test_tchebycheff.py``).
# Where there are several minima, each is *weakly* optimal: no other model is better at every task. A weighted sum has
# no such guarantee.
#
# **It has a price.** The maximum has a kink, and gradient descent sees one task at a time. The smooth form
#
# .. math:: \mu \log \sum_i \exp(w_i (L_i - z_i) / \mu)
#
# is within :math:`\mu \log k` of it (Lin et al. 2024, arXiv:2402.19078; ``tests/methods/test_smooth_tchebycheff.py``).
import matplotlib.pyplot as plt
import numpy as np
import torch

import equipoise as eq

gramian = torch.tensor([[1.0, -0.42, -0.38], [-0.42, 1.0, -0.4], [-0.38, -0.4, 1.0]], dtype=torch.float64)
IDEAL = (0.0, 0.0, 0.0)  # separate models have no excess
root = torch.linalg.cholesky(gramian).T  # columns are the tasks' predictions


def excesses(direction):
    """Excess of each task for a shared layer of width 1 that points along `direction`."""
    return 1 - (direction @ root).square() / direction.square().sum()


def descend(method, seed, steps=400):
    """Largest excess after every step of plain gradient descent with a method."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
    balancer, optimizer = eq.Balancer(method), torch.optim.SGD([direction], lr=0.1)
    largest = []
    for _ in range(steps):
        optimizer.zero_grad()
        losses = excesses(direction)
        balancer(dict(zip("abc", losses, strict=True))).backward()
        optimizer.step()
        largest.append(float(losses.detach().max()))
    return largest


# %%
# Gradient descent with torch, as in a training loop of yours, from three seeds of the start. The dotted lines are the
# exact values: the best single model and the best that any weights were found to give.
exact = eq.linear.tchebycheff(gramian.numpy(), np.ones(3), 1).value
by_weights = eq.linear.best_weights(gramian.numpy(), np.zeros(3), 1).worst
methods = {
    "equal weights": eq.LinearScalarization(),
    "Tchebycheff": eq.Tchebycheff(ideal=IDEAL),
    "smooth Tchebycheff, mu = 0.02": eq.SmoothTchebycheff(mu=0.02, final_mu=0.02, relative=False, ideal=IDEAL),
}
figure, axes = plt.subplots(figsize=(6.8, 3.8), layout="constrained")
for (name, method), color in zip(methods.items(), ("#0072B2", "#E69F00", "#D55E00"), strict=True):
    runs = [descend(method, seed) for seed in range(3)]
    for number, run in enumerate(runs):
        axes.plot(run, color=color, linewidth=1.2, label=name if number == 0 else None)
    print(f"{name:30} largest excess at the end, 3 seeds: {[round(run[-1], 3) for run in runs]}")
axes.axhline(exact, color="black", linestyle=":", linewidth=1)
axes.annotate("best single model", (400, exact), (-4, -11), textcoords="offset points", ha="right", fontsize=8)
axes.axhline(by_weights, color="black", linestyle=":", linewidth=1)
axes.annotate("best weights found", (400, by_weights), (-4, 4), textcoords="offset points", ha="right", fontsize=8)
axes.set(xlabel="step", ylabel="largest excess", ylim=(0.6, 1.02))
axes.legend(fontsize=8, loc="upper right")
plt.show()

# %%
# Equal weights settle where one task pays for the others, far above the best that weights can do. Tchebycheff comes
# near the exact value and jumps around it, as its kink makes it do. The smooth form has a bias of at most :math:`\mu
# \log 3 = 0.022`. Either may end in a local optimum: descent promises no more. Where the library cannot be exact, it
# returns a bracket and says so.
