"""The launches of the CUDA convolution, for shapes far too large to run here."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.gpu import implicit_gemm as implicit
from minigrad.gpu import launch as cuda

counts = st.integers(1, 2**20)


@given(counts, counts, st.integers(1, 2**16 - 1))
def test_shares(tiles, length, groups):
    """Shares cover the sum, none is empty, none is short, and the grid holds them."""
    splits = implicit._splits(tiles, length, groups)
    steps = math.ceil(length / implicit.STEP)
    per = math.ceil(steps / splits)  # as in conv.cu
    assert (splits - 1) * per < steps <= splits * per
    assert splits == 1 or per >= implicit.MIN_STEPS
    assert groups * splits <= 65535
    assert splits == 1 or (splits - 1) * tiles < 2 * implicit.MIN_BLOCKS


def test_shares_of_layers():
    """Enough blocks for a GPU from the layers of CIFAR-10's networks."""
    assert implicit._splits(1024, 288, 1) == 1  # 32 channels, 32 x 32, batch 128: tiles enough
    assert implicit._splits(3, 131072, 1) == 88  # its weight gradient
    assert implicit._splits(8, 4608, 1) == 32  # 512 channels, 2 x 2, batch 64


class Shaped:
    """What the launch arithmetic looks at of a GPU's array; it has no memory."""

    def __init__(self, *shape: int, address: int = 0) -> None:
        self.shape, self.size, self.dtype = shape, math.prod(shape), np.dtype(np.float32)
        self.data = SimpleNamespace(ptr=address)

    def __len__(self) -> int:
        return self.shape[0]


@pytest.fixture(scope="module")
def launches():
    """Every launch: name, grid, block, arguments by name, macros."""
    found = []

    def launch(family, name, grid, block, args, **macros):
        grid = grid if isinstance(grid, tuple) else (grid,)
        parameters = cuda.declarations(family)[name]
        names = [p.split()[-1] for p in parameters]
        found.append((name, grid, block, dict(zip(names, args, strict=True)), macros))

    xp = SimpleNamespace(ascontiguousarray=lambda a: a)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "launch", launch)
        patch.setattr(implicit, "get_xp", lambda a: xp)
        patch.setattr(implicit, "empty", lambda shape, dtype, xp: Shaped(*shape))
        patch.setattr(implicit, "precision_of", lambda x: "tf32")
        yield found


@pytest.fixture(autouse=True)
def _none_before(launches):
    launches.clear()


sizes = st.integers(1, 300)


@given(sizes, sizes, sizes, st.integers(1, 70), st.integers(1, 70), st.integers(1, 3))
def test_grids_cover_the_results(launches, rows, depth, images, high, wide, groups):
    launches.clear()
    x = Shaped(groups * depth, high, wide, images)
    w = Shaped(groups * rows, depth, 3, 3)
    sampling = implicit.forward_sampling((1, 1), (1, 1), (1, 1))
    y = implicit.correlate(x, w, None, (high, wide), sampling)
    gw, gb = implicit.weight_gradient(x, y, w.shape, sampling, bias=True)
    assert (y.shape, gw.shape) == ((groups * rows, high, wide, images), w.shape)
    assert gb.shape == (groups * rows,)
    columns = high * wide * images
    for name, grid, block, args, macros in launches:
        if name == "add_splits":
            assert grid[0] * block >= args["rows"] * args["columns"] == args["y"].size
            assert args["parts"].size == args["y"].size * args["splits"]
            continue
        across, length = (columns, 9 * depth) if name == "correlate" else (9 * depth, columns)
        tile = macros["BM"]
        assert (grid[0] - 1) * implicit.TILE < across <= grid[0] * implicit.TILE
        assert (grid[1] - 1) * tile < rows <= grid[1] * tile
        assert grid[2] == groups * args["splits"]
        assert block == {16: 128, 32: 128, 64: 128, 128: 256}[tile]
        assert macros["VEC_ROWS"] == (4 if length % 4 == 0 else 1)
        assert macros["VEC_COLUMNS"] == (4 if images % 4 == 0 else 1)


def test_odd_addresses_are_copied_by_the_piece(launches):
    x, w = Shaped(4, 8, 8, 16, address=8), Shaped(8, 4, 3, 3, address=16)
    implicit.correlate(x, w, None, (6, 6), implicit.forward_sampling((0, 0), (1, 1), (1, 1)))
    macros = launches[0][4]
    assert (macros["VEC_ROWS"], macros["VEC_COLUMNS"]) == (4, 1)


def test_too_many_columns(launches):
    x = Shaped(1, 2**12, 2**12, 128)
    with pytest.raises(ValueError, match="2147483648 output pixels in one batch"):
        implicit.correlate(
            x,
            Shaped(1, 1, 1, 1),
            None,
            (2**12, 2**12),
            implicit.forward_sampling((0, 0), (1, 1), (1, 1)),
        )
    assert not launches
