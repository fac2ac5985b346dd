"""kill -9 at random moments, then the same call: the program that the test and the benchmark run.

``python -m tests.training.loop.killing FOLDER SEED KILLS METHOD...`` prints one JSON line a method. Importing torch
takes longer than a small training, so it is imported once, and each training is a fork of this process, which has
trained once itself: what torch imports at a first step is then there too. A child says when each step begins; the
parent kills it some random time after a random step has begun: in the step, in an evaluation, or while a checkpoint is
written.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from equipoise.training.loop.one_step import Stepper
from tests.training.loop.runs import STEPS, fit, stateful


def final(folder):
    """What a finished run left: its lines, and the hashes of all tensors of its last state and of its best models."""
    state = json.loads((folder / "checkpoint" / "state.json").read_text())
    return {
        "records": (folder / "records.jsonl").read_text(),
        "tensors": state["tensors"]["sha256"],
        "models": {step: file["sha256"] for step, file in state["models"].items()},
    }


def in_child(method, folder, kill=None, **settings):
    """Train in a forked process; kill it after `kill` = (step, seconds). Returns whether it was killed in time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            original = Stepper.step

            def told(stepper, number):
                os.write(writing, b".")
                original(stepper, number)

            Stepper.step = told
            fit(method, folder, **settings)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    begun = 0
    if kill is not None:
        step, seconds = kill
        while begun <= step and (found := os.read(reading, 1)):
            begun += len(found)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if kill is None and status != 0:
        raise RuntimeError(f"{method}: the training itself failed with status {status}")
    return os.WIFSIGNALED(status)


def main(place, seed, kills, methods):
    torch.set_num_threads(1)
    draw = random.Random(seed)
    fit("mgda")
    for method in methods or stateful():
        whole = place / f"{method}-whole"
        in_child(method, whole, save_seconds=60.0)
        expected, hits, equal, folder = final(whole), 0, 0, place / f"{method}-killed"
        for _ in range(kills):
            shutil.rmtree(folder, ignore_errors=True)
            hits += in_child(method, folder, (draw.randrange(STEPS), draw.random() * 0.03))
            in_child(method, folder)
            equal += final(folder) == expected
        print(json.dumps({"method": method, "kills": kills, "in time": hits, "equal": equal}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
