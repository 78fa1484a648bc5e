"""Reductions, scans and sorting."""

from __future__ import annotations

from benchmarks.ops.case import IMAGES, Case, Sizes, case, classes, each, positive, x

SORTED = Sizes((32, 64), (512, 1000), (2000, 1000))
VECTOR = Sizes((4096,), (1 << 18,), (1 << 20,))
numbers = classes.of(lambda s: s, most=lambda s: 1000)

REDUCE: list[Case] = [
    *each("sum mean var std max min", x),
    *each("prod", positive),
    *each("norm var_mean std_mean amax amin", x),
    *each("argmax argmin", x, gradient=False),
    *(
        case(f"{name}, dim {dim}", lambda e, x, n=name, d=dim: getattr(e.library, n)(x, d), x)
        for name in ("sum", "mean", "var", "max", "amax", "logsumexp")
        for dim in (0, 1)
    ),
    *(
        case(f"argmax, dim {d}", lambda e, x, d=d: e.library.argmax(x, d), x, gradient=False)
        for d in (0, 1)
    ),
    case("mean, of pixels", lambda e, x: e.library.mean(x, (2, 3)), x, sizes=IMAGES),
    case("sum, per channel", lambda e, x: e.library.sum(x, (0, 2, 3)), x, sizes=IMAGES),
    case("norm, dim 1", lambda e, x: e.library.norm(x, dim=1), x),
    case("prod, dim 1", lambda e, x: e.library.prod(x, 1), positive),
]

SCAN: list[Case] = [
    *(
        case(f"{name}, dim {dim}", lambda e, x, n=name, d=dim: getattr(e.library, n)(x, d), x)
        for name in ("cumsum", "cumprod")
        for dim in (0, 1)
    ),
    case("sort", lambda e, x: e.library.sort(x), x, sizes=SORTED),
    case("sort, dim 0", lambda e, x: e.library.sort(x, 0), x, sizes=SORTED),
    case("argsort", lambda e, x: e.library.argsort(x), x, sizes=SORTED, gradient=False),
    case("topk", lambda e, x: e.library.topk(x, 5), x, sizes=SORTED),
    case("kthvalue", lambda e, x: e.library.kthvalue(x, 100 % x.shape[1]), x, sizes=SORTED),
    case("median", lambda e, x: e.library.median(x, 1), x, sizes=SORTED),
    case("unique", lambda e, x: e.library.unique(x), numbers, sizes=VECTOR),
    case("bincount", lambda e, x: e.library.bincount(x), numbers, sizes=VECTOR),
]

FAMILIES: dict[str, list[Case]] = {"reduce": REDUCE, "scan and sort": SCAN}
