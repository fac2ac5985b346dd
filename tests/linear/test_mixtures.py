"""Mixtures of a pool: known answers, certificates of optimality and infeasibility, agreement with brute force."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import DataError, PreferenceError, TaskError
from equipoise.linear import LinearProblem, mixture, scalarized, tchebycheff

seeds = st.integers(0, 10**6)


def pool(seed, models, tasks):
    generator = np.random.default_rng(seed)
    return generator.uniform(0.1, 1, size=(models, tasks)) * 10.0 ** generator.uniform(-4, 4, tasks)


def every_preference(losses):
    tasks = losses.shape[1]
    low, high = losses.min(0), losses.max(0)
    return [
        eq.LinearScalarization(tuple(1 / high)),
        eq.Tchebycheff(weights=tuple(1 / high), ideal=None, utopia=0.0),
        eq.Tchebycheff(weights=tuple(1 / (high - low + 1e-9)), augmented=0.01),
        eq.Bounds({"task0": float(0.5 * (low[0] + high[0]))}),
        eq.ReferencePoint(tuple(low)),
        eq.Ray(tuple(high)),
    ][: None if tasks > 1 else -1]


def criterion(preference, expected, losses):
    """The preference's own criterion, written down once more."""
    tasks = losses.shape[1]
    if isinstance(preference, eq.LinearScalarization):
        return np.array(preference.weights) @ expected
    if isinstance(preference, eq.Tchebycheff):
        factors = np.array(preference.weights) / sum(preference.weights) * tasks
        ideal = np.zeros(tasks) if preference.ideal is None else losses.min(0)
        above = factors * (expected - (ideal - preference.utopia * abs(ideal)))
        return above.max() + preference.augmented * above.sum()
    ranges = np.ptp(losses, axis=0)
    if isinstance(preference, eq.Bounds):
        return (expected[1:] / ranges[1:]).mean()
    if isinstance(preference, eq.ReferencePoint):
        return ((expected - np.array(preference.losses)) / ranges).max()
    return (expected / np.array(preference.losses)).max()


def test_an_ideal_that_was_written_down_is_used_as_written():
    losses = np.array([[10.0, 2.0], [12.0, 1.0]])
    # p of the first model: 2 (1 - p) and 1 p are equal at p = 2/3
    found = mixture(losses, eq.Tchebycheff(ideal=(10.0, 1.0)))
    assert found.value == pytest.approx(2 / 3, abs=1e-9)
    assert found.probabilities == pytest.approx([2 / 3, 1 / 3], abs=1e-9)
    # shifted by 10 % of each ideal: 2 (1 - p) + 1 and p + 0.1 are equal at p = 2.9/3
    shifted = mixture(losses, eq.Tchebycheff(ideal=(10.0, 1.0), utopia=0.1))
    assert shifted.value == pytest.approx(2.9 / 3 + 0.1, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 12), st.integers(2, 5))
def test_no_random_mixture_is_better_and_the_value_is_that_of_the_mixture(seed, models, tasks):
    losses = pool(seed, models, tasks)
    others = np.random.default_rng(seed).dirichlet(np.full(models, 0.3), 500)
    for preference in every_preference(losses):
        found = mixture(losses, preference)
        assert found.status == "optimal"
        assert found.probabilities.sum() == pytest.approx(1)
        assert np.allclose(found.losses, found.probabilities @ losses)
        size = abs(criterion(preference, losses.max(0), losses)) + 1e-12
        assert abs(found.value - criterion(preference, found.losses, losses)) <= 1e-7 * size
        assert found.value <= found.single_value + 1e-7 * size
        for other in others:
            expected = other @ losses
            if isinstance(preference, eq.Bounds) and expected[0] > preference.limits[0][1]:
                continue
            assert found.value <= criterion(preference, expected, losses) + 1e-7 * size
        assert len(found.members) <= tasks + 1


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 12), st.integers(2, 5))
def test_no_model_of_the_pool_gains_on_the_weights_to_train_next(seed, models, tasks):
    losses = pool(seed, models, tasks)
    for preference in every_preference(losses):
        found = mixture(losses, preference)
        scale = found.next_weights @ np.ptp(losses, axis=0)
        assert found.next_weights.min() >= 0
        assert found.next_weights.sum() == pytest.approx(1)
        assert max(found.gain(row) for row in losses) <= 1e-6 * scale
        assert set(found.members) <= set(found.tied)


def test_for_a_weighted_sum_one_model_is_best():
    losses = pool(3, 20, 4)
    found = mixture(losses, eq.LinearScalarization((1.0, 2.0, 3.0, 4.0)))
    assert found.members == (int(np.argmin(losses @ [1, 2, 3, 4])),)
    assert found.least_support
    assert found.value == pytest.approx(found.single_value)


