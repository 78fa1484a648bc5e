"""Subnormal numbers, those below 1.2 · 10⁻³⁸ in float32: whether this thread computes with them.

Many processors take a hundred times as long for them. A processor that flushes takes them for zero,
operands and results. C's ``fesetenv`` writes the register that says so.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from typing import Any

WORDS = 64  # more than an environment has
# The place of the register's number among the words of C's fenv_t, and the bits that flush: results
# and operands (FTZ and DAZ in MXCSR; FZ in FPCR).
REGISTERS = {"x86_64": (7, 0x8040), "aarch64": (0, 1 << 24)}


@functools.cache
def _library() -> Any:
    return ctypes.CDLL(None)


def flush(mode: bool) -> bool:
    """Let this thread, and the threads that it starts, flush subnormal numbers or not. Returns
    whether that is known for this processor and system."""
    register = REGISTERS.get(platform.machine()) if sys.platform == "linux" else None
    if register is None:
        return False
    (place, bits), words = register, (ctypes.c_uint32 * WORDS)()
    _library().fegetenv(words)
    words[place] = words[place] | bits if mode else words[place] & ~bits
    _library().fesetenv(words)
    return True
