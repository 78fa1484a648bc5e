"""Convolution as products of filters with columns that are gathered a tile at a time.

A tile is a run of outputs: of the flat (OH, OW, N) memory of a channel. Its columns are the pixels
that the filters multiply for it, a row for each kernel offset, "tap", and channel. They are copied
into a buffer that stays in the core's cache, and multiplied from there in registers
(:mod:`minigrad.cpu.kernels.vector`). Taps that read only padding for a whole tile are left out.

Output (i, j) and tap p read the pixel in row ``i · stride + down[p]`` and column
``j · stride + right[p]`` of an image (H, W, N), or zero outside of it. ``image`` holds (channels,
H, W, N, vertical and horizontal stride, OH, OW).
"""

from __future__ import annotations

import numpy as np

from . import inline
from .memory import allocate, free
from .team import parallel_for
from .vector import BLOCK_BYTES, LINES, ROWS, TILE_BYTES, clear, dots, lines, move, move_tile, outer

U = np.uint64  # an index of this type never counts from an array's end


@inline
def _cut(image, layout, start, size, pieces):
    """Cut outputs start … start + size − 1 into pieces whose pixels are contiguous for each tap,
    and which are contiguous in the memory of ``layout``; return their number. A piece is (offset
    from start, length, row and place in it for a tap at 0, place in an output channel)."""
    _, _, _, n, stride_h, stride_w, _, ow = image
    _, _, to_row, to_column = layout
    unit = ow * n if stride_w == 1 and to_column == n else n
    units = ow * n // unit
    done = count = 0
    while done < size:
        q, within = divmod(start + done, unit)
        i, j = divmod(q, units)
        length = min(unit - within, size - done)
        pieces[count, 0], pieces[count, 1] = done, length
        pieces[count, 2], pieces[count, 3] = i * stride_h, j * stride_w * n + within
        pieces[count, 4] = i * to_row + j * to_column + within
        done += length
        count += 1
    return count


@inline
def _gather(x, image, down, right, pieces, count, tile, columns, active, only_active):
    """Fill ``columns``, ``tile`` elements a row, with the columns of ``pieces``, and zeros behind.
    ``active`` says which taps read a pixel; the rows of the others are filled only if not
    ``only_active``."""
    channels, h, w, n = image[0], image[1], image[2], image[3]
    plane, row_size, full = h * w * n, w * n, TILE_BYTES // x.itemsize
    size = pieces[count - 1, 0] + pieces[count - 1, 1]
    for p in range(len(down)):
        active[p] = False
        for k in range(count):
            row, source = pieces[k, 2] + down[p], pieces[k, 3] + right[p] * n
            if 0 <= row < h and source + pieces[k, 1] > 0 and source < row_size:
                active[p] = True
        first = p * channels * tile
        if not active[p]:
            if not only_active:
                clear(columns, first, channels * tile)
            continue
        for k in range(count):
            at, length = first + pieces[k, 0], pieces[k, 1]
            row, source = pieces[k, 2] + down[p], pieces[k, 3] + right[p] * n
            low, high = max(0, -source), min(length, row_size - source)
            if not 0 <= row < h or high <= low:
                low = high = length
            source += row * row_size
            inside = low == 0 and high == length
            if inside and length % full == 0:
                for c in range(channels):
                    for e in range(0, length, full):
                        move_tile(x, source + c * plane + e, columns, at + c * tile + e)
            elif inside:
                for c in range(channels):
                    move(x, source + c * plane, columns, at + c * tile, length)
            else:
                for c in range(channels):
                    to = at + c * tile
                    clear(columns, to, low)
                    move(x, source + c * plane + low, columns, to + low, high - low)
                    clear(columns, to + high, length - high)
        if size < tile:
            for c in range(channels):
                clear(columns, first + c * tile + size, tile - size)


@parallel_for
def pack(w, taps, packed, first, last):
    """Blocks first … last − 1 of ROWS filters each as :func:`vector.outer` takes them: w (O, C,
    KH · KW) of any strides to flat (blocks, taps, C, ROWS), zero where there is no filter."""
    outputs, channels = w.shape[:2]
    k = first * len(taps) * channels * ROWS
    for block in range(first, last):
        o = block * ROWS
        for tap in taps:
            for c in range(channels):
                if o + ROWS <= outputs:
                    for r in range(ROWS):
                        packed[k + r] = w[o + r, c, tap]
                else:
                    for r in range(ROWS):
                        there = o + r < outputs
                        packed[k + r] = w[o + r, c, tap] if there else packed.dtype.type(0)
                k += ROWS


