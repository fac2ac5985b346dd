"""Changes to the model itself."""

from .rotograd import RotoGrad

__all__ = ["RotoGrad"]
