"""Convolutions: what implementations are compared on."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.ops.conv import Window, _conv2d
from minigrad.ops.conv_transpose import _conv_transpose2d
from tests.common import grid, seeds
from tests.ops.driver import Arguments, Cases

pairs = lambda low, high: st.tuples(*[st.integers(low, high)] * 2)  # noqa: E731


def arguments(draw: Any, window: Window, padding: Any, groups: int, sizes: Any) -> Arguments:
    n, cg, og = sizes
    seed = draw(seeds)
    slack = draw(pairs(0, 4))
    sizes = zip(window.reach, padding, slack, strict=True)
    size = [max(1, reach - 2 * p) + s for reach, p, s in sizes]
    x = grid((n, groups * cg, *size), seed)
    w = grid((groups * og, cg, *window.kernel), seed + 1)
    b = grid((groups * og,), seed + 2) if draw(st.booleans()) else None
    return [x, w, b], {"padding": padding, "window": window, "groups": groups}


@st.composite
def general(draw: Any) -> Arguments:
    """All options; an empty batch now and then, and windows over nothing but padding."""
    stride = draw(st.just((1, 1)) | pairs(1, 3))
    window = Window(draw(pairs(1, 3)), stride, draw(pairs(1, 2)))
    sizes = draw(st.integers(0, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return arguments(draw, window, draw(pairs(0, 3)), draw(st.integers(1, 3)), sizes)


@st.composite
def many_channels(draw: Any) -> Arguments:
    """More channels than are convolved straight from the image."""
    window = Window(draw(pairs(1, 3)), draw(pairs(1, 2)))
    outputs = draw(st.sampled_from([17, 33, 70]))  # the last has its input gradient by col2im
    return arguments(draw, window, draw(pairs(0, 2)), 1, (draw(st.integers(1, 5)), 33, outputs))


@st.composite
def few_pixels(draw: Any) -> Arguments:
    """Few pixels and many filters, in whole vectors: nothing is rearranged but the pixels."""
    window = Window(draw(pairs(1, 3)), draw(pairs(1, 2)), draw(pairs(1, 2)))
    sizes = draw(st.integers(1, 3)), draw(st.sampled_from([16, 32])), draw(st.integers(1, 12)) * 16
    return arguments(draw, window, draw(pairs(0, 2)), 1, sizes)


@st.composite
def of_pixels(draw: Any) -> Arguments:
    """1 x 1 filters, which are matrix products of images in C order."""
    window = Window((1, 1), draw(st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 1)])))
    sizes = draw(st.integers(2, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    (x, w, b), params = arguments(draw, window, (0, 0), 1, sizes)
    return [
        np.pad(x, [(0, 0), (0, 0), (0, 0), (0, draw(st.integers(7, 20)))], "wrap"),
        w,
        b,
    ], params


@st.composite
def winograd(draw: Any) -> Arguments:
    """3 x 3 filters that go by Winograd's way where sizes allow."""
    # 3 and 9 are cut into parts, and 40 into blocks that are no multiples of 16.
    n = draw(st.sampled_from([3, 9, 16, 40]))
    sizes = n, draw(st.integers(7, 18)), draw(st.integers(7, 18))
    (x, w, b), params = arguments(draw, Window((3, 3)), draw(pairs(0, 2)), 1, sizes)
    taller = draw(pairs(3, 10))
    return [np.pad(x, [(0, 0), (0, 0), *((0, n) for n in taller)], "wrap"), w, b], params


@st.composite
def on_gpu(draw: Any) -> Arguments:
    """Whatever is compiled in takes one of two values."""
    kernel, stride = draw(st.sampled_from([((3, 3), (1, 1)), ((3, 2), (2, 1))]))
    whole = kernel == (3, 3)  # multiples of four channels and images, copied 16 bytes at a time
    numbers = st.sampled_from([4, 8, 16] if whole else [1, 3, 5])
    sizes = draw(numbers), draw(numbers), draw(numbers)
    window = Window(kernel, stride, draw(pairs(1, 2)))
    return arguments(draw, window, draw(pairs(0, 2)), draw(st.integers(1, 3)), sizes)


def transposed(arguments: Arguments) -> Arguments:
    """The transposed convolution whose result is as large as the argument of a convolution."""
    (x, w, b), options = arguments
    n, channels, *size = x.shape
    outputs = options["window"].output(size, options["padding"])
    b = None if b is None else grid((channels,), 2)
    return [grid((n, len(w), *outputs), 1), w, b], {**options, "out": tuple(size)}


convolutions = general() | many_channels() | few_pixels() | winograd()
CASES = {
    _conv2d: Cases(
        convolutions | of_pixels() | of_pixels() | of_pixels() | of_pixels(),  # of which few serve
        examples=45,
        gpu=on_gpu(),
        limits={
            "minigrad.cpu.conv_columns.MAX_COLUMN_BYTES": (1, 200, 1000, 3 << 19),
            "minigrad.cpu.conv_dense.LEAST_IMAGES": (1, 48),
            "minigrad.cpu.conv_pixels.LEAST_PIXELS": (1, 64),
            "minigrad.cpu.conv_pixels.LEAST_PRODUCTS": (1,),
            "minigrad.cpu.conv_pixels.TILE_BYTES": (1, 1 << 15),
            "minigrad.cpu.conv_winograd.COPY": (0,),
            "minigrad.cpu.conv_winograd.FILTERS": (0,),
            "minigrad.cpu.conv_winograd.MAX_BLOCK_BYTES": (1, 20_000, 1 << 20),
            "minigrad.cpu.conv_winograd.MAX_SUM_BYTES": (1, 20_000, 1 << 20),
            "minigrad.cpu.conv_winograd.MAX_IMAGES": (1, 128),
            "minigrad.cpu.conv_winograd.MAX_GROUP_BYTES": (1, 1 << 20),
            "minigrad.cpu.conv_winograd.LEAST_COLUMNS": (1, 128),
            "minigrad.cpu.conv_winograd.LEAST_SUMMED": (1, 128),
            "minigrad.cpu.conv_direct.MAX_TILE_BYTES": (1, 1 << 18),
        },
        loosen=5,
    ),
    _conv_transpose2d: Cases(convolutions.map(transposed), loosen=5),
}
