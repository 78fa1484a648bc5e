"""Elementwise functions."""

from __future__ import annotations

from typing import Any

from benchmarks.ops.case import IMAGES, Case, bools, case, classes, each, named, positive, unit, x

FUNCTIONAL: dict[str, Any] = {"where": "functional", "sizes": IMAGES}
row = x.of(lambda s: s[-1:], parameter=True)
column = x.of(lambda s: (*s[:-1], 1), parameter=True)
numbers = classes.of(lambda s: s)

ACTIVATION = [
    *each("relu leaky_relu relu6 hardtanh hardsigmoid hardswish", x, **FUNCTIONAL),
    *each("sigmoid tanh silu mish softplus logsigmoid elu selu celu gelu", x, **FUNCTIONAL),
    case("gelu, tanh", lambda e, x: e.functional.gelu(x, approximate="tanh"), x, sizes=IMAGES),
    case(
        "prelu",
        lambda e, x, w: e.functional.prelu(x, w),
        *(x, x.of(lambda s: (s[1],), parameter=True)),
        sizes=IMAGES,
    ),
    case("dropout", lambda e, x: e.functional.dropout(x, 0.2), x, sizes=IMAGES),
    case("dropout2d", lambda e, x: e.functional.dropout2d(x, 0.2), x, sizes=IMAGES),
    case("dropout1d", lambda e, x: e.functional.dropout1d(x.flatten(2), 0.2), x, sizes=IMAGES),
    case("softmax, dim 1", lambda e, x: e.functional.softmax(x, 1), x, sizes=IMAGES),
    case("softmax, dim -1", lambda e, x: e.functional.softmax(x, -1), x),
    case("log_softmax, dim 1", lambda e, x: e.functional.log_softmax(x, 1), x, sizes=IMAGES),
    case("log_softmax, dim -1", lambda e, x: e.functional.log_softmax(x, -1), x),
]

ARITHMETIC = [
    *each("add sub mul maximum minimum", x, x),
    named("div", x, positive),
    named("add", x, row, label="add, a row"),
    named("mul", x, row, label="mul, by a row"),
    named("mul", x, column, label="mul, by a column"),
    named("sub", x, column, label="sub, a column"),
    named("div", x, positive.of(column.shape, parameter=True), label="div, by a column"),
    case("add, a number", lambda e, x: x + 1.5, x),
    case("mul, by a number", lambda e, x: x * 1.5, x),
    case("div, by a number", lambda e, x: x / 1.5, x),
    case("div, a number by it", lambda e, x: 1.5 / x, positive),
    case("pow, 2", lambda e, x: x**2, x),
    case("pow, 0.5", lambda e, x: x**0.5, positive),
    named("pow", positive, x, label="pow, of tensors"),
    *each("neg abs square", x),
    *each("sqrt rsqrt reciprocal", positive),
    case("clamp", lambda e, x: e.library.clamp(x, -0.5, 0.7), x, also="clip"),
    named("where", bools, x, x),
    case("where, a number", lambda e, c, x: e.library.where(c, x, 0.0), bools, x),
    case("lerp, a number", lambda e, a, b: e.library.lerp(a, b, 0.3), x, x),
    *each("lerp addcmul", x, x, x),
    named("addcdiv", x, x, positive),
]

FUNCTIONS = [
    *each("exp exp2 expm1 erf sin cos tan sinh cosh atan asinh", x),
    *each("log log2 log10 log1p", positive),
    *each("asin acos atanh", unit),
    case("acosh", lambda e, x: e.library.acosh(x + 1), positive),
    *each("logaddexp atan2", x, x),
    *each("nan_to_num frac", x),
]

ROUNDING = [
    *each("ceil floor round trunc sign", x, gradient=False),
    *each("floor_divide", x, positive, gradient=False),
    *each("fmod remainder", x, positive.of(lambda s: s, constant=True)),
]

COMPARE = [
    *each("eq ne lt le gt ge", x, x, gradient=False),
    case("gt, a number", lambda e, x: x > 0, x, gradient=False),
    *each("isnan isinf isfinite", x, gradient=False),
    *each("isclose allclose equal", x, x, gradient=False),
    *each("logical_and logical_or logical_xor", bools, bools),
    named("logical_not", bools),
    *each("bitwise_and bitwise_or bitwise_xor", numbers, numbers),
    named("bitwise_not", numbers),
    *each("all any", bools),
    case("any, dim 1", lambda e, x: e.library.any(x, 1), bools),
    named("count_nonzero", x, gradient=False),
]

INPLACE = [
    case("add_", lambda e, a, b: a.add_(b), x, x, gradient=False),
    case("mul_", lambda e, a: a.mul_(1.0), x, gradient=False),
    case("relu_", lambda e, a: a.relu_(), x, gradient=False),
    case("clamp_", lambda e, a: a.clamp_(-1, 1), x, gradient=False),
    case("copy_", lambda e, a, b: a.copy_(b), x, x, gradient=False),
    case("fill_", lambda e, a: a.fill_(2.0), x, gradient=False),
    case("zero_", lambda e, a: a.zero_(), x, gradient=False),
    case("masked_fill_", lambda e, a, m: a.masked_fill_(m, 0.0), x, bools, gradient=False),
    case("lerp_", lambda e, a, b: a.lerp_(b, 0.1), x, x, gradient=False),
]

FAMILIES: dict[str, list[Case]] = {
    "activation": ACTIVATION,
    "arithmetic": ARITHMETIC,
    "functions": FUNCTIONS,
    "rounding": ROUNDING,
    "compare": COMPARE,
    "inplace": INPLACE,
}
