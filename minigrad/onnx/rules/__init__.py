"""The rules, by family: each adds an operation's nodes to the graph."""

from . import activation, elementwise, functions, indexing, layers, reduce, shape

__all__ = ["activation", "elementwise", "functions", "indexing", "layers", "reduce", "shape"]
