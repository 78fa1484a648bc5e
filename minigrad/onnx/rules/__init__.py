"""The rules, by family: each adds an operation's nodes to the graph."""

from . import activation, elementwise, layers, reduce, shape

__all__ = ["activation", "elementwise", "layers", "reduce", "shape"]
