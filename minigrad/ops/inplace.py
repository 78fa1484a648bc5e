"""In-place operations: ``x.add_(1)``, ``x[0] = 1``, ``x += 1``.

The result of the function without the underscore is written into the tensor's memory, which views
and NumPy arrays may share: by the operation itself if it can (see :func:`minigrad.writes.into`),
else by a copy. This cannot be recorded: if a gradient would have to pass, a method with an
underscore raises an error, and ``x += y`` makes a new tensor.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import check, quiet, rng, writes
from ..device import Array, device_of, move
from ..events import listeners
from ..memory import MIN_POOLED_BYTES
from ..options import lacks
from ..tape import Backward, is_grad_enabled, op
from ..tensor import Number, Tensor
from . import functions, shape


@op
def _in_place(x: Array, value: Any, *, index: Any) -> tuple[Array, Backward]:
    """x[index] = value, without derivative."""
    x[index] = value
    return x, lambda g, needs: (None, None)


def _records(operands: Iterable[Any]) -> bool:
    """Whether a gradient would have to pass through one of ``operands``."""
    if is_grad_enabled():
        for x in operands:
            if isinstance(x, Tensor) and x.requires_grad:
                return True
    return False


def _refuse(name: str, instead: str, *operands: Any) -> None:
    if _records(operands):
        raise NotImplementedError(
            f"{name}: a tensor that requires grad cannot be changed in place; use {instead}, or "
            "'with no_grad():'"
        )


def _write(name: str, self: Tensor, value: Any, index: Any = ...) -> Tensor:
    """Write ``value``, which needs no gradient, into the tensor, at ``index``; returns the
    tensor."""
    array, written = self.data, value
    if type(array) is not np.ndarray or not array.flags.writeable:
        check.writable(name, self)
    if isinstance(value, Tensor):
        written = value.data
        if written.dtype.kind == "f" and array.dtype.kind != "f":
            raise TypeError(f"{name}: expected values for {array.dtype}, got {value.dtype}")
        check.beside(name, value, self)
    else:
        check.fits(name, value, array.dtype)
        if array.dtype.kind != "f" and isinstance(value, (float, np.floating)):
            raise TypeError(f"{name}: expected values for {array.dtype}, got {value}")
    if type(array) is not np.ndarray or listeners():
        _in_place(self, value, index=index)
    else:  # nobody is told
        before = quiet.enter()
        try:
            if array.nbytes < MIN_POOLED_BYTES:  # no implementation is faster
                array[index] = written
            else:
                _in_place.run(array, written, index=index)
        finally:
            quiet.leave(before)
    writes.note(array)
    return self


def _can_write(array: Array, operands: Iterable[Any]) -> bool:
    """Whether an operation on ``array`` and ``operands`` may write into ``array``: element k of the
    result needs no other element of it, and nobody listens, who would find the operand changed."""
    if type(array) is not np.ndarray or listeners() or not array.flags.writeable:
        return False
    for x in operands:
        if isinstance(x, Tensor) and x.data is not array and np.may_share_memory(x.data, array):
            return False
    return True


# Methods that are one function of NumPy, f(x, *operands, out), and how many operands there are.
SAME_NAMES = (  # as NumPy has them
    "abs ceil cos exp exp2 expm1 floor log log10 log1p log2 sin sqrt square tan trunc"
)
AT_ONCE: dict[str, tuple[Callable[..., Any], int]] = {
    "relu": (lambda x, out: np.maximum(x, 0, out=out), 0),
    "neg": (np.negative, 0),
    "add": (np.add, 1),
    "sub": (np.subtract, 1),
    "mul": (np.multiply, 1),
    "div": (np.divide, 1),
}
AT_ONCE |= {name: (getattr(np, name), 0) for name in SAME_NAMES.split()}


def _wrote_at_once(
    function: Callable[..., Any], count: int, array: Array, args: tuple[Any, ...]
) -> bool:
    """Write the result of a function of :data:`AT_ONCE` into a small floating array, where each
    operand is a number or a Tensor like it: then nothing is left to check or to choose."""
    if (
        len(args) != count
        or type(array) is not np.ndarray
        or array.dtype.kind != "f"
        or array.nbytes >= MIN_POOLED_BYTES
        or not array.flags.writeable
        or listeners()
    ):
        return False
    operands = []
    for x in args:
        other = x.data if isinstance(x, Tensor) else x
        if other is not x:
            if type(other) is not np.ndarray or other.dtype != array.dtype:
                return False
            if other.shape != array.shape:
                return False
        elif type(x) not in (int, float):
            return False
        operands.append(other)
    before = quiet.enter()
    try:
        function(array, *operands, array)
    finally:
        quiet.leave(before)
    writes.note(array)
    return True


def _written(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method ``name``, which writes the result of ``function``."""
    instead, run = name.rstrip("_"), inspect.unwrap(function)  # without what it lacks
    own = inspect.signature(run)
    lacked = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.name not in (*own.parameters, "out")
    }

    at_once = AT_ONCE.get(instead)

    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        operands = (*args, *options.values()) if options else args
        _refuse(name, instead, self, *operands)
        if at_once is not None and not options and _wrote_at_once(*at_once, self.data, args):
            return self
        if _can_write(self.data, operands):
            holder = Tensor(self.data.view())
            value, done = writes.into(holder, run, args, options)
            if done:
                return self
        else:
            value = run(self, *args, **options)
        if value.shape != self.shape:
            raise ValueError(f"{name}: expected a result of shape {self.shape}, got {value.shape}")
        if self.dtype.kind == "b" and value.dtype.kind != "b":  # copy_ and fill_ convert, not these
            raise TypeError(f"{name}: expected values for bool, got {value.dtype}")
        return _write(name, self, value)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"""Write :func:`{instead}` of this tensor into its memory.

    Raises:
        NotImplementedError: the tensor, or an operand, requires grad, outside ``no_grad()``.
        TypeError: the result does not fit into the tensor's dtype.
        ValueError: it does not have the tensor's shape, or the memory is read-only.
    """
    method.__signature__ = own  # type: ignore[attr-defined]
    return lacks(**lacked)(method) if lacked else method


