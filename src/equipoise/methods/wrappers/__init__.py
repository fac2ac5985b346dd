"""Values around values: methods made of another method."""

from .smoothed import Smoothed

__all__ = ["Smoothed"]
