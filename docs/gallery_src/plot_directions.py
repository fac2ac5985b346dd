r"""
Six directions from the same two gradients
==========================================

Two tasks, two shared parameters, one step. Each method turns the same pair of gradients into one direction d; the step
is :math:`\theta \leftarrow \theta - \eta d`. What differs is what each method asks of d.
"""

# %%
# Two gradients that conflict: they are 130 degrees apart, and the first is twice as long. Lengths are in units of the
# second gradient. Nothing here is random: PCGrad's random order has no choice with two tasks.
import matplotlib.pyplot as plt
import numpy as np

import equipoise as eq

ANGLE = np.deg2rad(130)
jacobian = np.array([[2.0, 0.0], [np.cos(ANGLE), np.sin(ANGLE)]])
gramian = jacobian @ jacobian.T
methods = {
    "mean": eq.LinearScalarization(),
    "MGDA": eq.MGDA(),
    "PCGrad": eq.PCGrad(),
    "CAGrad, c = 0.5": eq.CAGrad(c=0.5, rescale=None),
    "IMTL-G": eq.IMTLG(),
    "Nash-MTL": eq.NashMTL(max_norm=1.0),
}
directions = {name: eq.direction(method, jacobian).numpy() for name, method in methods.items()}

# %%
# The table says what the picture shows. The rate at which loss i falls per unit of step is :math:`\langle g_i, d
# \rangle`; a negative rate is a loss that rises.
print(f"{'':16} {'a1':>6} {'a2':>6} {'|d|':>6} {'loss 1':>7} {'loss 2':>7}")
for name, method in methods.items():
    weights, rates = eq.weights(method, gramian).numpy(), jacobian @ directions[name]
    length = np.linalg.norm(directions[name])
    print(f"{name:16} {weights[0]:6.3f} {weights[1]:6.3f} {length:6.3f} {rates[0]:7.3f} {rates[1]:7.3f}")

# %%
# The shaded wedge holds the directions along which no loss rises. What each method asks for:
#
# - **mean**: asks nothing. Here the longer gradient pulls it out of the wedge, and the second loss rises.
# - **MGDA**: the shortest vector that ends on the segment between the gradients. It stands at a right angle on the
#   segment, so both losses fall at the same rate, :math:`|d|^2`.
# - **PCGrad**: the mean of the gradients after each has lost its part along the other.
# - **CAGrad**: the largest worst rate among the vectors within :math:`c |g_0|` of the mean :math:`g_0` (dotted circle;
#   drawn without the rescale that divides d by a constant). With c = 0.5 that circle need not reach into the wedge.
# - **IMTL-G**: the point of the line through both gradients' ends that has the same projection on both *unit*
#   gradients: it lies on the bisector, whatever the lengths.
# - **Nash-MTL**: the vector of fixed length with the largest product of both rates. For two tasks that is the bisector,
#   too; its length is the clip, not the gradients'.
COLORS = {
    "mean": "#555555",
    "MGDA": "#0072B2",
    "PCGrad": "#009E73",
    "CAGrad, c = 0.5": "#D55E00",
    "IMTL-G": "#CC79A7",
    "Nash-MTL": "#E69F00",
}


def draw_background(axes):
    """The wedge without conflict, the gradients, the segment between them."""
    edges = np.array([[0.0, 1.0], [np.sin(ANGLE), -np.cos(ANGLE)]])  # at right angles to g_1 and to g_2
    reach = np.vstack([[0.0, 0.0], 5 * edges])
    axes.fill(*reach.T, color="#56B4E9", alpha=0.15, linewidth=0)
    axes.plot(*jacobian.T, color="#999999", linewidth=1, linestyle="--", zorder=1)
    for number, gradient in enumerate(jacobian, start=1):
        axes.annotate("", gradient, (0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.5})
        axes.annotate(f"$g_{number}$", gradient, (4, 4), textcoords="offset points", fontsize=11)
    axes.set(xlim=(-0.85, 2.3), ylim=(-0.2, 1.25), aspect="equal")
    axes.tick_params(labelsize=8)


figure, grid = plt.subplots(2, 3, figsize=(11, 4.6), sharex=True, sharey=True, layout="constrained")
mean = directions["mean"]
for axes, (name, found) in zip(grid.flat, directions.items(), strict=True):
    draw_background(axes)
    if name.startswith("CAGrad"):
        axes.add_patch(plt.Circle(mean, 0.5 * np.linalg.norm(mean), fill=False, linestyle=":", color=COLORS[name]))
    axes.annotate("", found, (0, 0), arrowprops={"arrowstyle": "-|>", "color": COLORS[name], "linewidth": 2.5})
    falls = (jacobian @ found >= -1e-12).all()
    axes.set_title(f"{name}: {'no loss rises' if falls else 'loss 2 rises'}", fontsize=10, loc="left")
figure.supxlabel("first parameter (units of $|g_2|$)", fontsize=9)
figure.supylabel("second parameter (units of $|g_2|$)", fontsize=9)
plt.show()