NAMES = (
    "abs add addcdiv addcmul atan2 bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp cos "
    "cumprod cumsum div exp exp2 expm1 floor floor_divide fmod frac lerp log log10 log1p log2 "
    "logical_and logical_not logical_or logical_xor masked_fill mul neg pow reciprocal relu "
    "remainder round rsqrt scatter scatter_add sigmoid sign sin sqrt square sub tan tanh tril triu "
    "trunc"
)
METHODS: dict[str, Any] = {
    f"{name}_": _written(f"{name}_", getattr(functions, name)) for name in NAMES.split()
}
METHODS["clip_"] = METHODS["clamp_"]


def _assigned(name: str) -> Callable[..., Any]:
    """``x += y`` and similar operators: in place, or a new tensor if a gradient passes."""
    method = METHODS[name]

    def assign(self: Tensor, other: Any) -> Any:
        known = isinstance(other, (Tensor, int, float, np.generic))
        return method(self, other) if known and not _records((self, other)) else NotImplemented

    return assign


for _operator, _name in {
    "iadd": "add_",
    "isub": "sub_",
    "imul": "mul_",
    "itruediv": "div_",
    "imod": "remainder_",
    "ifloordiv": "floor_divide_",
    "ipow": "pow_",
    "iand": "bitwise_and_",
    "ior": "bitwise_or_",
    "ixor": "bitwise_xor_",
}.items():
    METHODS[f"__{_operator}__"] = _assigned(_name)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    METHODS[function.__name__] = function
    return function


@_method
def __setitem__(self: Tensor, index: Any, value: Tensor | Number) -> None:
    """``self[index] = value``, which broadcasts; the index is that of ``self[index]``."""
    _refuse("x[index] = value", "where() or masked_fill()", self, value)
    raw, unique = shape.plain_index(index)
    place = (self.data[raw] if unique else self.detach()[index]).shape
    if isinstance(value, Tensor):
        while value.ndim > len(place) and value.shape[0] == 1:  # as in PyTorch
            value = value[0]
        if not _fits(value.shape, place):
            raise ValueError(f"value: expected shape {place}, got {value.shape}")
    _write("value", self, check.operand("value", value), raw)


