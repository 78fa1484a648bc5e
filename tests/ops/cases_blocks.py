"""Elementwise functions in blocks: what tests.ops.test_implementations draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops import arithmetic, elementwise, extreme, logic, rounding
from tests.common import seeds
from tests.ops.driver import Arguments, Cases

SHAPES = [(), (0, 3), (1,), (3, 5), (2, 3, 300)]
LIMITS = {
    "minigrad.cpu.elementwise.BLOCK": (1, 64, 1 << 17),
    "minigrad.cpu.blocks.LARGE": (0,),
    "minigrad.cpu.analytic.LARGE": (0,),
    "minigrad.cpu.analytic.STEP": (64, 1 << 16),
    "minigrad.cpu.blocks.SHARED": (0, 1 << 16),
}


@st.composite
def operands(draw: st.DrawFn, count: int, kind: str = "f", **options: Any) -> Arguments:
    """Of one shape and one of the ``kind``, some equal; the last of two may be a number."""
    generator, shape = np.random.default_rng(draw(seeds)), draw(st.sampled_from(SHAPES))
    arrays = list(np.round(8 * generator.standard_normal((count, *shape))) / 4)
    if "exponent" in options:  # the root's slope at -0 is -∞, as PyTorch's; NumPy's power has ∞
        arrays = [a + 0.0 for a in arrays]
    if kind == "f" and count > 1 and "rtol" not in options and draw(st.booleans()):
        arrays[1:] = [draw(st.sampled_from([2, -0.5]))]
    kind = draw(st.sampled_from(kind))
    if kind == "i":
        arrays = [a.astype(np.int64) for a in arrays]
    elif kind == "b":
        arrays = [a > 0 for a in arrays]
    return arrays, {name: draw(st.sampled_from(values)) for name, values in options.items()}


def cases(*arguments: Any, examples: int = 5, special: bool = True, **options: Any) -> Cases:
    drawn = operands(*arguments, **options)
    return Cases(drawn, limits=LIMITS, special=special, examples=examples)


CLOSE = {"rtol": (0.0, 0.3), "atol": (0.0, 0.3), "equal_nan": (False, True)}
SMOOTH = (arithmetic.log, *elementwise.SMOOTH)
STEPS = (rounding._floor, rounding._ceil, rounding._trunc, rounding._frac)
CASES = {
    **{operation: cases(1) for operation in (*SMOOTH, *STEPS)},
    rounding._round: cases(1, decimals=(0, 0, 1)),
    arithmetic._pow: cases(1, exponent=(2, 0.5, 3, -1.5), special=False, examples=20),
    elementwise._logaddexp: cases(2),
    **{operation: cases(2) for operation in (elementwise._power, elementwise._atan2)},
    **{operation: cases(2, examples=20) for operation in (extreme._maximum, extreme._minimum)},
    **{operation: cases(2) for operation in logic._COMPARED.values()},
    **{operation: cases(2, "ib", examples=10) for operation in logic.BITS.values()},
    logic._close: cases(2, examples=20, **CLOSE),
    logic._bitwise_not: cases(1, "ib", examples=30),
    **{operation: cases(1 if name == "not" else 2, "b") for name, operation in logic.TRUTH.items()},
}
