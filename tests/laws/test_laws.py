"""Every method x every law it claims x every input family; and the counter-example of each law it refutes."""

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

import equipoise as eq
from equipoise.errors import LawViolation
from equipoise.laws import cancelling, check_method, families, laws
from equipoise.methods.base import Answer, GramianMethod, StateTensor

SIZES = (1, 2, 3, 5, 10, 50)
FEWER = (1, 2, 3, 10)  # of settings beside the defaults: every law and family all the same

with warnings.catch_warnings():
    warnings.simplefilter("ignore", eq.errors.EquipoiseWarning)  # mu >= 1 is asked for here on purpose
    VARIANTS = [
        *(kind() for kind in eq.methods.table.values()),
        eq.LinearScalarization((1.0,)),
        eq.Tchebycheff(ideal=None),
        eq.Tchebycheff(augmented=0.01),
        eq.SmoothTchebycheff(form="log"),
        eq.SmoothTchebycheff(form="log", mu=1.0),
        eq.SmoothTchebycheff(mu=0.2, final_mu=0.2, relative=False),
        eq.OMDTchebycheff(dual="gradient", step_size=1.0),
        eq.DWA(T=0.5),
        eq.UncertaintyWeighting("classification"),
        eq.UncertaintyWeighting("likelihood"),
        eq.MGDA(zero="exact"),
        eq.PCGrad(seed=7),
        *(eq.MGDA(normalize=how) for how in ("l2", "loss", "loss+")),
        *(eq.MGDA(solver=route) for route in ("frank-wolfe", "averaging", "smooth", "softmax")),
        *(eq.RGW(how) for how in ("uniform", "truncated normal", "random normal", "dirichlet", "one-hot", "subset")),
        eq.GradVac(beta=0.0),
        eq.GradVac(beta=0.5, seed=7),
        eq.NashMTL(max_norm=None, every=3),
        eq.DBMTL(beta=0.0),
        eq.AlignedMTL(scale="median"),
        eq.AlignedMTL(scale="rmse"),
        eq.GradDrop(leak=0.5),
        eq.MoCo(schedule="decaying", rho=0.1),
        eq.MetaBalance(relax=1.0, beta=0.0),
        eq.MetaBalance(relax=0.0),
        *(eq.NTKMTL(exponent) for exponent in (0.25, 1.0)),
        eq.NTKWeights(beta=0.0),
        *(eq.CappedMGDA(cap) for cap in (0.05, 0.3, 1.0)),
        eq.PCD(tau=0.0, beta=0.0),
        eq.GradientAnnealing(beta=0.0),
        eq.GO4Align(groups=4, step_size=0.5),
        eq.Smoothed(eq.PCGrad()),
        eq.Smoothed(eq.Smoothed(eq.GradVac())),
        eq.Tracked(eq.Smoothed(eq.PCGrad())),
    ]


@pytest.mark.filterwarnings("ignore:.*reaches no non-convex part:equipoise.errors.EquipoiseWarning")  # copies warn too
@pytest.mark.parametrize("method", VARIANTS, ids=repr)
def test_a_method_obeys_every_law_it_claims_and_breaks_those_it_refutes(method):
    sizes = SIZES if method == type(method)() else FEWER
    if isinstance(method, eq.LinearScalarization) and method.weights:
        sizes = (1,)
    examination = check_method(method, sizes=sizes)
    assert examination.checks > 0


@pytest.mark.parametrize("name", list(laws))
def test_every_law_is_claimed_by_some_method_and_refuted_by_another(name):
    assert any(name in method.claims(3) for method in VARIANTS)
    assert any(name in method.refutes() for method in VARIANTS)


@dataclass(frozen=True)
class Liar(GramianMethod):
    """Claims everything, gives weight to the first task alone, and a negative one at that."""

    source: ClassVar[str] = "invented"
    cost: ClassVar[str] = "none"

    def claims(self, k):
        return frozenset(laws)

    def degree(self):
        return 2.0

    def weights(self, gramian, state, step):
        weights = torch.zeros(len(gramian), dtype=torch.float64)
        weights[0] = -2.0
        return Answer(weights, state)


@pytest.mark.parametrize(
    "name", ["simplex", "permutation", "unanimity", "degree", "no_conflict", "single", "stationary"]
)
def test_the_examination_catches_a_method_that_breaks(name):
    with pytest.raises(LawViolation, match=rf"Liar\(\) breaks `{name}` on"):
        check_method(Liar(), sizes=(1, 3))


@dataclass(frozen=True)
class Hasty(eq.IMTLL):
    factor: float = 1.0
    slope: float = 1.0

    def implied_weights(self, losses, state, step):
        answer = super().implied_weights(losses, state, step)
        slopes = {name: self.slope * slope for name, slope in answer.trained.items()}
        return answer._replace(value=self.factor * answer.value, trained=slopes)


@pytest.mark.parametrize(("wrong", "what"), [({"factor": 1.001}, "weights"), ({"slope": -1.0}, "slope of log_scale")])
def test_the_examination_catches_weights_that_are_not_the_derivative_of_the_scalar(wrong, what):
    check_method(Hasty(), sizes=(1, 3))
    with pytest.raises(LawViolation, match=f"gives the {what}.*the derivative of `scalar` is"):
        check_method(Hasty(**wrong), sizes=(1, 3))


class Modest(eq.LinearScalarization):
    """Refutes a law by an input on which the law holds."""

    def refutes(self):
        return {"no_conflict": eq.methods.CounterExample(((1.0, 0.0), (0.0, 1.0)))}


def test_the_examination_catches_a_refutation_that_does_not_refute():
    with pytest.raises(LawViolation, match="refutes `no_conflict`, but the law holds"):
        check_method(Modest(), sizes=(2,))


