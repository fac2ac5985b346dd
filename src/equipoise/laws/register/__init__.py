"""What implementations of the methods' names really do: ours, and those that other installed packages ship.

``python -m equipoise.laws.register`` examines them all and prints what it found. An adapter (`packages`) calls the
public interface of another package; `examine` sets what comes back against the laws of the method's paper and against
an answer known by hand; `table` prints. The page ``docs/register.md`` is written by it.
"""

from .adapter import Foreign
from .examine import Row, examine, inputs
from .packages import PACKAGES, Package

__all__ = ["PACKAGES", "Foreign", "Package", "Row", "examine", "inputs"]
