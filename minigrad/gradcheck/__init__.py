"""Check the gradients of any function of Tensors against central differences.

``python -m minigrad.gradcheck module:function --shape 3,4`` does it from the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import check, rng
from ..tensor import Tensor, no_grad


def gradcheck(
    func: Callable[..., Tensor],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare backward() with (L(x + ε) − L(x − ε)) / 2ε for every element of every input.

    L = Σ v · func(x) for one random v, so an output of any shape costs two evaluations per input
    element, and an error in any entry of the Jacobian shows with probability 1.

    Args:
        func: function of ``inputs`` that returns one floating Tensor. It must be smooth within ε
            of the inputs and repeatable: seed dropout inside it.
        inputs: its arguments; those that are float64 Tensors requiring gradients are checked.
        eps, atol, rtol: step, and tolerance ``atol + rtol · |numerical|``.
        raise_exception: raise on a mismatch instead of returning False.

    Raises:
        TypeError: ``func`` returns something else than one floating Tensor.
        ValueError: no input can be checked (float32 differences are too coarse), or the result
            depends on none of them.
        AssertionError: a mismatch; the text names the input, the index, both values and how far
            off they are and may be, and how many elements of that input are off.
    """
    for name, value in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        check.number(name, value, 0)
    if not eps:
        raise ValueError("eps: expected a step above 0, got 0")
    check.function("func", func)
    check.boolean("raise_exception", raise_exception)
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    args = check.items("inputs", inputs, "arguments")
    checked = [
        i
        for i, x in enumerate(args)
        if isinstance(x, Tensor) and x.requires_grad and x.dtype == np.float64
    ]
    if not checked:
        raise ValueError("inputs: expected at least one float64 Tensor with requires_grad=True")
    args = [_fresh(x) if i in checked else x for i, x in enumerate(args)]
    y = func(*args)
    if not isinstance(y, Tensor) or y.dtype.kind != "f":
        came = f"a Tensor of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"func: expected it to return one floating Tensor, got {came}")
    if not y.requires_grad:
        raise ValueError("func: its result depends on no input that requires grad")
    v = Tensor(_direction(y.shape).astype(y.dtype))
    y.backward(v)
    for i in checked:
        x = args[i]
        analytical = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
        numerical = np.empty(x.shape)
        flat = x.data.reshape(-1)
        assert flat.base is x.data or flat is x.data, "inputs are copied in C order"
        for k in range(flat.size):
            here = flat[k]
            values = []
            for shifted in (here + eps, here - eps):
                flat[k] = shifted
                with no_grad():
                    values.append(float((func(*args).detach().numpy() * v.numpy()).sum()))
            flat[k] = here
            numerical.reshape(-1)[k] = (values[0] - values[1]) / (2 * eps)
        off = np.abs(analytical - numerical)
        wrong = ~(off <= atol + rtol * np.abs(numerical))  # also catches NaN
        if wrong.any():
            if not raise_exception:
                return False
            where = np.unravel_index(np.argmax(np.where(wrong, off, -1)), off.shape)
            index = tuple(int(n) for n in where)
            raise AssertionError(
                f"gradcheck: input {i}, index {index}: analytical {analytical[index]:.9g}, "
                f"numerical {numerical[index]:.9g}, off by {off[index]:.3g}, "
                f"allowed {atol + rtol * np.abs(numerical[index]):.3g} "
                f"({int(wrong.sum())} of {wrong.size} elements of this input are off)"
            )
    return True


def _fresh(x: Tensor) -> Tensor:
    return Tensor(np.array(x.data, order="C"), requires_grad=True)


def _direction(shape: tuple[int, ...]) -> Any:
    """A random direction whose entries are of similar size, so that none hides another."""
    draw = rng.generator()
    return draw.uniform(0.5, 1.5, shape) * draw.choice((-1.0, 1.0), shape)
