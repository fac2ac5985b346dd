"""arm: torques of a 7-joint arm from positions, velocities and accelerations, computed exactly, nothing measured.

| | |
|---|---|
| rows | 2000 by default, as many as asked |
| inputs | 21: position0..6 (rad), velocity0..6 (rad/s), acceleration0..6 (rad/s^2) |
| tasks | 7 torques joint0..joint6 (N m) |
| licence | MIT, as this package: generated here |
| source | inverse dynamics by recursive Newton-Euler (Luh, Walker and Paul, 1980) of the arm in `arm_links` |

The shape is that of SARCOS (a real arm, measured); the numbers are not. There is no noise: what a linear
model cannot predict is curvature alone. Each row is one instant of a motion of its own, so rows are
independent. Which torques conflict depends on the pose; among plausible ones this was taken because some
triples conflict by a margin that one can see (joints 0, 4, 5) and others not at all (joints 3, 4, 6).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...errors import DataError, SettingError
from ..raw import Card, RawTable
from ..table import Table
from .arm_links import GRAVITY, LINKS, Link

__all__ = ["CARD", "WORKING_POSE", "inverse_dynamics", "load_arm", "read_arm", "sample_states"]

CARD = Card(
    name="arm",
    about="torques of a 7-joint robot arm, exact inverse dynamics",
    rows=2000,
    inputs=21,
    tasks=tuple(f"joint{joint}" for joint in range(7)),
    units=("N m",) * 7,
    source="generated: inverse dynamics of a serial arm by recursive Newton-Euler",
    licence="MIT, as this package",
)

WORKING_POSE = (0.3, 0.7, 0.4, 1.3, 0.3, 0.5, 0.2)  # rad: the hand 0.42 m before and 0.28 m below the shoulder
_AMPLITUDE = 0.25  # rad, of the slowest wave of each joint
_FREQUENCY = 3.0  # rad/s, of the slowest wave (0.48 Hz)
_WAVES = 3


def inverse_dynamics(
    position: ArrayLike,
    velocity: ArrayLike,
    acceleration: ArrayLike,
    *,
    links: Sequence[Link] = LINKS,
    gravity: float = GRAVITY,
) -> Array:
    """Joint torques that a rigid serial arm needs for a given motion.

    tau = M(q) q'' + C(q, q') q' + g(q), with M the (k, k) inertia matrix, C the Coriolis and centrifugal
    terms and g the torque of gravity; computed without forming any of them, by recursive Newton-Euler (Luh,
    Walker and Paul, 1980; Craig, 1986, section 6.5): outwards angular velocity, angular acceleration and
    acceleration of every link, inwards the forces and moments between links. Gravity enters as an upward
    acceleration of the base.

    Args:
        position: (..., k) joint angles q, rad.
        velocity: (..., k) q', rad/s.
        acceleration: (..., k) q'', rad/s^2.
        links: k links, from the base outwards.
        gravity: m/s^2 along -z of the base frame; 0 leaves out g(q).

    Returns:
        (..., k) torques, N m: about the joint's axis, that which the joint exerts on its link. Exact up to
        rounding. Cost: O(k) vector operations a row, vectorised over rows.

    Raises:
        DataError: Shapes differ or do not end in k, or a value is not finite.

    Example:
        >>> at_rest = np.zeros(7)
        >>> torques = inverse_dynamics(WORKING_POSE, at_rest, at_rest)
        >>> print(f"the first joint holds the arm with {torques[0]:.1f} N m")
        the first joint holds the arm with -20.2 N m
        >>> inverse_dynamics(WORKING_POSE, at_rest, at_rest, gravity=0.0)
        array([0., 0., 0., 0., 0., 0., 0.])
    """
    q, dq, ddq = (np.asarray(motion, dtype=np.float64) for motion in (position, velocity, acceleration))
    count = len(links)
    if not (q.shape == dq.shape == ddq.shape) or q.ndim == 0 or q.shape[-1] != count:
        raise DataError(
            f"position, velocity and acceleration must have the same shape (..., {count}), one entry a "
            f"joint, found {q.shape}, {dq.shape}, {ddq.shape}."
        )
    if not (np.isfinite(q).all() and np.isfinite(dq).all() and np.isfinite(ddq).all()):
        raise DataError("position, velocity and acceleration must be finite, found NaN or infinite values.")

    vector = (*q.shape[:-1], 3)
    axis = np.array([0.0, 0.0, 1.0])
    spin, spin_rate = np.zeros(vector), np.zeros(vector)  # angular velocity and acceleration of the last link
    rise = np.zeros(vector) + gravity * axis  # acceleration of the last frame's origin, gravity included
    rotations, offsets, forces, moments = [], [], [], []
    for joint, link in enumerate(links):
        rotation, offset = _step(link, q[..., joint])
        rate, push = dq[..., joint, None] * axis, ddq[..., joint, None] * axis
        rise = _into(rotation, rise + np.cross(spin_rate, offset) + np.cross(spin, np.cross(spin, offset)))
        carried = _into(rotation, spin)
        spin_rate = _into(rotation, spin_rate) + np.cross(carried, rate) + push
        spin = carried + rate
        centre, inertia = np.array(link.centre), link.inertia_matrix
        of_centre = rise + np.cross(spin_rate, centre) + np.cross(spin, np.cross(spin, centre))
        rotations.append(rotation)
        offsets.append(offset)
        forces.append(link.mass * of_centre)
        moments.append(spin_rate @ inertia + np.cross(spin, spin @ inertia))  # Euler; inertia is symmetric

    torques = np.empty(q.shape)
    force, moment = np.zeros(vector), np.zeros(vector)  # what the next link asks of this one, in this one's frame
    for joint in reversed(range(count)):
        moment = moment + moments[joint] + np.cross(np.array(links[joint].centre), forces[joint])
        force = force + forces[joint]
        torques[..., joint] = moment[..., 2]
        force, moment = _out_of(rotations[joint], force), _out_of(rotations[joint], moment)
        moment = moment + np.cross(offsets[joint], force)
    return torques


def sample_states(rows: int, seed: int) -> tuple[Array, Array, Array]:
    """States of smooth motions about the working pose, one independent motion a row: position, velocity, acceleration.

    q_j(t) = pose_j + sum over h = 1, 2, 3 of (A / h) sin(h w t + phase_jh), with A = 0.25 rad, w = 3 rad/s
    and phases uniform and independent; taken at one instant, where t drops out. Standard deviations: 0.21
    rad, 0.92 rad/s, 5.9 rad/s^2, alike for all joints and close to those of SARCOS. Position and acceleration
    of a joint are correlated (-0.69), as in any swinging motion.

    Raises:
        SettingError: Fewer than 2 rows, or a negative seed.
    """
    if rows < 2 or seed < 0:
        raise SettingError(f"rows must be 2 or more and seed 0 or more, found rows={rows}, seed={seed}.")
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (rows, _WAVES, len(LINKS)))
    wave = np.arange(1, _WAVES + 1)[:, None]
    amplitude, speed = _AMPLITUDE / wave, _FREQUENCY * wave
    position = np.array(WORKING_POSE) + (amplitude * np.sin(phases)).sum(axis=1)
    velocity = (amplitude * speed * np.cos(phases)).sum(axis=1)
    acceleration = -(amplitude * speed**2 * np.sin(phases)).sum(axis=1)
    return position, velocity, acceleration


def read_arm(rows: int = CARD.rows, seed: int = 0) -> RawTable:
    """The arm's columns, inputs first; see `load_arm`."""
    motion = sample_states(rows, seed)
    columns = {
        f"{kind}{joint}": values[:, joint]
        for kind, values in zip(("position", "velocity", "acceleration"), motion, strict=True)
        for joint in range(len(LINKS))
    }
    torques = inverse_dynamics(*motion)
    columns |= {task: torques[:, joint] for joint, task in enumerate(CARD.tasks)}
    return CARD.table(
        columns, f"Generated: {rows} independent states about one working pose (seed {seed}), torques exact."
    )


def load_arm(rows: int = CARD.rows, seed: int = 0) -> Table:
    """The arm as a table: 21 inputs, 7 torques; `load("arm", targets=[...])` gives a part of its tasks.

    Args:
        rows: Number of rows, at least 2.
        seed: Seed of the states, not negative.

    Raises:
        SettingError: A setting out of range.

    Example:
        >>> load_arm(rows=100)
        Table 'arm': 100 of 100 rows, 21 inputs, 7 tasks
        ('joint0', 'joint1', 'joint2', 'joint3', 'joint4', 'joint5', 'joint6')
    """
    from ..encoding.encode import encode  # noqa: PLC0415 - brings pandas, which the dynamics do without

    return encode(read_arm(rows, seed))


def _step(link: Link, angle: Array) -> tuple[Array, Array]:
    """Rotation (..., 3, 3) from a link's frame to the one before, and its origin (3,) there (Craig, equation 3.6)."""
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    cos_twist, sin_twist = np.cos(link.twist), np.sin(link.twist)
    entries = [
        [cos, -sin, zero],
        [sin * cos_twist, cos * cos_twist, zero - sin_twist],
        [sin * sin_twist, cos * sin_twist, zero + cos_twist],
    ]
    rotation = np.stack([np.stack(row, axis=-1) for row in entries], axis=-2)
    return rotation, np.array([link.length, -sin_twist * link.offset, cos_twist * link.offset])


def _into(rotation: Array, vector: Array) -> Array:
    """A vector of the frame before, in the link's own frame."""
    moved: Array = np.einsum("...ij,...i->...j", rotation, vector)
    return moved


def _out_of(rotation: Array, vector: Array) -> Array:
    """A vector of the link's own frame, in the frame before."""
    moved: Array = np.einsum("...ij,...j->...i", rotation, vector)
    return moved
