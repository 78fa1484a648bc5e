"""What is picked and placed by indices and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from tests.parity.driver import Call, Drawer
from tests.parity.table import FEW, entry


def _indices(d: Drawer, shape: tuple[int, ...], n: int) -> np.ndarray:
    """Indices from 0 to n - 1, rarely one too far."""
    random = np.random.default_rng(d.seed)
    found = random.integers(0, max(n, 1) + d.rarely(20), shape)
    return np.asarray(found - d.rarely(20)).astype("float32" if d.rarely(20) else "int64")


def _along(d: Drawer, x: np.ndarray) -> tuple[int, np.ndarray]:
    """A dimension, and an index of as many dimensions as x, mostly no larger but in it."""
    dim = d.dim(x.ndim)
    shape = [d.integer(0 if d.rarely(6) else min(n, 1), n + d.rarely(20)) for n in x.shape]
    n = 1
    if -x.ndim <= dim < x.ndim:
        shape[dim], n = d.integer(0 if d.rarely() else 1, 4), x.shape[dim]
    if d.rarely(20):
        shape = shape[1:]
    index = _indices(d, tuple(shape), n)
    return dim, index if index.size else index.astype("int64")  # PyTorch takes any dtype


@entry("Tensor.gather", lambda x, i, dim: x.gather(dim, i), lambda x, i, dim: x.gather(dim, i))
def gather(d: Drawer) -> Call:
    x = d.array(d.shape())
    dim, index = _along(d, x)
    return Call([x, index], (dim,), fixed=(1,))


@entry("Tensor.take_along_dim")
def take_along_dim(d: Drawer) -> Call:
    x = d.array(d.shape(1, 3))
    dim = d.integer(0, x.ndim - 1)
    shape = [n if d.integer(0, 2) else 1 for n in x.shape]
    shape[dim] = d.integer(1, 3)
    index = np.random.default_rng(d.seed).integers(0, max(x.shape[dim], 1), shape)
    if 0 in x.shape:
        index = index[:0]
    return Call([x, index], d([(), (dim,), (dim,)]) if index.size else (dim,), fixed=(1,))


@entry(
    "Tensor.index_select",
    lambda x, i, dim: x.index_select(dim, i),
    lambda x, i, dim: x.index_select(dim, i),
)
def index_select(d: Drawer) -> Call:
    x = d.array(d.shape())
    dim = d.dim(x.ndim)
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    shape = d([(), (1,), (3,), (0,), (2,), (2, 2) if d.rarely() else (1,)])
    return Call([x, _indices(d, shape, n)], (dim,), fixed=(1,))


def _scattered(name: str) -> Any:
    return lambda x, i, src, dim: getattr(x, name)(dim, i, src)


@entry("Tensor.scatter_add", *[_scattered("scatter_add")] * 2, "sum")
def scatter_add(d: Drawer) -> Call:
    x = d.array(d.shape())
    dim, index = _along(d, x)
    more = d.rarely(4)  # whose gradient has a wrong shape in PyTorch
    source = d.array([n + more for n in index.shape], dtype=d.other_dtype())
    return Call([x, index, source], (dim,), fixed=(1, 2) if more else (1,))


@entry("Tensor.scatter", *[_scattered("scatter")] * 2)
def scatter(d: Drawer) -> Call:
    """Indices that differ: of equal ones any may win."""
    x = d.array(d.shape(1))
    dim = d.dim(x.ndim)
    places = np.argsort(np.random.default_rng(d.seed).random(x.shape), axis=dim % x.ndim)
    index = places[tuple(slice(d.integer(min(n, 1), n)) for n in x.shape)]
    more = d.rarely(4)  # whose gradient has a wrong shape in PyTorch
    source = d.array([n + more for n in index.shape], dtype=d.other_dtype())
    return Call([x, index, source], (dim,), fixed=(1, 2) if more else (1,))


@entry("Tensor.scatter of a number", *[lambda x, i, dim, n: x.scatter(dim, i, n)] * 2)
def scatter_number(d: Drawer) -> Call:
    x = d.array(d.shape())
    dim, index = _along(d, x)
    return Call([x, index], (dim, d([0, 1, 2, True])), fixed=(1,))


def _mask(d: Drawer, shape: tuple[int, ...]) -> np.ndarray:
    mask = d.array(d.broadcast(shape), dtype="int64") > 0
    return mask.astype(d(["int64", "float32"])) if d.rarely() else mask


@entry("Tensor.masked_fill")
def masked_fill(d: Drawer) -> Call:
    shape = d.shape()
    numbers = [0, 1, -1.5, True, float("inf"), -float("inf")]
    return Call([d.array(d.broadcast(shape)), _mask(d, shape)], (d(numbers),))


@entry("Tensor.masked_fill by a tensor", *[lambda x, m, v: x.masked_fill(m, v)] * 2, "sum")
def masked_fill_tensor(d: Drawer) -> Call:
    shape = d.shape()
    value = d.array((1,) if d.rarely() else (), dtype=d.other_dtype())
    return Call([d.array(shape), _mask(d, shape), value])


@entry("Tensor.masked_select")
def masked_select(d: Drawer) -> Call:
    shape = d.shape()
    return Call([d.array(d.broadcast(shape)), _mask(d, shape)])


@entry("Tensor.nonzero", examples=FEW)
def nonzero(d: Drawer) -> Call:
    return Call([d.array(d.shape())], options=d([{}, {"as_tuple": True}]), fixed=(0,))


@entry("Tensor.diag of a vector", mg.Tensor.diag, lambda x: x.diag(), examples=FEW)
def diag(d: Drawer) -> Call:
    return Call([d.array(d.shape(1, 1))])


@entry("Tensor.index_add", lambda x, i, src, dim, **o: x.index_add(dim, i, src, **o),
       lambda x, i, src, dim, **o: x.index_add(dim, i, src, **o), "sum")  # fmt: skip
def index_add(d: Drawer) -> Call:
    x = d.array(d.shape(1))
    dim = d.integer(0, x.ndim - 1)
    shape = [*x.shape]
    n, shape[dim] = shape[dim], d.integer(0, 4) if shape[dim] else 0
    index = np.random.default_rng(d.seed).integers(0, max(n, 1), shape[dim])
    source = d.array(shape, dtype=d.other_dtype())
    return Call([x, index, source], (dim,), d([{}, {"alpha": 2}]), fixed=(1,))
