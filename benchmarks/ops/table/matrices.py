"""Matrix products."""

from __future__ import annotations

import math

from benchmarks.ops.case import Case, Shape, Sizes, case, each, named, parameter, x

SQUARE = Sizes((64, 64), (384, 384), (1024, 1024))
BATCHES = Sizes((8, 32, 32), (32, 128, 128), (64, 256, 256))
VECTORS = Sizes((256, 256), (1024, 1024), (4096, 1024))
LAYERS = Sizes((32, 128), (256, 512), (1024, 1024))


def cube(shape: Shape) -> int:
    return math.prod(shape) * shape[-1]


vector = x.of(lambda s: s[1:])
weight, bias = parameter.of(lambda s: (s[1], s[1])), parameter.of(lambda s: (s[1],))
classifier = parameter.of(lambda s: (10, s[1])), parameter.of(lambda s: (10,))

PRODUCT: list[Case] = [
    *each("mm", x, x, sizes=SQUARE, multiply_adds=cube),
    named("matmul", x, x, sizes=SQUARE, multiply_adds=cube),
    named("matmul", x, x, label="matmul, of batches", sizes=BATCHES, multiply_adds=cube),
    named(
        "matmul",
        *(x, x.of(lambda s: s[1:])),
        label="matmul, of a batch by one",
        sizes=BATCHES,
        multiply_adds=cube,
    ),
    named("bmm", x, x, sizes=BATCHES, multiply_adds=cube),
    named("addmm", x, x, x, sizes=SQUARE, multiply_adds=cube),
    named("baddbmm", x, x, x, sizes=BATCHES, multiply_adds=cube),
    named("mv", x, vector, sizes=VECTORS),
    named("dot", *[x.of(lambda s: (s[0] * s[1],))] * 2, sizes=VECTORS),
    named("outer", x.of(lambda s: s[:1]), vector, sizes=VECTORS),
    case(
        "einsum",
        lambda e, a, b: e.library.einsum("bij,bjk->bik", a, b),
        x,
        x,
        sizes=BATCHES,
        multiply_adds=cube,
    ),
    case("einsum, of a row and a column", lambda e, a, b: e.library.einsum("ij,ij->i", a, b), x, x),
    named("linear", x, weight, bias, where="functional", sizes=LAYERS, multiply_adds=cube),
    named(
        "linear",
        x,
        *classifier,
        label="linear, to 10 classes",
        where="functional",
        sizes=LAYERS,
        multiply_adds=lambda s: math.prod(s) * 10,
    ),
    named(
        "linear",
        *(x, parameter.of(lambda s: (s[2], s[2])), parameter.of(lambda s: (s[2],))),
        label="linear, of tokens",
        where="functional",
        sizes=Sizes((8, 64, 64), (16, 256, 256), (64, 256, 256)),
        multiply_adds=cube,
    ),
]

FAMILIES: dict[str, list[Case]] = {"product": PRODUCT}
