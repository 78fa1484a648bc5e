"""How exactly convolutions and linear layers multiply float32 numbers on a GPU.

- "fp32": in float32, on the ordinary arithmetic units.
- "tf32": on tensor cores, which take each factor rounded to ten bits of mantissa.
- "bf16": on tensor cores, each factor rounded to seven bits.

Only the factors inside these products are rounded, on their way into the tensor cores; the sums,
and all arrays, parameters and optimiser states among them, stay float32. That is less than what
others call mixed precision: it saves arithmetic, not memory.

The setting is for float32 on GPUs. Arrays of float64, other operations, and everything on the CPU
are computed in full.
"""

from __future__ import annotations

import functools

import numpy as np

from ..device import Array, DeviceError, cupy_module, is_gpu_available

PRECISIONS = ("fp32", "tf32", "bf16")
_TENSOR_CORES = 80  # the first compute capability whose tensor cores take tf32 and bf16

_asked: str | None = None


def set_precision(precision: str | None) -> None:
    """How float32 convolutions and linear layers multiply on GPUs, for the whole process.

    Args:
        precision: "fp32", "tf32" or "bf16" (see :mod:`minigrad.gpu.precision`), or None for the
            default: "tf32" on cards that have it (compute capability 8.0 and above), else "fp32".

    Raises:
        TypeError, ValueError: something else.
    """
    global _asked
    if precision is not None and not isinstance(precision, str):
        raise TypeError(f"precision: expected a str or None, got {type(precision).__name__}")
    if precision not in (None, *PRECISIONS):
        names = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"precision: expected one of {names}, got {precision!r}")
    _asked = precision


def get_precision() -> str:
    """The precision in force on the first GPU: "fp32", "tf32" or "bf16"; without a GPU, "fp32"
    unless another was set."""
    if _asked is not None:
        return _asked
    return "tf32" if is_gpu_available() and _capability(0) >= _TENSOR_CORES else "fp32"


def precision_of(x: Array) -> str:
    """The precision for products of ``x``, on the device it is on.

    Raises:
        DeviceError: one was set that this GPU does not have.
    """
    if isinstance(x, np.ndarray):
        return _asked or "fp32"
    able = _capability(x.device.id) >= _TENSOR_CORES
    if not able and _asked in ("tf32", "bf16"):
        raise DeviceError(
            f"precision {_asked!r} needs a GPU of compute capability 8.0, this one has "
            f"{_capability(x.device.id) / 10}; use 'fp32'"
        )
    return _asked or ("tf32" if able else "fp32")


@functools.cache
def _capability(index: int) -> int:
    """Ten times the compute capability of that GPU."""
    return int(cupy_module().cuda.Device(index).compute_capability)