def test_limits_that_no_mixture_meets_come_with_a_direction_that_proves_it_and_the_least_miss():
    losses = np.array([[0.0, 1.0], [1.0, 0.0], [0.45, 0.9]])
    limits = np.array([0.4, 0.4])
    found = mixture(losses, eq.Bounds({"task0": 0.4, "task1": 0.4}))
    assert found.status == "infeasible"
    assert (losses @ found.farkas > found.farkas @ limits).all()
    assert found.miss == pytest.approx(0.1)
    assert np.allclose(found.losses, [0.5, 0.5])
    assert found.single_value == np.inf


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 8), st.integers(2, 4))
def test_limits_are_either_met_or_refuted(seed, models, tasks):
    losses = pool(seed, models, tasks)
    level = np.random.default_rng(seed + 1).uniform(0.0, 0.7, tasks)
    limits = losses.min(0) + level * np.ptp(losses, axis=0)
    found = mixture(losses, eq.Bounds({f"task{i}": float(limit) for i, limit in enumerate(limits)}))
    ranges = np.ptp(losses, axis=0)
    if found.status == "optimal":
        assert ((found.losses - limits) / ranges).max() <= 1e-7
    else:
        assert ((losses - limits) @ found.farkas).min() > 0
        assert ((found.losses - limits) / ranges).max() == pytest.approx(found.miss, abs=1e-7)


def test_the_smallest_support_is_found_where_many_mixtures_are_equally_good():
    # the middle of the square: two opposite corners are enough, four would do as well
    square = [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.5], [1.0, 0.0, 0.5]]
    found = mixture(square, eq.ReferencePoint((0.5, 0.5, 0.5)))
    assert len(found.members) == 2
    assert found.least_support


def test_a_task_that_does_not_bind_is_not_left_worse_than_need_be():
    losses = np.array([[1.0, 0.9], [1.0, 0.2], [2.0, 0.0]])
    found = mixture(losses, eq.Tchebycheff(ideal=None, utopia=0.0))
    assert found.names == ("model1",)


def test_the_variance_is_that_of_the_drawn_model():
    losses = np.array([[0.0, 4.0], [1.0, 0.0], [9.0, 9.0]])
    found = mixture(losses, eq.Ray((1.0, 1.0)))
    drawn = np.random.default_rng(0).choice(3, size=200_000, p=found.probabilities)
    assert np.allclose(losses[drawn].mean(0), found.losses, atol=0.02)
    assert np.allclose(losses[drawn].var(0), found.variance, atol=0.02)


def test_column_generation_with_exact_training_ends_at_the_best_mixture_of_all_models(sarcos):
    X, Y, _ = sarcos
    problem = LinearProblem(X, Y[:, [0, 4, 6]])
    base = problem.unexplained + np.diag(problem.gramian)
    models = [base - scalarized(problem.gramian, w, 1).captured for w in np.eye(3)]
    preference = eq.Tchebycheff(ideal=None, utopia=0.0)
    for _ in range(60):
        found = mixture(models, preference)
        new = base - scalarized(problem.gramian, found.next_weights, 1).captured
        if found.gain(new) <= 1e-10:
            break
        models.append(new)
    exact = tchebycheff(problem.gramian, np.ones(3), 1, ideal=-problem.unexplained)
    assert found.value == pytest.approx(exact.mixture_value, abs=1e-8)
    assert len(found.members) <= 3


def test_a_running_ideal_is_the_best_of_the_pool():
    losses = np.array([[1.0, 3.0], [2.0, 2.0], [4.0, 1.0]])
    given_ideal = mixture(losses, eq.Tchebycheff(ideal=(1.0, 1.0), utopia=0.01))
    running = mixture(losses, eq.Tchebycheff())
    assert np.allclose(given_ideal.probabilities, running.probabilities)
    assert running.value == pytest.approx(given_ideal.value)


def test_unusable_pools_are_refused():
    with pytest.raises(DataError, match="models at \\[1\\]"):
        mixture([[1.0, 2.0], [np.nan, 1.0]], eq.Ray((1.0, 1.0)))
    with pytest.raises(DataError, match="shape"):
        mixture([1.0, 2.0], eq.Ray((1.0, 1.0)))
    with pytest.raises(TaskError, match="'depht'"):
        mixture([[1.0, 2.0]], eq.Bounds({"depht": 1.0}), tasks=("depth", "seg"))
    with pytest.raises(TaskError, match="different names"):
        mixture([[1.0, 2.0]], eq.Ray((1.0, 1.0)), tasks=("a", "a"))
    with pytest.raises(PreferenceError, match="LinearScalarization"):
        mixture([[1.0, 2.0]], (0.5, 0.5))


