"""Functions of one number that loops are made of, for float32 and float64 alike.

:func:`bind` compiles such a function for one dtype: each literal in it, and in what it calls,
becomes a number of that dtype, and so does each of the constants below. Literals are written with a
point, since Numba takes float32 times an integer for float64.

Exponentials and logarithms call no library of C, whose functions a compiler cannot apply to a
vector of numbers. They are polynomials on a short interval, exact to the last two bits.
"""

from __future__ import annotations

import math
from functools import cache
from math import copysign
from types import FunctionType
from typing import Any

import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic

from ... import special
from ...special import (
    DOUBLE_BORDER,
    DOUBLE_FAR_BOTTOM,
    DOUBLE_FAR_TOP,
    DOUBLE_NEAR_BOTTOM,
    DOUBLE_NEAR_TOP,
    END,
    SINGLE_BORDER,
    SINGLE_FAR,
    SINGLE_NEAR,
)
from . import inline

# Each dtype has its own of these: see `_constants`.
LOG2_E = LN2_HIGH = LN2_LOW = LEAST = MOST = ROUND = LOWER = FINITE = math.nan
EXP_TERMS = LOG_TERMS = ERFC_TERMS = ()
SQRT_HALF = math.sqrt(0.5)
ROUND_BITS = ONE = MANTISSA = BIAS = RAISE = SIGN = LARGEST = 0
REAL, INTEGER = np.float64, np.int64


@cache
def bind(function: FunctionType, real: Any) -> FunctionType:
    """``function`` for numbers of dtype ``real``, to be compiled."""
    code, names = function.__code__, dict(function.__globals__)
    for name in code.co_names:
        if name not in names and name not in CONSTANTS[real]:
            continue  # built into Python
        value = names[name] = CONSTANTS[real].get(name, names.get(name))
        if isinstance(value, FunctionType):
            names[name] = inline(bind(value, real))
        elif type(value) is float:
            names[name] = real(value)
    constants = tuple(real(c) if type(c) is float else c for c in code.co_consts)
    bound = FunctionType(code.replace(co_consts=constants), names, function.__name__)
    bound.__qualname__ = f"{function.__name__}_{real.__name__}"  # names its file in the cache
    return bound


# ---------------------------------------------------------------------------- powers of e


@intrinsic
def polynomial(context, coefficients, x):
    """From the highest power down, by Horner's rule.

    Written out here: LLVM keeps a loop over more than eight of them, and a loop within a kernel's
    loop is not vectorised.
    """

    def write(context, builder, signature, values):
        y, *terms = cgutils.unpack_tuple(builder, values[0])
        for c in terms:
            y = builder.fadd(builder.fmul(y, values[1]), c)
        return y

    return x(coefficients, x), write


def reduced(x):
    """(eʳ − 1, n) with x = n ln 2 + r and |r| ≤ ln 2 / 2."""
    # A number as large as ROUND has no bits left for fractions: adding it rounds to a whole number,
    # which then is in the sum's last bits.
    total = x * LOG2_E + ROUND
    n = total - ROUND
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    return r + r * r * polynomial(EXP_TERMS, r), REAL(total).view(INTEGER) - ROUND_BITS


def power(n):
    """2ⁿ, made of the bits of its exponent."""
    return INTEGER((n + BIAS) << MANTISSA).view(REAL)


def exp(x):
    x = LEAST if x < LEAST else MOST if x > MOST else x  # NaN stays
    y, n = reduced(x)
    half = n >> ONE  # 2ⁿ itself may be too large or too small for the dtype
    return (y + 1.0) * power(half) * power(n - half)


def exp_falling(x):
    """eˣ for x ≤ 0, by fewer steps."""
    x = LEAST if x < LEAST else x  # NaN stays
    y, n = reduced(x)
    return (y + 1.0) * power(n + RAISE) * LOWER  # 2ⁿ itself may be too small for the dtype


def expm1(x):
    """eˣ − 1, exact also where x is small."""
    x = -40.0 if x < -40.0 else MOST if x > MOST else x
    y, n = reduced(x)
    half = n >> ONE
    rest = n - half
    return (y + (1.0 - power(-half) * power(-rest))) * power(half) * power(rest)


def log1p(x):
    """ln(1 + x) = 2 artanh(x / (2 + x)), for 0 ≤ x ≤ 1."""
    w = x / (2.0 + x)
    v = w * w
    return 2.0 * w + w * v * polynomial(LOG_TERMS, v)


def log(x):
    """ln x = n ln 2 + ln(1 + m) with x = 2ⁿ (1 + m), for x ≥ 1."""
    bits = REAL(x).view(INTEGER)
    n = (bits >> MANTISSA) - BIAS
    m = INTEGER(bits - (n << MANTISSA)).view(REAL) - 1.0
    y = REAL(n) * LN2_HIGH + (REAL(n) * LN2_LOW + log1p(m))
    return y if x <= FINITE else x  # NaN stays


def rank(x):
    """A whole number that grows with x; compilers vectorise maxima of these, NaN or not."""
    bits = REAL(x).view(INTEGER)
    return INTEGER(bits ^ ((bits >> SIGN) & LARGEST))


def ranked(n):
    """The inverse of ``rank``."""
    return INTEGER(n ^ ((n >> SIGN) & LARGEST)).view(REAL)


