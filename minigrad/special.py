"""Special functions of raw arrays, which NumPy does not have.

erf: near 0 it is x times a polynomial or a quotient of polynomials in x², elsewhere
±(1 − erfc |x|). So both dtypes are exact to their last two bits, however small x is.

- float32: N. Juffa's minimax polynomials for erf(x) / x − 1 and for z + ln erfc z
  (https://stackoverflow.com/a/35148199).
- float64: the quotients for erf(x) / x and for erfc(z) e^{z²} of S. L. Moshier's *Cephes*
  (``ndtr.c``; *Methods and Programs for Mathematical Functions*, Ellis Horwood 1989).
"""

from __future__ import annotations

from .device import Array, get_xp

# Coefficients from the highest power down.
SINGLE_BORDER = 0.927734375  # between near and far
SINGLE_NEAR = (
    *(-5.96761703e-4, 4.99119423e-3, -2.67681349e-2),
    *(1.12819925e-1, -3.76125336e-1, 1.28379166e-1),
)
SINGLE_FAR = (
    *(-1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2),
    *(-1.06777877e-1, -6.34846687e-1, -1.28717512e-1),
)
DOUBLE_BORDER = 1.0
DOUBLE_NEAR_TOP = (
    *(9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3),
    *(7.00332514112805075473e3, 5.55923013010394962768e4),
)
DOUBLE_NEAR_BOTTOM = (
    *(1.0, 3.35617141647503099647e1, 5.21357949780152679795e2),
    *(4.59432382970980127987e3, 2.26290000613890934246e4, 4.92673942608635921086e4),
)
DOUBLE_FAR_TOP = (
    *(2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0),
    *(4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2),
    *(9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2),
)
DOUBLE_FAR_BOTTOM = (
    *(1.0, 1.32281951154744992508e1, 8.67072140885989742329e1),
    *(3.54937778887819891062e2, 9.75708501743205489753e2, 1.82390916687909736289e3),
    *(2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2),
)
END = 6.0  # erf is ±1 from here on, in float64


def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^{−t²} dt of an array of floats, in its dtype (float16 by way of float32)."""
    xp = get_xp(x)
    if hasattr(xp, "erf"):  # where the derivative is recorded: not that of the polynomials
        return xp.erf(x)
    if x.dtype == "float16":
        return erf(x.astype("float32")).astype(x.dtype)
    x = xp.clip(x, -END, END)  # beyond, polynomials might overflow
    z, s = xp.abs(x), x * x
    if x.dtype == "float32":
        near = x + x * _polynomial(SINGLE_NEAR, s)
        far = 1 - xp.exp(z * _polynomial(SINGLE_FAR, z) - z)
        return xp.where(z > SINGLE_BORDER, xp.copysign(far, x), near)
    near = x * (_polynomial(DOUBLE_NEAR_TOP, s) / _polynomial(DOUBLE_NEAR_BOTTOM, s))
    quotient = _polynomial(DOUBLE_FAR_TOP, z) / _polynomial(DOUBLE_FAR_BOTTOM, z)
    return xp.where(z > DOUBLE_BORDER, xp.copysign(1 - xp.exp(-z * z) * quotient, x), near)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Σ cᵢ xⁿ⁻ⁱ, by Horner's rule in one array."""
    y = x * coefficients[0]
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y
