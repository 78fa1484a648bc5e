"""Compare the gradients of any function of Tensors with central differences.

``python -m minigrad.gradcheck module:function --shape 3,4`` does so from the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import check, rng
from ..gradients import grad
from ..ops.shape import cat
from ..options import lacks
from ..tensor import Tensor

EVERYWHERE = (-math.inf, math.inf)
NOTHING = "inputs: expected at least one float64 Tensor with requires_grad=True"


@lacks(
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
)
def gradcheck(
    func: Callable[..., Tensor],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    *,
    constant: Sequence[int] = (),
    domains: Mapping[int, tuple[float, float]] | None = None,
) -> bool:
    """Compare backward() with (L(x + ε) − L(x − ε)) / 2ε for each element of each input.

    L = Σ v · func(x) for one random v. So an output of any shape costs two evaluations per input
    element, and an error in any entry of the Jacobian is found with probability 1.

    Args:
        func: returns one float64 Tensor from ``inputs``. It must be smooth within ε of the inputs
            and repeatable: seed dropout inside it.
        inputs: arguments of ``func``. The float64 Tensors that require gradients are checked.
        eps, atol, rtol: step ε, and tolerance ``atol + rtol · |numerical|``.
        raise_exception: raise on a mismatch instead of returning False.
        constant: numbers of inputs, from 0, that are not checked although they require gradients.
        domains: for an input's number, the interval (low, high) on which ``func`` is defined. At
            its ends the difference is one-sided.

    Raises:
        TypeError: ``func`` does not return one floating Tensor.
        ValueError: the check is impossible, which says nothing about the derivative: no input can
            be checked, or the result depends on none of them, is not finite near them, differs from
            call to call, or is coarser than float64.
        AssertionError: a mismatch. The text names the input, the index, both values, their
            difference and its tolerance, and how many elements of that input are off.
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
    if not any(isinstance(x, Tensor) and x.requires_grad for x in args):
        raise ValueError(NOTHING)
    constants = [_number("constant", n, args) for n in check.items("constant", constant, "numbers")]
    bounds = _bounds(domains, args)
    checked = _checked(args, constants)
    args = [
        _fresh(x, i in checked) if i in checked or i in constants else x for i, x in enumerate(args)
    ]
    y = func(*args)
    if not isinstance(y, Tensor) or y.dtype.kind != "f":
        got = f"a Tensor of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise TypeError(f"func: expected it to return one floating Tensor, got {got}")
    if not y.requires_grad:
        raise ValueError("func: its result depends on no input that requires grad")
    if y.dtype != np.float64:
        raise ValueError(f"func: expected a result of float64, got {y.dtype}: too coarse to check")
    values = y.detach().numpy()
    if not np.isfinite(values).all():
        index = _index(np.argmin(np.isfinite(values)), values.shape)
        raise ValueError(
            f"func: its result at index {index} is {values[index]}: give inputs inside its domain"
        )
    v = _direction(y.shape)

    def scalar() -> float:
        return float((func(*args).detach().numpy() * v).sum())

    before = float((values * v).sum())
    if abs(scalar() - before) / eps > atol + rtol * abs(before):
        raise ValueError("func: its result differs from call to call: seed what it draws")
    y.backward(Tensor(v))
    for i in checked:
        x = args[i]
        analytical = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
        numerical = _differences(scalar, x.data, f"input {i}", eps, *bounds.get(i, EVERYWHERE))
        off = np.abs(analytical - numerical)
        wrong = ~(off <= atol + rtol * np.abs(numerical))  # also catches NaN
        if wrong.any():
            if not raise_exception:
                return False
            index = _index(np.argmax(np.where(wrong, off, -1)), off.shape)
            note = "" if x.grad is not None else "; no gradient reaches it: is it a constant?"
            raise AssertionError(
                f"gradcheck: input {i}, index {index}: analytical {analytical[index]:.9g}, "
                f"numerical {numerical[index]:.9g}, off by {off[index]:.3g}, "
                f"allowed {atol + rtol * np.abs(numerical[index]):.3g} "
                f"({int(wrong.sum())} of {wrong.size} elements of this input are off{note})"
            )
    return True