@parallel_for
def correlate(
    x, image, down, right, packed, bias, outputs, tile, y, layout, scratches, seat, first, last
):
    """Elements first … last − 1 of each output channel: bias plus the filters' products with the
    columns. There is a number of ``bias`` for each of the packed filters.

    Output (i, j) of channel o is written to ``layout[0] + o · layout[1] + i · layout[2] + j ·
    layout[3]`` in y, for N images. A scratch holds ``tile`` elements, a multiple of TILE_BYTES, of
    all columns and of ROWS rows of sums.
    """
    scratch = scratches[seat]
    memory, active = allocate(5 * tile, 0), allocate(len(down), True)
    pieces = memory.reshape((tile, 5))
    channels, n, ow, taps = image[0], image[3], image[7], len(down)
    begin, to_channel, to_row, to_column = layout
    flat = to_column == n and to_row == ow * n
    block = BLOCK_BYTES // x.itemsize
    depth = taps * channels
    for start in range(first, last, tile):
        size = min(tile, last - start)
        count = _cut(image, layout, start, size, pieces)
        _gather(x, image, down, right, pieces, count, tile, scratch, active, True)
        whole = size == tile and (flat or count == 1)
        for o in range(0, outputs, ROWS):
            # Whole tiles are summed in place.
            there = whole and o + ROWS <= outputs
            sums = y if there else scratch
            to = begin + o * to_channel + pieces[0, 4] if there else depth * tile
            pitch = to_channel if there else tile
            for part in range(0, tile, block):
                fresh, p = True, 0
                while p < taps:
                    q = p
                    while q < taps and active[q]:
                        q += 1
                    if q > p:
                        k = p * channels
                        outer(
                            packed, o * depth + k * ROWS, scratch, k * tile + part, tile,
                            (q - p) * channels, sums, to + part, pitch, bias, o, fresh,
                        )  # fmt: skip
                        fresh = False
                    p = q + 1
                if fresh:  # nothing but padding
                    for r in range(ROWS):
                        for k in range(block):
                            sums[to + r * pitch + part + k] = bias[o + r]
            for r in range(0 if there else min(ROWS, outputs - o)):
                place = begin + (o + r) * to_channel
                for k in range(count):
                    at = to + r * tile + pieces[k, 0]
                    move(sums, at, y, place + pieces[k, 4], pieces[k, 1])
    free(memory)
    free(active)


@parallel_for
def weight_gradient(
    x, image, down, right, g, outputs, tile, sums, width, scratches, part, seat, first, last
):
    """w[o, p, c] += Σ over elements first … last − 1 of g[o] · (the column of tap p and channel c),
    where w is the part's row of ``sums``: its rows are ``width`` long, and as many as a multiple of
    LINES that holds ``outputs``. A scratch holds ``tile`` elements of all columns, and LINES rows
    of g."""
    scratch, w = scratches[seat], sums[part]
    memory, active = allocate(5 * tile, 0), allocate(len(down), True)
    pieces = memory.reshape((tile, 5))
    channels, n, ow, taps = image[0], image[3], image[7], len(down)
    size_g = image[6] * ow * n
    layout = 0, size_g, ow * n, n
    across = lines(x.itemsize)
    depth = taps * channels
    in_whole_blocks = channels % across == 0
    vectors = 2 * tile * x.itemsize // BLOCK_BYTES
    clear(scratch, depth * tile, (width - depth) * tile)
    for start in range(first, last, tile):
        size = min(tile, last - start)
        count = _cut(image, layout, start, size, pieces)
        _gather(x, image, down, right, pieces, count, tile, scratch, active, in_whole_blocks)
        for o in range(0, outputs, LINES):
            there = size == tile and o + LINES <= outputs
            rows = g if there else scratch
            at, pitch = (o * size_g + start, size_g) if there else (width * tile, tile)
            if not there:
                clear(scratch, at, LINES * tile)
                for r in range(min(LINES, outputs - o)):
                    move(g, (o + r) * size_g + start, scratch, at + r * tile, size)
            for k in range(0, width, across):
                if not in_whole_blocks or active[k // channels]:
                    to = o * width + k
                    dots(rows, at, pitch, scratch, k * tile, tile, vectors, w, to, width, False)
    free(memory)
    free(active)


@parallel_for
def multiply(x, image, packed, bias, outputs, tile, y, scratches, seat, first, last):
    """1 x 1 filters' results for images first … last − 1, which lie in C order: bias plus products
    of every pixel that strides meet. ``image`` holds (channels, H, W, vertical and horizontal
    stride, OH, OW). The scratch memory of each thread is that of :func:`correlate`."""
    channels, h, w, down, right, oh, ow = image
    scratch, pixels, block = scratches[seat], oh * ow, BLOCK_BYTES // x.itemsize
    for n in range(first, last):
        for start in range(0, pixels, tile):
            size = min(tile, pixels - start)
            for c in range(channels):
                plane, to = (n * channels + c) * h * w, c * tile
                if down == 1 and right == 1:
                    move(x, plane + start, scratch, to, size)
                    continue
                done = 0
                while done < size:
                    i, j = divmod(start + done, ow)
                    length = min(ow - j, size - done)
                    at = U(plane + i * down * w + j * right)
                    for k in range(U(length)):
                        scratch[U(to + done) + k] = x[at + k * U(right)]
                    done += length
            for o in range(0, outputs, ROWS):
                place = (n * outputs + o) * pixels + start
                there = size == tile and o + ROWS <= outputs
                for part in range(0, tile, block):
                    if there:
                        outer(
                            packed, o * channels, scratch, part, tile, channels, y, place + part,
                            pixels, bias, o, True,
                        )  # fmt: skip
                    else:
                        outer(
                            packed, o * channels, scratch, part, tile, channels, scratch,
                            channels * tile + part, tile, bias, o, True,
                        )  # fmt: skip
                for r in range(0 if there else min(ROWS, outputs - o)):
                    move(scratch, (channels + r) * tile, y, place + r * pixels, size)
