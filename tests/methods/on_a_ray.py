"""Formula problems without a box, descended by methods that follow a preference."""

import numpy as np
import torch

import equipoise as eq

__all__ = ["OFF_THE_FRONT", "WISHES", "descend"]

OFF_THE_FRONT = {
    "quad": lambda losses: np.sqrt(losses).sum() - 1,
    "expo": lambda losses: np.sqrt(-np.log1p(-losses)).sum() - 2,
    "zdt1": lambda losses: losses[1] - 1 + np.sqrt(losses[0]),
    "zdt2": lambda losses: losses[1] - 1 + losses[0] ** 2,
}
"""Name -> what is zero on the true front."""

WISHES = [("quad", (1.0, 3.0)), ("expo", (1.0, 1.0)), ("zdt1", (1.0, 1.0)), ("zdt2", (4.0, 1.0))]


def descend(problem, method, preference, steps, rate):
    """The losses after steps of half a cosine, x = lower + (upper - lower) sin(angle)^2: no clip alters a direction."""
    angles = np.random.default_rng(0).uniform(0.3, 1.2, size=problem.parameters)
    span = problem.upper - problem.lower
    for step in range(steps):
        point = problem.lower + span * np.sin(angles) ** 2
        rows = torch.from_numpy(problem.jacobians(point) * (span * np.sin(2 * angles)))
        found = eq.direction(method, rows, problem.losses(point), preference=preference, tasks=problem.tasks)
        angles = angles - rate * (1 + np.cos(np.pi * step / steps)) / 2 * found.numpy()
    return problem.losses(problem.lower + span * np.sin(angles) ** 2)
