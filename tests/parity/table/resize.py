"""Images of another size."""

from __future__ import annotations

from typing import Any

from tests.parity.driver import NEAR, ORDINARY, Call, Drawer
from tests.parity.table import entry, layer

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


@entry("functional.interpolate", bound="all")  # a pixel that hardly counts may have another weight
@entry("nn.Upsample", *layer("Upsample"), bound="all")
def interpolate(d: Drawer) -> Call:
    # Elsewhere the order decides between infinity and NaN.
    d.kind = d([ORDINARY, NEAR])
    dims = d.integer(1, 3)
    sides = [d.integer(1, 6) for _ in range(dims)]
    others = ["nearest", "nearest-exact", *(["area"] if dims < 3 else [])]
    fitting = d([*others, MODES[dims], MODES[dims]])
    options: dict[str, Any] = {"mode": d(list(MODES.values())) if d.rarely() else fitting}
    if options["mode"] in MODES.values():
        options["align_corners"] = d([None, True, False])
    elif d.rarely(20):
        options["align_corners"] = d([True, False])
    if d.integer(0, 1):
        sizes = tuple(d.integer(0 if d.rarely(20) else 1, 9) for _ in sides)
        options["size"] = d([sizes, list(sizes), sizes[0]])
    else:
        factors = tuple(d([0.5, 1.0, 1.3, 1.7, 2.0, 2.5, 3.0]) for _ in sides)
        options["scale_factor"] = d([factors, factors[0], 2])
        options["recompute_scale_factor"] = d([None, True, False])
    return Call([d.array((d.integer(1, 2), d.integer(1, 2), *sides))], options=options)


@entry("nn.UpsamplingNearest2d", *layer("UpsamplingNearest2d"), bound="sum")
@entry("nn.UpsamplingBilinear2d", *layer("UpsamplingBilinear2d"), bound="sum")
def upsampling(d: Drawer) -> Call:
    sizes = tuple(d.integer(1, 9) for _ in range(2))
    factors = d([2, 1.5, (2, 1.3)])
    options = {"size": d([sizes, sizes[0]])} if d.integer(0, 1) else {"scale_factor": factors}
    return Call([d.array((d.integer(1, 2), 2, d.integer(1, 4), d.integer(1, 4)))], options=options)


@entry("functional.pixel_shuffle")
@entry("nn.PixelShuffle", *layer("PixelShuffle"))
def pixel_shuffle(d: Drawer) -> Call:
    factor = d.integer(1, 3)
    batch = [d.integer(1, 3) for _ in range(d.integer(0, 2))]  # PyTorch's gradient fails for none
    channels = factor**2 * d.integer(1, 2) + d.rarely()
    return Call([d.array((*batch, channels, d.integer(1, 3), d.integer(1, 3)))], (factor,))


@entry("functional.pixel_unshuffle")
@entry("nn.PixelUnshuffle", *layer("PixelUnshuffle"))
def pixel_unshuffle(d: Drawer) -> Call:
    factor = d.integer(1, 3)
    sides = [factor * d.integer(1, 2) + d.rarely(20) for _ in range(2)]
    batch = [d.integer(1, 3) for _ in range(d.integer(1, 3))]
    return Call([d.array((*batch, *sides))], (factor,))
