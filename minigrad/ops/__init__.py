"""Differentiable operations by topic. Importing this package gives Tensor its methods."""

from . import methods as methods
