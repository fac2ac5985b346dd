r"""
RotoGrad, part by part
======================

Two tasks share one feature vector, and each wants it somewhere else. No weighting of the losses can serve both: the
best it can do is to share the damage. A rotation in front of each head can, if both targets lie on one circle.
"""

# %%
# Two regression tasks on a shared feature z with two coordinates. Task k reads :math:`r_k = R_k z` and should find its
# target :math:`m_k` there; :math:`m_1 = (2, 0)` and :math:`m_2 = (0, 2)` lie on one circle, so that a quarter turn
# between the tasks makes one z right for both. Losses have no unit; the second is 20 times louder. Once the losses are
# convex ("avocado": level lines longer than wide), once they ripple. The experiments are after Javaloy & Valera (2022),
# arXiv:2103.02631, section on illustrative examples; the formulas are ours.
import matplotlib.pyplot as plt
import torch
from torch import nn

import equipoise as eq

TARGETS = {"quiet": torch.tensor([2.0, 0.0]), "loud": torch.tensor([0.0, 2.0])}
FACTORS = {"quiet": 1.0, "loud": 20.0}
START = torch.tensor([[-2.0, -1.5]])
STEPS = 900


def avocado(offset):
    """Convex, longer than wide."""
    return offset[..., 0] ** 2 + 4 * offset[..., 1] ** 2


def ripples(offset):
    """Not convex: a bowl with waves, and many local minima."""
    return (offset**2).sum(dim=-1) + 0.6 * (1 - torch.cos(3 * offset)).sum(dim=-1)


# %%
# One optimizer, two groups: the rotations lead and must learn more slowly than the feature, which follows. Everything
# else is the usual backward pass of a sum. Nothing is random: start, rotations (the identity) and steps are given.
def train(shape, *, scale, rotate):
    """Follows z for `STEPS` steps of Adam; returns its path, the model, and both losses without their factor."""
    z = nn.Parameter(START.clone())
    model = eq.RotoGrad({name: nn.Identity() for name in TARGETS}, dim=2, scale=scale, rotate=rotate)
    groups = [{"params": [z], "lr": 0.03}, {"params": list(model.rotation_parameters()), "lr": 0.02}]
    optimizer = torch.optim.Adam(groups if rotate else groups[:1])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.997)
    path = [z.detach()[0].clone()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        outputs = model(z)
        sum(FACTORS[name] * shape(outputs[name] - TARGETS[name]).sum() for name in TARGETS).backward()
        optimizer.step()
        schedule.step()
        path.append(z.detach()[0].clone())
    with torch.no_grad():
        ends = {name: float(shape(output - TARGETS[name]).sum()) for name, output in model(z).items()}
    return torch.stack(path), model, ends


parts = {
    "neither": {"scale": False, "rotate": False},
    "scale only": {"scale": True, "rotate": False},
    "rotate only": {"scale": False, "rotate": True},
    "both": {"scale": True, "rotate": True},
}
shapes = {"avocado": avocado, "ripples": ripples}
runs = {(name, part): train(shapes[name], **settings) for name in shapes for part, settings in parts.items()}

print(f"losses after {STEPS} steps, without the factor 20")
for (name, part), (_, _, ends) in runs.items():
    print(f"{name:8} {part:12} quiet {ends['quiet']:8.4f}   loud {ends['loud']:8.4f}")

# %%
# Each panel is the plane of z. The level lines are those of both losses *as z feels them at the end*: through the
# rotations that were learned. Stars are the places where a loss is zero, the black line is the path of z.
#
# Without rotations and scales the loud task wins. Scales alone give a compromise: z stops where both unit gradients
# cancel, and both losses stay above zero. Rotations bring the two stars together; z then finds both.
COLORS = {"quiet": "#0072B2", "loud": "#D55E00"}
side = torch.linspace(-3.2, 3.2, 161)
plane = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1)
figure, grid = plt.subplots(2, 4, figsize=(12, 6.4), sharex=True, sharey=True, layout="constrained")
for axes, ((name, part), (path, model, ends)) in zip(grid.flat, runs.items(), strict=True):
    for task, target in TARGETS.items():
        rotation = model.rotations[task].detach()
        heights = shapes[name](plane @ rotation.T - target)
        axes.contour(side, side, heights, levels=[0.5, 2, 5, 10, 18], colors=COLORS[task], linewidths=0.7, alpha=0.7)
        place = rotation.T @ target
        size = 17 if task == "loud" else 10
        axes.plot(*place, "*", color=COLORS[task], markersize=size, markeredgecolor="white", zorder=4)
    axes.plot(*path.T, color="black", linewidth=1.6, zorder=5)
    axes.plot(*path[0], "o", color="black", markersize=5, zorder=5)
    axes.plot(*path[-1], "s", color="white", markeredgecolor="black", markersize=6, zorder=6)
    axes.set_title(f"{name}, {part}\nquiet {ends['quiet']:.3f}, loud {ends['loud']:.3f}", fontsize=9, loc="left")
    axes.set(aspect="equal")
handles = [plt.Line2D([], [], color=COLORS[task], marker="*", markersize=10, label=f"{task} task") for task in TARGETS]
handles.append(plt.Line2D([], [], color="black", marker="o", markersize=5, label="path of z, from its start"))
handles.append(plt.Line2D([], [], color="white", marker="s", markeredgecolor="black", label="its end"))
figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
plt.show()

# %%
# The rotations stop wherever the unit gradients cancel, which they also do at the compromise. So the feature must not
# arrive there before the tasks have turned: its start and the two learning rates matter.
