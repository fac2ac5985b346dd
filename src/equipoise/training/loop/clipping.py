"""Largest gradient norms: one for all parameters, or one for each group of them by the prefix of their names."""

from collections.abc import Iterable, Mapping

from torch import nn
from torch.nn.utils import clip_grad_norm_

from ...core.numbers import is_whole
from ...errors import SettingError, listed

__all__ = ["Clip", "make_clip"]

Clip = float | Mapping[str, float]
Groups = list[tuple[list[nn.Parameter], float]]


def make_clip(clip: Clip | None, model: nn.Module, others: Iterable[nn.Parameter]) -> Groups:
    """Parameters that are clipped together, and the largest norm of each group.

    Args:
        clip: One norm for everything, or prefix of parameter names -> norm. Each parameter belongs to the longest
            prefix that fits; those that none fits are not clipped.
        model: Model with these parameters.
        others: The method's own parameters, which belong to the one norm.

    Raises:
        SettingError: A norm that is not positive, or a prefix that fits no parameter; all at once.
    """
    if clip is None:
        return []
    if not isinstance(clip, Mapping):
        _check({"": clip})
        return [([*model.parameters(), *others], float(clip))]
    _check(clip)
    named = dict(model.named_parameters())
    groups: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in clip}
    for name, parameter in named.items():
        fitting = [prefix for prefix in clip if name == prefix or name.startswith(f"{prefix}.")]
        if fitting:
            groups[max(fitting, key=len)].append(parameter)
    unused = [prefix for prefix, found in groups.items() if not found]
    if unused:
        top = dict.fromkeys(name.partition(".")[0] for name in named)
        raise SettingError(
            f"`clip` must name parameters of the model by the beginning of their names; {listed(unused)} fit none. The "
            f"names begin with {listed(top)}."
        )
    return [(groups[prefix], float(clip[prefix])) for prefix in clip]


def clip_gradients(groups: Groups) -> None:
    """Scale down the gradients of each group whose norm is too large."""
    for parameters, norm in groups:
        clip_grad_norm_(parameters, norm)


def _check(clip: Mapping[str, float]) -> None:
    wrong = {
        name: norm
        for name, norm in clip.items()
        if not (is_whole(norm, least=1) or (isinstance(norm, float) and norm > 0))
    }
    if wrong or not clip:
        raise SettingError(f"`clip` must be a positive norm, or map prefixes of names to positive norms; got {clip!r}.")
