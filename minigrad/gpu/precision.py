"""The precision in which convolutions and linear layers multiply float32 numbers on a GPU.

- "fp32": float32, on the ordinary arithmetic units.
- "tf32": tensor cores, with each factor rounded to ten bits of mantissa.
- "bf16": tensor cores, with each factor rounded to seven bits of mantissa.

Only the factors of these products are rounded, on their way into the tensor cores. Sums and all
arrays, including parameters and optimiser state, stay float32. Unlike mixed precision in the usual
sense, this saves arithmetic but no memory.

The setting affects float32 on GPUs only, not float64, other operations or the CPU.
"""

from __future__ import annotations

import functools

import numpy as np

from ..device import Array, DeviceError, cupy_module, is_gpu_available

PRECISIONS = ("fp32", "tf32", "bf16")
_MIN_CAPABILITY = 80  # ten times the compute capability from which tensor cores have tf32, bf16

_asked: str | None = None


def set_precision(precision: str | None) -> None:
    """Set the precision of float32 convolutions and linear layers on GPUs, for the whole process.

    Args:
        precision: "fp32", "tf32" or "bf16" (see :mod:`minigrad.gpu.precision`), or None for the
            default: "tf32" on GPUs that have it (compute capability 8.0 and above), else "fp32".

    Raises:
        TypeError, ValueError: ``precision`` is none of these.
    """
    global _asked
    if precision is not None and not isinstance(precision, str):
        raise TypeError(f"precision: expected a str or None, got {type(precision).__name__}")
    if precision not in (None, *PRECISIONS):
        names = ", ".join(map(repr, PRECISIONS))
        raise ValueError(f"precision: expected one of {names}, got {precision!r}")
    _asked = precision


def get_precision() -> str:
    """The precision used on the first GPU: "fp32", "tf32" or "bf16". Without a GPU it is "fp32"
    unless another was set."""
    if _asked is not None:
        return _asked
    return "tf32" if is_gpu_available() and _capability(0) >= _MIN_CAPABILITY else "fp32"


def precision_of(x: Array) -> str:
    """The precision of products of ``x`` on its device.

    Raises:
        DeviceError: the GPU does not have the precision that was set.
    """
    if isinstance(x, np.ndarray):
        return _asked or "fp32"
    able = _capability(x.device.id) >= _MIN_CAPABILITY
    if not able and _asked in ("tf32", "bf16"):
        raise DeviceError(
            f"precision {_asked!r} needs a GPU of compute capability 8.0, this one has "
            f"{_capability(x.device.id) / 10}; use 'fp32'"
        )
    return _asked or ("tf32" if able else "fp32")


@functools.cache
def _capability(index: int) -> int:
    """Ten times the compute capability of GPU number ``index``."""
    return int(cupy_module().cuda.Device(index).compute_capability)
