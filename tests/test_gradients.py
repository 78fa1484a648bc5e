"""grad(), and gradients of gradients of every operation that has them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.autograd import grad
from minigrad.events import Listener, listen
from minigrad.kept import kept_arrays, owner
from minigrad.tape import Operation
from tests.common import grid, refuses, seeds

F = mg.functional
Draw = Callable[[st.SearchStrategy], Any]


def operations() -> dict[str, Operation]:
    found = {}
    for module in pkgutil.iter_modules(ops.__path__, f"{ops.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {f.name: f for f in members if isinstance(f, Operation)}
    return found


# ---------------------------------------------------------------------------- every operation

SMOOTH = (-0.7, 0.0, 0.4)  # values to put among others, where functions are smooth


def values(shape: tuple[int, ...], seed: int, *special: float) -> mg.Tensor:
    """Values without ties, some of them ``special``."""
    array = grid(shape, seed)
    chosen = np.random.default_rng(seed).random(shape) < 0.2
    if special:
        array = np.where(chosen, np.resize(special, shape), array)
    return mg.Tensor(np.asarray(array), requires_grad=True)


CASES: dict[str, Callable[[Draw, int], tuple[Callable[..., mg.Tensor], list[mg.Tensor]]]] = {}


def case(*names: str) -> Any:
    """How to draw a function of one operation, by its name, and its inputs."""

    def add(draw: Any) -> Any:
        CASES.update(dict.fromkeys(names, draw))
        return draw

    return add


def shape_of(draw: Draw, low: int = 0, high: int = 3) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 3), min_size=low, max_size=high)))


def elementwise(name: str, function: Callable[..., Any], *special: float) -> None:
    case(name)(lambda draw, seed: (function, [values(shape_of(draw), seed, *special)]))


elementwise("neg", lambda x: -x, *SMOOTH)
elementwise("abs", lambda x: x.abs())
elementwise("exp", lambda x: x.exp(), *SMOOTH)
elementwise("log", lambda x: (x * x + 0.5).log(), *SMOOTH)
elementwise("sqrt", lambda x: (x * x + 0.5).sqrt(), *SMOOTH)
elementwise("erf", mg.erf, *SMOOTH)
elementwise("reciprocal", lambda x: (x * x + 0.5).reciprocal(), *SMOOTH)
elementwise("rsqrt", lambda x: (x * x + 0.5).rsqrt(), *SMOOTH)
for _f in (mg.expm1, mg.exp2, mg.sin, mg.cos, mg.tan, mg.atan, mg.sinh, mg.cosh, mg.asinh):
    elementwise(_f.__name__, _f, *SMOOTH)
for _f in (mg.square, mg.clone):
    elementwise(_f.__name__, _f, *SMOOTH)
for _f in (mg.asin, mg.acos, mg.atanh):
    elementwise(_f.__name__, lambda x, f=_f: f(x * 0.45), *SMOOTH)
for _f in (mg.log1p, mg.log2, mg.log10):
    elementwise(_f.__name__, lambda x, f=_f: f(x * x + 0.5), *SMOOTH)
elementwise("nan_to_num", lambda x: mg.nan_to_num(x) * x, *SMOOTH)
elementwise("acosh", lambda x: (x * x + 1.5).acosh(), *SMOOTH)
for _f in (mg.floor, mg.ceil, mg.trunc, mg.round, mg.sign, mg.frac):
    elementwise(_f.__name__, lambda x, f=_f: f(x * 0.7) * x * x)
elementwise("relu", F.relu)
elementwise("leaky_relu", lambda x: F.leaky_relu(x, 0.2))
elementwise("sigmoid", F.sigmoid, *SMOOTH)
elementwise("tanh", F.tanh, *SMOOTH)
elementwise("gelu", F.gelu, *SMOOTH)
elementwise("gelu_tanh", lambda x: F.gelu(x, "tanh"), *SMOOTH)
elementwise("silu", F.silu, *SMOOTH)
elementwise("mish", F.mish, *SMOOTH)
elementwise("softplus", lambda x: F.softplus(x, 1.5, 2.0), *SMOOTH)
elementwise("logsigmoid", F.logsigmoid, *SMOOTH)
elementwise("elu", lambda x: F.elu(x, 0.7))
elementwise("hardtanh", F.hardtanh)
elementwise("hardsigmoid", F.hardsigmoid)
elementwise("hardswish", F.hardswish)
elementwise("to_dtype", lambda x: ops.arithmetic.to_dtype(x, dtype=np.dtype(float)), *SMOOTH)
elementwise("to_device", lambda x: ops.methods._to_device(x, where=mg.device("cpu")), *SMOOTH)
elementwise("mean", lambda x: x.mean(), *SMOOTH)


@case("pow")
def _(draw, seed):
    exponent = draw(st.sampled_from([0, 1, 2, 3, 2.0, -1, 0.5, 2.5]))
    return lambda x: (x * x + 0.5) ** exponent, [values(shape_of(draw), seed, *SMOOTH)]


def two(draw: Draw, seed: int, *special: float) -> list[mg.Tensor]:
    """Two tensors that broadcast."""
    shape = shape_of(draw)
    other = tuple(draw(st.sampled_from([1, n])) for n in shape[draw(st.integers(0, len(shape))) :])
    pair = [values(shape, seed, *special), values(other, seed + 1, *special)]
    return pair[:: draw(st.sampled_from([1, -1]))]


for _name, _function in {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 0.5),
    "power": lambda a, b: (a * a + 0.5) ** b,
    "logaddexp": mg.logaddexp,
    "atan2": lambda a, b: mg.atan2(a, b * b + 0.5),
}.items():
    case(_name)(lambda draw, seed, f=_function: (f, two(draw, seed, *SMOOTH)))


@case("div_trunc", "div_floor", "remainder", "fmod")
def _(draw, seed):
    a, b = two(draw, seed)
    a, b = a * 0.83 + 1.37, b * 0.61 + 1.93  # whose quotient is no whole number
    function = draw(
        st.sampled_from(
            [
                lambda a, b: mg.div(a, b, rounding_mode="trunc") * a,
                lambda a, b: mg.div(a, b, rounding_mode="floor") * a,
                lambda a, b: mg.remainder(a, b) * a,
                lambda a, b: mg.fmod(a, b) * a,
            ]
        )
    )
    return function, [x.detach().requires_grad_() for x in (a, b)]


@case("where", "clamp")
def _(draw, seed):
    a, b = two(draw, seed)
    condition = mg.Tensor(grid(a.shape, seed + 5) > 0)
    if draw(st.booleans()):
        return lambda a, b: mg.where(condition, a, b) * a, [a, b]
    return lambda a, b: a.clamp(b + 0.13, b + 1.53) * b, [a, b]


REDUCING = "softmax log_softmax std var sum norm logsumexp cumsum extreme_over"


@case(*REDUCING.split())
def _(draw, seed):
    shape = shape_of(draw, 1)
    dim = draw(st.integers(0, len(shape) - 1))
    shape = (*shape[:dim], shape[dim] + 1, *shape[dim + 1 :])
    draw_p = draw(st.sampled_from([1.0, 1.5, 2.0, 3.0, np.inf]))
    functions = {
        "softmax": lambda x: F.softmax(x, dim),
        "log_softmax": lambda x: F.log_softmax(x, dim),
        "std": lambda x: x.std(dim),
        "var": lambda x: x.var(dim, correction=0),
        "sum": lambda x: x.sum(dim),
        "norm": lambda x: mg.norm(x, draw_p, dim),
        "logsumexp": lambda x: x.logsumexp(dim),
        "cumsum": lambda x: (x * x).cumsum(dim),
        "extreme_over": lambda x: (x * x + x / 3).amax(dim),
    }
    return functions[draw(st.sampled_from(sorted(functions)))], [values(shape, seed)]


@case("normalize", "layer_norm", "group_norm")
def _(draw, seed):
    x = values((2, 4, *shape_of(draw, 1, 2), 2), seed, 0.0)
    x.data[:, 0] = 0.9  # no vector of zeros, which has no direction
    p = draw(st.sampled_from([1.5, 2.0, 3.0]))
    size, groups = x.shape[-1:], draw(st.sampled_from([1, 2]))
    w, b = values(size, seed + 1), values(size, seed + 2)
    per_channel = [values((4,), seed + i) for i in (3, 4)]
    return draw(
        st.sampled_from(
            [
                (lambda x: F.normalize(x + 3, p), [x]),
                (lambda x: F.normalize(x, 2.0), [x]),
                (lambda x, w, b: F.layer_norm(x, size, w, b), [x, w, b]),
                (lambda x: F.layer_norm(x, size), [x]),
                (lambda x, w, b: F.group_norm(x, groups, w, b), [x, *per_channel]),
            ]
        )
    )


@case("prelu")
def _(draw, seed):
    return F.prelu, [values((2, 3, 2), seed), values(draw(st.sampled_from([(3,), (1,)])), seed + 1)]


@case("matmul")
def _(draw, seed):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    left, right = draw(st.sampled_from([((), ()), ((2,), ()), ((2, 1), (3,))]))
    a, b = (
        draw(st.sampled_from([(*left, n, k), (k,)])),
        draw(st.sampled_from([(*right, k, m), (k,)])),
    )
    return lambda a, b: a @ b, [values(a, seed), values(b, seed + 1)]


@case("addmm")
def _(draw, seed):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    beside = draw(st.sampled_from([(), (2,)]))
    shapes = draw(st.sampled_from([(m,), (*beside, n, m)])), (*beside, n, k), (*beside, k, m)
    add = mg.baddbmm if beside else mg.addmm
    numbers = {"beta": draw(st.sampled_from([1, 0.7])), "alpha": draw(st.sampled_from([1, -2]))}
    return partial(add, **numbers), [values(shape, seed + i) for i, shape in enumerate(shapes)]


@case("lerp", "addcmul", "addcdiv", "maximum", "minimum", "diagonal", "tril", "triu")
def _(draw, seed):
    a, b, c = (values((3, 3), seed + i) for i in range(3))
    functions = (
        lambda a, b, c: mg.lerp(a, b, c) + mg.lerp(a, b, 0.3) * c,
        lambda a, b, c: mg.addcmul(a, b, c, value=0.7) * a,
        lambda a, b, c: mg.addcdiv(a, b, c * c + 0.5, value=0.7) * a,
        lambda a, b, c: mg.maximum(a, b + 0.13) * mg.minimum(b, c + 0.17),
        lambda a, b, c: (a * b).diagonal() * c[0],
        lambda a, b, c: mg.tril(a * b) * mg.triu(b * c, 1) * c,
    )
    return draw(st.sampled_from(functions)), [a, b, c]


@case("attention")
def _(draw, seed):
    m, k, n = (draw(st.integers(1, 3)) for _ in range(3))
    q, keys, v, mask = (
        values(s, seed + i) for i, s in enumerate([(n, k), (2, m, k), (m, 2), (m,)])
    )
    if draw(st.booleans()):
        return lambda *x: F.scaled_dot_product_attention(*x, is_causal=True), [q, keys, v]
    return F.scaled_dot_product_attention, [q, keys, v, mask]


@case("linear")
def _(draw, seed):
    n, i, o = (draw(st.integers(1, 3)) for _ in range(3))
    b = [values((o,), seed + 2)] * draw(st.integers(0, 1))
    return F.linear, [values((n, i), seed), values((o, i), seed + 1), *b]


@case("conv2d")
def _(draw, seed):
    groups, stride, padding, dilation = (draw(st.integers(1, 2)) for _ in range(4))
    kernel = draw(st.sampled_from([1, 2, 3]))
    x = values((draw(st.integers(1, 2)), 2 * groups, 5, 6), seed)
    w = values((groups, 2, kernel, kernel), seed + 1)
    b = [values((groups,), seed + 2)] * draw(st.integers(0, 1))
    options = {"stride": stride, "padding": padding - 1, "dilation": dilation, "groups": groups}
    return lambda x, w, b=None: F.conv2d(x, w, b, **options), [x, w, *b]


@case("conv_transpose2d")
def _(draw, seed):
    groups, stride, padding, dilation = (draw(st.integers(1, 2)) for _ in range(4))
    kernel = draw(st.sampled_from([1, 2, 3]))
    x = values((draw(st.integers(1, 2)), 2 * groups, 3, 4), seed)
    w = values((2 * groups, 2, kernel, kernel), seed + 1)
    b = [values((2 * groups,), seed + 2)] * draw(st.integers(0, 1))
    options = {"stride": stride, "padding": padding - 1, "dilation": dilation, "groups": groups}
    return lambda x, w, b=None: F.conv_transpose2d(x, w, b, **options), [x, w, *b]


@case("unfold", "fold")
def _(draw, seed):
    kernel, stride, padding = (draw(st.integers(1, 2)) for _ in range(3))

    def function(x):
        columns = F.unfold(x * x, kernel, padding=padding, stride=stride)
        return F.fold(columns * columns, (4, 5), kernel, padding=padding, stride=stride)

    return function, [values((1, 2, 4, 5), seed)]


@case("avg_pool2d", "adaptive_avg_pool2d")
def _(draw, seed):
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    functions = (
        lambda x: F.avg_pool2d(x * x, kernel, stride, kernel // 2, True, False),
        lambda x: F.adaptive_avg_pool2d(x * x, (kernel, stride)),
    )
    return draw(st.sampled_from(functions)), [values((1, 2, 4, 5), seed)]


SHAPING = "reshape permute expand getitem cat pad pad_by_copies take_along flip roll gather scatter"


@case(*SHAPING.split(), "interpolate")
def _(draw, seed):
    places = mg.tensor([[0, 3, 0], [1, 1, 2], [2, 0, 3]])
    index = draw(st.sampled_from([(0,), (slice(1, 3), 1), ([0, 2, 0],), (..., None, slice(2))]))
    functions = (
        lambda x: x.reshape(2, 6),
        lambda x: x.permute(1, 0),
        lambda x: x.unsqueeze(1).expand(3, 2, 4),
        lambda x: x[index],
        lambda x: mg.cat([x, x * x, x.detach()], 1),
        lambda x: x.pad((1, 0, 2, 1), value=3.0),
        lambda x: F.pad(x.unsqueeze(0), (1, 2), "reflect"),
        lambda x: x.max(1).values,
        lambda x: x.flip(0, 1),
        lambda x: x.roll((1, 2), (0, 1)),
        lambda x: x.gather(1, places),
        lambda x: x.scatter(1, places[:, :1], x * 2),
        lambda x: x.scatter_add(1, places, x * x),
        lambda x: F.interpolate(x.unsqueeze(0), 7, mode="linear"),
    )
    function = draw(st.sampled_from(functions))
    return lambda x: function(x * x), [values((3, 4), seed)]


@case("dropout")
def _(draw, seed):
    def function(x):
        mg.manual_seed(seed)
        return F.dropout(x, 0.4) * x

    return function, [values(shape_of(draw), seed)]


@case("cross_entropy")
def _(draw, seed):
    reduction = draw(st.sampled_from(["mean", "sum", "none"]))
    weight = draw(st.sampled_from([None, mg.tensor([0.5, 1.0, 2.0], dtype="float64")]))
    target, spread = mg.tensor([0, -100, 2]), values((3, 3), seed + 1).detach().softmax(1)
    options = {"reduction": reduction, "weight": weight}
    functions = (
        lambda x: F.cross_entropy(x, target, label_smoothing=0.1, **options),
        lambda x: F.cross_entropy(x, spread, **options),
        lambda x: F.nll_loss(x * x, target, **options),
    )
    return draw(st.sampled_from(functions)), [values((3, 3), seed, 0.0)]


PAIRS = {
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "smooth_l1_loss": F.smooth_l1_loss,
    "huber_loss": F.huber_loss,
    "kl_div": lambda a, b, **o: F.kl_div(a, b.sigmoid(), **o) + F.kl_div(a, b, log_target=True),
    "binary_cross_entropy": lambda a, b, **o: F.binary_cross_entropy(a.sigmoid(), b.sigmoid(), **o),
    "bce_with_logits": lambda a, b, **o: F.binary_cross_entropy_with_logits(
        a, b, pos_weight=mg.tensor([0.5, 2.0], dtype="float64"), **o
    ),
}
for _name, _function in PAIRS.items():

    @case(_name)
    def _(draw, seed, function=_function, special=(0.0,) if "bce" in _name else ()):
        reduction = draw(st.sampled_from(["mean", "sum", "none"]))
        inputs = [values((2, 2), seed, *special), values((2, 2), seed + 1)]
        away = 0.05  # from kinks, where the two differ by 0 or 1
        return lambda a, b: function(a, b * 0.83 + away, reduction=reduction), inputs


def test_every_operation_with_a_rule_has_a_case():
    assert {name for name, f in operations().items() if f.twice is not None} == set(CASES)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12)
@given(data=st.data(), seed=seeds)
def test_gradients_of_gradients(name, data, seed):
    function, inputs = CASES[name](data.draw, seed % 1000)
    assert mg.gradgradcheck(function, inputs)


def test_a_derivative_of_zero_has_a_slope():
    a = mg.tensor([1.7, 0.5], dtype="float64", requires_grad=True)
    b = mg.tensor([0.0, 0.0], dtype="float64", requires_grad=True)
    slope = grad((a**b).sum(), a, create_graph=True)[0]  # b aᵇ⁻¹
    assert not slope.data.any()
    np.testing.assert_allclose(grad(slope.sum(), b)[0].data, 1 / a.data)
    x = mg.tensor([[1.0, 0.0, 0.0]], dtype="float64", requires_grad=True)
    across = mg.tensor([[0.0, 1.0, 0.5]], dtype="float64")  # Σ g y is 0
    slope = grad(F.normalize(x), x, across, create_graph=True)[0]
    turned = grad(slope, x, mg.tensor([[0.3, 0.2, -0.7]], dtype="float64"))[0]
    np.testing.assert_allclose(turned.data, [[0.15, -0.3, -0.15]])


class Kept(Listener):
    """Finds what is recalled of an operation that its derivative does not keep."""

    def operation(self, name, inputs, params, result):
        if result.node is None or result.node.recall is None:
            return
        args, _, kept = result.node.recall
        known = {id(owner(array)) for _, array in kept_arrays(result.node.backward)}
        for value in (*args, kept):
            arrays = [value] if hasattr(value, "strides") else []
            if callable(value):
                arrays = [array for _, array in kept_arrays(value)]
            for array in arrays:
                assert id(owner(array)) in known, f"{name} keeps more for create_graph=True"


@pytest.mark.parametrize("way", ["definition", "numpy", "auto"])
@settings(max_examples=150)
@given(data=st.data(), seed=seeds)
def test_nothing_more_is_kept(way, data, seed):
    function, inputs = CASES[data.draw(st.sampled_from(sorted(CASES)))](data.draw, seed % 1000)
    before = mg.get_implementation()
    mg.set_implementation(way)
    try:
        with listen(Kept()):
            function(*inputs)
    finally:
        mg.set_implementation(before)


@pytest.mark.parametrize("name", [n for n, f in operations().items() if f.twice is None])
def test_others_are_refused_by_name(name):
    x = mg.ones(2, requires_grad=True)
    y = x * x
    y.node.operation = operations()[name]
    text = f"{name}: create_graph=True is not supported: its derivative cannot be differentiated"
    refuses(NotImplementedError, text, lambda: grad(y.sum(), x, create_graph=True))
    refuses(NotImplementedError, text, lambda: y.sum().backward(create_graph=True))
    assert x.grad is None
    y.sum().backward()  # nothing was freed
