"""The dual climbs as written; on convex losses the mean iterate keeps its bound."""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import equipoise as eq
from equipoise.methods.loss import KeptIterates

from .histories import play, random_history, step_of, weigh


def test_two_steps_by_hand():
    first, second = play(eq.OMDTchebycheff((1.0, 3.0), step_size=0.5), [[2.0, 1.0], [2.0, 1.0]])
    # factors (0.5, 1.5): terms (1, 1.5); the first step uses lambda = 1/2
    assert first.weights.tolist() == pytest.approx([0.25, 0.75])
    grown = [math.exp(0.5), math.exp(0.75)]
    shares = [part / sum(grown) for part in grown]
    assert second.weights.tolist() == pytest.approx([0.5 * shares[0], 1.5 * shares[1]])


@pytest.mark.parametrize("dual", ["exponentiated", "gradient"])
def test_a_history_equals_the_formula_written_out(dual):
    history = random_history(20, 4)
    played = play(eq.OMDTchebycheff(step_size=0.05, dual=dual), history)
    shares = np.full(4, 0.25)
    for losses, weighed in zip(history, played, strict=True):
        assert weighed.weights.numpy() == pytest.approx(shares, abs=1e-12)
        if dual == "exponentiated":
            shares = shares * np.exp(0.05 * np.array(losses))
            shares = shares / shares.sum()
        else:  # the closest point of the simplex, by a general solver
            target = shares + 0.05 * np.array(losses)
            found = minimize(
                lambda a, t=target: ((a - t) ** 2).sum(),
                shares,
                jac=lambda a, t=target: 2 * (a - t),
                bounds=[(0, None)] * 4,
                constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": lambda a: np.ones(4)},
                method="SLSQP",
                options={"ftol": 1e-15, "maxiter": 500},
            )
            assert weighed.state["dual"].numpy() == pytest.approx(found.x, abs=1e-6)
            shares = weighed.state["dual"].numpy()


@pytest.mark.parametrize("dual", ["exponentiated", "gradient"])
def test_present_tasks_share_what_they_had_together_and_the_total_stays_one(dual):
    method = eq.OMDTchebycheff(step_size=0.3, dual=dual)
    presents = [(0, 1, 2, 3), (0, 2), (1,), (0, 1, 3), (2, 3)]
    played = play(method, random_history(5, 4), presents=presents)
    before = None
    for weighed, present in zip(played, presents, strict=True):
        shares = weighed.state["dual"].exp() if dual == "exponentiated" else weighed.state["dual"]
        assert float(shares.sum()) == pytest.approx(1.0, abs=1e-12)
        assert float(weighed.weights.sum()) == pytest.approx(1.0, abs=1e-12)
        if before is not None:
            assert float(shares[list(present)].sum()) == pytest.approx(float(before[list(present)].sum()), abs=1e-12)
        before = shares


def test_enormous_losses_overflow_nothing():
    for dual in ("exponentiated", "gradient"):
        last = play(eq.OMDTchebycheff(step_size=10.0, dual=dual), [[1e6, 1.0, 2.0]] * 3)[-1]
        assert last.weights.tolist() == pytest.approx([1.0, 0.0, 0.0])


class Quadratics:
    """f_i(theta) = |theta - c_i|^2 / 2 on a ball, with the exact minimum of the worst weighted one."""

    def __init__(self, k: int = 4, n: int = 3, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.centres, self.factors = draw.normal(size=(k, n)), draw.uniform(0.5, 1.5, size=k)
        self.factors *= k / self.factors.sum()
        self.radius = 1.1 * np.linalg.norm(self.centres, axis=1).max()
        gaps = self.radius + np.linalg.norm(self.centres, axis=1)
        self.largest = (self.factors * gaps**2 / 2).max()  # U
        self.steepest = (self.factors * gaps).max()  # Lambda
        self.diameter = 2 * self.radius
        theta = cp.Variable(n)
        terms = [f / 2 * cp.sum_squares(theta - c) for f, c in zip(self.factors, self.centres, strict=True)]
        self.least = cp.Problem(cp.Minimize(cp.max(cp.hstack(terms)))).solve()
        assert np.linalg.norm(theta.value) < self.radius

    def terms(self, theta: np.ndarray) -> np.ndarray:
        return self.factors * ((theta - self.centres) ** 2).sum(axis=1) / 2

    def run(self, dual: str, steps: int, keeper: KeptIterates | None = None) -> float:
        """Gap of the mean iterate, or of the keeper's answer."""
        k, n = self.centres.shape
        scale = math.sqrt(8 * math.log(k)) if dual == "exponentiated" else 1 / math.sqrt(k)
        method = eq.OMDTchebycheff(tuple(self.factors), scale / self.largest / math.sqrt(steps), dual)
        rate = self.diameter / self.steepest / math.sqrt(steps)
        model = torch.nn.Linear(n, 1, bias=False, dtype=torch.float64)
        state, step = method.init(k), step_of(k)
        theta, total = np.zeros(n), np.zeros(n)
        for _ in range(steps):
            gaps = theta - self.centres
            losses = torch.from_numpy((gaps**2).sum(axis=1) / 2).requires_grad_()
            answer = method.scalar(losses, state, step)
            state = answer.state
            (weights,) = torch.autograd.grad(answer.value, losses)
            if keeper is not None:
                with torch.no_grad():
                    model.weight.copy_(torch.from_numpy(theta)[None])
                keeper.keep(model, torch.from_numpy(self.terms(theta)))
            total += theta
            theta = theta - rate * weights.numpy() @ gaps
            theta *= min(1.0, self.radius / np.linalg.norm(theta))
        answer = total / steps
        if keeper is not None:
            keeper.finalize(model)
            answer = model.weight.detach().numpy()[0]
        return float(self.terms(answer).max() - self.least)

    def bound(self, dual: str, steps: int) -> float:
        k = len(self.centres)
        regret = self.largest * (math.sqrt(math.log(k) / 2) if dual == "exponentiated" else math.sqrt(k))
        return (self.diameter * self.steepest + regret) / math.sqrt(steps)


@pytest.mark.parametrize("dual", ["exponentiated", "gradient"])
def test_on_convex_quadratics_the_mean_iterate_keeps_the_bound_and_the_rate(dual):
    problem = Quadratics()
    lengths = [300, 1000, 3000, 10_000]
    gaps = [problem.run(dual, steps) for steps in lengths]
    for steps, gap in zip(lengths, gaps, strict=True):
        assert -1e-7 <= gap <= problem.bound(dual, steps)
    slope = np.polyfit(np.log(lengths), np.log(gaps), 1)[0]
    assert slope <= -0.45


@pytest.mark.parametrize("cap", [4, 10_000])
def test_on_convex_quadratics_the_kept_iterates_keep_the_same_bound(cap):
    problem = Quadratics(seed=3)
    keeper = KeptIterates("ada", cap=cap)
    gap = problem.run("exponentiated", 400, keeper)
    assert -1e-7 <= gap <= problem.bound("exponentiated", 400)
    assert float(keeper.credits.sum()) == pytest.approx(400)


def test_its_weights_at_a_fixed_point_find_the_worst_task():
    assert weigh(eq.OMDTchebycheff(), [1.0, 5.0]).weights.tolist() == [0.5, 0.5]
    last = play(eq.OMDTchebycheff(step_size=0.5), [[1.0, 5.0]] * 40)[-1]
    assert last.weights[1] > 0.999
