"""Ways to compute gradients, the values of the Balancer's `gradients` setting: exact, or approximate by name.

Each is a file in `sources`; a new one is imported here.
"""

from .sources.exact import Exact
from .sources.features import Features
from .sources.last_layer import LastLayer
from .sources.mode import Mode, refuse_mode
from .sources.reuse import Every
from .sources.sketch import Sketch

__all__ = ["Every", "Exact", "Features", "LastLayer", "Mode", "Sketch", "refuse_mode"]
