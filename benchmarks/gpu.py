"""The engine on a CUDA device: is it right, what does it cost, how often does it wait?

1. Every method, and every way to get gradients, in float64 on the device and on the CPU from the same numbers: the
   largest difference of a parameter's gradient over three steps, relative to its largest entry. More than 1e-6 is a
   fault (random methods draw on the CPU, so they agree too).
2. The ways of ``benchmarks/engine.py`` side by side, torchjd among them, in float32 and under bfloat16 autocast: time
   of a step by the device's clock and peak memory, as multiples of a plain step of the same round.
3. Kernels launched and waits for the device in a steady step, by the profiler and ``set_sync_debug_mode``.

Run::

    python benchmarks/gpu.py --out gpu [--seconds 540]

writes ``gpu/gpu.json`` and ``gpu/gpu.md``, after each setting, and stops in time; what was left out is listed. Without
a CUDA device it says so and checks itself on the CPU: two CPU runs must agree to the last digit, a wrong gradient must
be found, every way must run once. Exit code 1 where anything is at fault.
"""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from host_copies import host_copies
from torch import Tensor, nn

import equipoise as eq
from engine import Model, build, losses_of, ways
from equipoise.engine.cost.peak_memory import peak_bytes

LIMIT = 1e-6  # relative difference between device and CPU in float64
WIDE, NARROW = 96, 8  # rows of a batch: gradients are formed; products come from output gradients
Build = Callable[[nn.Module], eq.Balancer]


