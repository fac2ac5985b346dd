r"""Inner products of gradients in an optimizer's own metric.

Adam turns a direction d into the step :math:`-\eta D d` (momentum and weight decay aside), with :math:`D =
\mathrm{diag}(1/(\sqrt{\hat v} + \epsilon))` and :math:`\hat v` its bias-corrected second moments (Kingma & Ba 2015,
algorithm 1). The first-order change of loss i is then :math:`-\eta\, g_i^\top D d`. With weights from :math:`G_D = J D
J^\top` in place of :math:`J J^\top` and :math:`d = J^\top w` it is :math:`-\eta (G_D w)_i`: what a method promises for
its Gramian, it promises for this step.

It is experimental: in ``benchmarks/optimizer_metric.py`` the promise held in every step of Adam without momentum, but
final losses did not gain (four problems, ten seeds, MGDA and UPGrad: ratios between .99 and 1.04).
"""

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from ...errors import EquipoiseError, SettingError, listed
from ..blocks.dense import Jacobian
from ..blocks.task_gradients import Gradients
from ..graph.ownership import Ownership
from ..reals import reals

__all__ = ["OptimizerMetric"]

_COLUMNS = 1 << 16  # columns multiplied at a time


class OptimizerMetric:
    r"""The metric of Adam or AdamW, as its state stands when a step is balanced.

    **Definition.** For a parameter in a group with the learning rate :math:`\eta`, and with the largest rate of all
    groups :math:`\eta_{max}`, D is :math:`(\eta/\eta_{max}) / (\sqrt{\hat v} + \epsilon)`: with equal rates the
    first factor is 1. With ``amsgrad=True`` the largest second moments count. The moments are those before this step,
    whose own gradient Adam adds later.

    **Before the first step** of the optimizer there are no second moments, and the plain Gramian is used. Later,
    parameters without moments (they have had no gradient yet), and single numbers whose moment is exactly 0, are left
    out of the products in that step.

    Args:
        optimizer: The optimizer that moves the shared parameters.

    Raises:
        SettingError: It is neither Adam nor AdamW.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        kind = type(optimizer)
        if not isinstance(optimizer, Adam | AdamW):
            found = f"{kind.__name__} keeps none" if isinstance(optimizer, Optimizer) else f"got {optimizer!r}"
            if isinstance(optimizer, Optimizer) and any("sq" in key for s in optimizer.state.values() for key in s):
                found = f"{kind.__name__} has another rule for its steps"
            raise SettingError(
                "`metric` must be a torch.optim.Adam or AdamW, whose second moments define the metric; "
                f"{found}. Leave `metric` out: for plain gradient descent the usual Gramian is the metric of its step."
            )
        self.optimizer = optimizer

    def __repr__(self) -> str:
        return type(self.optimizer).__name__

    def scales(self, parameters: list[Tensor], ownership: Ownership) -> list[Tensor | None]:
        """Diagonals of D, one a parameter, flat, float64; None for a parameter without second moments.

        Raises:
            SettingError: The optimizer does not have all of the parameters.
        """
        groups = {id(leaf): group for group in self.optimizer.param_groups for leaf in group["params"]}
        missing = [ownership.name(leaf) for leaf in parameters if id(leaf) not in groups]
        if missing:
            raise SettingError(
                f"the optimizer given as `metric` must have every shared parameter; {len(missing)} of "
                f"{len(parameters)} are not in its groups: {listed(missing[:5])}. Build it from all of "
                "model.parameters()."
            )
        largest = max(float(group["lr"]) for group in groups.values()) if groups else 0.0
        found: list[Tensor | None] = []
        for leaf in parameters:
            group, state = groups[id(leaf)], self.optimizer.state.get(leaf, {})
            moments = state.get("max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq")
            if moments is None:
                found.append(None)
                continue
            corrected = reals(moments).double() / (1 - float(group["betas"][1]) ** float(state["step"]))
            rate = float(group["lr"]) / largest if largest else 1.0
            scale = rate / (corrected.sqrt() + float(group["eps"]))
            found.append(torch.where(corrected > 0, scale, 0.0))
        return found

    def gramian(self, source: Gradients, ownership: Ownership) -> Tensor:
        """(k, k) products J D J^T of the unscaled rows over the shared parameters, float64.

        Cost: k² n multiply-adds for n shared numbers, beside the plain Gramian; the rows must be formed, so that no
        layer's products are taken from its output gradients.

        Raises:
            EquipoiseError: There are several ranks, whose products would have to be merged.
        """
        if torch.distributed.is_available() and torch.distributed.is_initialized() and _ranks() > 1:
            raise EquipoiseError("metric= works on one rank only: its products are not merged over ranks.")
        jacobian: Jacobian = source.shared
        scales = self.scales(list(jacobian.parameters), ownership)
        if all(scale is None for scale in scales):
            return source.gramian()
        device = jacobian.parameters[0].device
        total = torch.zeros(source.count, source.count, dtype=torch.float64, device=device)
        for number, scale in enumerate(scales):
            if scale is None:
                continue
            rows, root = jacobian.real_rows(number), scale.sqrt()
            for start in range(0, rows.shape[1], _COLUMNS):
                columns = slice(start, start + _COLUMNS)
                wide = rows[:, columns].double() * root[columns]
                total += (wide @ wide.T).to(device)
        return total * 4.0**-source.power


def _ranks() -> int:
    return torch.distributed.get_world_size()
