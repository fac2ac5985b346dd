"""Frameworks of others: Lightning, Hugging Face, PINA, torchjd in a training; Ray, Slurm and Optuna across many.

Nothing here imports a framework before it is used; what is missing is named with the extra that installs it. Accelerate
and torchrun need no adapter: the Balancer's own line is all there is (``docs/frameworks.md``).
"""

from .huggingface import BalancedTrainer
from .lightning import lightning_callback
from .optuna import optuna_search
from .pina import pina_weighting
from .ray import RayExecutor
from .slurm import SlurmExecutor
from .torchjd import from_torchjd, to_torchjd

__all__ = [
    "BalancedTrainer",
    "RayExecutor",
    "SlurmExecutor",
    "from_torchjd",
    "lightning_callback",
    "optuna_search",
    "pina_weighting",
    "to_torchjd",
]