@pytest.mark.parametrize("k", [1, 2, 3, 10, 50])
def test_every_family_has_the_property_in_its_name(k):
    import numpy as np

    by_name = {case.name.split(",")[0]: case.jacobian for case in families(k, scales=(1.0,))}
    cosines = {}
    for name, rows in by_name.items():
        norms = np.linalg.norm(rows, axis=1)
        safe = np.where(norms > 0, norms, 1)
        cosines[name] = (rows @ rows.T) / np.outer(safe, safe)
    if k > 1:
        assert (
            np.linalg.norm(by_name["imbalanced"], axis=1).max()
            > 1e5 * np.linalg.norm(by_name["imbalanced"], axis=1).min()
        )
        assert (np.linalg.norm(by_name["zero row"], axis=1) == 0).sum() == 1
        assert np.linalg.norm(by_name["stationary"].mean(axis=0)) < 1e-12
        assert cosines["nearly opposite"][0, 1] < -0.999
        assert np.linalg.matrix_rank(by_name["identical"]) == 1
        assert np.linalg.matrix_rank(by_name["one line"]) == 1
        assert cosines["one line"].min() == pytest.approx(-1)
        assert cosines["conflicting"][~np.eye(k, dtype=bool)].min() < 0
    if k > 2:
        draw = np.random.default_rng(k)
        for size in (1e-1, 1e-4, 1e-8):
            singular = np.linalg.svd(cancelling(k, size, draw), compute_uv=False)
            assert 0.01 * size < singular[-1] / singular[0] < size
    if k > 3:
        assert np.linalg.matrix_rank(by_name["rank-deficient"]) < k
        assert np.linalg.cond(by_name["ill"]) == pytest.approx(1e3, rel=1e-6)


@dataclass(frozen=True)
class Stale(GramianMethod):
    """Faultless as long as the gradients do not change: it compares them with those of its first step.

    `late`: uses the weights of the step before, made for other gradients. `unit`: weighs by how much the norms have
    changed, in the unit of a loss. `order`: gives what changed to the first task. `hidden`: keeps norms outside its
    state.
    """

    source: ClassVar[str] = "invented"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("held"), StateTensor("norms"), StateTensor("seen"))
    drawer: ClassVar[dict[int, torch.Tensor]] = {}

    fault: str = "late"

    def init(self, k, n=0):
        return {name: torch.zeros(k, dtype=torch.float64) for name in ("held", "norms", "seen")}

    def degree(self):
        return 1.0

    def claims(self, k):
        return frozenset({"permutation", "degree"} | ({"no_conflict"} if self.fault == "late" else set()))

    def weights(self, gramian, state, step):
        norms, seen = gramian.diagonal().sqrt(), state["seen"] > 0
        first = torch.where(seen, state["norms"], norms)
        answer = eq.MGDA().weights(gramian, {}, step).value
        if self.fault == "late":
            weights = torch.where(seen, state["held"], answer) if seen.all() else answer
        elif self.fault == "unit":
            weights = torch.softmax(first - norms, 0)
        elif self.fault == "order":
            weights = answer + (first - norms).abs() / norms * torch.eye(len(norms), dtype=torch.float64)[0]
        else:
            last = self.drawer[0] if seen.any() else norms
            weights = answer * (1 + (last.max() / norms.max()).log().abs())
            self.drawer[0] = norms
        return Answer(weights, {"held": answer, "norms": first, "seen": state["seen"] + 1})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("late", "breaks `no_conflict` on .*, other gradients before: <g_"),
        ("unit", "breaks `degree` on .*, other gradients before: directions differ"),
        ("order", "breaks `permutation` on .*, other gradients before: directions differ"),
        ("hidden", "gives another direction when it goes on from its saved state after step 1"),
    ],
)
def test_faults_that_one_jacobian_repeated_does_not_show_are_caught(fault, message):
    method = Stale(fault)
    for name in method.claims(3):
        for case in families(3):
            laws[name].check(method, replace(case, earlier=()))  # one Jacobian repeated: nothing to see
    with pytest.raises(LawViolation, match=message):
        check_method(method, sizes=(3,))


@dataclass(frozen=True)
class Careless(GramianMethod):
    """Does what `fault` names."""

    source: ClassVar[str] = "invented"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("seen"),)

    fault: str = "none"

    def init(self, k, n=0):
        return {"seen": torch.zeros(k, dtype=torch.float64)}

    def weights(self, gramian, state, step):
        weights = torch.full((len(gramian),), 1 / len(gramian), dtype=torch.float64)
        if self.fault == "in place":
            state["seen"].add_(1)
        if self.fault == "no answer":
            return weights
        if self.fault == "shape":
            return Answer(weights[:, None], state)
        if self.fault == "nan":
            return Answer(weights * torch.nan, state)
        if self.fault == "chance":
            return Answer(weights * torch.rand(1, dtype=torch.float64), state)
        return Answer(weights, {} if self.fault == "lost" else state)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("in place", "changed its state 'seen' in place"),
        ("no answer", r"returned Tensor; return Answer\(value, state\)"),
        ("shape", r"a tensor of shape \(2,\) is needed"),
        ("nan", "not finite on an ordinary input"),
        ("chance", "another direction when the same run is made again: what it draws on must be its state"),
        ("lost", r"returned the state \[\]; declared are \['seen'\]"),
    ],
)
def test_the_examination_names_what_breaks_the_contract(fault, message):
    check_method(Careless(), sizes=(2,))
    with pytest.raises(LawViolation, match=message):
        check_method(Careless(fault), sizes=(2,))


def test_a_class_in_place_of_an_instance_is_refused():
    with pytest.raises(eq.errors.SettingError, match=r"give an instance: MGDA\(\)"):
        check_method(eq.MGDA)
