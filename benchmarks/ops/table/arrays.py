"""Operations that move elements or create tensors: shapes, copies, indexing, creation."""

from __future__ import annotations

from typing import Any

from benchmarks.ops.case import (
    IMAGES,
    Case,
    Operand,
    Shape,
    Sizes,
    bools,
    case,
    classes,
    each,
    named,
    parameter,
    unit,
    x,
)

TOKENS = Sizes((8, 16, 32), (64, 64, 256), (64, 256, 256))
WORDS = Sizes((64,), (4096,), (32768,))
SQUARE = Sizes((64, 64), (1024, 1024), (2048, 2048))


SHAPE: list[Case] = [
    case("permute, and reshape", lambda e, x: x.permute(0, 3, 2, 1).reshape(-1), x, sizes=IMAGES),
    case("transpose, and copy", lambda e, x: x.transpose(0, 1).contiguous(), x, also="contiguous"),
    case(
        "transpose, of heads",
        lambda e, x: x.unflatten(2, (4, -1)).transpose(1, 2).contiguous(),
        x,
        sizes=TOKENS,
    ),
    case("flatten", lambda e, x: x.flatten(1) * 1.0, x, sizes=IMAGES),
    case("clone", lambda e, x: x.clone(), x),
    case("to, the other dtype", lambda e, x: _other_dtype(e, x), x, also="float double"),
    case("cat, dim 0", lambda e, *xs: e.library.cat(xs, 0), x, x, x),
    case("cat, dim 1", lambda e, *xs: e.library.cat(xs, 1), x, x, x),
    case("cat, of channels", lambda e, *xs: e.library.cat(xs, 1), x, x, sizes=IMAGES),
    case("stack", lambda e, *xs: e.library.stack(xs), x, x, x, also="vstack hstack"),
    case("split", lambda e, x: e.library.split(x, 64, 1)[1] * 1.0, x, also="chunk unbind narrow"),
    case("expand", lambda e, x: x.expand(64, -1, -1) * 1.0, x.of(lambda s: (s[0], s[1] // 64))),
    case("repeat", lambda e, x: x.repeat(2, 3), x, also="tile"),
    case("repeat_interleave", lambda e, x: e.library.repeat_interleave(x, 3, 0), x),
    case("roll", lambda e, x: e.library.roll(x, 5, 1), x),
    case("flip", lambda e, x: e.library.flip(x, (1,)), x),
    case("flip, of images", lambda e, x: e.library.flip(x, (3,)), x, sizes=IMAGES),
    case("tril", lambda e, x: e.library.tril(x), x, sizes=SQUARE, also="triu"),
    case("diagonal", lambda e, x: e.library.diagonal(x), x, sizes=SQUARE, also="diag"),
]


def _other_dtype(e: Any, x: Any) -> Any:
    return x.double() if x.element_size() == 4 else x.float()


def rows(shape: Shape) -> int:
    return shape[0]


some = classes.of(lambda s: (s[0] // 2,), most=rows)
across = classes.of(lambda s: (s[1] // 2,), most=lambda s: s[1])
within = classes.of(lambda s: s, most=rows)
half = x.of(lambda s: (s[0] // 2, *s[1:]))
vocabulary = parameter.of(lambda s: (1000, 128))
words = classes.of(lambda s: s, most=lambda s: 1000)

INDEXING: list[Case] = [
    case("getitem, a slice", lambda e, x: x[:, 1:-1] * 1.0, x, also="slice select"),
    case("getitem, every other", lambda e, x: x[::2, ::2] * 1.0, x),
    case("getitem, rows", lambda e, x, i: x[i], x, some),
    case("getitem, a mask", lambda e, x, m: x[m], x, bools),
    case(
        "setitem",
        lambda e, x, y: x.__setitem__(slice(None, y.shape[0]), y),
        x,
        half,
        gradient=False,
    ),
    case("index_select", lambda e, x, i: e.library.index_select(x, 0, i), x, some),
    case("index_select, dim 1", lambda e, x, i: e.library.index_select(x, 1, i), x, across),
    case("index_add", lambda e, x, i, y: e.library.index_add(x, 0, i, y), x, some, half),
    case("gather", lambda e, x, i: e.library.gather(x, 0, i), x, within, also="take_along_dim"),
    case(
        "gather, dim 1",
        lambda e, x, i: e.library.gather(x, 1, i),
        x,
        classes.of(lambda s: s, most=min),
    ),
    case("scatter", lambda e, x, i, y: e.library.scatter(x, 0, i, y), x, within, x),
    case("scatter_add", lambda e, x, i, y: e.library.scatter_add(x, 0, i, y), x, within, x),
    case("masked_fill", lambda e, x, m: e.library.masked_fill(x, m, 0.0), x, bools),
    case("masked_select", lambda e, x, m: e.library.masked_select(x, m), x, bools),
    case("nonzero", lambda e, m: e.library.nonzero(m), bools),
    case("embedding", lambda e, i, w: e.functional.embedding(i, w), words, vocabulary, sizes=WORDS),
    case("one_hot", lambda e, i: e.functional.one_hot(i, 1000), words, sizes=WORDS),
]


def made(name: str, *more: Any) -> Case:
    """A case of a function that creates a tensor of a given shape."""

    def call(engine: Any, shape: Shape, *_: Any) -> Any:
        return getattr(engine.library, name)(*more, shape)

    return case(name, call, build=_shape)


class _Shape(tuple[int, ...]):
    """A shape, with the methods of a layer that the timing calls."""

    def double(self) -> _Shape:
        return self

    def parameters(self) -> tuple[Any, ...]:
        return ()


def _shape(engine: Any, shape: Shape) -> _Shape:
    return _Shape(shape)


CREATION: list[Case] = [
    *(made(name) for name in ("zeros", "ones", "rand", "randn")),
    made("randint", 0, 10),
    case("full", lambda e, s: e.library.full(s, 0.5), build=_shape),
    *each("zeros_like ones_like rand_like randn_like", x, gradient=False),
    case("full_like", lambda e, x: e.library.full_like(x, 0.5), x, gradient=False),
    case("arange", lambda e, s: e.library.arange(s[0] * s[1]), build=_shape),
    case("linspace", lambda e, s: e.library.linspace(0, 1, s[0] * s[1]), build=_shape),
    case("eye", lambda e, s: e.library.eye(s[0]), build=_shape, sizes=SQUARE),
    case("randperm", lambda e, s: e.library.randperm(s[0] * s[1]), build=_shape),
    named("bernoulli", unit, gradient=False),
    case("multinomial", lambda e, p: e.library.multinomial(p, 4), unit, gradient=False),
    case(
        "meshgrid",
        lambda e, a, b: e.library.meshgrid(a, b, indexing="ij")[0] * 1.0,
        *[Operand(shape=lambda s: s[:1])] * 2,
        sizes=SQUARE,
    ),
    case("normal_", lambda e, x: x.normal_(), x, gradient=False),
    case("uniform_", lambda e, x: x.uniform_(), x, gradient=False),
    case("bernoulli_", lambda e, x: x.bernoulli_(0.5), x, gradient=False),
]

FAMILIES: dict[str, list[Case]] = {"shape": SHAPE, "indexing": INDEXING, "creation": CREATION}
