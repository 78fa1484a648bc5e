"""Random numbers from the words of a stream: the same bits as ``numpy.random.Generator`` draws.

These are NumPy's algorithms (numpy/random/src/distributions/distributions.c): for normals and
exponentials the ziggurat of Marsaglia and Tsang (*The ziggurat method for generating random
variables*, J. Stat. Softw. 5(8), 2000), for integers that of Lemire (*Fast random integer
generation in an interval*, ACM TOMACS 29(1), 2019). A number takes one word, and seldom more; a
place of a shuffle takes one that is masked, or the next if that is too large.

A kernel ``draw(out, words, first, last, found, ...)`` draws as many numbers as begin at words
``first`` to ``last``. It sets ``found`` to how many these are, and to the number of words that the
last of them takes from ``last`` on, or -1 if there are not that many.
"""

from __future__ import annotations

import math

import numpy as np
from numba.np.random import _constants as tables

from . import jit_exactly

# Places are compared as signed integers, which a CPU converts to floats at once.
KI, KI_SINGLE, KE = (
    np.asarray(k, np.int64) for k in (tables.ki_double, tables.ki_float, tables.ke_double)
)
WI, FI, WE, FE = tables.wi_double, tables.fi_double, tables.we_double, tables.fe_double
WI_SINGLE, FI_SINGLE = tables.wi_float, tables.fi_float
R, INVERSE, R_EXPONENTIAL = tables.ziggurat_nor_r, tables.ziggurat_nor_inv_r, tables.ziggurat_exp_r
R_SINGLE, INVERSE_SINGLE = (
    np.float32(tables.ziggurat_nor_r_f),
    np.float32(tables.ziggurat_nor_inv_r_f),
)
UNIT, UNIT_SINGLE = 1 / 9007199254740992.0, np.float32(1 / 16777216.0)
BYTE, LOW = np.uint64(0xFF), np.uint64(0xFFFFFFFF)
ZERO, ONE, TWO = np.uint64(0), np.uint64(1), np.uint64(2)


@jit_exactly
def normal(out, words, first, last, found):
    """The standard normal; words have 64 bits."""
    at, end, count, room = np.uint64(first), np.uint64(last), ZERO, np.uint64(len(words))
    found[1] = -1
    while at < end:
        word = words[at]
        at += ONE
        i, sign = word & BYTE, (word >> np.uint64(8)) & np.uint64(1)
        place = np.int64((word >> np.uint64(9)) & np.uint64(0xFFFFFFFFFFFFF))
        x = place * WI[i]
        x = -x if sign else x
        if place >= KI[i]:
            if i == 0:
                while True:  # the tail
                    if at + TWO > room:
                        return
                    a = (words[at] >> np.uint64(11)) * UNIT
                    b = (words[at + ONE] >> np.uint64(11)) * UNIT
                    at += TWO
                    x, y = -INVERSE * math.log1p(-a), -math.log1p(-b)
                    if y + y > x * x:
                        break
                x = -(R + x) if (place >> 8) & 1 else R + x
            else:
                if at == room:
                    return
                a = (words[at] >> np.uint64(11)) * UNIT
                at += ONE
                if not (FI[i - ONE] - FI[i]) * a + FI[i] < math.exp(-0.5 * x * x):
                    continue
        out[count] = x
        count += ONE
    found[0], found[1] = np.int64(count), np.int64(at - end)


@jit_exactly
def normal_single(out, words, first, last, found):
    """The standard normal in float32; words have 32 bits."""
    at, end, count, room = np.uint64(first), np.uint64(last), ZERO, np.uint64(len(words))
    found[1] = -1
    while at < end:
        word = np.int64(words[at])
        at += ONE
        i, sign, place = np.uint64(word & 0xFF), (word >> 8) & 1, word >> 9
        x = np.float32(place) * WI_SINGLE[i]
        x = -x if sign else x
        if place >= KI_SINGLE[i]:
            if i == 0:
                while True:  # the tail
                    if at + TWO > room:
                        return
                    a = np.float32(words[at] >> np.uint32(8)) * UNIT_SINGLE
                    b = np.float32(words[at + ONE] >> np.uint32(8)) * UNIT_SINGLE
                    at += TWO
                    x, y = -INVERSE_SINGLE * math.log1p(-a), -math.log1p(-b)
                    if y + y > x * x:
                        break
                x = -(R_SINGLE + x) if (place >> 8) & 1 else R_SINGLE + x
            else:
                if at == room:
                    return
                a = np.float32(words[at] >> np.uint32(8)) * UNIT_SINGLE
                at += ONE
                height = (FI_SINGLE[i - ONE] - FI_SINGLE[i]) * a + FI_SINGLE[i]
                if not np.float64(height) < math.exp(-0.5 * np.float64(x) * np.float64(x)):
                    continue
        out[count] = x
        count += ONE
    found[0], found[1] = np.int64(count), np.int64(at - end)


@jit_exactly
def exponential(out, words, first, last, found):
    """The exponential of scale 1; words have 64 bits."""
    at, end, count, room = np.uint64(first), np.uint64(last), ZERO, np.uint64(len(words))
    found[1] = -1
    while at < end:
        word = words[at]
        at += ONE
        i, place = (word >> np.uint64(3)) & BYTE, np.int64(word >> np.uint64(11))
        x = place * WE[i]
        if place >= KE[i]:
            if at == room:
                return
            a = (words[at] >> np.uint64(11)) * UNIT
            at += ONE
            if i == 0:
                x = R_EXPONENTIAL - math.log1p(-a)
            elif not (FE[i - ONE] - FE[i]) * a + FE[i] < math.exp(-x):
                continue
        out[count] = x
        count += ONE
    found[0], found[1] = np.int64(count), np.int64(at - end)


@jit_exactly
def below(out, words, first, last, found, low, many):
    """The integers from ``low`` to ``low + many``, which is less than 2^32 above; words have 32
    bits."""
    at, end, count, least = np.uint64(first), np.uint64(last), ZERO, (4294967296 - many) % many
    found[1] = -1
    while at < end:
        product = np.uint64(words[at]) * np.uint64(many)
        at += ONE
        if np.int64(product & LOW) >= least:
            out[count] = low + np.int64(product >> np.uint64(32))
            count += ONE
    found[0], found[1] = np.int64(count), 0


@jit_exactly
def shuffle(x, words, begin):
    """Fisher and Yates's shuffle of x from its place ``begin`` down, by words of 32 bits. Returns
    the place where the words end, or 0."""
    i, mask = begin, np.int64(1)
    while mask <= begin:
        mask *= 2
    for k in range(len(words)):
        while mask > i:
            mask //= 2
        j = np.int64(words[k]) & (2 * mask - 1)
        if j <= i:
            a, b = x[i], x[j]
            x[i], x[j] = b, a
            i -= 1
            if i == 0:
                break
    return i
