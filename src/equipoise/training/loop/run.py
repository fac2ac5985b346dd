"""Everything that one training is made of, and how it is taken up again."""

import logging
import time
from typing import Any

import torch

from ...balancer import Balancer
from ...core.records.fit_runs import FitConfig, FitLine
from ...errors import DataError, SettingError, listed
from ...methods.base import GramianMethod, Method
from ...methods.loss import Averaged
from ..problem.problem import Problem
from ..problem.sources import Items, Loader
from ..resuming.folder import RunFiles
from ..resuming.randomness import get_generators, set_generators
from .clipping import make_clip
from .evaluation import Evaluation, evaluate
from .feeding import make_feed
from .one_step import Schedule, Stepper
from .selection import WHOLE, Keeper, Selection
from .settings import Settings, describe, make_optimizer, steps_in_all
from .sums import Sums

__all__ = ["Run"]

_LOGGER = logging.getLogger("equipoise")


class Run:
    """Everything that a run is made of."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        asked: Settings,
        rule: Selection | None,
        amp: torch.dtype | None,
        device: str | torch.device | None,
    ) -> None:
        self.problem, self.asked, self.method, self.amp = problem, asked, method, amp
        self.began = time.perf_counter()
        self.before = 0.0  # seconds in earlier processes
        model = problem.make_model()
        if not isinstance(model, torch.nn.Module):
            raise SettingError(f"`make_model` must return a torch.nn.Module; it returned {type(model).__name__}.")
        first = next(model.parameters(), None)
        self.device = torch.device(device or ("cpu" if first is None else first.device))
        self.model = model.to(self.device)
        clock: dict[str, Any] = {"steps_per_epoch": "manual"} if method.per_epoch else {}
        alone: dict[str, Any] = {"process_group": "none"}  # each rank trains a model of its own, on all rows
        scaled = {"nonfinite": "propagate"} if amp == torch.float16 else {}
        options = {**alone, **clock, **scaled, **asked.balancer}
        self.balancer = Balancer(method, tasks=problem.tasks, model=model, **options).to(self.device)
        trained = list(self.balancer.trained.values())
        optimizer = make_optimizer(asked.optimizer, self.model, trained)
        source = problem.sources["train"]
        lies = source if isinstance(source, Items | Loader) else source.to(self.device)
        feed = make_feed(lies, asked.batch_size, asked.seed, self.device)
        twice = isinstance(method, GramianMethod) and method.samples_twice and not isinstance(source, Loader)
        steps, _ = steps_in_all(asked, feed)
        self.schedule = Schedule(optimizer, asked.schedule, asked.scheduler, asked.scheduler_per, steps)
        self.stepper = Stepper(
            problem=problem,
            model=self.model,
            balancer=self.balancer,
            optimizer=optimizer,
            schedule=self.schedule,
            feed=feed,
            second=make_feed(lies, asked.batch_size, asked.seed, self.device, stream=1) if twice else None,
            device=self.device,
            clip=make_clip(asked.clip, self.model, trained),
            amp=amp,
            scaler=torch.amp.GradScaler(self.device.type) if amp == torch.float16 else None,
            preference=asked.preference,
            keeper=method.keeper(self._losses_now) if isinstance(method, Averaged) else None,
        )
        self.keeper, self.sums, self.done, self.status = Keeper(rule), Sums(problem.tasks), 0, ""
        self.lines: list[FitLine] = []
        scheduler = self.schedule.scheduler
        self.config: FitConfig = describe(problem, method, asked, model, optimizer, scheduler, feed, self.device)

    @property
    def seconds(self) -> float:
        """Wall time over all processes."""
        return self.before + time.perf_counter() - self.began

    def part(self, name: str) -> Evaluation:
        """Losses and metrics of the model as it is on one part."""
        return evaluate(self.problem, self.model, self.problem.sources[name], self.device, self.amp)

    def _losses_now(self, model: torch.nn.Module) -> dict[str, Any]:
        part = "val" if "val" in self.problem.sources else "train"
        return dict(evaluate(self.problem, model, self.problem.sources[part], self.device, self.amp).losses)

    def evaluate(self, step: int) -> FitLine:
        """Look at the validation part, and let the rule decide."""
        found = self.part("val") if "val" in self.problem.sources else None
        validation = {} if found is None else found.losses
        scores = self.keeper.offer(step, validation, self.model)
        if found is not None and scores.get(WHOLE) == float("inf"):
            self._refuse_unlabelled(found)
        if WHOLE in scores:
            self.schedule.evaluated(scores[WHOLE])
        raw, weighted, weights = self.sums.means()
        self.sums.clear()
        length = self.stepper.feed.length
        counts = {**self.balancer.counts, **({"empty steps": self.stepper.empty} if self.stepper.empty else {})}
        line = FitLine(
            step=step,
            epoch=None if length is None else step / length,
            train_raw=raw,
            train_weighted=weighted,
            weights=weights,
            validation=validation,
            metrics={} if found is None else found.metrics,
            scores={key: score if abs(score) < float("inf") else None for key, score in scores.items()},
            improved=bool(scores) and self.keeper.since == 0,
            learning_rates=tuple(float(group["lr"]) for group in self.stepper.optimizer.param_groups),
            passes=self.stepper.passes,
            counts=counts,
        )
        self.lines.append(line)
        if self.asked.patience is not None and self.keeper.since >= self.asked.patience:
            self.status = "stopped early"
        return line

    def _refuse_unlabelled(self, found: Evaluation) -> None:
        """A task without a labelled validation row would leave every score infinite, and nothing would be selected."""
        unlabelled = [task for task, rows in found.rows.items() if not rows]
        if unlabelled and all(found.losses[task] is not None for task in found.losses if task not in unlabelled):
            raise DataError(
                f"the validation part must have a labelled row of every task that the selection judges; it has none of "
                f"{listed(unlabelled)}. Split again, judge the others alone with "
                f"select=eq.MeanLoss({{...: 1, {unlabelled[0]!r}: 0}}), or keep the last model with select=None."
            )

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        stepper, scheduler = self.stepper, self.schedule.scheduler
        return {
            "done": self.done,
            "status": self.status,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "balancer": self.balancer.state_dict(),
            "optimizer": stepper.optimizer.state_dict(),
            "scheduler": None if scheduler is None else scheduler.state_dict(),
            "scaler": None if stepper.scaler is None else stepper.scaler.state_dict(),
            "iterates": None if stepper.keeper is None else stepper.keeper.state_dict(),
            "generators": get_generators(self.device),
            "feed": stepper.feed.state(),
            "epoch": stepper.feed.epoch,
            "empty": stepper.empty,
            "passes": stepper.passes,
            "sums": self.sums.state(),
            "best": {key: [score, step] for key, (score, step) in self.keeper.best.items()},
            "since": self.keeper.since,
        }

    def resume(self, files: RunFiles) -> None:
        """Go on from the last checkpoint of a folder, if it has one."""
        found = files.load()
        if found is None:
            return
        state, models, lines = found
        if files.config.threads != torch.get_num_threads():
            _LOGGER.warning(
                "%s: the run began with %d threads and goes on with %d; sums may differ in their last bits. Type "
                "torch.set_num_threads(%d) for the same numbers to the bit.",
                files.folder, files.config.threads, torch.get_num_threads(), files.config.threads,
            )  # fmt: skip
        stepper = self.stepper
        self.model.load_state_dict(state["model"])
        self.balancer.load_state_dict(state["balancer"])
        stepper.optimizer.load_state_dict(state["optimizer"])
        if stepper.scaler is not None:
            stepper.scaler.load_state_dict(state["scaler"])
        if stepper.keeper is not None:
            stepper.keeper.load_state_dict(state["iterates"])
        stepper.empty, stepper.passes = state["empty"], state["passes"]
        if not state["status"]:
            stepper.feed.load(state["feed"])
        stepper.feed.epoch = max(stepper.feed.epoch, state["epoch"])
        stepper.resume(state["epoch"])
        self.schedule.load(state["scheduler"])
        self.sums.load(state["sums"])
        self.keeper.best = {key: (float(score), int(step)) for key, (score, step) in state["best"].items()}
        self.keeper.states, self.keeper.since = models, state["since"]
        self.done, self.status, self.before, self.lines = state["done"], state["status"], state["seconds"], list(lines)
        set_generators(state["generators"], self.device)
