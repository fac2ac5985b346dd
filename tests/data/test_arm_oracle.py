"""The arm against an independent route: Lagrange's equations from kinetic and potential energy.

The library recurses over links with forces and moments. Here nothing but forward kinematics is used: 4 x 4 transforms
T_i(q), the pseudo-inertia J_i of each link, K = 1/2 sum tr(T_i' J_i T_i'^T), V = gravity times sum of m_i height_i, and
tau = d/dt dK/dq' - dK/dq + dV/dq by automatic differentiation (Uicker, 1965; Paul, 1981).
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad_vec

from equipoise.data.builtin.arm import WORKING_POSE, inverse_dynamics, load_arm, sample_states
from equipoise.data.builtin.arm_links import GRAVITY, LINKS, Link
from equipoise.errors import DataError, SettingError

JOINTS = len(LINKS)


def turn_x(angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]], dtype=torch.float64)


def turn_z(angle):
    cos, sin, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [[cos, -sin, zero, zero], [sin, cos, zero, zero], [zero, zero, one, zero], [zero, zero, zero, one]]
    return torch.stack([torch.stack(row) for row in rows])


def shift(x, z):
    moved = torch.eye(4, dtype=torch.float64)
    moved[0, 3], moved[2, 3] = x, z
    return moved


def transforms(q, links=LINKS):
    """(k, 4, 4): base frame from each link's frame, one elementary motion after the other."""
    pose, poses = torch.eye(4, dtype=torch.float64), []
    for link, angle in zip(links, q, strict=True):
        pose = pose @ turn_x(link.twist) @ shift(link.length, 0.0) @ turn_z(angle) @ shift(0.0, link.offset)
        poses.append(pose)
    return torch.stack(poses)


def pseudo_inertia(link):
    """(4, 4): integral of x x^T over the link's mass, x = (position in the link's frame, 1)."""
    about_centre = link.inertia_matrix
    second_moment = np.trace(about_centre) / 2 * np.eye(3) - about_centre
    centre = np.append(link.centre, 1.0)
    matrix = link.mass * np.outer(centre, centre)
    matrix[:3, :3] += second_moment
    return torch.tensor(matrix)


def energies(q, dq, links=LINKS, gravity=GRAVITY):
    poses = transforms(q, links)
    rates = torch.func.jacrev(lambda angles: transforms(angles, links))(q) @ dq
    kinetic, potential = 0.0, 0.0
    for link, pose, rate in zip(links, poses, rates, strict=True):
        kinetic = kinetic + torch.trace(rate @ pseudo_inertia(link) @ rate.T) / 2
        centre = torch.tensor([*link.centre, 1.0], dtype=torch.float64)
        potential = potential + link.mass * gravity * (pose @ centre)[2]
    return kinetic, potential


def lagrange(q, dq, ddq, links=LINKS, gravity=GRAVITY):
    q, dq, ddq = (torch.tensor(np.asarray(x), dtype=torch.float64) for x in (q, dq, ddq))

    def momentum(angles, rates):
        return torch.func.grad(lambda speed: energies(angles, speed, links, gravity)[0])(rates)

    def lagrangian(angles):
        kinetic, potential = energies(angles, dq, links, gravity)
        return kinetic - potential

    per_angle, per_rate = torch.func.jacrev(momentum, argnums=(0, 1))(q, dq)
    return (per_angle @ dq + per_rate @ ddq - torch.func.grad(lagrangian)(q)).numpy()


def inertia_matrix(q):
    """(k, k): M(q) = Hessian of the kinetic energy in the velocities."""
    angles = torch.tensor(q, dtype=torch.float64)
    rates = torch.zeros(JOINTS, dtype=torch.float64)
    return torch.func.jacrev(torch.func.grad(lambda dq: energies(angles, dq)[0]))(rates).numpy()


STATES = [tuple(motion[row] for motion in sample_states(6, seed=3)) for row in range(6)]
WILD = np.random.default_rng(5)
STATES += [(WILD.uniform(-3, 3, 7), WILD.normal(0, 4, 7), WILD.normal(0, 30, 7)) for _ in range(4)]


