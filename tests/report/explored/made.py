"""Records of explorations with a known truth."""

from equipoise.core.records.explored import (
    ChosenPoint,
    ConditionedCurve,
    ExploredPoint,
    ExploredTask,
    ExploreRecord,
    PointRun,
    SingleTask,
)


def point(name, losses, support="weights", gap=0.0, seeds=2, **changed):
    runs = tuple(
        PointRun(
            seed=seed, status="done", losses=tuple(value + 0.01 * seed for value in losses), seconds=1.0,
            metrics={"t0 <b>": {"R2": 0.9}}, folder=f"runs/{name.lower()}{seed}",
        )
        for seed in range(seeds)
    )  # fmt: skip
    whole = {
        "name": name, "kind": "sum" if name[0] == "S" else "tchebycheff", "preference": f"call of {name}",
        "weights": tuple(1 / len(losses) for _ in losses), "reason": "the corner of 't0'", "losses": losses,
        "runs": runs, "support": support, "gap": gap, "interval": (0.8 * gap, 1.2 * gap) if seeds > 1 else None,
        "low": None, "high": None, "mixture": (("S1", 0.6), ("S2", 0.4)) if gap else (),
    }  # fmt: skip
    return ExploredPoint(**(whole | changed))


def record(*points, seeds=2, **changed):
    k = len(points[0].losses)
    tasks = tuple(ExploredTask(name=f"t{i} <b>", loss="mean squared error", metrics=("R2",)) for i in range(k))
    singles = tuple(
        SingleTask(task=task.name, loss=0.1, runs=(PointRun(seed=0, status="done", losses=(0.1,) * k),))
        for task in tasks
    )
    whole = {
        "title": "made <i>", "command": "equipoise explore made.csv", "problem": "made", "tasks": tasks,
        "judged_on": "the validation part", "rows": (15, 16), "seeds": tuple(range(seeds)), "budget": "5 epochs",
        "points": points, "singles": singles, "units": (1.0,) * k, "reference": (1.1,) * k, "volumes": (0.5, 0.75),
        "ended": ("all runs were made", "all runs were made"), "emptiest": (("S1", "S2"),),
        "chosen": (ChosenPoint(wish="the knee", status="ok", point=points[0].name, losses=points[0].losses,
                               test={0: (0.5,) * k, 1: (0.7,) * k}),),
        "resamples": 200 if seeds > 1 else 0, "paired": True, "device": "CPU", "versions": {"equipoise": "0.1.0"},
    }  # fmt: skip
    return ExploreRecord(**(whole | changed))


def curve(k):
    ends = [tuple(float(i == j) for j in range(k)) for i in range(k)]
    return ConditionedCurve(
        words="a network", seed=0, preferences=tuple(ends), losses=tuple(tuple(1 - v for v in row) for row in ends),
        dominated=0.0, controllability=(1.0,) * k, volume=0.9, parameters=(12, 10), seconds=1.0,
    )  # fmt: skip
