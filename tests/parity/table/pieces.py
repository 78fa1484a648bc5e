"""Pieces, repetitions, turns and triangles of tensors, and products of fixed dimensions."""

from __future__ import annotations

from typing import Any

import torch

import minigrad as mg
from tests.parity.driver import Call, Drawer
from tests.parity.table import FEW, entry


def tensor(d: Drawer, low: int = 0) -> Any:
    return d.array(d.shape(low))


@entry("split", mg.split, torch.split)
@entry("Tensor.split")
def split(d: Drawer) -> Call:
    x = tensor(d, 0 if d.rarely() else 1)
    dim = d.dim(x.ndim)
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    sizes = d([d.integer(1, 4), d.several(lambda: d.integer(0, 2), 1, 3)])
    if isinstance(sizes, list) and d.integer(0, 3):
        sizes = [*sizes[:-1], n - sum(sizes[:-1])]
    return Call([x], (sizes, dim))


@entry("Tensor.chunk")
def chunk(d: Drawer) -> Call:
    x = tensor(d, 0 if d.rarely() else 1)
    return Call([x], (d.integer(0 if d.rarely() else 1, 5), d.dim(x.ndim)))


@entry("Tensor.unbind")
def unbind(d: Drawer) -> Call:
    x = d.array((d.integer(1, 3), *(max(1, n) for n in d.shape(0, 2))))
    return Call([x], (d.dim(x.ndim),))


@entry("Tensor.narrow")
def narrow(d: Drawer) -> Call:
    x = tensor(d, 1)
    dim = d.dim(x.ndim)
    return Call([x], (dim, d.integer(-4, 4), d.integer(0, 3)))


@entry("Tensor.select")
def select(d: Drawer) -> Call:
    x = tensor(d, 1)
    return Call([x], (d.dim(x.ndim), d.integer(-4, 4)))


@entry("Tensor.flip")
def flip(d: Drawer) -> Call:
    x = tensor(d)
    dims = d.dims(x.ndim)
    dims = () if dims is None else dims
    return Call([x], (dims if isinstance(dims, tuple) else (dims,),))


@entry("Tensor.roll")
def roll(d: Drawer) -> Call:
    x = tensor(d)
    dims = d.dims(x.ndim)
    if dims is None or dims == ():
        return Call([x], (d.integer(-5, 5),))
    if isinstance(dims, int):
        return Call([x], (d.integer(-5, 5), dims))
    return Call([x], (tuple(d.integer(-5, 5) for _ in dims[d.rarely() :]), dims))


@entry("Tensor.tile")
@entry("Tensor.repeat")
def repeat(d: Drawer) -> Call:
    x = d.array(d.shape(0, 3))
    count = x.ndim + d.integer(-1 if d.rarely(4) else 0, 1)
    times = tuple(d.integer(-1 if d.rarely(20) else 0, 3) for _ in range(max(count, 0)))
    return Call([x], d([times, (times,)]) if times else ((),))


@entry("Tensor.repeat_interleave")
def repeat_interleave(d: Drawer) -> Call:
    x = tensor(d)  # of 0-d tensors PyTorch fails to find dimension 0
    options = d([{}, {"dim": d.dim(x.ndim)}]) if x.ndim else {}
    return Call([x], (d.integer(-1 if d.rarely() else 0, 3),), options)


@entry(
    "Tensor.repeat_interleave by numbers",
    lambda x, n, dim: x.repeat_interleave(n, dim),
    lambda x, n, dim: x.repeat_interleave(n, dim),
    examples=FEW,
)
def repeat_each(d: Drawer) -> Call:
    x = tensor(d, 1)
    dim = d.dim(x.ndim)
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return Call([x, abs(d.array((n + d.rarely(),), dtype="int64"))], (dim,))


@entry("Tensor.movedim")
def movedim(d: Drawer) -> Call:
    x = tensor(d)
    if d.integer(0, 1):
        return Call([x], (d.dim(x.ndim), d.dim(x.ndim)))
    some = [tuple(d.shuffled(range(x.ndim)))[: d.integer(0, x.ndim)] for _ in range(2)]
    return Call([x], (some[0], some[1][: len(some[0])]))


@entry("Tensor.t", examples=FEW)
@entry("Tensor.ravel", examples=FEW)
@entry("Tensor.dim", examples=FEW)
@entry("Tensor.ndimension", examples=FEW)
@entry("Tensor.element_size", examples=FEW)
def shaped(d: Drawer) -> Call:
    return Call([d.array(d.shape(0, 2 + d.rarely(4)))])


@entry("Tensor.mT", lambda x: x.mT, lambda x: x.mT, examples=FEW)
@entry("Tensor.tril", examples=FEW)
@entry("Tensor.triu", examples=FEW)
def matrices(d: Drawer) -> Call:
    return Call([tensor(d, 1 if d.rarely() else 2)])


@entry("Tensor.tril of a diagonal", mg.Tensor.tril, lambda x, n: x.tril(n), examples=FEW)
@entry("Tensor.triu of a diagonal", mg.Tensor.triu, lambda x, n: x.triu(n), examples=FEW)
def diagonals(d: Drawer) -> Call:
    return Call([tensor(d, 2)], (d.integer(-4, 4),))


