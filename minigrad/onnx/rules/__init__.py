"""The rules, by family: each adds an operation's nodes to the graph."""

from . import elementwise, layers, reduce, shape

__all__ = ["elementwise", "layers", "reduce", "shape"]
