"""Products, running sums, norms, truth, extremes: what reduces or scans, beside sums and means."""

from __future__ import annotations

from typing import Any

import torch

from tests.parity.driver import BROKEN, FAR, NEAR, ORDINARY, Call, Drawer
from tests.parity.table import entry
from tests.parity.table.reduce import extreme

entry("Tensor.argmin")(extreme)


def tame(d: Drawer) -> Drawer:
    """Without magnitudes whose products overflow in one order and not in another."""
    d.kind = ORDINARY if d.kind in (FAR, BROKEN) else d.kind
    return d


@entry("Tensor.prod", bound="all")
def prod(d: Drawer) -> Call:
    x = tame(d).array(d.shape(0, 3))
    options: dict[str, Any] = {"dim": d.dim(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=d([options, options, {}]))


@entry("Tensor.cumprod", bound="all")
@entry("Tensor.cumsum", bound="sum")
def running(d: Drawer) -> Call:
    x = tame(d).array(d.shape(0, 3))
    return Call([x], (d.dim(x.ndim),))


for _name, _arguments in (
    *(("sum", ()), ("mean", ()), ("prod", ()), ("cumsum", (0,)), ("cumprod", (0,))),
    *(("softmax", (0,)), ("log_softmax", (0,))),
):

    @entry(
        f"Tensor.{_name} in a dtype",
        lambda x, dtype, n=_name, a=_arguments: getattr(x, n)(*a, dtype=dtype),
        lambda x, dtype, n=_name, a=_arguments: getattr(x, n)(*a, dtype=getattr(torch, dtype)),
        "all",
        40,
    )
    def in_dtype(d: Drawer) -> Call:
        d.kind = ORDINARY
        return Call([d.array(d.shape(0, 2), 0, 2)], (d(["float32", "float64", "int64", "int32"]),))


@entry("Tensor.logsumexp", bound="all")
def logsumexp(d: Drawer) -> Call:
    x = d.array(d.shape(), -20, 20)
    dim = d.dims(x.ndim)
    return Call([x], (d.dim(x.ndim) if dim in (None, ()) else dim,), {"keepdim": d([True, False])})


@entry("Tensor.norm", bound="all")
def norm(d: Drawer) -> Call:
    x = tame(d).array(d.shape(0, 3))
    options = {"p": d([2, 1, 0, float("inf"), -float("inf"), 3, 1.5, "fro", None])}
    if options["p"] != "fro" and d.integer(0, 2):
        options |= {"dim": d.dims(x.ndim), "keepdim": d([True, False])}
    return Call([x], options=options)


@entry("Tensor.any")
@entry("Tensor.all")
@entry("Tensor.amax")
@entry("Tensor.amin")
def over(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR, d.kind])
    x = d.array(d.shape())
    options: dict[str, Any] = {"dim": d.dims(x.ndim), "keepdim": d([True, False])}
    if options["dim"] is None:
        del options["dim"]
    return Call([x], options=d([options, options, {}]))


@entry("Tensor.count_nonzero")
def counted(d: Drawer) -> Call:
    d.kind = d([ORDINARY, NEAR, d.kind])
    x = d.array(d.shape())
    dim = d.dims(x.ndim)
    return Call([x], () if dim is None else (dim,))
