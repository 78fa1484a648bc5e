"""``minigrad.utils.data``, where PyTorch has it."""

from . import data

__all__ = ["data"]
