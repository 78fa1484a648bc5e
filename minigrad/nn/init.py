"""Initialisers. Each fills a tensor in place with random numbers and returns it.

Names, arguments and defaults are those of ``torch.nn.init``. ``fan_in`` is the number of inputs
that one output sums, ``fan_out`` the number of outputs that one input reaches.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import check, rng, writes
from ..device import device_of, move
from ..options import lacks
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "default_",
    "dirac_",
    "eye_",
    "fans",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
__all__ += [  # the names before PyTorch 0.4, which warn
    *("constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal"),
    *("orthogonal", "sparse", "uniform", "xavier_normal", "xavier_uniform"),
]

LARGE = 1e300  # beyond it NumPy cannot draw from an interval


def _fill(tensor: Tensor, draw: Callable[..., Any], *numbers: float) -> Tensor:
    """Fill with ``draw(of, shape, dtype, *numbers)`` of a new draw."""
    check.floating("tensor", check.tensor("tensor", tensor))
    check.writable("tensor", tensor)
    with np.errstate(all="ignore"):  # overflow to infinity, as in PyTorch
        values = draw(rng.next_draw(), tensor.shape, tensor.dtype, *numbers)
    return _write(tensor, values)


def _write(tensor: Tensor, values: Any) -> Tensor:
    tensor.data[...] = move(values, device_of(tensor.data))
    writes.note(tensor.data)
    return tensor


def _by_numpy(draw: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """``draw(generator, shape)`` for :func:`_fill`."""
    return lambda of, shape, dtype: draw(np.random.Generator(of.philox()), shape).astype(dtype)


@lacks("generator")
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw from the uniform distribution on [a, b)."""
    a = check.number("a", a, -LARGE, LARGE)
    return _fill(tensor, rng.Draw.uniform, a, check.number("b", b, a, LARGE))