# ------------------------------------------------------------------------------------------------------ correctness
def network(k: int = 3) -> nn.Module:
    """A small trunk with heads, in float64, from a fixed seed."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(5, 24), nn.Tanh(), nn.Linear(24, 16), nn.Tanh())
    return nn.ModuleDict({"trunk": trunk, "heads": nn.ModuleList([nn.Linear(16, 1) for _ in range(k)])}).double()


def cases() -> Iterator[tuple[str, Build, dict[str, Any]]]:
    """Name, Balancer and options of each check."""
    for name, kind in eq.methods.table.items():
        method = kind()
        settings: dict[str, Any] = {"steps_per_epoch": 2} if method.per_epoch else {}
        options = {"features": method.needs == "features", "second": getattr(method, "samples_twice", False)}

        def make(m: nn.Module, method: Any = method, more: dict[str, Any] = settings) -> eq.Balancer:
            layer = {"layer": m["trunk"][2]} if method.on_layer else {}
            return eq.Balancer(method, tasks=tuple("abc"), model=m, **more, **layer)

        yield f"method {name}", make, options
    engines: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "sequential": ({}, {}),
        "two-phase": ({}, {"features": True}),
        "few rows": ({}, {"features": True, "rows": NARROW}),
        "owned rows": ({}, {"features": True, "owned": True}),
        "streaming": ({"memory_limit": 12_000}, {}),
        "recompute": ({"mode": "recompute"}, {}),
        "weighted heads": ({"heads": "weighted"}, {}),
        "float64 products": ({"gradients": eq.Exact(products="float64")}, {"features": True}),
        "sketch": ({"gradients": eq.Sketch(64)}, {}),
        "features": ({"gradients": eq.Features()}, {"features": True}),
        "every second step": ({"gradients": eq.Every(2)}, {}),
        "by module": ({"granularity": "module"}, {}),
        "by tensor": ({"granularity": "tensor"}, {}),
        "accumulated": ({}, {"window": 2}),
    }
    for name, (settings, options) in engines.items():
        yield (
            f"engine {name}",
            lambda m, s=settings: eq.Balancer(eq.UPGrad(), tasks=tuple("abc"), model=m, **s),
            options,
        )
    yield (
        "engine last layer",
        lambda m: eq.Balancer(eq.UPGrad(), tasks=tuple("abc"), model=m, gradients=eq.LastLayer(m["trunk"][2])),
        {},
    )


def gradients(device: torch.device, make: Build, options: dict[str, Any]) -> list[Tensor]:
    """Gradients of three steps of gradient descent on a device, as CPU tensors."""
    model = network().to(device)
    balancer, window = make(model), options.get("window", 1)
    balancer.to(device)
    draw = torch.Generator().manual_seed(1)
    rows, found = options.get("rows", WIDE), []

    def losses() -> tuple[dict[str, Tensor], Tensor]:
        x = torch.randn(rows, 5, generator=draw, dtype=torch.float64)
        y = (torch.randn(rows, 3, generator=draw, dtype=torch.float64) + x[:, :1]).to(device)
        z = model["trunk"](x.to(device))
        chosen = [slice(i, None, 3) if options.get("owned") else slice(None) for i in range(3)]
        pairs = zip("abc", model["heads"], chosen, strict=True)
        return {n: (head(z[at])[:, 0] - y[at, i]).square().mean() for i, (n, head, at) in enumerate(pairs)}, z

    if window > 1:
        balancer.accumulate(steps=window)
    for _ in range(3):
        model.zero_grad()
        for _ in range(window):
            mine, z = losses()
            more: dict[str, Any] = {"features": z} if options.get("features") else {}
            more |= {"second": losses()[0]} if options.get("second") else {}
            balancer(mine, **more).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    found.append(parameter.grad.to("cpu", copy=True))
                    parameter.sub_(parameter.grad, alpha=0.05)
    return found


def difference(one: list[Tensor], two: list[Tensor]) -> float:
    """Largest difference, relative to the largest entry of each gradient; inf where one is missing or not finite."""
    if len(one) != len(two) or not all(bool(torch.isfinite(t).all()) for t in (*one, *two)):
        return float("inf")
    return max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(one, two, strict=True))


def check(device: torch.device, names: set[str] | None, until: float) -> dict[str, float | str]:
    """Difference between the device and the CPU by case; words where a case raised or there was no time."""
    found: dict[str, float | str] = {}
    for name, make, options in cases():
        if names is not None and name not in names:
            continue
        if time.monotonic() > until:
            found[name] = "left out: no time"
            continue
        try:
            found[name] = difference(gradients(device, make, options), gradients(torch.device("cpu"), make, options))
        except (RuntimeError, ValueError, TypeError) as problem:  # equipoise's errors are such; shown, and a fault
            found[name] = f"raised {type(problem).__name__}: {problem}"
    return found


def faults(checked: dict[str, float | str]) -> list[str]:
    """Cases that are wrong or raised."""
    return [
        f"{name}: {value}"
        for name, value in checked.items()
        if (isinstance(value, str) and not value.startswith("left out")) or (isinstance(value, float) and value > LIMIT)
    ]


# ------------------------------------------------------------------------------------------------------------- cost
def seconds(step: Callable[[], None], device: torch.device) -> float:
    """Time of one step by the device's clock, or by the CPU's where there is no device."""
    if device.type != "cuda":
        began = time.process_time()
        step()
        return time.process_time() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000


def table(kind: str, batch: int, k: int, dtype: str, device: torch.device, rounds: int) -> dict[str, Any]:
    """Every way in one setting: median ratio to the plain step of the same round, and of its peak memory."""

    def forward(model: Model, x: Tensor, y: Tensor, rows: str) -> tuple[list[Tensor], Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
            losses, z = losses_of(model, x, y, rows)
        return [loss.float() for loss in losses], z

    model, x, y = build(kind, batch, k)
    model, x, y = model.to(device), x.to(device), y.to(device)
    found, balancer = ways(model, x, y, "shared", forward)
    entry: dict[str, Any] = {"model": kind, "batch": batch, "tasks": k, "type": dtype, "left out": {}}
    memory: dict[str, int] = {}
    for name, step in tuple(found.items()):
        try:
            for _ in range(3):
                model.zero_grad(set_to_none=True)
                step()
            model.zero_grad(set_to_none=True)
            memory[name] = peak_bytes(step, device)
        except (RuntimeError, ValueError, NotImplementedError, TypeError) as problem:
            entry["left out"][name] = f"{type(problem).__name__}: {str(problem).splitlines()[0][:120]}"
            del found[name]
    ratios: dict[str, list[float]] = {name: [] for name in found}
    plain = []
    for _ in range(rounds):
        for name, step in found.items():
            model.zero_grad(set_to_none=True)
            base = seconds(found["plain"], device)
            model.zero_grad(set_to_none=True)
            ratios[name].append(seconds(step, device) / base)
            plain.append(base)
    entry |= {"plain ms": 1000 * statistics.median(plain), "plain MiB": memory["plain"] / 2**20}
    entry["engine"], entry["predicted"] = balancer.plan.engine, balancer.plan.cost
    entry["ways"] = {n: [statistics.median(v), memory[n] / memory["plain"]] for n, v in ratios.items()}
    return entry


def waits(featured: bool, device: torch.device) -> dict[str, Any]:
    """Kernels and waits of one steady step of MGDA; kernels include the user's forward and backward."""
    model, x, y = build("mlp", 256, 3)
    model, x, y = model.to(device), x.to(device), y.to(device)
    balancer = eq.Balancer(eq.MGDA(), model=model)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        losses, z = losses_of(model, x, y, "shared")
        balancer(losses, features=z if featured else None).backward()

    for _ in range(4):
        step()
    name = "features=" if featured else "losses alone"
    if device.type != "cuda":
        with host_copies(x, y, *model.parameters()) as copies:
            losses, z = losses_of(model, x, y, "shared")
            balancer(losses, features=z if featured else None)
        return {"step": name, "copies to the host (predicted on the CPU)": dict(copies)}
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
        step()
        torch.cuda.synchronize()
    events = Counter(event.key for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA)
    copies_to = {key: count for key, count in events.items() if key.startswith("Memcpy")}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = Counter(f"{Path(w.filename).name}:{w.lineno}" for w in caught if "synchroniz" in str(w.message))
    return {"step": name, "kernels": sum(events.values()) - sum(copies_to.values()), "copies": copies_to,
            "waits": dict(places)}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- page
