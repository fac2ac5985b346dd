"""Tables with several targets: built-in sets, files by path, data frames; all become one `Table`.

| name | rows | inputs | tasks |
|---|---|---|---|
| ``arm`` | 2000 or as asked | 21 | 7 joint torques of a robot arm (exact inverse dynamics, generated here) |
| ``diabetes`` | 442 | 8 | body mass, blood pressure, disease progression |
| ``linnerud`` | 20 | 3 | weight, waist, pulse |

| file | what it becomes |
|---|---|
| ``.csv`` ``.tsv`` ``.txt`` ``.tab`` ``.data`` ``.dat`` | separator, decimals, encoding, kinds of columns are found |
| ``.jsonl`` ``.ndjson`` | one JSON object a line; nested keys become ``outer.inner`` |
| ``.arff`` | dense or sparse; numeric, nominal, text and date attributes |
| ``.mat`` | numeric matrices side by side; SARCOS is recognised |
| ``.dta``; with the extra ``tables``: ``.parquet`` ``.feather`` ``.xlsx`` | typed columns; the first sheet |

Each also packed (``.gz`` ``.bz2`` ``.xz``, ``.zip`` with one file), from standard input (``-``) or an http(s) address.
What is unpacked, piped or fetched is read up to 1 GiB; plain files have no limit.

Images: `equipoise.data.cifar10.read_cifar10` reads a folder of the binary CIFAR-10.

Importing this is cheap: pandas, SciPy and scikit-learn are imported where a table is read. Nothing is downloaded,
except what is asked for by its address.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .builtin.arm import inverse_dynamics, load_arm
from .builtin.catalogue import BUILTINS
from .raw import Card
from .reading import Reading
from .table import Table

if TYPE_CHECKING:
    from .encoding.encode import encode_arrays, encode_frame
    from .loading import load

__all__ = [
    "BUILTINS",
    "Card",
    "Reading",
    "Table",
    "encode_arrays",
    "encode_frame",
    "inverse_dynamics",
    "load",
    "load_arm",
]

_ON_USE = {  # these bring pandas
    "encode_arrays": ".encoding.encode",
    "encode_frame": ".encoding.encode",
    "load": ".loading",
}


def __getattr__(name: str) -> object:
    if name not in _ON_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_USE[name], __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
