"""DistributedDataParallel around the user's parameters: it averages in `backward` what each rank hands out."""

import gc
from collections.abc import Sequence
from weakref import ref

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from ...errors import EquipoiseError, InputError, SettingError
from ..blocks.task_gradients import Handout
from ..graph.autograd_graph import leaves_behind, read_graph
from ..graph.shards import subclasses
from ..pieces import is_sharded

__all__ = ["Reducer"]

_SINK = "_DDPSinkBackward"


class Reducer:
    """What is known of DistributedDataParallel (DDP) on this rank.

    PyTorch keeps no way from a parameter to the module that reduces it, so living objects are searched, once for each
    set of parameters that is new.

    Attributes:
        averages: Whether DDP reduces every parameter on every rank, so that each rank may hand out its own part. If
            not, gradients are merged before they are handed out, which is right with any reduction that averages, and
            with none.
    """

    def __init__(self) -> None:
        self.averages = True
        self._found: list[ref[DistributedDataParallel]] = []
        self._held: set[int] = set()

    def search(self, leaves: Sequence[Tensor]) -> None:
        """Looks for DDP modules that hold one of the leaves; for all of them where no leaf is given.

        Sharded parameters are in none.
        """
        if leaves and all(is_sharded(leaf) for leaf in leaves):
            return
        kinds = {DistributedDataParallel, *subclasses(DistributedDataParallel)}
        wanted = {id(leaf) for leaf in leaves}
        for thing in gc.get_objects():
            if type(thing) in kinds and all(known is not thing for known in self.modules()):
                held = {id(parameter) for parameter in thing.parameters()}
                if not wanted or not held.isdisjoint(wanted):
                    self._found.append(ref(thing))
                    self._held |= held

    def covers(self, leaf: Tensor) -> bool:
        """Whether a DDP module that was found holds the parameter."""
        return id(leaf) in self._held

    def note(self, covered: bool) -> None:
        """Takes in whether all ranks found DDP around all new parameters."""
        self.averages = self.averages and covered

    def modules(self) -> list[DistributedDataParallel]:
        """The DDP modules that are alive."""
        return [module for found in self._found if (module := found()) is not None]

    def ignored(self) -> set[int]:
        """Identities of parameters that DDP was told to leave alone: each rank has its own."""
        return {
            id(parameter)
            for module in self.modules()
            for name, parameter in module.named_parameters()
            if name in module.parameters_to_ignore
        }

    def refuse(self, losses: Sequence[Tensor], group: "distributed.ProcessGroup", *, passes: bool) -> None:
        """Raises where DDP cannot work with this step.

        Args:
            losses: Scalars of this rank; empty where it has no task.
            group: Ranks whose batches make the step.
            passes: Whether the step runs backward passes of its own.

        Raises:
            SettingError: DDP averages over other ranks.
            EquipoiseError: ``static_graph=True`` with passes of our own: PyTorch's reducer then counts them as the
                user's backward, and ranks drift apart without an error.
            InputError: ``find_unused_parameters=True`` on a rank without any task.
        """
        modules, mine = self.modules(), distributed.get_process_group_ranks(group)
        others = [ranks for m in modules if (ranks := distributed.get_process_group_ranks(m.process_group)) != mine]
        if others:
            raise SettingError(
                f"DistributedDataParallel averages over the ranks {others[0]}, the Balancer merges over {mine}: give "
                "both the same group, eq.Balancer(..., process_group=group)."
            )
        if passes and any(module.static_graph for module in modules):
            raise EquipoiseError(
                "DistributedDataParallel(static_graph=True) takes the first backward pass for yours, so gradients "
                "would silently not be averaged. Build it without static_graph, or use a method on losses alone."
            )
        if not losses and any(module.find_unused_parameters for module in modules):
            raise InputError(
                "this rank has no task in its batch, and find_unused_parameters=True needs a loss to see what is "
                "unused. Use find_unused_parameters=False, or give each rank at least one task."
            )

    def completed(self, handout: Handout, losses: Sequence[Tensor]) -> Handout:
        """The gradients to hand out, with zeros for what only other ranks use, because DDP waits for every parameter.

        Args:
            handout: Gradients of this rank.
            losses: Scalars of the tasks that this rank has.
        """
        given = {id(target) for target, _ in handout if target.is_leaf}
        inner = [target for target, _ in handout if not target.is_leaf]
        given |= {id(leaf) for leaf in leaves_behind(inner)}
        missing, ignored = dict[int, Tensor](), self.ignored()
        for module in self.modules():
            wanted = [p for p in module.parameters() if p.requires_grad and id(p) not in ignored]
            if module.find_unused_parameters:
                if inner:  # the losses' own graph passes DDP's sink, which fires every hook
                    continue
                graph = read_graph(losses)
                used = set()
                for node in graph.nodes:
                    if node.name() == _SINK:
                        used |= {id(n.variable) for n in graph.walk([node]) if hasattr(n, "variable")}
                wanted = [parameter for parameter in wanted if id(parameter) in used]
            missing |= {id(parameter): parameter for parameter in wanted if id(parameter) not in given}
        return [*handout, *((parameter, torch.zeros_like(parameter)) for parameter in missing.values())]
