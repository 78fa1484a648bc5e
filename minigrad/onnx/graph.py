"""A model's operations as the nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..device import CPU, Array, move
from ..nn import Module
from ..tensor import Tensor
from .trace import Call, Key, record_runs

Size: TypeAlias = "int | tuple[int, ...]"  # a size, or its value in each run if they differ


class Value(NamedTuple):
    """A value computed in the graph, or a parameter or buffer of the model."""

    name: str
    shape: tuple[Size, ...]
    dtype: np.dtype[Any]


Operand: TypeAlias = "Value | str | Array | None"  # a str is the name of a node's output


# An operation's rule adds its nodes to the graph ``g`` and returns the name of their result:
# ``rule(g, y, *operands, **params)`` with ``y`` the result's shape and dtype, operands that are
# Values, arrays, numbers or None, and the operation's own parameters.
Rule: TypeAlias = "Callable[..., str]"
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Register ``function`` as the rule of the operation of its name."""
    RULES[function.__name__.strip("_")] = function
    return function


class Graph:
    """The nodes of ``model`` in order, and the constants they use.

    Attributes:
        nodes: ``NodeProto`` messages.
        constants: arrays on the CPU by name: used parameters and buffers, and other constants.
        input, output: the graph's Values.
    """

    def __init__(
        self, model: Module, inputs: list[Tensor], input_name: str, output_name: str
    ) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._state = {name: t.data for name, t in model.state_dict().items()}
        runs = record_runs(model, inputs, self._state, RULES)
        self.input = Value(input_name, _sizes(*(x.shape for x in inputs)), inputs[0].dtype)
        self._values = {Key(None): self.input} | {
            Key(name): Value(name, a.shape, a.dtype) for name, a in self._state.items()
        }
        for number, calls in enumerate(zip(*(run.calls for run in runs), strict=True)):
            self._add(number, calls)
        first = runs[0]
        self("Identity", self._operand(first.result))
        self.nodes[-1].output[0] = output_name
        self.output = Value(output_name, _sizes(*(run.shape for run in runs)), first.dtype)

    def _add(self, number: int, calls: tuple[Call, ...]) -> None:
        """Add the nodes of one operation, given its call in each run."""
        first = calls[0]
        operands = [self._operand(x) for x in first.inputs]
        params = {
            key: _sizes(*(call.params[key] for call in calls))
            if key == "shape"
            else self._operand(value)
            for key, value in first.params.items()
        }
        y = Value("", _sizes(*(call.shape for call in calls)), first.dtype)
        name = RULES[first.name](self, y, *operands, **params)
        self._values[Key(number)] = y._replace(name=name)

    def _operand(self, x: Any) -> Any:
        """An operand of an operation: the Value of a key, an array moved to the CPU, or anything
        else unchanged."""
        if isinstance(x, Key):
            return self._values[x]
        if isinstance(x, tuple):
            return tuple(map(self._operand, x))
        return move(x, CPU) if hasattr(x, "dtype") else x

    # -- what rules use

    def __call__(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Add a node; returns the name of its output. An array becomes a constant, and None is no
        input."""
        from onnx import helper

        output = f"{kind}_{len(self.nodes)}"
        names = [self.name(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        self.nodes.append(helper.make_node(kind, names, [output], name=output, **attributes))
        return output

    def name(self, x: Operand) -> str:
        """The name of ``x`` in the graph."""
        if x is None or isinstance(x, str):
            return x or ""
        if isinstance(x, Value):
            if x.name in self._state:
                self.constants[x.name] = np.asarray(move(self._state[x.name], CPU))
            return x.name
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(x).reshape(x.shape)
        return name

    def cast(self, x: Any, dtype: Any) -> Operand:
        """A Value, an array or a number in ``dtype``."""
        if not isinstance(x, Value):
            return np.asarray(x, dtype)
        if x.dtype == dtype:
            return x
        from onnx import helper

        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _sizes(*shapes: tuple[int, ...]) -> tuple[Size, ...]:
    """A shape in all runs. Each size is a number if they agree, else a tuple of numbers."""
    return tuple(n[0] if len(set(n)) == 1 else n for n in zip(*shapes, strict=True))
