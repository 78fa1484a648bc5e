"""Rows of a table."""

from __future__ import annotations

import numpy as np

from tests.parity.driver import Call, Drawer
from tests.parity.table import entry, layer


@entry("functional.embedding", bound="sum")
def embedding(d: Drawer) -> Call:
    rows, width = d.integer(1, 5), d.integer(1, 4)
    numbers = [*range(rows)] * 4 + ([rows, -1] if d.rarely() else [])
    index = np.random.default_rng(d.seed).choice(numbers, d.shape(0, 3))
    index = np.asarray(index).astype("float32" if d.rarely(20) else d(["int64", "int32"]))
    weight = d.array((rows, width) if not d.rarely(20) else (rows,))
    padding = d([None, None, 0, -1, rows + d.rarely(8) - 1])
    return Call([index, weight], options={"padding_idx": padding}, fixed=(0,))


@entry("nn.Embedding", *layer("Embedding", "weight"), bound="sum")
def embedding_layer(d: Drawer) -> Call:
    call = embedding(d)
    weight = call.arrays[1]
    padding = call.options["padding_idx"]
    if padding is not None and padding >= len(weight):  # an AssertionError of PyTorch's
        call.options["padding_idx"] = None
    call.args = (len(weight), weight.shape[-1])
    return call
