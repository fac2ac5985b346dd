"""Loss methods against slow, obvious versions of their formulas, over random histories in which tasks come and go.

The references keep whole histories in lists and work on plain numbers; none shares code with the library.
"""

import random
from math import exp, log, sqrt

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.methods.run import run_loss_method
from tests.methods.histories import step_of

K = 4
W = (0.5, 1.5, 0.0, 2.0)
Row = dict[int, float]


def softmax(scores: Row) -> Row:
    top = max(scores.values())
    powers = {i: exp(score - top) for i, score in scores.items()}
    return {i: power / sum(powers.values()) for i, power in powers.items()}


def factors(weights, losses: Row) -> Row:
    return {i: 1.0 if weights is None else weights[i] / sum(weights) * K for i in losses}


def shares(losses: Row, values: Row) -> Row:
    """1/k for a task without a value; the rest in proportion to the values, or equally where all are zero."""
    total, k = sum(values.values()), len(losses)
    return {i: values[i] / total * len(values) / k if i in values and total > 0 else 1 / k for i in losses}


class Reference:
    def __init__(self, **settings):
        self.history = {i: [] for i in range(K)}  # losses of every task, of the steps in which it was present
        self.epochs = {i: [] for i in range(K)}  # mean losses of the epochs in which it was present
        self.epoch, self.now = 0, {i: [] for i in range(K)}
        self.memory = {}
        vars(self).update({"w": None} | settings)

    def step(self, losses: Row) -> Row:
        for i, loss in losses.items():
            self.history[i].append(loss)
            self.now[i].append(loss)
        return self.weights(losses)

    def end_epoch(self):
        for i, seen in self.now.items():
            if seen:
                self.epochs[i].append(sum(seen) / len(seen))
            self.now[i] = []
        self.epoch += 1


class DWA(Reference):
    def weights(self, losses):
        return softmax({i: (e[-1] / e[-2] if len(e := self.epochs[i]) > 1 and e[-2] > 0 else 1) / 2 for i in losses})


class Tchebycheff(Reference):
    def weights(self, losses):
        factor = factors(self.w, losses)
        ideal = {i: min(self.history[i]) for i in losses}
        terms = {i: factor[i] * (losses[i] - 0.99 * ideal[i]) for i in losses}
        playing = [i for i in losses if factor[i] > 0] or list(losses)
        worst = [i for i in playing if terms[i] == max(terms[j] for j in playing)]
        return {i: factor[i] / len(worst) if i in worst else 0.0 for i in losses}


class SmoothTchebycheff(Reference):
    def weights(self, losses):
        factor = factors(self.w, losses)
        spans = [factor[i] * (max(self.history[i]) - min(self.history[i])) for i in losses]
        size = max(spans) or max(factor[i] * losses[i] for i in losses)
        mu = 0.1 * 0.01 ** min(self.epoch / 20, 1) * size
        terms = {i: factor[i] * (losses[i] - 0.99 * min(self.history[i])) for i in losses}
        playing = {i: terms[i] for i in losses if factor[i] > 0} or terms
        if mu == 0:
            worst = [i for i in playing if terms[i] == max(playing.values())]
            return {i: factor[i] / len(worst) if i in worst else 0.0 for i in losses}
        soft = softmax({i: term / mu for i, term in playing.items()})
        return {i: factor[i] * soft.get(i, 0.0) for i in losses}


class LogTchebycheff(Reference):
    def weights(self, losses):
        factor = factors(self.w, losses)
        playing = [i for i in losses if factor[i] > 0]
        if self.epoch <= self.warmup:
            return {i: 1 / len(playing) / losses[i] if i in playing else 0.0 for i in losses}
        nadir = {i: self.memory.get(i, losses[i]) for i in playing}
        soft = softmax({i: log(factor[i] * losses[i] / nadir[i]) / self.mu for i in playing}) if playing else {}
        return {i: soft.get(i, 0.0) / losses[i] for i in losses}

    def end_epoch(self):
        for i, seen in self.now.items():
            if seen and (self.epoch == self.warmup or (self.epoch > self.warmup and i not in self.memory)):
                self.memory[i] = sum(seen) / len(seen)
        super().end_epoch()


