"""How often the alarms of a recording are false, and how soon they find what is wrong.

**Healthy runs**, 200 in all. 170 are simulated losses of two to five tasks over 500 to 2,000 steps, with multiplicative
gamma noise of 5 to 30 % a step: power laws, exponentials that end at a common floor, sigmoids, and runs that have
converged. 30 are real trainings (`_small_problems.py`, 400 steps, batches of 64; equal weights, MGDA or UPGrad; Adam or
plain gradient descent), recorded by ``eq.record``. Counted is a run with any alarm at all.

**Planted faults**, each in twelve trainings (four problems, three methods, Adam), always about the third task:
labels that are noise drawn anew in every batch; a head behind a ReLU that is dead; a trunk with a learning rate of
zero; a head with a learning rate of zero; labels that are shuffled within the batch from step 400 on. Counted are
alarms that name the task or the parameters, and the steps from the fault to the alarm; ``within`` are those found
within 300 steps, a tenth of a run of 3,000.

Run::

    OMP_NUM_THREADS=1 python benchmarks/alarm.py --out alarm [--quick]

writes ``alarm.json`` and ``alarm.md`` there. About three minutes of one core; ``--quick`` takes a tenth of the runs.
"""

import argparse
import itertools
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import machine, table, write
from _small_problems import PROBLEMS, TASKS, Net, Problem, batches, loss_of
from torch import nn

import equipoise as eq
from equipoise.core.records.training import Alarm
from equipoise.training.recording.alarms.loss_watch import LossWatch
from equipoise.training.recording.alarms.run_alarms import FALSE_ALARMS
from equipoise.training.recording.folder import read_training

METHODS = {"equal weights": eq.LinearScalarization, "MGDA": eq.MGDA, "UPGrad": eq.UPGrad}
BATCH, SHUFFLED, TENTH = 64, 400, 300
FAULTS = {"noise task": 400, "dead head": 300, "trunk not trained": 100, "head not trained": 100, "shuffled": 700}
"""Steps that are trained with each."""


def simulated(seed: int) -> bool:
    """Whether a healthy run of simulated losses gives an alarm."""
    drawn = np.random.default_rng(seed)
    steps, k = int(drawn.choice([500, 1000, 2000])), int(drawn.integers(2, 6))
    noise, time = float(drawn.choice([0.05, 0.15, 0.3])), np.arange(steps)[:, None]
    floor = drawn.uniform(0.02, 0.2)
    if seed % 4 == 0:
        curves = 0.02 + (1 + time / drawn.uniform(20, 100, k)) ** -drawn.uniform(0.5, 1.0, k)
    elif seed % 4 == 1:
        curves = floor + (1 - floor) * np.exp(-time / (steps / drawn.uniform(4, 12) * drawn.uniform(0.75, 1.5, k)))
    elif seed % 4 == 2:
        curves = floor + (1 - floor) / (1 + np.exp((time - steps / 5) / (steps / 16) * drawn.uniform(0.8, 1.2, k)))
    else:
        curves = np.ones((steps, 1)) * drawn.uniform(0.1, 3, k)
    losses = curves * drawn.gamma(noise**-2, noise**2, size=curves.shape)
    watch = LossWatch(k, FALSE_ALARMS / 2)
    return any(watch.add(list(range(i, i + 50)), losses[i : i + 50]) for i in range(0, steps, 50))


def trained(problem: Problem, method: str, seed: int, steps: int, fault: str = "", *, adam: bool = True) -> list[Alarm]:
    """The alarms of one recorded training."""
    x, targets = problem.data(seed)
    torch.manual_seed(seed)
    net = Net(x.shape[1], problem)
    rates = {"trunk not trained": (0.0, 1.0, 1.0), "head not trained": (1.0, 1.0, 0.0)}.get(fault, (1.0, 1.0, 1.0))
    rate = 1e-3 if adam else 0.05
    parts: list[nn.Module] = [net.trunk, net.heads[:2], net.heads[2]]  # type: ignore[list-item]
    groups = [{"params": part.parameters(), "lr": rate * r} for part, r in zip(parts, rates, strict=True)]
    optimizer = torch.optim.Adam(groups) if adam else torch.optim.SGD(groups)
    balancer = eq.Balancer(METHODS[method](), tasks=TASKS, model=net)
    drawn, generator = batches(len(x), BATCH, seed), torch.Generator().manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        recorder = eq.record(balancer, Path(folder) / "run")
        for step in range(1, steps + 1):
            rows, losses = next(drawn), []
            for task, (kind, output, target) in enumerate(zip(problem.kinds, net(x[rows]), targets, strict=True)):
                wanted = target[rows]
                if task == 2 and fault == "noise task":
                    noise = torch.randn(len(rows), generator=generator)
                    wanted = noise if kind == "squares" else (noise > 0).float()
                if task == 2 and fault == "shuffled" and step > SHUFFLED:
                    wanted = wanted[torch.randperm(len(rows), generator=generator)]
                made = (output - output.detach().max() - 1).relu() if task == 2 and fault == "dead head" else output
                losses.append(loss_of(kind, made, wanted))
            optimizer.zero_grad()
            balancer(losses).backward()
            optimizer.step()
        recorder.close()
        return [alarm for line in read_training(Path(folder) / "run").lines for alarm in line.alarms]


def finds(alarm: Alarm, fault: str) -> bool:
    """Whether an alarm names what was planted."""
    if fault.endswith("not trained"):
        part = "trunk." if fault.startswith("trunk") else "heads.2."
        return alarm.kind == "not moved" and all(name.startswith(part) for name in alarm.names)
    return alarm.kind in ("stopped", "rose") and alarm.task == 2 and (fault != "shuffled" or alarm.found > SHUFFLED)


def main() -> None:
    """Runs everything and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    pairs = list(itertools.product(PROBLEMS, METHODS))
    real = [(problem, method, seed) for seed in range(4) for problem, method in pairs][: 4 if chosen.quick else 30]
    found: dict[str, Any] = {"simulated": [seed for seed in range(16 if chosen.quick else 170) if simulated(seed)]}
    found["real"] = [
        (problem.name, method, seed, [alarm.model_dump() for alarm in alarms])
        for problem, method, seed in real
        if (alarms := trained(problem, method, seed, 400, adam=seed % 2 == 0))
    ]
    healthy = [
        ("simulated", 16 if chosen.quick else 170, len(found["simulated"])), ("trained", len(real), len(found["real"])),
    ]  # fmt: skip
    planted = []
    for fault, steps in FAULTS.items():
        delays = []
        for problem, method in pairs[:2] if chosen.quick else pairs:
            alarms = [alarm for alarm in trained(problem, method, 7, steps, fault) if finds(alarm, fault)]
            delays.append(min((a.found - (SHUFFLED if fault == "shuffled" else 0) for a in alarms), default=None))
        found[fault] = delays
        known = [delay for delay in delays if delay is not None]
        middle = f"{np.median(known):.0f} ({max(known)})" if known else "n/a"
        within = sum(delay <= TENTH for delay in known)
        planted.append((fault, len(delays), len(known), within, middle))
    heads = ("planted", "runs", "found", "within 300 steps", "delay in steps, median (largest)")
    tables = table(("healthy runs", "number", "with an alarm"), healthy), table(heads, planted)
    write(chosen.out, "alarm", found, "\n\n".join([f"{machine()}.", *tables]))


if __name__ == "__main__":
    main()