def test_one_model_and_equal_models_are_legal():
    assert mixture([[1.0, 2.0]], eq.Ray((1.0, 1.0))).members == (0,)
    same = mixture(np.ones((4, 3)), eq.Tchebycheff())
    assert len(same.members) == 1
    assert np.allclose(same.losses, 1)


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e-100, 1e8])
def test_a_limit_that_every_model_misses_by_a_factor_of_two_is_missed_in_any_unit(unit):
    found = mixture(np.array([[2.0 * unit, 1.0], [2.0 * unit, 0.5]]), eq.Bounds({"task0": unit}))
    assert (found.status, found.miss) == ("infeasible", pytest.approx(1.0))
    near = mixture(np.array([[2.0 * unit, 1.0], [2.0 * unit, 0.5]]), eq.Bounds({"task0": 2.0 * unit}))
    assert (near.status, near.members) == ("optimal", (1,))


def test_a_limit_that_is_met_to_the_rounding_of_the_losses_is_met():
    """The range of task0 is 5e-9, so that float64 holds its losses to 2e-8 of it: more than a limit's own tolerance."""
    draw = np.random.default_rng(70976)
    losses = draw.uniform(0.1, 1, size=(6, 4))
    losses[:, 0] = 0.7 * (1 + 1e-8 * losses[:, 0])
    units = 10.0 ** draw.uniform(-12, 12, 4)
    low, high = losses.min(0), losses.max(0)
    limits = eq.Bounds({f"task{i}": float(low[i] + 0.3 * (high - low)[i]) for i in (0, 3)})
    plain, other = mixture(losses, limits), mixture(losses * units, scaled(limits, units))
    assert plain.members == other.members == (2, 3, 5)
    assert other.value == pytest.approx(plain.value, rel=1e-7)  # the best single model has 1.056, the mixture 0.904


def scaled(preference, units):
    """The same preference of the losses in other units."""
    if isinstance(preference, eq.Bounds):
        return eq.Bounds({name: limit * units[int(name[4:])] for name, limit in preference.limits})
    if isinstance(preference, eq.Tchebycheff):
        return eq.Tchebycheff(tuple(np.array(preference.weights) / units), ideal=None, utopia=0.0)
    return type(preference)(tuple(np.array(preference.losses) * units))


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(2, 9), st.integers(2, 4), st.integers(0, 3))
@example(seed=686, models=2, tasks=2, still=2)  # losses of 1e11 in units of what is decided: their rounding is 1e-5
def test_units_of_single_tasks_change_nothing_and_the_value_is_attained(seed, models, tasks, still):
    """Also where a task is the same in every model, or nearly so."""
    draw = np.random.default_rng(seed)
    losses = draw.uniform(0.1, 1, size=(models, tasks))
    if still:
        losses[:, 0] = 0.7 * (1 + 10.0 ** (-3 * still) * losses[:, 0] * (still < 3))
    units = 10.0 ** draw.uniform(-12, 12, tasks)
    high, low = losses.max(0), losses.min(0)
    # float64 holds losses that differ by 1e-8 of their size to 1e-8 of that range
    rounding = 4 * max(np.spacing(high)[high > low] / (high - low)[high > low], default=0.0)
    limits = {
        "task0": float(low[0] + 0.3 * (high - low)[0]),
        f"task{tasks - 1}": float(low[-1] + 0.3 * (high - low)[-1]),
    }
    for preference in (
        eq.Ray(tuple(high * draw.uniform(0.5, 2, tasks))),
        eq.Tchebycheff(tuple(1 / high), ideal=None, utopia=0.0),
        eq.ReferencePoint(tuple(low * draw.uniform(0.5, 1.5, tasks))),
        eq.Bounds(limits),
    ):
        plain, other = mixture(losses, preference), mixture(losses * units, scaled(preference, units))
        assert plain.status == other.status
        again = scaled(preference, units)
        factor = 1.0
        if isinstance(preference, eq.Tchebycheff):
            factor = sum(preference.weights) / sum(again.weights)  # weights count in shares of their sum
            attained = max(tasks * np.array(again.weights) / sum(again.weights) * other.losses)
            assert other.value == pytest.approx(attained, rel=1e-12)
        elif isinstance(preference, eq.Ray):
            assert other.value == pytest.approx(max(other.losses / np.array(again.losses)), rel=1e-12)
        if other.status == "optimal" and not isinstance(preference, eq.Bounds):
            assert other.value == pytest.approx(plain.value * factor, rel=1e-7 + rounding, abs=1e-7 * factor)
        assert other.miss == pytest.approx(plain.miss, rel=1e-5, abs=rounding)
        assert np.allclose(other.losses / units, plain.losses, atol=1e-5)
