import os
from dataclasses import dataclass

from equipoise.training.tables.comparing.executing import attempted


@dataclass(frozen=True)
class Task:
    """Stands for a `Unit`: returns its number, or kills its process."""

    number: int
    dies: bool = False

    @property
    def words(self):
        return f"task {self.number}"

    def run(self):
        if self.dies:
            os._exit(9)
        return f"result {self.number}"


def test_a_dead_worker_costs_its_own_training_only():
    told = []
    tasks = [Task(0), Task(1, dies=True), Task(2), Task(3)]
    found = attempted(tasks, 2, lambda done, total, words: told.append((done, total, words)))
    assert found == ["result 0", "its process died (killed, or out of memory)", "result 2", "result 3"]
    assert {total for _, total, _ in told} == {4}


def test_one_job_runs_here_and_in_order():
    told = []
    assert attempted([Task(5), Task(6)], 1, lambda *step: told.append(step)) == ["result 5", "result 6"]
    assert told == [(0, 2, "task 5"), (1, 2, "task 6")]
