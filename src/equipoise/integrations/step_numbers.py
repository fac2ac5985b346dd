"""Numbers of one balance by name, for the logs of training frameworks."""

from torch import Tensor

from ..balancing.step_record import StepRecord

__all__ = ["numbers_of_step"]


def numbers_of_step(last: StepRecord) -> dict[str, Tensor]:
    """Losses and weights of the tasks that took part, as scalars on the device where they are.

    With ``granularity=`` the weight is the mean over groups. Methods on the Jacobian have no weights.

    Args:
        last: Record of the step.

    Returns:
        ``loss/<task>`` and ``weight/<task>``, in the order of the tasks.
    """
    weights = last.weights
    if weights is not None and weights.dim() > 1:
        weights = weights.mean(dim=0) if len(weights) else None
    tables = {"loss": last.raw_losses, "weight": weights}
    return {
        f"{name}/{task}": value.detach()
        for name, values in tables.items()
        if values is not None
        for task, value in zip(last.tasks, values.unbind(), strict=True)
    }
