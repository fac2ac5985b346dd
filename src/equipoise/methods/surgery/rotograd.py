"""RotoGrad: one rotation a task in front of its head, learned so that the tasks pull the features the same way."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import orthogonal

from ...errors import SettingError, TaskError, listed

__all__ = ["RotoGrad"]


class RotoGrad(nn.Module):
    r"""Heads behind rotations; the features get gradients of equal size, the rotations make them agree.

    Forward: head k sees :math:`r_k = R_k z`. Backward, with :math:`\tilde g_{nk}` the gradient of loss k at
    :math:`r_k` for sample n, :math:`G_k` the rows :math:`R_k^\top \tilde g_{nk}` and :math:`U_k = G_k / |G_k|`, norms
    over the whole batch:

    .. math::
        \text{scale:}\quad & \nabla_z = C \sum_k U_k, \qquad C = \sum_k a_k |G_k|, \qquad
            a_k \propto |G_k| / |G_k^0|,\; \sum_k a_k = 1 \\
        \text{rotate:}\quad & \nabla_{R_k} = -\sum_n \tilde g_{nk} v_n^\top, \qquad v_n = \tfrac1K \sum_k U_{nk}

    with :math:`|G_k^0|` the norm at the first training step. The second is the gradient of
    :math:`-\sum_n \langle R_k^\top \tilde g_{nk}, v_n \rangle`, everything but :math:`R_k` constant. All of it happens
    inside the usual backward pass of the sum (or mean) of the losses::

        model = RotoGrad({"depth": depth_head, "normals": normals_head}, dim=64)
        optimizer = Adam([{"params": [*backbone.parameters(), *model.heads.parameters()], "lr": 1e-3},
                          {"params": model.rotation_parameters(), "lr": 1e-4}])
        outputs = model(backbone(x))                      # {"depth": ..., "normals": ...}
        (depth_loss(outputs["depth"]) + normals_loss(outputs["normals"])).backward()

    The rotations lead (Stackelberg): they must learn more slowly than the features, which follow.

    Shapes:
        features (..., dim), every leading axis a sample -> one head output a task; a rotation is (dim, dim).
    Scale:
        K identical gradients give their plain sum. Each task pulls with the same norm, however its loss is scaled;
        heads get their own gradients, untouched.
    Degenerate:
        A task without gradient (absent, finished) counts neither in C nor in v; its first norm is taken when it first
        has one. Where the unit gradients cancel, v = 0 and the rotations rest: two tasks that pull one shared vector
        in opposite ways stay there, which is why the features must not converge first. Under
        distributed training norms are those of the rank's batch. A second derivative is refused.
    Errors:
        `SettingError` for a width that is not positive, or features of another width; `TaskError` for no heads, or
        names that PyTorch refuses.
    Cost:
        No further backward pass: K products of a (B, dim) with a (dim, dim) matrix each way, and a matrix exponential
        of size dim a task. Memory for K copies of the features.
    Source:
        Javaloy & Valera (2022), arXiv:2103.02631. Rotations start at the identity and stay in SO(dim) by
        PyTorch's orthogonal parametrization. We differ: the gradient of a rotation is the authors' divided by
        2 |mean gradient|, so the unit of the losses enters it once and not squared; multiply the
        authors' learning rate by that number.

    Args:
        heads: Task name -> module that takes rotated features.
        dim: Width of the features.
        scale: Whether the features' gradients are made of equal norm; else their plain sum is passed on.
        rotate: Whether there are rotations; else heads see the features as they are.

    Example:
        >>> model = RotoGrad({"a": nn.Identity(), "b": nn.Identity()}, dim=2)
        >>> z = torch.tensor([[1.0, 1.0]], requires_grad=True)
        >>> outputs = model(z)
        >>> (3 * outputs["a"][0, 0] + outputs["b"][0, 1]).backward()
        >>> z.grad  # C = (3 + 1) / 2 along the sum of both unit gradients
        tensor([[2., 2.]])
    """

    first_norms: Tensor

    def __init__(self, heads: Mapping[str, nn.Module], dim: int, *, scale: bool = True, rotate: bool = True) -> None:
        super().__init__()
        # a module dictionary refuses dots and the names of its own methods
        refused = [name for name in heads if not name or "." in name or hasattr(nn.ModuleDict(), name)]
        if not heads or refused:
            raise TaskError(
                "`heads` must map at least one task name, not empty, without a dot and no attribute of `nn.ModuleDict` "
                f"(such as 'type'), to a module; got {listed(refused) if heads else 'none'}."
            )
        if dim < 1:
            raise SettingError(f"`dim` is the width of the features and must be at least 1; got {dim}.")
        self.heads = nn.ModuleDict(heads)
        self.dim, self.scale, self.rotate = dim, scale, rotate
        self.layers = nn.ModuleDict({name: _rotation(dim) for name in heads} if rotate else {})
        self.register_buffer("first_norms", torch.zeros(len(heads)))

    def extra_repr(self) -> str:
        """The settings, as they print."""
        return f"dim={self.dim}, scale={self.scale}, rotate={self.rotate}"

    @property
    def rotations(self) -> dict[str, Tensor]:
        """Task name -> R_k (dim, dim); the identity without `rotate`."""
        if not self.rotate:
            return {name: torch.eye(self.dim).to(self.first_norms) for name in self.heads}
        return {name: _matrix(layer) for name, layer in self.layers.items()}

    def rotation_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the rotations, for an optimizer group with a smaller learning rate."""
        return self.layers.parameters()

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Every head's output.

        Args:
            features: Shared features, (..., dim).

        Returns:
            Task name -> output of its head.

        Raises:
            SettingError: Features of another width.
        """
        if not features.dim() or features.shape[-1] != self.dim:
            raise SettingError(
                f"features must have width dim={self.dim} on their last axis; got shape {tuple(features.shape)}."
            )
        matrices = [_matrix(layer) for layer in self.layers.values()]
        shared: tuple[Tensor, ...] = _Share.apply(features, self, len(self.heads), *matrices)  # type: ignore[no-untyped-call]
        return {name: head(own) for (name, head), own in zip(self.heads.items(), shared, strict=True)}


def _rotation(dim: int) -> nn.Module:
    layer = nn.Linear(dim, dim, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(dim))
    return orthogonal(layer, orthogonal_map="matrix_exp", use_trivialization=True)


def _matrix(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)  # parametrized: computed from what is trained
    return weight


class _Share(torch.autograd.Function):
    """z -> (R_1 z, ..., R_K z); its backward sees all tasks' gradients at once and returns RotoGrad's."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, owner: RotoGrad, count: int, *matrices: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*matrices)
        ctx.owner = owner
        if not matrices:
            return tuple(features.clone() for _ in range(count))
        return tuple(features @ matrix.to(features.dtype).T for matrix in matrices)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        matrices, owner = ctx.saved_tensors, ctx.owner
        exact = torch.promote_types(gradients[0].dtype, torch.float32)
        rotated = [gradient.to(exact) for gradient in gradients]
        pulls = [g @ m.to(exact) for g, m in zip(rotated, matrices, strict=True)] if matrices else rotated
        norms = torch.stack([torch.linalg.vector_norm(pull) for pull in pulls])
        units = [pull / torch.where(norm > 0, norm, 1.0) for pull, norm in zip(pulls, norms, strict=True)]
        total = torch.stack(units).sum(dim=0)
        passed = total * _common_norm(owner, norms) if owner.scale else torch.stack(pulls).sum(dim=0)
        mean = (total / (norms > 0).sum().clamp(min=1)).reshape(-1, owner.dim)
        turns = [
            -(g.reshape(-1, owner.dim).T @ mean).to(matrix.dtype) for g, matrix in zip(rotated, matrices, strict=False)
        ]
        return passed.to(gradients[0].dtype), None, None, *turns


def _common_norm(owner: RotoGrad, norms: Tensor) -> Tensor:
    """C: the norms' mean, weighted by how little each task has converged; notes first norms in training."""
    held = owner.first_norms.to(norms)
    first = torch.where((held > 0) | ~norms.isfinite(), held, norms)
    if owner.training:
        owner.first_norms.copy_(first)
    ratios = norms / torch.where(first > 0, first, 1.0)
    return (ratios * norms).sum() / torch.where(norms > 0, ratios, 0.0).sum().clamp(min=torch.finfo(norms.dtype).tiny)