def page(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = ["# The engine on a device", "", *(f"- {key}: {value}" for key, value in result["about"].items()), ""]
    lines += ["## Device against CPU, float64", "", "| case | largest relative difference |", "|---|---|"]
    lines += [f"| {n} | {v if isinstance(v, str) else f'{v:.1e}'} |" for n, v in result["checked"].items()]
    lines += ["", "## Cost: time / peak memory, plain step = 1", ""]
    for e in result["tables"]:
        shown = ", ".join(f"{name} {t:.2f} / {m:.2f}" for name, (t, m) in e["ways"].items())
        lines.append(
            f"- {e['model']} B={e['batch']} k={e['tasks']} {e['type']}, plain {e['plain ms']:.2f} ms, "
            f"{e['plain MiB']:.0f} MiB ({e['engine']}): {shown}"
            + (f"; left out: {e['left out']}" if e["left out"] else "")
        )
    lines += ["", "## Launches and waits of one step", "", *(f"- {entry}" for entry in result["waits"])]
    return "\n".join([*lines, "", "## Faults", "", *(result["faults"] or ["none"])]) + "\n"


def self_check() -> list[str]:
    """Whether the script finds what it should, on the CPU: a few cases, one wrong gradient, one small table."""
    cpu, wrong = torch.device("cpu"), []
    names = {"method mgda", "method graddrop", "engine two-phase", "engine accumulated"}
    checked = check(cpu, names, float("inf"))
    if set(checked) != names or any(value != 0.0 for value in checked.values()):
        wrong.append(f"two CPU runs must agree to the last digit; found {checked}")
    _, make, options = next(case for case in cases() if case[0] == "method mgda")
    one = gradients(cpu, make, options)
    if not faults({"spoilt": difference([one[0] + 1e-3 * one[0].abs().max(), *one[1:]], one)}):
        wrong.append("a gradient that is wrong by 1e-3 was not found")
    entry = table("mlp", 4, 3, "bfloat16", cpu, 1)
    if not {"plain", "equipoise", "backward loop"} <= set(entry["ways"]):
        wrong.append(f"a way did not run: {entry['left out']}")
    counted = [waits(featured, cpu) for featured in (False, True)]
    print("\n".join([f"checked {checked}", f"table {entry}", *map(str, counted)]))
    return wrong


def main() -> int:
    """Measures and writes, or checks itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--seconds", type=float, default=540.0, help="time for everything")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if not torch.cuda.is_available():
        print(
            "There is no CUDA device: nothing about one is measured. This is the script's check of itself on the CPU."
        )
        wrong = self_check()
        print("\n".join(wrong) or "The script's own machinery works.")
        return 1 if wrong else 0
    until, device = time.monotonic() + options.seconds, torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = False
    result: dict[str, Any] = {
        "about": {"torch": torch.__version__, "device": torch.cuda.get_device_name(), "tf32": False},
        "checked": {}, "tables": [], "waits": [], "faults": [],
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        (options.out / "gpu.json").write_text(json.dumps(result, indent=1))
        (options.out / "gpu.md").write_text(page(result))

    result["waits"] = [waits(featured, device) for featured in (False, True)]
    result["checked"] = check(device, None, until - 0.4 * options.seconds)
    result["faults"] = faults(result["checked"])
    write()
    for k in (3, 10):
        for kind in ("mlp", "conv", "transformer"):
            for dtype in ("float32", "bfloat16"):
                if time.monotonic() > until - 30:
                    result["about"].setdefault("left out for time", []).append(f"{kind} k={k} {dtype}")
                    continue
                result["tables"].append(table(kind, 256, k, dtype, device, 15))
                write()
    write()
    print(page(result))
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
