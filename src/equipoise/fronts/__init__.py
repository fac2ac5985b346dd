"""Several models for one problem: mixtures that serve them."""

from .mixture_model import MixtureModel

__all__ = ["MixtureModel"]
