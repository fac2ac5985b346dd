"""The packages that are examined, and their implementations of methods of our table. One line an implementation."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ...methods import (
    EPO,
    FAMO,
    IMTLG,
    IMTLL,
    MGDA,
    PBI,
    PCD,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GeometricLoss,
    GradVac,
    InverseNorm,
    LinearScalarization,
    MetaBalance,
    NashMTL,
    NTKWeights,
    PCGrad,
    ScaleInvariant,
    UncertaintyWeighting,
    UPGrad,
)
from ...methods.base import Method
from .adapter import TASKS, UNIFORM, Foreign

__all__ = ["PACKAGES", "Package"]

_LENGTH = frozenset({"unanimity"})
"""Laws about the length of the direction, which some sources leave open."""


@dataclass(frozen=True)
class Package:
    """One package and what it ships under names of our table.

    Attributes:
        distribution: Name for ``pip install``.
        module: Module that must import.
        methods: Name there -> adapter.
        left_out: Implementations that are not examined, and why.
    """

    distribution: str
    module: str
    methods: Mapping[str, Foreign]
    left_out: str = ""

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None


def _torchjd(name: str, ours: Method, *, summed: bool = False, independent: bool = False, **settings: Any) -> Foreign:
    target = f"torchjd.aggregation:{name}"
    return Foreign("matrix", target, ours, tuple(settings.items()), summed=summed, independent=independent)


def _scalarizer(name: str, ours: Method, **settings: Any) -> Foreign:
    return Foreign("losses", f"torchjd.scalarization:{name}", ours, tuple(settings.items()))


def _conflictfree(name: str, ours: Method, *, summed: bool, independent: bool) -> Foreign:
    target = f"conflictfree.grad_operator:{name}"
    return Foreign("conflictfree", target, ours, summed=summed, independent=independent)


def _libmtl(name: str, ours: Method, *, summed: bool = False, independent: bool = False, **settings: Any) -> Foreign:
    target, pairs = f"LibMTL.weighting:{name}", tuple(settings.items())
    return Foreign("libmtl", target, ours, pairs, summed=summed, independent=independent)


def _ludwig(strategy: str, ours: Method, *, summed: bool = False, independent: bool = False) -> Foreign:
    target, pairs = "ludwig.modules.loss_balancing:create_loss_balancer", (("strategy", strategy),)
    left_out = frozenset() if summed else _LENGTH
    return Foreign("ludwig", target, ours, pairs, summed=summed, not_claimed=left_out, independent=independent)


def _pina(name: str, ours: Method) -> Foreign:
    return Foreign("pina", f"pina.weighting:{name}", ours, not_claimed=_LENGTH)


PACKAGES: tuple[Package, ...] = (
    Package(
        "torchjd",
        "torchjd",
        {
            "Mean": _torchjd("Mean", LinearScalarization()),
            "MGDA": _torchjd("MGDA", MGDA()),
            "UPGrad": _torchjd("UPGrad", UPGrad()),
            "DualProj": _torchjd("DualProj", DualProj()),
            "CAGrad(c=0.4)": _torchjd("CAGrad", CAGrad(c=0.4, rescale=None), c=0.4),
            "NashMTL": _torchjd("NashMTL", NashMTL(), independent=True, n_tasks=TASKS),
            "FairGrad(alpha=1)": _torchjd("FairGrad", FairGrad(), independent=True, alpha=1.0),
            "IMTLG": _torchjd("IMTLG", IMTLG(), independent=True),
            "AlignedMTL": _torchjd("AlignedMTL", AlignedMTL()),
            "ConFIG": _torchjd("ConFIG", ConFIG(), summed=True, independent=True),
            "PCGrad": _torchjd("PCGrad", PCGrad(), summed=True),
            "GradVac": _torchjd("GradVac", GradVac(beta=0.5), summed=True),
            "PCD": _torchjd("PCD", PCD()),
            "GeometricMean": _scalarizer("GeometricMean", GeometricLoss()),
            "UW": _scalarizer("UW", UncertaintyWeighting(), shape=TASKS),
            "IMTLL": _scalarizer("IMTLL", IMTLL(), shape=TASKS),
            "FAMO": _scalarizer("FAMO", FAMO(), shape=TASKS),
            "PBI(theta=5)": _scalarizer("PBI", PBI(), theta=5.0, weights=UNIFORM),
        },
        "DWA and ExcessMTL (mean in the first step), GradDrop and Random (random), STCH and COSMOS (other parameters)",
    ),
    Package(
        "conflictfree",
        "conflictfree.grad_operator",
        {
            "ConFIGOperator": _conflictfree("ConFIGOperator", ConFIG(), summed=True, independent=True),
            "PCGradOperator": _conflictfree("PCGradOperator", PCGrad(), summed=True, independent=False),
            "IMTLGOperator": _conflictfree("IMTLGOperator", IMTLG(), summed=False, independent=True),
        },
        "the momentum operators (more than one step)",
    ),
    Package(
        "LibMTL",
        "LibMTL.weighting",
        {
            "EW": _libmtl("EW", LinearScalarization(), summed=True),
            "MGDA": _libmtl("MGDA", MGDA(), mgda_gn="none"),
            "CAGrad": _libmtl("CAGrad", CAGrad(c=0.5), calpha=0.5, rescale=1),
            "PCGrad": _libmtl("PCGrad", PCGrad(), summed=True),
            "GradVac": _libmtl("GradVac", GradVac(beta=0.5), summed=True, beta=0.5),
            "IMTL": _libmtl("IMTL", IMTLG(), independent=True),
            "UW": _libmtl("UW", UncertaintyWeighting()),
            "GLS": _libmtl("GLS", GeometricLoss()),
        },
        "DWA and GradNorm (mean in the first epoch), RLW and GradDrop (random)",
    ),
    Package(
        "ludwig",
        "ludwig.modules.loss_balancing",
        {
            "none": _ludwig("none", LinearScalarization(), summed=True),
            "uncertainty": _ludwig("uncertainty", UncertaintyWeighting()),
            "log_transform": _ludwig("log_transform", ScaleInvariant(), summed=True),
            "famo": _ludwig("famo", FAMO()),
            "nash_mtl": _ludwig("nash_mtl", NashMTL(), independent=True),
            "pareto_mtl": _ludwig("pareto_mtl", EPO()),
        },
        "gradnorm (mean in the first step)",
    ),
    Package(
        "pina-mathlab",
        "pina.weighting",
        {
            "NeuralTangentKernelWeighting": _pina("NeuralTangentKernelWeighting", NTKWeights()),
            "SelfAdaptiveWeighting": _pina("SelfAdaptiveWeighting", InverseNorm()),
        },
        "ScalarWeighting and LinearWeighting (weights that the user gives)",
    ),
    Package(
        "torch-rechub",
        "torch_rechub.utils.mtl",
        {
            "MetaBalance": Foreign(
                "metabalance", "torch_rechub.utils.mtl:MetaBalance", MetaBalance(relax=0.7, beta=0.9), summed=True
            )
        },
        "gradnorm (a training step, not a method)",
    ),
)
"""Packages in the order in which they are examined."""
