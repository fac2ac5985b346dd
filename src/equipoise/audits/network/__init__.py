"""Audit of a trained network: its penultimate features as the inputs of a linear problem."""

from .audit_features import audit_features

__all__ = ["audit_features"]
