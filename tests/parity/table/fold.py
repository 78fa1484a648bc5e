"""Windows as columns, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.driver import Call, Drawer
from tests.parity.table import entry, layer
from tests.parity.table.pool import image


def window(d: Drawer) -> dict[str, Any]:
    def size(low: int, high: int) -> Any:
        pair = d.integer(low, high), d.integer(low, high)
        return d([pair, pair, pair[0]])

    options = {"kernel_size": size(0 if d.rarely(20) else 1, 3), "dilation": size(1, 2)}
    return options | {"padding": size(0, 2), "stride": size(1, 3)}


@entry("functional.unfold", bound="sum")
@entry("nn.Unfold", *layer("Unfold"), bound="sum")
def unfold(d: Drawer) -> Call:
    return Call([image(d)], options=window(d))


@entry("functional.fold", bound="sum")
@entry("nn.Fold", *layer("Fold"), bound="sum")
def fold(d: Drawer) -> Call:
    """Columns that (mostly) make an image."""
    options = window(d)
    size = (d.integer(1, 6), d.integer(1, 6))
    both = {k: np.broadcast_to(v, 2).tolist() for k, v in options.items()}
    names = ("padding", "dilation", "kernel_size", "stride")
    terms = zip(size, *(both[name] for name in names), strict=True)
    places = [max((n + 2 * p - r * (k - 1) - 1) // s + 1, 0) for n, p, r, k, s in terms]
    kernel = both["kernel_size"][0] * both["kernel_size"][1]
    shape = [d.integer(1, 2), d.integer(1, 2) * kernel + d.rarely(20), places[0] * places[1]]
    shape[2] += d.rarely(20)
    return Call([d.array(shape[d.rarely(4) :])], options={"output_size": size} | options)