@entry("Tensor.diagonal")
def diagonal(d: Drawer) -> Call:
    x = tensor(d, 2)
    return Call([x], d([(), (d.integer(-3, 3),), (d.integer(-3, 3), d.dim(x.ndim), d.dim(x.ndim))]))


@entry("Tensor.diag")
def diag(d: Drawer) -> Call:
    return Call([d.array(d.shape(0 if d.rarely() else 1, 3 if d.rarely() else 2))],
                d([(), (d.integer(-3, 3),)]))  # fmt: skip


@entry("Tensor.unflatten")
def unflatten(d: Drawer) -> Call:
    x = d.array((*d.shape(0, 2), 6, *d.shape(0, 1)))
    return Call([x], (d.dim(x.ndim), d([(2, 3), (-1, 2), (6,), (3, 2, 1), (4, -1), (-1, -1)])))


@entry("Tensor.unfold", bound="sum")
def unfold(d: Drawer) -> Call:
    x = tensor(d, 0 if d.rarely() else 1)
    return Call([x], (d.dim(x.ndim), d.integer(0, 3), d.integer(0 if d.rarely() else 1, 3)))


@entry("Tensor.broadcast_to", bound="sum")
def broadcast_to(d: Drawer) -> Call:
    whole = d.shape()
    return Call([d.array(d.broadcast(whole))], (whole,))


@entry("meshgrid", lambda *xs, indexing: mg.meshgrid(*xs, indexing=indexing),
       lambda *xs, indexing: torch.meshgrid(*xs, indexing=indexing), "sum")  # fmt: skip
def meshgrid(d: Drawer) -> Call:
    parts = [d.array(d.shape(0, 2 if d.rarely() else 1)) for _ in range(d.integer(1, 3))]
    return Call(parts, options={"indexing": d(["ij", "xy", "ij", "yx" if d.rarely() else "xy"])})


def _sizes(d: Drawer) -> list[int]:
    return [d.integer(0 if d.rarely() else 1, 4) for _ in range(4)]


@entry("Tensor.mm", bound="sum", examples=FEW)
def mm(d: Drawer) -> Call:
    m, k, n, _ = _sizes(d)
    a = d.array((m, k) if not d.rarely() else (k,))
    return Call([a, d.array((k + d.rarely(20), n), dtype=d.other_dtype())])


@entry("Tensor.bmm", bound="sum", examples=FEW)
def bmm(d: Drawer) -> Call:
    m, k, n, b = _sizes(d)
    return Call([d.array((b, m, k)), d.array((b + d.rarely(), k, n), dtype=d.other_dtype())])


@entry("Tensor.mv", bound="sum", examples=FEW)
def mv(d: Drawer) -> Call:
    m, k, _, _ = _sizes(d)
    return Call([d.array((m, k)), d.array((k + d.rarely(20),))])


@entry("Tensor.dot", bound="sum", examples=FEW)
@entry("Tensor.outer", bound="sum", examples=FEW)
def vectors(d: Drawer) -> Call:
    m, k, _, _ = _sizes(d)
    return Call([d.array((m,)), d.array((m if d.integer(0, 3) else k,))])


@entry("Tensor.addmm", bound="sum", examples=FEW)
def addmm(d: Drawer) -> Call:
    m, k, n, _ = _sizes(d)
    options = d([{}, {"beta": d([0, 1, 2])}, {"alpha": d([1, 2, -1])}])
    return Call([d.array(d.broadcast((m, n))), d.array((m, k)), d.array((k, n))], options=options)


@entry("Tensor.baddbmm", bound="sum", examples=FEW)
def baddbmm(d: Drawer) -> Call:
    m, k, n, b = _sizes(d)
    arrays = [d.array(d.broadcast((b, m, n))), d.array((b, m, k)), d.array((b, k, n))]
    return Call(arrays, options=d([{}, {"beta": 2, "alpha": 3}]))


EQUATIONS = [
    "ij,jk->ik", "ij,jk", "ij,kj->ki", "bij,bjk->bik", "ij->ji", "ij->j", "ij->", "i,j->ij",
    "i,i->", "...ij,...jk->...ik", "...i->...", "ij,ij->i", "bhid,bhjd->bhij", "i,ij,j->",
    "ij , jk -> ik", "ab,b->", "ij,j->ji", "...i,i->...", "ij->k", "ij,jk->iz", "i", "ij,k->ik",
]  # fmt: skip


@entry("einsum", lambda *xs, e: mg.einsum(e, *xs), lambda *xs, e: torch.einsum(e, *xs), "sum")
def einsum(d: Drawer) -> Call:
    equation = d(EQUATIONS)
    sizes = {c: d.integer(0 if d.rarely() else 1, 3) for c in "abcdefghijklmnopqrstuvwxyz"}
    batch = d.shape(0, 2)
    arrays = []
    for term in equation.partition("->")[0].replace(" ", "").split(","):
        shape = [sizes[c] for c in term.replace("...", "")]
        if shape and d.rarely(20):
            shape[0] += 1
        arrays.append(d.array([*(batch if "..." in term else ()), *shape]))
    return Call(arrays, options={"e": equation})