@lacks(
    gen_non_contig_grad_outputs=False,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
)
def gradgradcheck(
    func: Callable[..., Tensor],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    constant: Sequence[int] = (),
    domains: Mapping[int, tuple[float, float]] | None = None,
) -> bool:
    """:func:`gradcheck` of the gradients: of Σ grad_output · dfunc/dinput, with respect to every
    element of every input and of the gradient of the result.

    Args:
        func, inputs, eps, atol, rtol, raise_exception, constant, domains: as :func:`gradcheck`;
            ``func`` must have two derivatives.
        grad_outputs: the gradient of the result, with its shape and dtype (default: random).

    Raises:
        NotImplementedError: the derivative of an operation in ``func`` cannot be differentiated;
            the message names the operation.
        TypeError, ValueError, AssertionError: as :func:`gradcheck`. In a mismatch the last input
            is the gradient of the result.
    """
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    args = check.items("inputs", inputs, "arguments")
    held = {_number("constant", n, args) for n in check.items("constant", constant, "numbers")}
    if not any(isinstance(x, Tensor) and x.requires_grad for x in args):
        raise ValueError(NOTHING)
    y = check.function("func", func)(*args)
    if not isinstance(y, Tensor) or not y.requires_grad:
        raise ValueError("func: its result is no Tensor that depends on an input with gradients")
    if grad_outputs is None:
        grad_outputs = Tensor(_direction(y.shape))
    seed = check.tensor("grad_outputs", grad_outputs).detach().requires_grad_()

    def gradients(*args: Any) -> Tensor:
        *given, g = args
        xs = [
            x
            for i, x in enumerate(given)
            if isinstance(x, Tensor) and x.requires_grad and i not in held
        ]
        gradients_of_inputs = grad(func(*given), xs, g, create_graph=True, materialize_grads=True)
        return cat([gradient.reshape(-1) for gradient in gradients_of_inputs])

    return gradcheck(
        gradients, [*args, seed], eps, atol, rtol, raise_exception, constant=constant,
        domains=domains,
    )  # fmt: skip


def _differences(
    function: Callable[[], float], x: np.ndarray, name: str, eps: float, low: float, high: float
) -> np.ndarray:
    """The derivative of ``function()``, which reads ``x``, with respect to each element of ``x``,
    from values between ``low`` and ``high``."""
    differences = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        here = float(x[index])
        left, right = max(here - eps, low), min(here + eps, high)
        if not left < right:
            raise ValueError(f"eps: a step of {eps:g} from {here:g} ({name}, {index}) is none")
        x[index] = right
        above = function()
        x[index] = left
        below = function()
        x[index] = here
        if not (math.isfinite(above) and math.isfinite(below)):
            raise ValueError(
                f"func: not finite {eps:g} beside {name}, index {index}, which is {here:g}: give "
                "inputs inside its domain, or the domain"
            )
        differences[index] = (above - below) / (right - left)
    return differences


def _checked(args: list[Any], constants: list[int]) -> list[int]:
    """The numbers of the inputs to check."""
    variables = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
    active = [i for i in variables if i not in constants]
    coarse = [i for i in active if args[i].dtype != np.float64]
    if not active or len(coarse) == len(active):
        raise ValueError(NOTHING)
    if coarse:
        raise ValueError(
            f"inputs: expected float64 or a constant, got input {coarse[0]} of "
            f"{args[coarse[0]].dtype} with requires_grad=True"
        )
    return active


def _number(name: str, value: Any, args: list[Any]) -> int:
    """``value`` as the number of an input that is a Tensor."""
    number = check.integer(name, value, 0, len(args) - 1)
    if not isinstance(args[number], Tensor):
        got = type(args[number]).__name__
        raise TypeError(f"{name}: expected numbers of Tensors, got {number}, of {got}")
    return number


def _bounds(domains: Any, args: list[Any]) -> dict[int, tuple[float, float]]:
    """The domain of each input that has one. The input must lie inside it."""
    bounds = {}
    for key, ends in check.mapping("domains", {} if domains is None else domains).items():
        number = _number("domains", key, args)
        if not isinstance(ends, (tuple, list)) or len(ends) != 2:
            raise TypeError(f"domains: expected pairs (low, high), got {check.shown(ends)}")
        low = check.number("domains", ends[0], -math.inf)
        high = check.number("domains", ends[1], low)
        values = args[number].detach().numpy()
        outside = ~((values >= low) & (values <= high))
        if outside.any():
            index = _index(np.argmax(outside), outside.shape)
            raise ValueError(
                f"inputs: input {number}, index {index}: {values[index]:g} is not in its domain, "
                f"{low:g} to {high:g}"
            )
        bounds[number] = low, high
    return bounds


def _index(place: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(n) for n in np.unravel_index(place, shape))


def _fresh(x: Tensor, requires_grad: bool) -> Tensor:
    return Tensor(np.array(x.data, order="C"), requires_grad)


def _direction(shape: tuple[int, ...]) -> Any:
    """A random direction whose entries have similar magnitudes, so that none hides another."""
    draw = rng.generator()
    return draw.uniform(0.5, 1.5, shape) * draw.choice((-1.0, 1.0), shape)