def _fits(shape: tuple[int, ...], place: tuple[int, ...]) -> bool:
    """Whether an array of ``shape`` broadcasts to ``place``."""
    if shape == place:
        return True
    try:
        return np.broadcast_shapes(shape, place) == place
    except ValueError:
        return False


@_method
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Write ``src``, which broadcasts, into this tensor's memory, in its dtype; returns it."""
    _refuse("copy_", "src", self, check.tensor("src", src))
    check.boolean("non_blocking", non_blocking)
    if type(src.data) is not np.ndarray or type(self.data) is not np.ndarray:
        src = src.to(self.device)
    if src.dtype.kind == "f" and self.dtype.kind != "f":
        src = src.to(self.dtype)
    return _write("copy_", self, src if src.shape == self.shape else src.expand(self.shape))


@_method
def fill_(self: Tensor, value: Number | Tensor) -> Tensor:
    """Write one number, or a 0-d Tensor, into all elements; returns the tensor."""
    _refuse("fill_", "full_like", self, value)
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"value: expected a number or a 0-d Tensor, got shape {value.shape}")
    return _write("value", self, check.operand("value", value))


@_method
def zero_(self: Tensor) -> Tensor:
    """Write zeros into all elements; returns the tensor."""
    _refuse("zero_", "zeros_like", self)
    return _write("zero_", self, 0)


def _draw(name: str, self: Tensor, generator: Any, *numbers: float) -> Tensor:
    """Fill with draws by the method ``name`` of :class:`minigrad.rng.Draw`."""
    _refuse(f"{name}_", "rand_like or randn_like", self)
    if self.numel():
        check.floating("self", self)
    draw = getattr(rng.next_draw_of("generator", generator), name)
    with np.errstate(all="ignore"):  # overflow to infinity, as in PyTorch
        drawn = draw(self.shape, self.dtype, *numbers)
    return _write(f"{name}_", self, Tensor(move(drawn, device_of(self.data))))


LARGE = 1e300  # beyond it NumPy cannot draw from an interval


@_method
def uniform_(
    self: Tensor, from_: float = 0, to: float = 1, *, generator: rng.Generator | None = None
) -> Tensor:
    """Fill with numbers drawn uniformly from [from_, to); returns the tensor."""
    low = check.number("from_", from_, -LARGE, LARGE)
    high = check.number("to", to, low, LARGE)
    for name, end in (("from_", low), ("to", high)):
        check.fits(name, end, check.floating("self", self).dtype)
    return _draw("uniform", self, generator, low, high)


@_method
def normal_(
    self: Tensor, mean: float = 0, std: float = 1, *, generator: rng.Generator | None = None
) -> Tensor:
    """Fill with numbers drawn from the normal distribution; returns the tensor."""
    mean = check.number("mean", mean, -math.inf)
    return _draw("normal", self, generator, mean, check.number("std", std, 0))


@_method
def bernoulli_(
    self: Tensor, p: float | Tensor = 0.5, *, generator: rng.Generator | None = None
) -> Tensor:
    """Fill with 1 with probability ``p``, a number or a Tensor that broadcasts, else 0; returns the
    tensor."""
    _refuse("bernoulli_", "bernoulli", self, p)
    if isinstance(p, Tensor):
        chances = p.detach().expand(self.shape)
        rng.check_probabilities("p", chances)
        drawn = rng.bernoulli(chances, generator=generator)
    else:
        chance = check.number("p", p, 0, 1)
        drawn = rng.bernoulli(Tensor(np.zeros(self.shape, np.float32)), chance, generator=generator)
    return _write("bernoulli_", self, drawn.to(self.device).to(self.dtype))


@_method
def detach_(self: Tensor) -> Tensor:
    """Take the tensor out of the graph; returns it."""
    self.node = None
    self.requires_grad = False
    return self
