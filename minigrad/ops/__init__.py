"""Differentiable operations by topic. Importing this package gives Tensor its methods."""

from . import (
    activation,
    arithmetic,
    conv,
    dropout,
    linear,
    loss,
    methods,
    norm,
    pool,
    reduce,
    shape,
)

__all__ = [
    "activation",
    "arithmetic",
    "conv",
    "dropout",
    "linear",
    "loss",
    "methods",
    "norm",
    "pool",
    "reduce",
    "shape",
]
