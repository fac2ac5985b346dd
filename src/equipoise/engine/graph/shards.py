"""Parameters that FSDP2 (`fully_shard`) shards over ranks: finding them behind losses, and refusing what is not right.

`fully_shard` keeps a piece of each parameter on every rank (`DTensor`) and computes with gathered copies, which are the
leaves of the graph. What a copy receives reaches its parameter only through FSDP's own hooks, in `backward`.
"""

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ref

from torch import Tensor, distributed, nn

from ...errors import EquipoiseError, listed
from ..pieces import is_sharded
from .autograd_graph import Graph, read_graph
from .inspection import inspect_graph

__all__ = ["Behind", "Shards", "inside_pipeline", "subclasses"]

_IMPORTED = "torch.distributed.fsdp"
_TENSORS = "torch.distributed.tensor"
_PIPELINES = "torch.distributed.pipelining"


@dataclass(frozen=True, eq=False)
class Behind:
    """Leaves behind some losses, with sharded parameters in place of their gathered copies.

    Attributes:
        graph: Graph of the losses.
        parameters: Sharded parameters, in the order of the walk.
        others: Every other leaf: inputs that require grad.
    """

    graph: Graph
    parameters: Sequence[Tensor]
    others: Sequence[Tensor]


class Shards:
    """The modules of FSDP2 in this process.

    PyTorch keeps no way from a gathered copy to its module, so living objects are searched, once for each set of leaves
    that is new.
    """

    def __init__(self) -> None:
        self._plain: dict[int, ref[Tensor]] = {}  # parameters that no module had gathered when they were met
        self._nothing = -1  # version of what is known of parameters, at which nothing was sharded

    def behind(self, losses: Sequence[Tensor], version: int) -> Behind | None:
        """The sharded parameters behind some losses; None where there are none.

        Args:
            losses: Scalars of the present tasks.
            version: Version of the record of parameters (`Ownership.version`): while it stays, so does the answer None.
        """
        if version == self._nothing or not losses or not _possible():
            return None
        graph = read_graph(losses)
        leaves = list(graph.leaves.values())
        pairs = self._pairs_of(leaves)
        found = [pairs[id(leaf)] for leaf in leaves if id(leaf) in pairs]
        if not found and not any(is_sharded(leaf) for leaf in leaves):
            self._nothing = version
            return None
        return Behind(graph, found, [leaf for leaf in leaves if id(leaf) not in pairs])

    def in_use(self) -> bool:
        """Whether any module of this process is sharded."""
        if _possible() and not any(True for _ in _living()):
            _search()
        return any(True for _ in _living())

    def leaves(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The leaves, with sharded parameters in place of their gathered copies."""
        pairs = self._pairs_of(leaves)
        return [pairs.get(id(leaf), leaf) for leaf in leaves]

    def refuse(self, losses: Sequence[Tensor], behind: Behind, name: Callable[[Tensor], str], ranks: int) -> None:
        """Raises for what is not shown to be right, every offender at once.

        Args:
            losses: Scalars of the present tasks.
            behind: Leaves behind them.
            name: Function that names a parameter, for messages.
            ranks: Number of ranks whose batches make the step.

        Raises:
            EquipoiseError: Tensor parallel, parameters that are not sharded, float16, or FSDP settings under which
                gradients do not arrive.
        """

        def named(tensors: Sequence[Tensor]) -> str:
            return listed([name(tensor) for tensor in tensors[:3]])

        wrong = []
        split = [leaf for leaf in behind.others if is_sharded(leaf)]
        split += [parameter for parameter in behind.parameters if not _by_data(parameter)]
        if split:
            wrong.append(
                f"{named(split)}: tensor parallel is not shown to be right yet; shard with fully_shard over the data "
                "ranks alone"
            )
        meshes = {parameter.device_mesh.size() for parameter in behind.parameters}  # type: ignore[attr-defined]
        if not split and meshes and meshes != {ranks}:
            wrong.append(
                f"parameters are sharded over {listed(sorted(map(str, meshes)), quote='')} ranks, and the batches of "
                f"{ranks} make the step: pass the group of the same ranks as process_group=, such as mesh.get_group(). "
                "Pipelines and tensor parallel beside it are not shown to be right yet"
            )
        whole = [leaf for leaf in behind.others if isinstance(leaf, nn.Parameter) and not is_sharded(leaf)]
        if whole:
            wrong.append(
                f"{named(whole)}: not sharded, so nothing averages its gradient over ranks; wrap the whole model with "
                "fully_shard(model) after its blocks, without ignored_params="
            )
        facts = inspect_graph(losses, behind.graph)
        if facts.half:
            wrong.append("float16 needs a scale of the passes that is not built for shards: use bfloat16 or float32")
        if facts.reentrant:
            wrong.append(
                "activations are checkpointed with use_reentrant=True: type torch.utils.checkpoint.checkpoint(..., "
                "use_reentrant=False)"
            )
        wrong += _refused_settings(behind.parameters)
        if wrong:
            raise EquipoiseError(f"per-task gradients under FSDP2 cannot be taken here. {'; '.join(wrong)}.")

    def _pairs_of(self, leaves: Sequence[Tensor]) -> dict[int, Tensor]:
        """Identity of each gathered copy -> its sharded parameter."""
        if not _possible():
            return {}
        pairs = {id(copy): one.sharded_param for copy, one, _ in _entries()}
        unknown = [leaf for leaf in leaves if isinstance(leaf, nn.Parameter) and id(leaf) not in pairs]
        if any(self._plain.get(id(leaf), _gone)() is not leaf for leaf in unknown):
            _search()
            pairs = {id(copy): one.sharded_param for copy, one, _ in _entries()}
            self._plain = {id(leaf): ref(leaf) for leaf in unknown if id(leaf) not in pairs}
        return pairs


def _gone() -> None:
    """A reference to nothing."""


def _refused_settings(parameters: Sequence[Tensor]) -> list[str]:
    """Settings of the parameters' modules under which gradients do not arrive."""
    inside, wrong = {id(parameter) for parameter in parameters}, []
    for copy, one, module in _entries():
        if id(one.sharded_param) not in inside:
            continue
        if not getattr(getattr(_state(module), "_state_ctx", None), "is_last_backward", True):
            wrong.append("set_is_last_backward(False) leaves reductions running: call set_is_last_backward(True)")
        waits = copy.grad is not None or getattr(one, "unsharded_accumulated_grad", None) is not None
        if waits or not all(getattr(group, "reduce_grads", True) for group in _groups(module)):
            wrong.append(
                "set_requires_gradient_sync(False) keeps gradients on their rank: leave it True, and use "
                "balancer.accumulate(steps=n) for micro-batches"
            )
    return list(dict.fromkeys(wrong))


_MODULES: list[ref[nn.Module]] = []
"""Sharded modules that were found; one list for all Balancers, because a search reads every object of the process."""


def _living() -> Iterator[nn.Module]:
    return (module for found in _MODULES if (module := found()) is not None)


def _possible() -> bool:
    """Whether anything can be sharded: never without a process group, where a search would cost 0.1 s for nothing."""
    return distributed.is_available() and distributed.is_initialized() and _TENSORS in sys.modules


def _search() -> None:
    if _IMPORTED not in sys.modules:
        return
    kinds = set(subclasses(sys.modules[_IMPORTED].FSDPModule))  # fully_shard makes one for each class of modules
    _MODULES[:] = [ref(thing) for thing in gc.get_objects() if type(thing) in kinds] if kinds else []


def _entries() -> Iterator[tuple[Tensor, Any, nn.Module]]:
    """Each gathered copy that exists, FSDP's record of its parameter, and the module."""
    for module in _living():
        for group in _groups(module):
            for one in group.fsdp_params:
                copy = getattr(one, "_unsharded_param", None)
                if copy is not None:
                    yield copy, one, module


def subclasses(kind: type) -> Iterator[type]:
    """Every class below one, however deep."""
    direct: list[type] = kind.__subclasses__()
    for below in direct:
        yield below
        yield from subclasses(below)


def inside_pipeline() -> bool:
    """Whether a schedule of `torch.distributed.pipelining` is running."""
    if _PIPELINES not in sys.modules:
        return False
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_PIPELINES):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _state(module: nn.Module) -> Any:
    sharded: Any = module
    return sharded._get_fsdp_state()


def _groups(module: nn.Module) -> list[Any]:
    """FSDP's groups of parameters of one module; its name differs between versions of PyTorch."""
    state = _state(module)
    groups = getattr(state, "_fsdp_param_groups", None)
    return [group for group in (groups if groups is not None else [state._fsdp_param_group]) if group is not None]


def _by_data(parameter: Tensor) -> bool:
    """Whether a parameter is sharded once, over the last axis of its mesh, and replicated over others (FSDP, HSDP)."""
    *outer, last = parameter.placements  # type: ignore[attr-defined]
    plain = type(last).__name__ == "Shard" and all(type(placement).__name__ == "Replicate" for placement in outer)
    return plain and len(outer) <= 1
