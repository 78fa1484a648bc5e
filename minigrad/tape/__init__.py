"""The tape: reverse-mode automatic differentiation of functions of arrays.

An operation is one function of arrays that returns its result and its own derivative::

    @op
    def mul(a, b):
        '''y = a b,  dL/da = g b,  dL/db = g a'''
        return a * b, lambda g, needs: (g * b, g * a)

:func:`op`, which states the contract, turns it into a function of Tensors that records a
:class:`Node` on the tape: the closure, and the nodes it sends gradients to. :func:`sweep` is the
backward pass, from the result to the leaves (Griewank & Walther, *Evaluating Derivatives*, 2008,
ch. 3). The closure keeps the arrays that backward needs, and nothing else is kept.

With ``create_graph=True`` gradients are themselves recorded: :mod:`minigrad.tape.twice` has the
rules of operations for that, :mod:`minigrad.gradients` their use.

The tape works on arrays. :class:`Variable` is the part of a Tensor that it uses.
"""

from .backward import Gradient, add, add_along, add_into, copy, sweep, unbroadcast
from .graph import AccumulateGrad, Backward, Node, Target, Variable
from .modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .operation import Operation, kind_of, op, target
from .twice import Diagonal, Gone, Multilinear, Rerun, keeping

__all__ = [
    "AccumulateGrad",
    "Backward",
    "Diagonal",
    "Gone",
    "Gradient",
    "Multilinear",
    "Node",
    "Operation",
    "Rerun",
    "Target",
    "Variable",
    "add",
    "add_along",
    "add_into",
    "copy",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "keeping",
    "kind_of",
    "no_grad",
    "op",
    "set_grad_enabled",
    "sweep",
    "target",
    "unbroadcast",
]
