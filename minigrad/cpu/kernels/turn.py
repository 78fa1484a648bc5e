"""A matrix turned, in tiles that are read and written in lines of memory."""

from __future__ import annotations

import numpy as np

from . import jit

TILE = 64


@jit
def turn(out, x, rows, columns, top, bottom, left, right):
    """Write rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of ``out``, (rows,
    columns), from x, (columns, rows)."""
    width = TILE + 1  # so that a column of a tile lies in different sets of a cache
    tile = np.empty(TILE * width, x.dtype)
    for r in range(top, bottom, TILE):
        high = min(TILE, bottom - r)
        for c in range(left, right, TILE):
            wide = min(TILE, right - c)
            for j in range(wide):
                at = (c + j) * rows + r
                line, to = x[at : at + high], tile[j * width : j * width + high]
                for i in range(high):
                    to[i] = line[i]
            for i in range(high):
                at = (r + i) * columns + c
                to = out[at : at + wide]
                for j in range(wide):
                    to[j] = tile[j * width + i]