def sigmoid(x):
    e = exp_falling(-abs(x))
    return (e if x < 0.0 else 1.0) / (1.0 + e)


def tanh(x):
    z = abs(x)
    e = expm1(40.0 if z > 20.0 else 2.0 * z)
    return copysign(e / (e + 2.0), x)


# ---------------------------------------------------------------------------- erf


def erf_single(x):
    """See :mod:`minigrad.special`, as for ``erf_double``."""
    z = abs(x)
    z = END if z > END else z
    near = x + x * polynomial(SINGLE_NEAR, z * z)
    far = 1.0 - exp_falling(z * polynomial(SINGLE_FAR, z) - z)
    far = copysign(far, x)
    return far if z > SINGLE_BORDER else near


def erf_double(x):
    z = abs(x)
    z = END if z > END else z
    s = z * z
    far = polynomial(DOUBLE_FAR_TOP, z) * exp_falling(-s)
    near = polynomial(DOUBLE_NEAR_TOP, s)
    below = polynomial(DOUBLE_FAR_BOTTOM, z)
    below_near = polynomial(DOUBLE_NEAR_BOTTOM, s)
    is_far = z > DOUBLE_BORDER
    quotient = (far if is_far else near) / (below if is_far else below_near)
    far = copysign(1.0 - quotient, x)
    near = x * quotient
    return far if is_far else near


def normal_single(x):
    """See ``normal``. One exponential serves both, and the lower tail is not cancelled."""
    z = abs(x) * SQRT_HALF
    t = 1.0 / (1.0 + 0.5 * z)
    e = exp_falling(-z * z)
    tail = 0.5 * t * polynomial(ERFC_TERMS, t) * e
    return tail if x < 0.0 else 1.0 - tail, e


def normal_double(x):
    z = x * SQRT_HALF
    return 0.5 * (1.0 + erf_double(z)), exp_falling(-z * z)


ERF, NORMAL = erf_double, normal_double


def erf(x):
    """``erf_single`` or ``erf_double``."""
    return ERF(x)


def normal(x):
    """(Φ(x), e^{−x²/2}), with the normal distribution's Φ."""
    return NORMAL(x)


# ---------------------------------------------------------------------------- constants


def _constants(real: Any, integer: Any, erf: Any, normal: Any) -> dict[str, Any]:
    """What names stand for in functions of numbers of dtype ``real``."""
    limits, single = np.finfo(real), real is np.float32
    shift = real(1.5 * 2.0**limits.nmant)
    # ln 2 in two parts, the first with so few bits that its product with n is exact.
    high, low = (
        (0.693359375, -2.12194440e-4)
        if single
        else (6.93147180369123816490e-1, 1.90821492927058770002e-10)
    )
    # 2 artanh w = 2 w + w³ (2/3 + 2/5 w² + ...), here as a polynomial in w² for w ≤ 1/3: with fewer
    # terms than the series, by interpolation.
    artanh = np.polynomial.Chebyshev.interpolate(
        lambda v: sum(2 / (2 * k + 3) * v**k for k in range(25)), 4 if single else 10, [0, 1 / 9]
    ).convert(kind=np.polynomial.Polynomial)
    # erfc(z) e^{z²} / t as a polynomial in t = 1 / (1 + z / 2), for z ≤ 16: to three units of
    # float32.
    erfc = np.polynomial.Chebyshev.interpolate(
        np.vectorize(lambda t: math.erfc(2 / t - 2) * math.exp((2 / t - 2) ** 2) / t),
        8,
        [1 / 9, 1],
    ).convert(kind=np.polynomial.Polynomial)
    found = {
        "LOG2_E": 1 / math.log(2),
        "ROUND": shift,
        "LN2_HIGH": high,
        "LN2_LOW": low,
        "LEAST": (limits.minexp - limits.nmant) * math.log(2) - 1,  # whose exponential is 0
        "MOST": math.log(limits.max) + 0.5,  # whose exponential is ∞
        "LOWER": 2.0**-64,  # and RAISE is 64
        "FINITE": limits.max,
        "EXP_TERMS": [1 / math.factorial(n) for n in range(7 if single else 13, 1, -1)],
        "LOG_TERMS": artanh.coef[::-1],
        "ERFC_TERMS": erfc.coef[::-1],
        **{name: value for name, value in vars(special).items() if name.isupper()},
    }
    typed = {
        name: tuple(map(real, value)) if np.ndim(value) else real(value)
        for name, value in found.items()
    }
    bits = {"ROUND_BITS": shift.view(integer), "ONE": integer(1), "RAISE": integer(64)}
    bits |= {
        "SIGN": integer(8 * limits.dtype.itemsize - 1),
        "LARGEST": integer(np.iinfo(integer).max),
    }
    exponent = {"MANTISSA": integer(limits.nmant), "BIAS": integer(limits.maxexp - 1)}
    return {
        **typed,
        **bits,
        **exponent,
        "REAL": real,
        "INTEGER": integer,
        "ERF": erf,
        "NORMAL": normal,
    }


CONSTANTS = {
    np.float32: _constants(np.float32, np.int32, erf_single, normal_single),
    np.float64: _constants(np.float64, np.int64, erf_double, normal_double),
}
