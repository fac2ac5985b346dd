import os
from dataclasses import dataclass

from equipoise.training.tables.comparing.executing import Unit, attempted


@dataclass(frozen=True, eq=False)
class Task(Unit):
    """A unit that returns its number, or kills its process."""

    dies: bool = False

    @property
    def words(self):
        return f"task {self.seed}"

    def run(self):
        if self.dies:
            os._exit(9)
        return f"result {self.seed}"


def task(number, *, dies=False):
    return Task(None, None, number, None, dies)


def test_a_dead_worker_costs_its_own_training_only():
    told = []
    found = attempted([task(0, dies=True), task(1)], 2, lambda *step: told.append(step))
    assert found[0].startswith("its process died")
    assert found[1] == "result 1"
    assert told[0] == (0, 2, "task 0")


def test_one_job_runs_here_and_in_order():
    told = []
    assert attempted([task(5), task(6)], 1, lambda *step: told.append(step)) == ["result 5", "result 6"]
    assert told == [(0, 2, "task 5"), (1, 2, "task 6")]
