"""Convolution without im2col columns, for the arrays that :mod:`minigrad.cpu.conv_direct` prepares.

A row of outputs is one contiguous run of OW·N elements, and the pixels that one kernel offset (kh,
kw) of one channel c reads for it are another. The kernels process four output channels and four
input channels at a time, so each loaded element is used four times.

Kernel offset (kh, kw) of channel c reads the image at ``starts[kh, kw] + planes[c]``: ``h`` rows of
``row_size`` elements, ``n`` per pixel. It reads ``down[kh]`` rows below the output's row and
``right[kw]`` pixels to the right, and nothing outside the image. The number of channels is a
multiple of four.
"""

from __future__ import annotations

from . import inline, inline_sum, jit

STRIP = 1024  # elements of a run that are summed together, to stay in the first-level cache
SUMS_STRIDE = STRIP + 16  # from one output channel's sums to the next's; not a power of two


@inline
def _add_16(y, i, y_stride, x, j0, j1, j2, j3, w, k, w_stride, n):
    """Four rows of y (at i, i + y_stride …) += a 4 x 4 block of w @ four runs of x."""
    y0, y1 = y[i : i + n], y[i + y_stride : i + y_stride + n]
    i += 2 * y_stride
    y2, y3 = y[i : i + n], y[i + y_stride : i + y_stride + n]
    x0, x1, x2, x3 = x[j0 : j0 + n], x[j1 : j1 + n], x[j2 : j2 + n], x[j3 : j3 + n]
    a0, a1, a2, a3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += w_stride
    b0, b1, b2, b3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += w_stride
    c0, c1, c2, c3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += w_stride
    d0, d1, d2, d3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    for e in range(n):
        u0, u1, u2, u3 = x0[e], x1[e], x2[e], x3[e]
        y0[e] = y0[e] + a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3
        y1[e] = y1[e] + b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3
        y2[e] = y2[e] + c0 * u0 + c1 * u1 + c2 * u2 + c3 * u3
        y3[e] = y3[e] + d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3


@inline
def _fill(y, i, value, n):
    ys = y[i : i + n]
    for e in range(n):
        ys[e] = value


@inline
def _copy(x, j, y, i, n):
    xs, ys = x[j : j + n], y[i : i + n]
    for e in range(n):
        ys[e] = xs[e]


@jit
def correlate(
    x, starts, planes, down, right, h, row_size, n,
    w, bias, outputs, height, run, first, last, y, sums,
):  # fmt: skip
    """y[o, i] = bias[o] + Σ_kh,kw,c w[o, kh, kw, c] · (the run that kh, kw, c reads), for output
    rows i = first … last − 1. All arrays are flat: y (outputs, height, run), w (O, KH, KW, C) with
    O a multiple of four; bias may be empty.

    Rows of y are often a power of two apart, which a cache handles badly: it holds few of them at
    once, and confuses stores to different rows. So the sums are kept in ``sums``, 4 · SUMS_STRIDE
    elements.
    """
    kernel_h, kernel_w, channels = len(down), len(right), len(planes)
    w_stride = kernel_h * kernel_w * channels
    for i in range(first, last):
        for start in range(0, run, STRIP):
            length = min(STRIP, run - start)
            for o in range(0, outputs, 4):
                for r in range(4):
                    value = bias[o + r] if o + r < len(bias) else y.dtype.type(0)
                    _fill(sums, r * SUMS_STRIDE, value, length)
                for kh in range(kernel_h):
                    row = i + down[kh]
                    for kw in range(kernel_w if 0 <= row < h else 0):
                        shift, place = start + right[kw] * n, kh * kernel_w + kw
                        low = max(0, -shift)
                        m = min(length, row_size - shift) - low
                        at = starts[place] + row * row_size + shift + low
                        k = o * w_stride + place * channels
                        for c in range(0, channels if m > 0 else 0, 4):
                            j0, j1 = at + planes[c], at + planes[c + 1]
                            j2, j3 = at + planes[c + 2], at + planes[c + 3]
                            _add_16(
                                sums, low, SUMS_STRIDE, x, j0, j1, j2, j3, w, k + c, w_stride, m
                            )
                for r in range(min(4, outputs - o)):
                    _copy(sums, r * SUMS_STRIDE, y, ((o + r) * height + i) * run + start, length)


@inline_sum
def _dot_16(g, i0, i1, i2, i3, x, j0, j1, j2, j3, w, k, w_stride, n):
    """A 4 x 4 block of w += the dot products of four runs of g with four runs of x."""
    g0, g1, g2, g3 = g[i0 : i0 + n], g[i1 : i1 + n], g[i2 : i2 + n], g[i3 : i3 + n]
    x0, x1, x2, x3 = x[j0 : j0 + n], x[j1 : j1 + n], x[j2 : j2 + n], x[j3 : j3 + n]
    zero = x.dtype.type(0)
    a0, a1, a2, a3 = zero, zero, zero, zero
    b0, b1, b2, b3 = zero, zero, zero, zero
    c0, c1, c2, c3 = zero, zero, zero, zero
    d0, d1, d2, d3 = zero, zero, zero, zero
    for e in range(n):
        u0, u1, u2, u3 = x0[e], x1[e], x2[e], x3[e]
        v = g0[e]
        a0, a1, a2, a3 = a0 + v * u0, a1 + v * u1, a2 + v * u2, a3 + v * u3
        v = g1[e]
        b0, b1, b2, b3 = b0 + v * u0, b1 + v * u1, b2 + v * u2, b3 + v * u3
        v = g2[e]
        c0, c1, c2, c3 = c0 + v * u0, c1 + v * u1, c2 + v * u2, c3 + v * u3
        v = g3[e]
        d0, d1, d2, d3 = d0 + v * u0, d1 + v * u1, d2 + v * u2, d3 + v * u3
    for value in (a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3):
        w[k] += value[0]
        w[k + 1] += value[1]
        w[k + 2] += value[2]
        w[k + 3] += value[3]
        k += w_stride


@jit
def weight_gradient(
    x, starts, planes, down, right, h, row_size, n, g, outputs, height, run, first, last, w
):
    """w[o, kh, kw, c] += Σ over output rows i = first … last − 1 of g[o, i] · (the run that kh, kw,
    c reads). Values of w for channels beyond ``outputs`` are meaningless."""
    kernel_h, kernel_w, channels = len(down), len(right), len(planes)
    w_stride, g_stride, last_output = kernel_h * kernel_w * channels, height * run, outputs - 1
    for i in range(first, last):
        for o in range(0, outputs, 4):
            for kh in range(kernel_h):
                row = i + down[kh]
                for kw in range(kernel_w if 0 <= row < h else 0):
                    shift, place = right[kw] * n, kh * kernel_w + kw
                    low = max(0, -shift)
                    m = min(run, row_size - shift) - low
                    at = starts[place] + row * row_size + shift + low
                    k = o * w_stride + place * channels
                    here = i * run + low
                    i0, i1 = here + o * g_stride, here + min(o + 1, last_output) * g_stride
                    i2, i3 = (
                        here + min(o + 2, last_output) * g_stride,
                        here + min(o + 3, last_output) * g_stride,
                    )
                    for c in range(0, channels if m > 0 else 0, 4):
                        j0, j1 = at + planes[c], at + planes[c + 1]
                        j2, j3 = at + planes[c + 2], at + planes[c + 3]
                        _dot_16(g, i0, i1, i2, i3, x, j0, j1, j2, j3, w, k + c, w_stride, m)
