"""Layers of networks: convolutions, pooling, normalisation, attention, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from benchmarks.ops.case import IMAGES, Case, Shape, Sizes, case, parameter, x

FEATURES = Sizes((8, 16, 8, 8), (32, 32, 16, 16), (64, 64, 32, 32))
SIGNALS = Sizes((8, 16, 64), (32, 32, 256), (64, 64, 1024))
TOKENS = Sizes((4, 16, 64), (16, 64, 128), (32, 128, 256))
HEADS = Sizes((2, 2, 16, 16), (8, 4, 64, 32), (16, 8, 256, 64))
THUMBS = Sizes((8, 4, 8, 8), (32, 16, 16, 16), (64, 32, 32, 32))


def convolution(
    label: str,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    to: float = 1,
    groups: int = 1,
    sizes: Sizes = FEATURES,
) -> Case:
    """conv2d with square kernels, from s[1] to ``to`` times as many channels."""

    def weight(s: Shape) -> Shape:
        return int(s[1] * to), s[1] // groups, kernel, kernel

    def work(s: Shape) -> int:
        pixels = (s[2] + 2 * padding - kernel) // stride + 1
        return s[0] * math.prod(weight(s)) * pixels**2

    return case(
        f"conv2d, {label}",
        lambda e, x, w, b: e.functional.conv2d(x, w, b, stride, padding, 1, groups),
        *(x, parameter.of(weight), parameter.of(lambda s: (int(s[1] * to),))),
        sizes=sizes,
        multiply_adds=work,
    )


PHOTOS = Sizes((8, 3, 16, 16), (64, 3, 32, 32), (256, 3, 32, 32))
CONV: list[Case] = [
    convolution("3 x 3", 3, padding=1),
    convolution("1 x 1", 1),
    convolution("5 x 5", 5, padding=2),
    convolution("3 x 3, stride 2", 3, 2, 1),
    convolution("1 x 1, stride 2", 1, 2),
    convolution("of three channels", 3, padding=1, to=16, sizes=PHOTOS),
    convolution("2 x 2, of three channels", 2, to=8, sizes=PHOTOS),
    convolution("four groups", 3, padding=1, groups=4),
    case(
        "conv1d",
        lambda e, x, w, b: e.functional.conv1d(x, w, b, padding=1),
        *(x, parameter.of(lambda s: (s[1], s[1], 3)), parameter.of(lambda s: s[1:2])),
        sizes=SIGNALS,
        multiply_adds=lambda s: 3 * math.prod(s) * s[1],
    ),
    case(
        "conv_transpose2d",
        lambda e, x, w, b: e.functional.conv_transpose2d(x, w, b, stride=2),
        *(x, parameter.of(lambda s: (s[1], s[1] // 2, 2, 2)), parameter.of(lambda s: (s[1] // 2,))),
        sizes=FEATURES,
        multiply_adds=lambda s: 2 * math.prod(s) * s[1],
    ),
    case("unfold", lambda e, x: e.functional.unfold(x, 3, padding=1), x, sizes=THUMBS),
    case(
        "fold",
        lambda e, x: e.functional.fold(x, math.isqrt(x.shape[2]), 3, padding=1),
        x.of(lambda s: (s[0], 9 * s[1], s[2] * s[3])),
        sizes=THUMBS,
    ),
]


def function(label: str, call: Callable[[Any, Any], Any], sizes: Sizes = IMAGES) -> Case:
    return case(label, lambda e, x: call(e.functional, x), x, sizes=sizes)


POOL: list[Case] = [
    function("max_pool2d, 2", lambda f, x: f.max_pool2d(x, 2)),
    function("max_pool2d, 3, stride 2", lambda f, x: f.max_pool2d(x, 3, 2, 1)),
    function("avg_pool2d, 2", lambda f, x: f.avg_pool2d(x, 2)),
    function("avg_pool2d, 3, stride 1", lambda f, x: f.avg_pool2d(x, 3, 1, 1)),
    function("adaptive_avg_pool2d, 1", lambda f, x: f.adaptive_avg_pool2d(x, 1)),
    function("adaptive_avg_pool2d, 4", lambda f, x: f.adaptive_avg_pool2d(x, 4)),
    function("adaptive_max_pool2d", lambda f, x: f.adaptive_max_pool2d(x, 4)),
    function("max_pool1d", lambda f, x: f.max_pool1d(x, 2), SIGNALS),
    function("avg_pool1d", lambda f, x: f.avg_pool1d(x, 2), SIGNALS),
    function("adaptive_avg_pool1d", lambda f, x: f.adaptive_avg_pool1d(x, 8), SIGNALS),
    function("adaptive_max_pool1d", lambda f, x: f.adaptive_max_pool1d(x, 8), SIGNALS),
]

channels = parameter.of(lambda s: s[1:2])
last = parameter.of(lambda s: s[-1:])
NORM: list[Case] = [
    case(
        "batch_norm",
        lambda e, x, w, b: e.functional.batch_norm(x, None, None, w, b, training=True),
        *(x, channels, channels),
        sizes=IMAGES,
    ),
    case(
        "batch_norm, inference",
        lambda e, x, m, v, w, b: e.functional.batch_norm(x, m, v, w, b),
        *(x, parameter.of(channels.shape, constant=True)),
        *(parameter.of(channels.shape, constant=True, kind="positive"), channels, channels),
        sizes=IMAGES,
    ),
    case(
        "batch_norm, of vectors",
        lambda e, x, w, b: e.functional.batch_norm(x, None, None, w, b, training=True),
        *(x, channels, channels),
    ),
    case(
        "layer_norm",
        lambda e, x, w, b: e.functional.layer_norm(x, x.shape[-1:], w, b),
        *(x, last, last),
        sizes=Sizes((4, 16, 64), (32, 128, 256), (32, 256, 512)),
    ),
    case(
        "group_norm",
        lambda e, x, w, b: e.functional.group_norm(x, 4, w, b),
        *(x, channels, channels),
        sizes=IMAGES,
    ),
    case("instance_norm", lambda e, x: e.functional.instance_norm(x), x, sizes=IMAGES),
    case("normalize", lambda e, x: e.functional.normalize(x), x),
    case("normalize, channels", lambda e, x: e.functional.normalize(x, dim=1), x, sizes=IMAGES),
]

heads = [x, x, x]
ATTENTION: list[Case] = [
    case(
        "scaled_dot_product_attention",
        lambda e, q, k, v: e.functional.scaled_dot_product_attention(q, k, v),
        *heads,
        sizes=HEADS,
    ),
    case(
        "scaled_dot_product_attention, causal",
        lambda e, q, k, v: e.functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        *heads,
        sizes=HEADS,
    ),
    case(
        "MultiheadAttention",
        lambda e, layer, x: layer(x, x, x, need_weights=False),
        x,
        build=lambda e, s: e.nn.MultiheadAttention(s[2], 4, batch_first=True),
        sizes=TOKENS,
    ),
    case(
        "TransformerEncoderLayer",
        lambda e, layer, x: layer(x),
        x,
        build=lambda e, s: e.nn.TransformerEncoderLayer(s[2], 4, 2 * s[2], 0.0, batch_first=True),
        sizes=TOKENS,
        also="TransformerEncoder",
    ),
]

IMAGE: list[Case] = [
    function("pad, zeros", lambda f, x: f.pad(x, (2, 2, 2, 2))),
    function("pad, reflected", lambda f, x: f.pad(x, (2, 2, 2, 2), mode="reflect")),
    function("pad, replicated", lambda f, x: f.pad(x, (2, 2, 2, 2), mode="replicate")),
    function("pixel_shuffle", lambda f, x: f.pixel_shuffle(x, 2)),
    function("pixel_unshuffle", lambda f, x: f.pixel_unshuffle(x, 2)),
    function("interpolate, nearest", lambda f, x: f.interpolate(x, scale_factor=2), THUMBS),
    function(
        "interpolate, bilinear",
        lambda f, x: f.interpolate(x, scale_factor=2, mode="bilinear"),
        THUMBS,
    ),
]

FAMILIES: dict[str, list[Case]] = {
    "convolution": CONV,
    "pooling": POOL,
    "normalisation": NORM,
    "attention": ATTENTION,
    "image": IMAGE,
}
