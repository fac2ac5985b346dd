"""What a point leaves of a wish, in words: how far it is off a ray, and above a reference."""

from ..core.numbers import Array
from ..core.tasks import Preference, Ray, ReferencePoint, Tasks
from .indicators.adherence import ray_angles

__all__ = ["unmet"]

_ON_RAY = 0.5
"""Degrees between losses and ray from which it is said."""
_REACHED = 0.01
"""A reference exceeded by at most this share of the losses' units counts as reached."""


def unmet(wish: Preference, losses: Array, units: Array, tasks: tuple[str, ...]) -> str:
    """The angle to a ray, or the losses above a reference that nothing found reaches; "" where there is nothing to say.

    Args:
        wish: Any preference; only rays and references leave something here.
        losses: (k,) losses of the point.
        units: (k,) positive units of the losses, such as their ranges.
        tasks: Names of the tasks.
    """
    if isinstance(wish, Ray):
        ray = Tasks(tasks).vector(wish.losses, "losses").numpy()
        angle = float(ray_angles(losses[None], ray[None])[0])
        return f"{angle:.2g} degrees off the ray" if angle > _ON_RAY else ""
    if isinstance(wish, ReferencePoint):
        aims = Tasks(tasks).vector(wish.losses, "losses").numpy()
        above = [
            f"{name!r} is {losses[i]:.6g}, {losses[i] - aims[i]:.3g} above its {aims[i]:.6g}"
            for i, name in enumerate(tasks)
            if losses[i] - aims[i] > _REACHED * units[i]
        ]
        return f"no point found reaches the reference; at the nearest {'; '.join(above)}" if above else ""
    return ""
