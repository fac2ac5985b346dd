"""The arm as a table: how its seven links hang together, what they weigh and how the weight is spread.

An imagined arm of human proportions: a spherical shoulder (axes 0 to 2), an elbow (3) and a spherical wrist
(4 to 6), rigid links, no friction, no motors. No robot on sale has these numbers. Base frame: x forward, y to
the side along the axis through both shoulders, z up. Where all angles are 0 the arm is stretched out to the
side.
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from ...core.numbers import Array

__all__ = ["GRAVITY", "LINKS", "Link"]

GRAVITY = 9.81  # m/s^2, along -z of the base frame


@dataclass(frozen=True)
class Link:
    """One joint and the link that it moves, in modified Denavit-Hartenberg form (Craig, 1986, section 3.4).

    The frame of link i is reached from that of link i-1 by: turn by `twist` about x, go `length` along x,
    turn by the joint angle about z, go `offset` along z. The joint's axis is the new z.
    """

    twist: float  # rad
    length: float  # m
    offset: float  # m
    mass: float  # kg
    centre: tuple[float, float, float]  # centre of mass in the link's frame, m
    # xx, yy, zz, xy, xz, yz about the centre of mass, axes of the link's frame, kg m^2
    inertia: tuple[float, float, float, float, float, float]

    @property
    def inertia_matrix(self) -> Array:
        """(3, 3), symmetric; off-diagonal entries carry the signs of `inertia`."""
        xx, yy, zz, xy, xz, yz = self.inertia
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


LINKS = (
    # shoulder block
    Link(-pi / 2, 0.0, 0.0, 3.2, (0.0, -0.030, 0.020), (0.0180, 0.0150, 0.0120, 0.0, 0.0004, -0.0010)),
    Link(-pi / 2, 0.0, 0.0, 2.6, (0.0, -0.090, 0.015), (0.0220, 0.0080, 0.0200, 0.0003, 0.0, 0.0012)),
    # upper arm, 0.30 m
    Link(pi / 2, 0.0, 0.30, 2.2, (0.010, 0.020, -0.050), (0.0140, 0.0130, 0.0060, -0.0002, 0.0003, 0.0008)),
    # elbow
    Link(-pi / 2, 0.03, 0.0, 1.7, (0.0, -0.070, 0.010), (0.0100, 0.0040, 0.0090, 0.0, 0.0002, 0.0005)),
    # forearm, 0.26 m
    Link(pi / 2, -0.03, 0.26, 1.3, (0.0, 0.015, -0.060), (0.0070, 0.0070, 0.0025, 0.0001, 0.0, 0.0003)),
    # wrist
    Link(-pi / 2, 0.0, 0.0, 0.8, (0.0, -0.020, 0.012), (0.0018, 0.0011, 0.0016, 0.0, 0.0001, 0.0001)),
    # hand with a tool, 0.08 m
    Link(pi / 2, 0.0, 0.08, 0.9, (0.020, 0.010, 0.060), (0.0022, 0.0020, 0.0009, 0.0001, -0.0002, 0.0001)),
)
