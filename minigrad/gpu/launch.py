"""The one door to CUDA kernels: ``minigrad/gpu/<family>.cu``, compiled on first use by NVRTC.

CuPy can run the definition of every operation. Where a kernel saves passes over memory, an
implementation in this folder calls :func:`launch`. Rules for the .cu files:

- One family per file, forward and backward together; kernels are ``extern "C" __global__ void``.
- Types are macros (``-DREAL=float``), not templates.
- ``#include "x.cuh"`` includes a file of the same folder; there are no other headers.
- Sums have a fixed order and nothing is atomic, so results are bit-identical in every run.

Tests replace :func:`_launch` by an interpreter of what NVRTC compiles, so kernels and the calls to
them run without a GPU.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import math
import operator
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..device import Array, DeviceError, cupy_module
from .capture import constant

Dim: TypeAlias = int | tuple[int, ...]
Defines: TypeAlias = tuple[tuple[str, str], ...]

_TYPES: dict[str, np.dtype[Any]] = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "int": np.dtype(np.int32),
    "unsigned": np.dtype(np.uint32),
    "long long": np.dtype(np.int64),
    "unsigned long long": np.dtype(np.uint64),
    "unsigned short": np.dtype(np.uint16),
    "unsigned char": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_GRID_LIMITS = (2**31 - 1, 65535, 65535)
_BLOCK_LIMIT = 1024
_MAX_STATIC_SHARED_BYTES = 48 << 10  # more shared memory must be requested


def usable(x: Array) -> bool:
    """Whether CUDA kernels serve ``x``: it is on a GPU, and float32 or float64."""
    return not isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.dtype.itemsize >= 4


def serves(x: Array, *args: Any, **params: Any) -> bool:
    """:func:`usable` as the condition of an implementation (see :mod:`minigrad.dispatch`)."""
    return usable(x)


def blocks(count: int, threads: int) -> int:
    """Number of blocks of ``threads`` threads that give at least ``count`` threads."""
    return -(-count // threads)


def launch(
    family: str,
    name: str,
    grid: Dim,
    block: Dim,
    args: Sequence[Any],
    *,
    shared: int = 0,
    **macros: Any,
) -> None:
    """Run kernel ``name`` of ``<family>.cu`` on the current stream.

    Args:
        family, name: file and function.
        grid, block: sizes, x first. Nothing is launched for a grid with a size of 0.
        args: one per parameter of the kernel. For ``T *`` a C-order array of that dtype, or None;
            for ``T *const *`` a list of dense arrays in any order of axes; otherwise a number,
            which is converted to the parameter's type.
        shared: bytes of dynamic shared memory.
        macros: ``-D`` definitions; a dtype stands for its C type.

    Raises:
        TypeError, ValueError, OverflowError: ``args`` do not match the kernel's parameters, or a
            size exceeds the GPU's limits.
    """
    grid, block = (n if isinstance(n, tuple) else (n,) for n in (grid, block))
    if 0 in grid:
        return
    if len(grid) > 3 or any(not 0 < n <= m for n, m in zip(grid, _GRID_LIMITS, strict=False)):
        raise ValueError(f"{name}: grid {grid}: expected from 1 up to {_GRID_LIMITS}")
    threads = math.prod(block)
    if len(block) > 3 or not 0 < threads <= _BLOCK_LIMIT:
        raise ValueError(f"{name}: block {block}: expected 1 to {_BLOCK_LIMIT} threads")
    defines = _defines(tuple(macros.items()))
    parameters = signature(family, name, defines)
    if len(args) != len(parameters):
        raise TypeError(f"{name}: expected {len(parameters)} arguments, got {len(args)}")
    values = [p.convert(name, value) for p, value in zip(parameters, args, strict=True)]
    _launch(family, name, defines, grid, block, values, shared)


@functools.cache
def _defines(macros: tuple[tuple[str, Any], ...]) -> Defines:
    return tuple((k, _NAMES[v] if isinstance(v, np.dtype) else str(v)) for k, v in macros)


# ---------------------------------------------------------------------------- sources


@functools.cache
def source(family: str) -> str:
    """The text of ``<family>.cu``, without comments, with each included file inserted once.

    Comments contain mathematics, and CuPy compiles through files in the encoding of the locale.
    """
    seen: set[str] = set()

    def read(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        include = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)
        return include.sub(lambda match: read(match[1]), _text(file))

    return _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), read(f"{family}.cu"))


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def _text(file: str) -> str:
    folder = importlib.resources.files(__package__)
    return (folder / file).read_text(encoding="utf-8")


class Parameter(NamedTuple):
    """One parameter of a kernel: ``stars`` of ``T``, ``T *`` or ``T *const *``."""

    name: str
    dtype: np.dtype[Any]
    stars: int
    const: bool  # a pointer to read-only data

    def convert(self, kernel: str, value: Any) -> Any:
        """``value`` converted for the kernel; errors name the parameter."""
        what = f"{kernel}: {self.name}"
        if self.stars == 2:
            return [self._of_my_dtype(what, array) for array in value]
        if self.stars == 1:
            if value is not None and not self._of_my_dtype(what, value).flags.c_contiguous:
                raise ValueError(f"{what}: expected a C-order array, got strides {value.strides}")
            return value
        if self.dtype.kind not in "iu":
            return self.dtype.type(value)
        try:
            return self.dtype.type(operator.index(value))  # NumPy checks the range of an int
        except OverflowError:
            raise OverflowError(f"{what}: {value} does not fit {self.dtype}") from None

    def _of_my_dtype(self, what: str, array: Any) -> Any:
        if getattr(array, "dtype", None) != self.dtype:
            came = getattr(array, "dtype", type(array).__name__)
            raise TypeError(f"{what}: expected an array of {self.dtype}, got {came}")
        return array


_KERNEL = re.compile(
    r'extern "C" __global__ void(?:\s+__launch_bounds__\([^)]*\))?\s+(\w+)\s*\(([^)]*)\)'
)
_PARAMETER = re.compile(r"(const )?([\w ]+?) ?(\*?) ?(?:const ?(\*))? ?(?:__restrict__ )?(\w+)")


@functools.cache
def declarations(family: str) -> dict[str, tuple[str, ...]]:
    """The parameters that the source of ``family`` declares for each kernel."""
    return {
        name: tuple(" ".join(p.split()) for p in declared.split(",") if p)
        for name, declared in _KERNEL.findall(source(family))
    }


@functools.cache
def signature(family: str, name: str, defines: Defines) -> tuple[Parameter, ...]:
    """The parameters of kernel ``name``."""
    return tuple(_parameter(text, dict(defines)) for text in declarations(family)[name])


def _parameter(text: str, defines: dict[str, str]) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    assert match, f"parameter {text!r}: expected T x, T *x or T *const *x"
    const, c_type, star, second, name = match.groups()
    return Parameter(
        name=name,
        dtype=_TYPES[defines.get(c_type, c_type)],
        stars=len(star + (second or "")),
        const=const is not None,
    )


# ---------------------------------------------------------------------------- running


def _launch(
    family: str,
    name: str,
    defines: Defines,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    values: list[Any],
    shared: int,
) -> None:
    """Launch with arguments that have been checked."""
    for value in values:
        for array in value if isinstance(value, list) else [value]:
            if isinstance(array, np.ndarray):  # CuPy would take one element as a number
                raise DeviceError(f"{name}: expected arrays on a GPU, got one on the CPU")
    function = _function(family, name, defines)
    if shared > _MAX_STATIC_SHARED_BYTES:
        function.max_dynamic_shared_size_bytes = shared
    tables = [_table(v) if isinstance(v, list) else v for v in values]  # alive until queued
    args = tuple(np.uint64(0) if v is None else v for v in tables)
    function(grid, block, args, shared_mem=shared)


def _table(arrays: list[Array]) -> Array:
    """The addresses of ``arrays`` on the device."""
    return constant(np.array([a.data.ptr for a in arrays], np.uint64), cupy_module())


@functools.cache
def _function(family: str, name: str, defines: Defines) -> Any:
    return _module(family, defines).get_function(name)


@functools.cache
def _module(family: str, defines: Defines) -> Any:
    """The compiled family. CuPy caches the result per device, and on disk for later processes."""
    options = ("--std=c++17", *(f"-D{key}={value}" for key, value in defines))
    module = cupy_module().RawModule(code=source(family), options=options, backend="nvrtc")
    with _progress(f"compiling CUDA kernels: {family}"):
        module.compile()
    return module


@contextlib.contextmanager
def _progress(text: str) -> Iterator[None]:
    """Show ``text`` on the last line of the terminal, if there is one, during this context."""
    terminal = sys.stderr is not None and sys.stderr.isatty()  # None if closed
    if terminal:
        print(f"{text} …", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if terminal:
            print("\r" + " " * (len(text) + 2) + "\r", end="", file=sys.stderr, flush=True)
