"""The elements of the tape: variables, and nodes for the operations that computed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .. import writes
from ..device import Array
from ..hooks import Hooks

Backward: TypeAlias = "Callable[[Array, tuple[bool, ...]], tuple[Array | None, ...]]"
Target: TypeAlias = "Node | Variable | None"  # where a gradient goes


class Variable:
    """The part of a Tensor that the tape needs.

    Attributes:
        data: its array.
        node: the operation that computed it, or None for a leaf.
        requires_grad: whether gradients are computed for it.
    """

    __slots__ = ("__weakref__", "_hooks", "_requires_grad", "data", "node")

    data: Array
    node: Node | None
    _requires_grad: bool
    _hooks: Hooks | None  # of a leaf: functions of its gradient

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def ndim(self) -> int:
        ndim: int = self.data.ndim
        return ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def _check_accumulate(self) -> None:
        """Raise if :meth:`_accumulate` would raise."""

    def _accumulate(self, gradient: Array, owned: bool) -> None:
        """Add an array to a leaf's gradient. If ``owned``, the leaf may keep its memory."""
        raise NotImplementedError

    def _accumulate_recorded(self, gradient: Variable) -> None:
        """Add to a leaf's gradient one that can itself be differentiated."""
        raise NotImplementedError


class Node:
    """An operation on the tape: its derivative and the targets of its gradients. It holds only the
    values that the derivative keeps.

    Attributes:
        operation: the operation.
        inputs: the target of each argument's gradient; None if no gradient is needed.
        backward: the derivative; None after the graph is freed.
        recall: values for differentiating the derivative (see :mod:`minigrad.tape.twice`).
        shape, dtype: shape and dtype of the result.
    """

    __slots__ = (
        "__weakref__", "_hooks", "backward", "dtype", "inputs", "operation", "recall", "shape",
        "written",
    )  # fmt: skip

    def __init__(
        self, operation: Any, y: Array, inputs: tuple[Target, ...], backward: Backward
    ) -> None:
        self.operation, self.inputs = operation, inputs
        self.shape, self.dtype = y.shape, y.dtype
        self.backward: Backward | None = backward
        self.recall: Any = None
        self._hooks: Hooks | None = None  # functions of the result's gradient
        self.written = writes.time  # when it was recorded

    def name(self) -> str:
        """PyTorch's name of the node: ``"MulBackward0"`` for ``mul``."""
        words = self.operation.name.split("_")
        return "".join(word[:1].upper() + word[1:] for word in words) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The targets of the gradients, as in PyTorch: (node, 0), or (None, 0)."""
        return tuple(
            (AccumulateGrad(target) if isinstance(target, Variable) else target, 0)
            for target in self.inputs
        )

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class AccumulateGrad:
    """Stands for a leaf in ``next_functions``.

    Attributes:
        variable: the leaf.
    """

    next_functions = ()

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def __repr__(self) -> str:
        return "<AccumulateGrad>"