@pytest.mark.parametrize("state", STATES)
def test_torques_are_those_of_lagranges_equations(state):
    expected = lagrange(*state)
    np.testing.assert_allclose(inverse_dynamics(*state), expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("state", STATES[:3] + STATES[-2:])
def test_torques_split_into_inertia_coriolis_and_gravity(state):
    q, dq, ddq = state
    still = np.zeros(JOINTS)
    inertia = inertia_matrix(q)
    coriolis = lagrange(q, dq, still, gravity=0.0)
    gravity = lagrange(q, still, still)
    np.testing.assert_allclose(inverse_dynamics(q, dq, ddq), inertia @ ddq + coriolis + gravity, atol=1e-9)


@pytest.mark.parametrize("state", STATES)
def test_the_inertia_matrix_is_symmetric_and_positive_definite(state):
    q = state[0]
    still = np.zeros((JOINTS, JOINTS))
    columns = inverse_dynamics(np.tile(q, (JOINTS, 1)), still, np.eye(JOINTS), gravity=0.0)
    np.testing.assert_allclose(columns, columns.T, atol=1e-14)
    np.testing.assert_allclose(columns, inertia_matrix(q), atol=1e-13)
    assert np.linalg.eigvalsh(columns).min() > 1e-4


@pytest.mark.parametrize("state", STATES)
def test_gravity_torque_is_the_slope_of_potential_energy(state):
    q = state[0]
    still = np.zeros(JOINTS)

    def potential(angles):
        return float(energies(torch.tensor(angles), torch.zeros(JOINTS, dtype=torch.float64))[1])

    step = 1e-5
    slope = [(potential(q + step * unit) - potential(q - step * unit)) / (2 * step) for unit in np.eye(JOINTS)]
    np.testing.assert_allclose(inverse_dynamics(q, still, still), slope, atol=1e-7)


def test_the_work_of_the_joints_is_the_change_of_energy_along_a_motion():
    speeds = np.arange(1, JOINTS + 1) * 0.7
    centre = np.array(WORKING_POSE)

    def motion(t):
        return (
            centre + 0.6 * np.sin(speeds * t),
            0.6 * speeds * np.cos(speeds * t),
            -0.6 * speeds**2 * np.sin(speeds * t),
        )

    def power(t):
        return float(inverse_dynamics(*motion(t)) @ motion(t)[1])

    def energy(t):
        q, dq, _ = (torch.tensor(x) for x in motion(t))
        return float(sum(energies(q, dq)))

    work, error = quad_vec(power, 0.0, 2.0, epsabs=1e-11)
    assert error < 1e-10
    assert abs(work - (energy(2.0) - energy(0.0))) < 1e-9
    assert abs(work) > 0.1


def test_one_link_is_a_physical_pendulum():
    length, mass, inertia = 0.4, 1.7, 0.03
    pendulum = Link(-np.pi / 2, 0.0, 0.0, mass, (length, 0.0, 0.0), (0.01, 0.02, inertia, 0.0, 0.0, 0.0))
    angle, acceleration = np.linspace(-3, 3, 13)[:, None], np.linspace(-9, 9, 13)[:, None]
    torque = inverse_dynamics(angle, np.full_like(angle, 2.0), acceleration, links=(pendulum,))
    expected = (inertia + mass * length**2) * acceleration - mass * GRAVITY * length * np.cos(angle)
    np.testing.assert_allclose(torque, expected, atol=1e-13)


def test_two_links_in_a_plane_are_the_textbook_double_pendulum():
    # point masses m1, m2 at the ends of links l1, l2 (Craig, 1986, section 6.7), y of the first frame pointing up
    l1, l2, m1, m2 = 0.5, 0.3, 1.2, 0.7
    nothing = (0.0,) * 6
    links = (
        Link(np.pi / 2, 0.0, 0.0, m1, (l1, 0.0, 0.0), nothing),
        Link(0.0, l1, 0.0, m2, (l2, 0.0, 0.0), nothing),
    )
    (a, b), (da, db), (dda, ddb) = (0.4, -1.1), (1.3, -0.6), (2.0, 5.0)
    c, s, g = np.cos(b), np.sin(b), GRAVITY
    first = (
        m2 * l2**2 * (dda + ddb)
        + m2 * l1 * l2 * c * (2 * dda + ddb)
        + (m1 + m2) * l1**2 * dda
        - m2 * l1 * l2 * s * db**2
        - 2 * m2 * l1 * l2 * s * da * db
        + m2 * l2 * g * np.cos(a + b)
        + (m1 + m2) * l1 * g * np.cos(a)
    )
    second = m2 * l1 * l2 * c * dda + m2 * l1 * l2 * s * da**2 + m2 * l2 * g * np.cos(a + b) + m2 * l2**2 * (dda + ddb)
    np.testing.assert_allclose(inverse_dynamics((a, b), (da, db), (dda, ddb), links=links), (first, second), rtol=1e-13)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.floats(-3, 3))
