"""A mixture of trained models as one module: one member, drawn by the request's name, serves each request."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..core.numbers import Array
from ..errors import InputError, SettingError, StateError, listed

__all__ = ["MixtureModel"]

FORMAT = 1
_WEIGHTS, _CARD, _TEMPORARY = "members.safetensors", "mixture.json", ".equipoise-tmp"
_BITS = 2**53


class MixtureModel(nn.Module):
    """Serves one of several models, drawn for each request with given probabilities.

    The draw depends on the request's name and the seed alone (SHA-256, then the inverse of the cumulative
    probabilities): the same user gets the same model, on every machine and in every process. Over many requests the
    expected loss of task i is sum_j a_j L_ji, which is what `equipoise.linear.mixture` optimises. A single user sees
    one member, with the losses of that member; `variance` says how far these lie apart.

    Averaging the members' *parameters* is not this and has no guarantee; averaging their *predictions* is
    `predict_mean`.

    Args:
        members: The m modules, called alike.
        probabilities: (m,) non-negative, sum 1 (to 1e-6; divided by their sum).
        losses: (m, k) losses of the members, or None.
        tasks: Names of the k tasks, or None.
        seed: Seed of the draws. Another seed deals the requests anew.

    Raises:
        SettingError: No member, probabilities or losses that do not fit.

    Example:
        >>> import torch
        >>> model = MixtureModel([torch.nn.Identity(), torch.nn.Tanh()], [0.5, 0.5], losses=[[0.0, 1.0], [1.0, 0.0]])
        >>> [model.draw(f"user-{i}") for i in range(6)]
        [0, 1, 1, 0, 0, 0]
        >>> model(torch.ones(1), request="user-0"), model.expected_losses.tolist(), model.variance.tolist()
        (tensor([1.]), [0.5, 0.5], [0.25, 0.25])
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        probabilities: ArrayLike,
        *,
        losses: ArrayLike | None = None,
        tasks: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        shares = np.array(probabilities, dtype=np.float64)
        count = len(self.members)
        if not count:
            raise SettingError("`members` must hold at least one model; found none.")
        if shares.shape != (count,) or not np.isfinite(shares).all() or shares.min() < 0:
            raise SettingError(f"`probabilities` must be {count} numbers of at least 0; found {shares.tolist()}.")
        if abs(float(shares.sum()) - 1) > 1e-6:
            raise SettingError(f"`probabilities` must have sum 1; found {float(shares.sum())!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise SettingError(f"`seed` must be a whole number; found {seed!r}.")
        self.seed = seed
        self._shares = shares / shares.sum()
        self._losses = None if losses is None else np.array(losses, dtype=np.float64)
        if self._losses is not None and (self._losses.ndim != 2 or len(self._losses) != count):
            raise SettingError(f"`losses` must have shape ({count}, tasks); found {self._losses.shape}.")
        if self._losses is not None and not np.isfinite(self._losses).all():
            raise SettingError(f"`losses` must be finite; found {self._losses.tolist()}.")
        self.tasks = None if tasks is None else tuple(str(name) for name in tasks)
        if self._losses is not None and self.tasks is not None and len(self.tasks) != self._losses.shape[1]:
            raise SettingError(f"`tasks` must name {self._losses.shape[1]} tasks; found {listed(self.tasks)}.")
        self._ends = np.cumsum(self._shares)
        # the last member that can be drawn ends at exactly 1, whatever the rounding of the sum
        self._ends[np.flatnonzero(self._shares)[-1] :] = 1.0

    def draw(self, request: str | bytes | int) -> int:
        """The member that serves a request: the same for the same request, seed and probabilities.

        Args:
            request: Name or number of the user, session or request. 7 and "7" are the same.
        """
        if not isinstance(request, bytes):
            request = str(request).encode()
        digest = hashlib.sha256(f"{self.seed}:".encode() + request).digest()
        uniform = (int.from_bytes(digest[:8], "big") >> 11) / _BITS  # in [0, 1), 53 bits
        return int(np.searchsorted(self._ends, uniform, side="right"))

    def forward(self, *inputs: Any, request: str | bytes | int, **named: Any) -> Any:
        """The output of the member that serves `request`; nothing else is computed."""
        return self.members[self.draw(request)](*inputs, **named)

    def predict_mean(self, *inputs: Any, **named: Any) -> Any:
        """The mean of the members' outputs: NOT the mixture, and not what `expected_losses` describes.

        Losses that are convex in the prediction (squared error, cross-entropy of probabilities or logits) are at most
        those of the mixture (Jensen); other losses may be higher. It costs one pass for each member of positive
        probability. Outputs must be tensors, or mappings or sequences of them.
        """
        used = [(float(share), member) for share, member in zip(self._shares, self.members, strict=True) if share > 0]
        outputs = [member(*inputs, **named) for _, member in used]
        return _mean([share for share, _ in used], outputs)

    @property
    def expected_losses(self) -> Array:
        """(k,) sum_j a_j L_ji."""
        return np.asarray(self._shares @ self._known_losses())

    @property
    def variance(self) -> Array:
        """(k,) variance of each loss over the draw of the member: sum_j a_j (L_ji - expected_i)^2."""
        known = self._known_losses()
        return np.asarray(self._shares @ (known - self._shares @ known) ** 2)

    def _known_losses(self) -> Array:
        if self._losses is None:
            raise InputError("no losses of the members are known; give them: MixtureModel(members, a, losses=...).")
        return self._losses

    @property
    def shares(self) -> tuple[float, ...]:
        """The probabilities of the members."""
        return tuple(float(share) for share in self._shares)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the members' parameters (safetensors) and everything else (JSON) into a new folder.

        Raises:
            InputError: The folder exists.
        """
        path = Path(folder)
        if path.exists():
            raise InputError(f"`save` writes a new folder; {path} exists. Choose another, or remove it first.")
        temporary = path.with_name(path.name + _TEMPORARY)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        # clones: members that share tensors would be refused, and shared tensors may be views of larger ones
        state = {name: value.detach().cpu().clone().contiguous() for name, value in self.members.state_dict().items()}
        save_file(state, temporary / _WEIGHTS)
        card = {
            "format": FORMAT,
            "members": [type(member).__name__ for member in self.members],
            "probabilities": self.shares,
            "losses": None if self._losses is None else self._losses.tolist(),
            "tasks": self.tasks,
            "seed": self.seed,
        }
        (temporary / _CARD).write_text(json.dumps(card, indent=1) + "\n")
        temporary.rename(path)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], members: Sequence[nn.Module] | Callable[[], nn.Module]
    ) -> "MixtureModel":
        """Read a saved mixture into freshly built members.

        Args:
            folder: Folder that `save` wrote.
            members: The modules, or a function that builds one of them. Nothing in the folder is executed, so the
                architecture must come from the caller.

        Raises:
            StateError: The folder does not hold a mixture, or one of other members.
        """
        path = Path(folder)
        try:
            card = json.loads((path / _CARD).read_text())
            state = load_file(path / _WEIGHTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise StateError(f"{path} must hold {_CARD} and {_WEIGHTS}, as `save` writes them: {error}") from error
        lacking = {"members", "probabilities", "losses", "tasks", "seed"} - set(card if isinstance(card, dict) else ())
        if lacking or card.get("format") != FORMAT:
            raise StateError(f"{path / _CARD} must be of format {FORMAT}, with all its entries; found {card!r:.100}.")
        made = callable(members) and not isinstance(members, nn.Module)
        built = [members() for _ in card["members"]] if made else list(members)  # type: ignore[operator, arg-type]
        if len({id(member) for member in built}) < len(built):
            raise StateError(
                "`members` must be different modules, or a function that builds a new one at each call: the parameters "
                "of one are read into each."
            )
        found = [type(member).__name__ for member in built]
        if found != card["members"]:
            raise StateError(f"{path} holds the members {card['members']}; given were {found}.")
        model = cls(built, card["probabilities"], losses=card["losses"], tasks=card["tasks"], seed=card["seed"])
        try:
            model.members.load_state_dict(state)
        except RuntimeError as error:
            raise StateError(f"the members saved in {path} are not those given: {error}") from error
        return model

    def extra_repr(self) -> str:
        """Probabilities and seed, as `print` shows them."""
        return f"probabilities={[round(share, 4) for share in self.shares]}, seed={self.seed}"


def _mean(shares: Sequence[float], outputs: Sequence[Any]) -> Any:
    first = outputs[0]
    if isinstance(first, Tensor):
        total = torch.zeros_like(first)
        for share, output in zip(shares, outputs, strict=True):
            total = total + share * output
        return total
    if isinstance(first, dict):
        return {key: _mean(shares, [output[key] for output in outputs]) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(_mean(shares, list(parts)) for parts in zip(*outputs, strict=True))
    raise InputError(f"`predict_mean` needs outputs of tensors; a member returned {type(first).__name__}.")
