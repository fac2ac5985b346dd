"""The memory that is left on this machine."""

from pathlib import Path

__all__ = ["available_memory"]

_MEMINFO = Path("/proc/meminfo")


def available_memory() -> float | None:
    """Bytes that could be taken without swapping, as Linux estimates them; None where the system does not say.

    The estimate counts the part of the file cache that the system would give back, which "free" memory leaves out.
    """
    try:
        with _MEMINFO.open("rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(b"MemAvailable:")]
    return found[0] if found else None