def test_torques_are_affine_in_acceleration_and_even_quadratic_in_velocity(seed, factor):
    generator = np.random.default_rng(seed)
    q, dq, ddq = generator.normal(0, 1, (3, JOINTS))
    still = np.zeros(JOINTS)
    gravity = inverse_dynamics(q, still, still)
    inertial = inverse_dynamics(q, still, ddq) - gravity
    coriolis = inverse_dynamics(q, dq, still) - gravity
    expected = gravity + factor * inertial + factor**2 * coriolis
    np.testing.assert_allclose(inverse_dynamics(q, factor * dq, factor * ddq), expected, atol=1e-11)
    np.testing.assert_allclose(inverse_dynamics(q, -dq, ddq), inverse_dynamics(q, dq, ddq), atol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_every_link_is_a_body_that_can_exist(link):
    assert link.mass > 0
    spread = pseudo_inertia(link).numpy()
    assert np.linalg.eigvalsh(spread).min() > 0  # mass is nowhere negative
    assert np.abs(link.centre).max() < 0.1


def test_leading_axes_are_rows():
    q, dq, ddq = (motion.reshape(2, 3, JOINTS) for motion in sample_states(6, seed=0))
    together = inverse_dynamics(q, dq, ddq)
    assert together.shape == (2, 3, JOINTS)
    np.testing.assert_array_equal(together[1, 2], inverse_dynamics(q[1, 2], dq[1, 2], ddq[1, 2]))


def test_wrong_shapes_and_infinite_states_are_refused():
    still = np.zeros(JOINTS)
    with pytest.raises(DataError, match=r"same shape \(\.\.\., 7\).*found \(6,\), \(7,\), \(7,\)"):
        inverse_dynamics(np.zeros(6), still, still)
    with pytest.raises(DataError, match="must be finite"):
        inverse_dynamics(np.full(JOINTS, np.nan), still, still)
    with pytest.raises(SettingError, match="found rows=1, seed=0"):
        load_arm(rows=1)
    with pytest.raises(SettingError, match="found rows=20, seed=-1"):
        load_arm(rows=20, seed=-1)


def test_states_spread_as_their_formula_says():
    position, velocity, acceleration = sample_states(40000, seed=1)
    harmonic = 0.25**2 / 2
    np.testing.assert_allclose(position.mean(axis=0), WORKING_POSE, atol=0.005)
    np.testing.assert_allclose(position.var(axis=0), harmonic * (1 + 1 / 4 + 1 / 9), rtol=0.02)
    np.testing.assert_allclose(velocity.var(axis=0), harmonic * 3**2 * 3, rtol=0.02)
    np.testing.assert_allclose(acceleration.var(axis=0), harmonic * 3**4 * (1 + 4 + 9), rtol=0.02)
    for joint in range(JOINTS):
        correlation = np.corrcoef(position[:, joint], acceleration[:, joint])[0, 1]
        assert correlation == pytest.approx(-3 / np.sqrt((1 + 1 / 4 + 1 / 9) * 14), abs=0.02)
    others = np.corrcoef(np.hstack([position, velocity]).T) - np.eye(2 * JOINTS)
    assert np.abs(others).max() < 0.03


def test_the_table_repeats_with_its_seed_and_holds_exact_torques():
    table, again, other = load_arm(50, seed=4), load_arm(50, seed=4), load_arm(50, seed=5)
    np.testing.assert_array_equal(table.inputs, again.inputs)
    np.testing.assert_array_equal(table.targets, again.targets)
    assert not np.array_equal(table.inputs, other.inputs)
    q, dq, ddq = table.inputs[:, :7], table.inputs[:, 7:14], table.inputs[:, 14:]
    np.testing.assert_array_equal(inverse_dynamics(q, dq, ddq), table.targets)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_some_triples_of_torques_conflict_by_a_wide_margin_and_others_do_not(seed):
    table = load_arm(2000, seed)
    inputs = table.inputs - table.inputs.mean(axis=0)
    targets = table.targets - table.targets.mean(axis=0)
    predictions = inputs @ np.linalg.lstsq(inputs, targets, rcond=None)[0]
    shares = (predictions**2).mean(axis=0) / (targets**2).mean(axis=0)
    assert shares.min() > 0.7
    assert shares.max() < 0.97
    correlations = np.corrcoef(predictions.T)

    def conflict(i, j, k):
        edges = np.array([correlations[i, j], correlations[i, k], correlations[j, k]])
        return np.abs(edges).min() if edges.prod() < 0 else 0.0

    assert conflict(0, 4, 5) > 0.3
    assert conflict(0, 3, 4) > 0.2
    assert conflict(3, 4, 6) == 0.0
    assert conflict(1, 3, 5) == 0.0