class OMD(Reference):
    def weights(self, losses):
        factor, dual = factors(self.w, losses), self.memory or dict.fromkeys(range(K), 1 / K)
        mass = sum(dual[i] for i in losses)
        given = {i: dual[i] / mass * factor[i] for i in losses}
        climbed = {i: dual[i] * exp(0.1 * factor[i] * losses[i]) for i in losses}
        self.memory = dual | {i: climbed[i] / sum(climbed.values()) * mass for i in losses}
        return given


class FAMO(Reference):
    def weights(self, losses):
        logs = {i: log(loss + 1e-8) for i, loss in losses.items()}
        logits, before, adam = (self.memory.setdefault(name, {}) for name in ("logits", "before", "adam"))
        known = [i for i in losses if i in before]
        if known:
            z = softmax({i: logits.get(i, 0.0) for i in known})
            fall = {i: before[i] - logs[i] for i in known}
            for i in known:
                slope = z[i] * (fall[i] - sum(z[j] * fall[j] for j in known)) + 1e-3 * logits.get(i, 0.0)
                first, second, t = adam.get(i, (0.0, 0.0, 0))
                first, second, t = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2, t + 1
                adam[i] = first, second, t
                moved = first / (1 - 0.9**t) / (sqrt(second / (1 - 0.999**t)) + 1e-8)
                logits[i] = logits.get(i, 0.0) - 0.025 * moved
        before |= logs
        z = softmax({i: logits.get(i, 0.0) for i in losses})
        slopes = {i: z[i] / (losses[i] + 1e-8) for i in losses}
        return {i: slope / sum(slopes.values()) for i, slope in slopes.items()}


class CoV(Reference):
    def weights(self, losses):
        found = {}
        for i, loss in losses.items():
            earlier = self.history[i][:-1]
            mean = sum(earlier) / len(earlier) if earlier else 0.0
            ratios = self.memory.setdefault(i, [])
            ratios.append(loss / mean if mean > 0 else 1.0)
            if len(ratios) > 1:
                found[i] = float(np.std(ratios) / np.mean(ratios))
        return shares(losses, found)


class SLAW(Reference):
    def weights(self, losses):
        found = {}
        for i in losses:
            seen = np.array(self.history[i])
            weights = 0.99 ** np.arange(len(seen))[::-1]
            mean = np.average(seen, weights=weights)
            size = max(sqrt(np.average((seen - mean) ** 2, weights=weights)), 1e-5 * abs(mean))
            if len(seen) > 1 and size > 0:
                found[i] = 1 / size
        return shares(losses, found)


class SoftAdapt(Reference):
    def weights(self, losses):
        change = {i: losses[i] - (self.history[i][-2] if len(self.history[i]) > 1 else losses[i]) for i in losses}
        size = sum(map(abs, change.values())) or 1.0
        plain = softmax({i: 0.1 * change[i] / (size if self.normalized else 1.0) for i in losses})
        if not self.loss_weighted or not any(losses.values()):
            return plain
        total = sum(plain[i] * losses[i] for i in losses)
        return {i: plain[i] * losses[i] / total for i in losses}


class ReLoBRaLo(Reference):
    def weights(self, losses):
        number = self.memory["step"] = self.memory.get("step", -1) + 1
        look_back = np.random.default_rng([0, number]).random() >= self.rho
        kept = self.memory.setdefault("weights", dict.fromkeys(range(K), 1 / K))
        mass = sum(kept[i] for i in losses)
        first = softmax({i: losses[i] / h[0] if (h := self.history[i])[0] > 0 else 1.0 for i in losses})
        last = softmax({i: losses[i] / h[-2] if len(h := self.history[i]) > 1 and h[-2] > 0 else 1.0 for i in losses})
        past = first if look_back else {i: kept[i] / mass for i in losses}
        found = {i: self.alpha * past[i] + (1 - self.alpha) * last[i] for i in losses}
        kept |= {i: share * mass for i, share in found.items()}
        return found


class Geometric(Reference):
    def weights(self, losses):
        mean = exp(sum(map(log, losses.values())) / len(losses))
        return {i: mean / len(losses) / loss for i, loss in losses.items()}


class PBI(Reference):
    def weights(self, losses):
        ray, above = np.ones(len(losses)) / sqrt(len(losses)), np.array(list(losses.values()))
        aside = above - above @ ray * ray
        far = np.linalg.norm(aside) > 1e-13 * np.linalg.norm(above)
        return dict(zip(losses, ray + (5 * aside / np.linalg.norm(aside) if far else 0.0), strict=True))


