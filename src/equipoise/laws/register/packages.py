"""The packages that are examined, and their implementations of methods of our table. One line an implementation."""

from collections.abc import Callable, Mapping
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
    UncertaintyWeighting,
    UPGrad,
)
from ...methods.base import Method
from .adapter import TASKS, UNIFORM, Foreign

__all__ = ["PACKAGES", "Package"]

_LENGTH = frozenset({"unanimity"})  # about the length of the direction, which some sources leave open
_SHORT = (
    "Gradients whose matrix has a Frobenius norm below 0.01 (trace of the Gramian below norm_eps = 1e-4) count as 0."
)


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


def _calls(way: str, module: str) -> Callable[..., Foreign]:
    """Adapters of one module: their name, our method, how `Foreign` differs from its defaults, and their settings."""

    def adapter(
        name: str,
        ours: Method,
        *,
        summed: bool = False,
        independent: bool = False,
        not_claimed: frozenset[str] = frozenset(),
        note: str = "",
        **settings: Any,
    ) -> Foreign:
        pairs = tuple(settings.items())
        return Foreign(way, f"{module}:{name}", ours, pairs, summed, not_claimed, independent, note)

    return adapter


_aggregator = _calls("matrix", "torchjd.aggregation")
_scalarizer = _calls("losses", "torchjd.scalarization")
_conflictfree = _calls("conflictfree", "conflictfree.grad_operator")
_libmtl = _calls("libmtl", "LibMTL.weighting")
_ludwig = _calls("ludwig", "ludwig.modules.loss_balancing")
_pina = _calls("pina", "pina.weighting")
_rechub = _calls("metabalance", "torch_rechub.utils.mtl")

PACKAGES: tuple[Package, ...] = (
    Package(
        "torchjd",
        "torchjd",
        {
            "Mean": _aggregator("Mean", LinearScalarization()),
            "MGDA": _aggregator(
                "MGDA", MGDA(), note="Frank-Wolfe, at most 100 iterations, stops at a relative step of 1e-3."
            ),
            "UPGrad": _aggregator("UPGrad", UPGrad(), note=f"{_SHORT} Then the mean is returned. A ridge of 1e-4."),
            "DualProj": _aggregator(
                "DualProj", DualProj(), note=f"{_SHORT} Then the mean is returned. A ridge of 1e-4."
            ),
            "CAGrad(c=0.4)": _aggregator(
                "CAGrad", CAGrad(c=0.4, rescale=None), c=0.4, note=f"{_SHORT} Then 0 is returned."
            ),
            "NashMTL": _aggregator(
                "NashMTL",
                NashMTL(),
                independent=True,
                n_tasks=TASKS,
                note="Where the inner solver fails or is inaccurate, earlier or initial weights are used.",
            ),
            "FairGrad(alpha=1)": _aggregator(
                "FairGrad",
                FairGrad(),
                independent=True,
                alpha=1.0,
                note="Residuals of short or uneven gradients are small in absolute terms: least squares stops early.",
            ),
            "IMTLG": _aggregator("IMTLG", IMTLG(), independent=True),
            "AlignedMTL": _aggregator("AlignedMTL", AlignedMTL()),
            "ConFIG": _aggregator("ConFIG", ConFIG(), summed=True, independent=True),
            "PCGrad": _aggregator("PCGrad", PCGrad(), summed=True),
            "GradVac": _aggregator("GradVac", GradVac(beta=0.5), summed=True, note="1e-8 is added to |g_i| |g_j|."),
            "PCD": _aggregator("PCD", PCD(), note="An absolute eps = 1e-8 beside squared lengths."),
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
            "PCGradOperator": _conflictfree("PCGradOperator", PCGrad(), summed=True),
            "IMTLGOperator": _conflictfree("IMTLGOperator", IMTLG(), independent=True),
        },
        "the momentum operators (more than one step)",
    ),
    Package(
        "LibMTL",
        "LibMTL.weighting",
        {
            "EW": _libmtl("EW", LinearScalarization(), summed=True),
            "MGDA": _libmtl(
                "MGDA",
                MGDA(),
                mgda_gn="none",
                note="The first pair is sought among squared norms below 1e8; None after 250 iterations.",
            ),
            "CAGrad": _libmtl(
                "CAGrad", CAGrad(c=0.5), calpha=0.5, rescale=1, note="Weights are reshaped to (1, 3) whatever k is."
            ),
            "PCGrad": _libmtl("PCGrad", PCGrad(), summed=True),
            "GradVac": _libmtl("GradVac", GradVac(beta=0.5), summed=True, beta=0.5),
            "IMTL": _libmtl("IMTL", IMTLG(), independent=True),
            "UW": _libmtl("UW", UncertaintyWeighting()),
            "GLS": _libmtl("GLS", GeometricLoss()),
        },
        "DWA and GradNorm (mean in the first epoch), RLW and GradDrop (random). The package imports "
        "torchvision.models.utils, which newer versions of torchvision lack: a stand-in must be on the path",
    ),
    Package(
        "ludwig",
        "ludwig.modules.loss_balancing",
        {
            name: _ludwig("create_loss_balancer", ours, strategy=name, summed=summed, not_claimed=_LENGTH, note=note)
            for name, ours, summed, note in (
                ("none", LinearScalarization(), True, ""),
                ("uncertainty", UncertaintyWeighting(), False, ""),
                ("famo", FAMO(), False, "A weighted sum of losses in place of logarithms of losses."),
                ("nash_mtl", NashMTL(), False, "Weights follow the losses; no gradients are computed."),
                (
                    "pareto_mtl",
                    EPO(),
                    False,
                    "Half a weighted sum and half its largest term; no gradients are computed.",
                ),
            )
        },
        "gradnorm (mean in the first step)",
    ),
    Package(
        "pina-mathlab",
        "pina.weighting",
        {
            "NeuralTangentKernelWeighting": _pina(
                "NeuralTangentKernelWeighting",
                NTKWeights(),
                not_claimed=_LENGTH,
                note="A weight grows with the norm of its gradient: alpha + (1 - alpha) |g_i| / sum |g|.",
            ),
            "SelfAdaptiveWeighting": _pina("SelfAdaptiveWeighting", InverseNorm(), not_claimed=_LENGTH),
        },
        "ScalarWeighting and LinearWeighting (weights that the user gives)",
    ),
    Package(
        "torch-rechub",
        "torch_rechub.utils.mtl",
        {
            "MetaBalance": _rechub(
                "MetaBalance", MetaBalance(relax=0.7, beta=0.9), summed=True, note="1e-5 is added to every norm."
            )
        },
        "gradnorm (a training step, not a method)",
    ),
)
"""Packages in the order in which they are examined."""