@lacks("generator")
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw from the normal distribution."""
    mean, std = check.number("mean", mean, -math.inf), check.number("std", std, 0)
    return _fill(tensor, rng.Draw.normal, mean, std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    check.fits("val", val, check.tensor("tensor", tensor).dtype)
    check.writable("tensor", tensor)
    tensor.data[...] = val
    writes.note(tensor.data)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def _check_matrix(tensor: Tensor) -> None:
    check.floating("tensor", check.tensor("tensor", tensor))
    if tensor.ndim != 2:
        raise ValueError(f"tensor: expected 2 dimensions, got shape {tensor.shape}")
    check.writable("tensor", tensor)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity, so that a linear layer preserves as many inputs as
    possible."""
    _check_matrix(tensor)
    return _write(tensor, np.eye(*tensor.shape, dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight (O, I, ...) of a convolution so that it preserves as many channels as
    possible.

    Args:
        groups: the groups of the convolution; each preserves its own channels.
    """
    check.floating("tensor", check.tensor("tensor", tensor, (3, 4, 5), "(O, I, ...)"))
    outputs, inputs, *kernel = tensor.shape
    if outputs % check.integer("groups", groups, 1):
        raise ValueError(f"groups: expected a divisor of {outputs} outputs, got {groups}")
    zeros_(tensor)
    each = outputs // groups
    middle = tuple(k // 2 for k in kernel)
    for group in range(groups):
        for channel in range(min(each, inputs)):
            tensor.data[(group * each + channel, channel, *middle)] = 1
    return tensor


@lacks("generator")
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Draw from the normal distribution truncated to [a, b], which are not in units of ``std``."""
    mean, std = check.number("mean", mean, -LARGE, LARGE), check.number("std", std, 0, LARGE)
    if std == 0:
        raise ValueError("std: expected a number above 0, got 0")
    a = check.number("a", a, -math.inf)
    b = check.number("b", b, a)
    below, above = (math.erf((end - mean) / std / math.sqrt(2)) / 2 for end in (a, b))
    mode = min(max(mean, a), b)
    low, high = max(a, mode - 10 * std), min(b, mode + 10 * std)

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        """Rejection sampling from normal draws, or from uniform draws if few normal ones would
        fit."""
        values = np.empty(math.prod(size))
        left = np.arange(values.size)
        while left.size:
            if above - below > 0.3:
                x = generator.normal(mean, std, left.size)
                fits = (x >= a) & (x <= b)
            else:
                x = generator.uniform(low, high, left.size)
                density = np.exp((((mode - mean) / std) ** 2 - ((x - mean) / std) ** 2) / 2)
                fits = generator.uniform(0, 1, left.size) <= density
            values[left[fits]] = x[fits]
            left = left[~fits]
        return values.reshape(size)

    return _fill(tensor, _by_numpy(draw))


@lacks("generator")
def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill with orthogonal rows, or columns, of length ``gain``. A weight (O, I, ...) is treated as
    a matrix (O, I · …) (Saxe et al., ICLR 2014)."""
    gain = check.number("gain", gain, -math.inf)
    if check.tensor("tensor", tensor).ndim < 2:
        raise ValueError(f"tensor: expected at least 2 dimensions, got shape {tensor.shape}")

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        rows, columns = size[0], math.prod(size[1:])
        if not rows * columns:
            return np.zeros(size)
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))  # so that all such matrices are equally likely
        return gain * (q if rows >= columns else q.T).reshape(size)

    return _fill(tensor, _by_numpy(draw))


@lacks("generator")
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """Draw a matrix from the normal distribution, then set the fraction ``sparsity`` of each column
    to zero (Martens, ICML 2010)."""
    std, sparsity = check.number("std", std, 0), check.number("sparsity", sparsity, 0, 1)
    _check_matrix(tensor)

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        values = generator.normal(0, std, size)
        order = generator.permuted(np.tile(np.arange(size[0])[:, None], (1, size[1])), axis=0)
        values[order < math.ceil(sparsity * size[0])] = 0
        return values

    return _fill(tensor, _by_numpy(draw))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations after ``nonlinearity``."""
    convolutions = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    gains = dict.fromkeys(("linear", *convolutions, "sigmoid"), 1.0)
    gains |= {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    check.choice("nonlinearity", nonlinearity, (*gains, "leaky_relu"))
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else check.number("param", param, -math.inf)
        return math.sqrt(2 / (1 + slope**2))
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (O, I) or (O, I, KH, KW)."""
    if check.tensor("tensor", tensor).ndim < 2:
        raise ValueError(f"tensor: expected at least 2 dimensions, got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


@lacks("generator")
def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio, AISTATS 2010)."""
    bound = check.number("gain", gain, 0) * math.sqrt(6 / max(1, sum(fans(tensor))))
    return uniform_(tensor, -bound, bound)


@lacks("generator")
def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with variance 2 / (fan_in + fan_out) (Glorot & Bengio, AISTATS 2010)."""
    std = check.number("gain", gain, 0) * math.sqrt(2 / max(1, sum(fans(tensor))))
    return normal_(tensor, 0.0, std)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan_in, fan_out = fans(tensor)
    check.choice("mode", mode, ("fan_in", "fan_out"))
    fan = fan_in if mode == "fan_in" else fan_out
    return calculate_gain(nonlinearity, check.number("a", a, -math.inf)) / math.sqrt(max(1, fan))


@lacks("generator")
def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform with variance gain² / fan (He et al., ICCV 2015)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


@lacks("generator")
def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with variance gain² / fan (He et al., ICCV 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's initialisation of Linear and Conv2d: weight and bias uniform on ±1/√fan_in."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(max(1, fans(weight)[0]))
        uniform_(bias, -bound, bound)


_F = TypeVar("_F", bound=Callable[..., Tensor])


def _formerly(initialiser: _F) -> _F:
    """An initialiser under its former name, which has no underscore."""
    name = initialiser.__name__

    @functools.wraps(initialiser)
    def former(*args: Any, **options: Any) -> Tensor:
        filled = initialiser(*args, **options)  # whose refusals come first
        text = f"nn.init.{name[:-1]} is deprecated; use nn.init.{name}"
        warnings.warn(text, FutureWarning, stacklevel=2)
        return filled

    former.__name__ = former.__qualname__ = name[:-1]
    former.__doc__ = f"The former name of :func:`{name}`; a call warns."
    return former  # type: ignore[return-value]


constant = _formerly(constant_)
dirac = _formerly(dirac_)
eye = _formerly(eye_)
kaiming_normal = _formerly(kaiming_normal_)
kaiming_uniform = _formerly(kaiming_uniform_)
normal = _formerly(normal_)
orthogonal = _formerly(orthogonal_)
sparse = _formerly(sparse_)
uniform = _formerly(uniform_)
xavier_normal = _formerly(xavier_normal_)
xavier_uniform = _formerly(xavier_uniform_)
