"""Ways to get gradients, as the Balancer's `gradients` setting: exact, or approximate by name."""

from .modes import Every, Exact, Features, LastLayer, Mode, Sketch, refuse_mode

__all__ = ["Every", "Exact", "Features", "LastLayer", "Mode", "Sketch", "refuse_mode"]