class COSMOS(Reference):
    def weights(self, losses):
        w, point = np.array(list(factors(self.w, losses).values())), np.array(list(losses.values()))
        w /= K if self.w else len(losses)
        size, length = np.linalg.norm(point), np.linalg.norm(w)
        if not size or not length:
            return dict(zip(losses, w, strict=True))
        slope = w / length / size - (w @ point) / length / size**3 * point
        return dict(zip(losses, w - self.c * slope, strict=True))


class PNorm(Reference):
    def weights(self, losses):
        terms = {i: self.w[i] * loss for i, loss in losses.items()}
        norm = sum(term**self.p for term in terms.values()) ** (1 / self.p)
        if norm == 0:  # as where all terms are equal
            return {i: self.w[i] * len(losses) ** (1 / self.p - 1) for i in losses}
        return {i: self.w[i] * (terms[i] / norm) ** (self.p - 1) for i in losses}


# method, reference, whether losses of exactly 0 occur
PAIRS = [
    (eq.DWA(), DWA, {}, True),
    (eq.Tchebycheff(), Tchebycheff, {}, True),
    (eq.Tchebycheff(W), Tchebycheff, {"w": W}, True),
    (eq.SmoothTchebycheff(), SmoothTchebycheff, {}, True),
    (eq.SmoothTchebycheff(W), SmoothTchebycheff, {"w": W}, True),
    (eq.SmoothTchebycheff(form="log", warmup=1), LogTchebycheff, {"mu": 0.1, "warmup": 1}, False),
    (eq.SmoothTchebycheff(W, form="log", mu=0.3, warmup=0), LogTchebycheff, {"w": W, "mu": 0.3, "warmup": 0}, False),
    (eq.OMDTchebycheff(), OMD, {}, True),
    (eq.OMDTchebycheff(W), OMD, {"w": W}, True),
    (eq.FAMO(), FAMO, {}, True),
    (eq.CoVWeighting(), CoV, {}, True),
    (eq.SLAW(), SLAW, {}, True),
    (eq.SoftAdapt(), SoftAdapt, {"normalized": False, "loss_weighted": False}, True),
    (eq.SoftAdapt(loss_weighted=True), SoftAdapt, {"normalized": False, "loss_weighted": True}, True),
    (eq.SoftAdapt(normalized=True), SoftAdapt, {"normalized": True, "loss_weighted": False}, True),
    (eq.ReLoBRaLo(), ReLoBRaLo, {"alpha": 0.999, "rho": 0.999}, True),
    (eq.ReLoBRaLo(alpha=0.5, rho=0.5), ReLoBRaLo, {"alpha": 0.5, "rho": 0.5}, True),
    (eq.GeometricLoss(), Geometric, {}, False),
    (eq.PBI(), PBI, {}, True),
    (eq.COSMOS(), COSMOS, {"c": 8.0}, True),
    (eq.COSMOS(W, c=3.0), COSMOS, {"w": W, "c": 3.0}, True),
    (eq.PNorm(W, p=7.5), PNorm, {"w": W, "p": 7.5}, True),
]


@pytest.mark.parametrize(("method", "reference", "settings", "zeros"), PAIRS, ids=[repr(pair[0]) for pair in PAIRS])
def test_weights_are_those_of_the_formula_over_histories_with_absent_tasks_ties_and_zeros(
    method, reference, settings, zeros
):
    for seed in range(40):
        draw = random.Random(seed)
        slow, state, losses = reference(**settings), method.init(K), [1.0] * K
        for _ in range(12):
            present = tuple(i for i in range(K) if draw.random() < 0.7) or (draw.randrange(K),)
            kind = draw.random()
            if kind < 0.2:
                losses = [losses[0]] * K
            elif kind < 0.8:  # else they stand still
                losses = [10.0 ** draw.uniform(-1, 1) for _ in range(K)]
            shown = [0.0 if zeros and draw.random() < 0.1 else loss for loss in losses]
            numbers = torch.tensor([shown[i] for i in present], dtype=(torch.float64, torch.float32)[seed % 2])
            weighed = run_loss_method(method, numbers, state, step_of(K, present))
            wanted = slow.step(dict(zip(present, numbers.tolist(), strict=True)))
            scale = max(map(abs, wanted.values()))
            assert weighed.weights.tolist() == pytest.approx(list(wanted.values()), rel=1e-10, abs=1e-10 * scale)
            state = weighed.state
            if method.per_epoch and draw.random() < 0.3:
                state = method.end_epoch(state)
                slow.end_epoch()
