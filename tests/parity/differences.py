"""What differs from PyTorch by intent: the rows of docs/differences.md, each with a test that
shows it and, where drawn calls meet it, how the driver knows it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import leaf, refuses
from tests.parity.driver import Call, Difference, Entry

F, T = mg.functional, torch.nn.functional
DIFFERENCES: dict[str, Difference] = {}


def row(
    name: str,
    says: tuple[str, ...] = (),
    at: tuple[str, ...] = ("",),
    differs: Callable[[Entry, Call], str] = lambda entry, call: "",
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Put the decorated test into the table under its row's name."""

    def add(show: Callable[[], None]) -> Callable[[], None]:
        assert name not in DIFFERENCES
        DIFFERENCES[name] = Difference(show, says, at, differs)
        return show

    return add


def only_ours_refuses(error: type[Exception], text: str, call: Callable[[Any], Any]) -> None:
    """``call(library)`` works for PyTorch and is an error that says ``text`` for minigrad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call(torch)
    refuses(error, text, lambda: call(mg))


def functions(library: Any) -> Any:
    return library.functional if library is mg else T


def contains(call: Call, test: Callable[[np.ndarray], Any]) -> bool:
    """Whether any floating array of the call has an element that passes ``test``."""
    return any(a is not None and a.dtype.kind == "f" and bool(test(a).any()) for a in call.arrays)


# ---------------------------------------------------------------------------- dtypes and numbers


@row("mixed-dtypes", ("different floating dtypes", "expected one dtype", " as input, got "))
def mixed_dtypes() -> None:
    for mix in (
        lambda a, b, library: a + b,
        lambda a, b, library: a < b,
        lambda a, b, library: library.cat([a, b]),
        lambda a, b, library: functions(library).mse_loss(a, b),
    ):
        only_ours_refuses(
            TypeError,
            "dtype",
            lambda m, f=mix: f(m.tensor([1.0]), m.tensor(np.array([1.0])), m),
        )


def _narrow_scalar(entry: Entry, call: Call) -> str:
    """A 0-d tensor of a wider integer dtype, which does not widen the result in PyTorch."""
    a = [x for x in call.arrays if x is not None and x.dtype.kind in "iu"]
    mixed = len({x.dtype for x in a}) > 1 and len({x.ndim == 0 for x in a}) > 1
    return "all" if mixed and (entry.name.startswith("Tensor.__") or entry.name == "where") else ""


@row("zero-dim-promotion", differs=_narrow_scalar)
def zero_dim_promotion() -> None:
    a, b = np.ones(2, np.int32), np.array(1)
    assert (torch.tensor(a) + torch.tensor(b)).dtype == torch.int32
    assert (mg.tensor(a) + mg.tensor(b)).dtype == np.int64


@row(
    "integers",
    ("expected a floating dtype",),
    ("conv2d", "Conv2d", "avg_pool2d", "AvgPool2d", "ropout", "oftmax", "mse_loss", "MSELoss"),
)
def integers() -> None:
    for call in (
        lambda m: functions(m).avg_pool2d(m.ones(1, 1, 2, 2, dtype=_int64(m)), 2),
        lambda m: functions(m).conv2d(*[m.ones(1, 1, 2, 2, dtype=_int64(m))] * 2),
        lambda m: functions(m).dropout(m.ones(2, dtype=_int64(m)), training=False),
        lambda m: functions(m).softmax(m.ones(0, dtype=_int64(m)), 0),
        lambda m: functions(m).mse_loss(m.ones(2, dtype=_int64(m)), m.ones(2)),
    ):
        only_ours_refuses(TypeError, "input: expected a floating dtype, got int64", call)


def _int64(library: Any) -> Any:
    return torch.int64 if library is torch else "int64"


@row("wider-integers")  # table.py hands PyTorch int64
def wider_integers() -> None:
    x, t = np.ones((1, 3), np.float32), np.array([2], np.int32)
    with pytest.raises(RuntimeError, match="Long"):
        T.cross_entropy(torch.tensor(x), torch.tensor(t))
    assert F.cross_entropy(mg.tensor(x), mg.tensor(t)).item() == pytest.approx(math.log(3))
    with pytest.raises(RuntimeError, match="index tensor"):
        T.one_hot(torch.tensor(t))
    assert F.one_hot(mg.tensor(t)).shape == (1, 3)


@row("number-overflow", ("does not fit into",))
def number_overflow() -> None:
    small = lambda m: m.tensor(np.array([1, 3], np.uint8))  # noqa: E731
    assert (small(torch) + 300).tolist() == [45, 47]
    assert small(torch).clamp(min=-1).tolist() == [255, 255]
    for call in (lambda m: small(m) + 300, lambda m: small(m).clamp(min=-1)):
        only_ours_refuses(ValueError, "does not fit into uint8", call)


def _compared_beyond(entry: Entry, call: Call) -> str:
    names = ("lt", "le", "gt", "ge", "eq", "ne")
    if entry.name not in [f"Tensor.__{n}__" for n in names] or not call.args:
        return ""
    number, dtype = call.args[0], call.arrays[0].dtype
    if not isinstance(number, int) or dtype.kind not in "iu":
        return ""
    limits = np.iinfo(dtype)
    return "" if limits.min <= number <= limits.max else "all"


@row("comparison-overflow", differs=_compared_beyond)
def comparison_overflow() -> None:
    x = np.array([1, 3], np.uint8)
    assert (torch.tensor(x) > -1).tolist() == [False, False]
    assert (mg.tensor(x) > -1).numpy().tolist() == [True, True]


@row("kinds", ("data: expected numbers",))
def kinds() -> None:
    only_ours_refuses(TypeError, "data: expected numbers", lambda m: m.tensor([1j]))
    torch.ones(2).to(torch.bfloat16)
    refuses(TypeError, "device: expected", lambda: mg.ones(2).to("bfloat16"))


@row("byte-masks", ("got uint8", "got int32"), ("__getitem__", "where"))
def byte_masks() -> None:
    def masked(m: Any) -> Any:
        return m.ones(2)[m.tensor(np.array([1, 0], np.uint8))]

    only_ours_refuses(TypeError, "index: expected bools, int32 or int64, got uint8", masked)


@row("float-indices", ("index: expected bools, int32 or int64, got float32",), ("__getitem__",))
def float_indices() -> None:
    wrong = "index: expected bools, int32 or int64, got float32"
    only_ours_refuses(TypeError, wrong, lambda m: m.ones(2)[np.array([1.5], np.float32)])


@row("empty-bool-products", ("expected floats or integers, got bool",), ("matmul", "inear"))
def empty_bool_products() -> None:
    def product(m: Any) -> Any:
        empty = m.tensor(np.ones((1, 0), np.bool_))
        return m.tensor(np.ones((1, 1), np.bool_)) @ empty

    only_ours_refuses(TypeError, "expected floats or integers, got bool", product)


@row(
    "unchecked-numbers",
    (
        "negative_slope: expected",
        "label_smoothing: expected",
        "divisor_override: expected",
        "dilation: expected",
    ),
)
def unchecked_numbers() -> None:
    for call in (
        lambda m: functions(m).leaky_relu(m.ones(2), math.nan),
        lambda m: functions(m).cross_entropy(m.ones(1, 2), m.tensor([0]), label_smoothing=-0.1),
        lambda m: functions(m).avg_pool2d(m.ones(1, 2, 2), 2, divisor_override=-1),
        lambda m: functions(m).conv2d(m.ones(0, 1, 1, 1), m.ones(1, 1, 1, 1), dilation=0),
        lambda m: m.optim.lr_scheduler.StepLR(_sgd(m), 1, gamma=-1),
        lambda m: m.optim.lr_scheduler.CosineAnnealingLR(_sgd(m), 1, eta_min=-1),
        lambda m: m.optim.lr_scheduler.LambdaLR(_sgd(m), lambda epoch: -1),
    ):
        only_ours_refuses(ValueError, "expected a", call)


def _generator(library: Any) -> Any:
    return torch.Generator() if library is torch else "generator"


def _sgd(library: Any) -> Any:
    return library.optim.SGD([library.zeros(1)], 0.1)


# ---------------------------------------------------------------------------- values


def _several(entry: Entry, call: Call) -> str:
    pool = "max_pool2d" in entry.name or "MaxPool2d" in entry.name
    odd = pool and contains(call, lambda a: np.isnan(a) | (a == -np.inf))
    return "gradient" if odd else ""


@row("max-pool-nan", differs=_several)
def max_pool_nan() -> None:
    for values, theirs in (([np.nan, 1.0, np.nan], 2), ([-np.inf, -np.inf, -np.inf], 0)):
        x = np.array([[values]])
        tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
        T.max_pool2d(tx, (1, 3)).sum().backward()
        F.max_pool2d(mx, (1, 3)).sum().backward()
        assert tx.grad.flatten().tolist() == np.eye(3)[theirs].tolist()
        assert mx.grad.numpy().ravel().tolist() == [1, 0, 0]


def _no_weight(entry: Entry, call: Call) -> str:
    if not any(n in entry.name for n in ("cross_entropy", "CrossEntropy", "nll_loss")):
        return ""
    x, target, weight = call.arrays
    nothing = False  # the mean over targets of weight 0
    if weight is not None and call.options["reduction"] == "mean" and target.dtype.kind in "iu":
        used = target[(target != call.options["ignore_index"]) & (target < weight.size)]
        nothing = not weight[used].any()
    return "all" if nothing or not np.isfinite(x).all() else ""


@row("zero-times-infinity", differs=_no_weight)
def zero_times_infinity() -> None:
    x = np.array([[0.0, -np.inf]])
    for options in ({"target": [[1.0, 0.0]]}, {"target": [1], "weight": [1.0, 0.0]}):
        numbers = {k: np.array(v) for k, v in options.items()} | {"reduction": "sum"}
        give = lambda to, n=numbers: {  # noqa: E731
            k: to(v) if isinstance(v, np.ndarray) else v for k, v in n.items()
        }
        assert math.isnan(T.cross_entropy(torch.tensor(x), **give(torch.tensor)))
        assert F.cross_entropy(mg.tensor(x), **give(mg.tensor)).item() == 0
    tx, mx = torch.zeros(1, 2, requires_grad=True), leaf(np.zeros((1, 2), np.float32))
    weight = np.array([1.0, 0.0], np.float32)
    T.nll_loss(tx, torch.tensor([1]), torch.tensor(weight)).backward()
    F.nll_loss(mx, mg.tensor([1]), mg.tensor(weight)).backward()
    assert np.isnan(tx.grad.numpy()).tolist() == [[False, True]]
    assert np.isnan(mx.grad.numpy()).all()


def _gelu_limits(entry: Entry, call: Call) -> str:
    gelu = entry.name.lower().endswith("gelu")
    return "all" if gelu and contains(call, np.isinf) else ""


@row("gelu-infinity", differs=_gelu_limits)
def gelu_infinity() -> None:
    x = np.array([np.inf] * 16, np.float32)
    theirs = set(T.gelu(torch.tensor(x)).tolist())  # NaN or infinity, by the processor
    assert all(math.isnan(value) or value == math.inf for value in theirs)
    assert F.gelu(mg.tensor(x)).numpy().tolist() == x.tolist()


def _rooted(entry: Entry, call: Call) -> str:
    root = entry.name in ("Tensor.pow", "Tensor.__pow__") and call.args in ((-0.5,), (0.5,))
    return "all" if root and contains(call, lambda a: (a == 0) | (a == -np.inf)) else ""


@row("root-as-power", differs=_rooted)
def root_as_power() -> None:
    assert (torch.tensor([-0.0]) ** -0.5).item() == -math.inf
    assert (mg.tensor([-0.0]) ** -0.5).item() == math.inf


def _no_freedom(entry: Entry, call: Call) -> str:
    if entry.name not in ("Tensor.var", "Tensor.std"):
        return ""
    x, *dims = call.arrays[0], *call.args[:-1]  # the last of them is unbiased
    dim = dims[0] if dims else call.options.get("dim")
    correction = int(call.args[-1]) if call.args else call.options.get("correction", 1)
    dims = range(x.ndim) if dim in (None, ()) else (dim,) if isinstance(dim, int) else dim
    count = math.prod(x.shape[i] for i in dims) if x.ndim else 1
    return "gradient" if count <= correction else ""


@row("variance-without-freedom", differs=_no_freedom)
def variance_without_freedom() -> None:
    x = np.array([1.0, 3.0])
    tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tx.var(correction=3).backward()
    mx.var(correction=3).backward()
    assert tx.grad.tolist() == [np.inf, np.inf]
    assert mx.grad.numpy().tolist() == [-np.inf, np.inf]


def _far_from_one(entry: Entry, call: Call) -> str:
    far = contains(call, lambda a: (a != 0) & ((np.abs(a) < 1e-15) | (np.abs(a) > 1e15)))
    return "all" if entry.name == "Tensor.__rtruediv__" and far else ""


@row("number-over-tiny", differs=_far_from_one)
def number_over_tiny() -> None:
    assert math.isnan(0 / torch.tensor([1e-40]))
    assert (0 / mg.tensor([1e-40])).item() == 0


def _tiny_deviation(entry: Entry, call: Call) -> str:
    tiny = contains(call, lambda a: (a != 0) & (np.abs(a) < 1e-30))
    return "gradient" if entry.name == "Tensor.std" and tiny else ""


@row("std-of-tiny", differs=_tiny_deviation)
def std_of_tiny() -> None:
    x = np.array([1e-40, -1e-40], np.float32)
    tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
    tx.std().backward()
    mx.std().backward()
    assert tx.grad.tolist() == [math.inf, -math.inf]
    assert mx.grad.numpy() == pytest.approx([0.5**0.5, -(0.5**0.5)])


def _weight_not_finite(entry: Entry, call: Call) -> str:
    conv = entry.name in ("functional.conv2d", "nn.Conv2d")
    return "all" if conv and not np.isfinite(call.arrays[1]).all() else ""


@row("conv-infinite-weights", differs=_weight_not_finite)
def conv_infinite_weights() -> None:
    x, w = np.ones((1, 1, 1, 3)), np.array([[[[np.nan, 1.0, 1.0]]]])
    tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
    T.conv2d(tx, torch.tensor(w)).sum().backward()
    F.conv2d(mx, mg.tensor(w)).sum().backward()
    assert np.isnan(tx.grad.numpy()).sum() == 1
    assert np.isnan(mx.grad.numpy()).sum() == 3


@row("winograd")
def winograd() -> None:
    x = np.random.default_rng(0).random((16, 16, 8, 8), np.float32)
    w = np.full((16, 16, 3, 3), 0.1, np.float32)
    unseen = np.ones((16, 16, 6, 6), bool)
    unseen[0, :, :3, :3] = False

    def compiled() -> torch.Tensor:
        return torch.from_numpy(F.conv2d(mg.Tensor(x), mg.Tensor(w)).numpy())

    def directly() -> torch.Tensor:
        before = mg.is_compiled()
        mg.set_compiled(False)
        try:
            return compiled()
        finally:
            mg.set_compiled(before)

    for outlier in (1e5, math.nan):
        x[0, 0, 2, 2] = outlier
        truth = T.conv2d(*(torch.from_numpy(a).double() for a in (x, w)))[unseen]
        for way, exact in ((compiled, not mg.is_compiled()), (directly, True)):
            assert ((way()[unseen] - truth).abs() < 1e-3).all() == exact


@row("flags")
def flags() -> None:
    for call in (
        lambda m: m.nn.Linear(1, 1, bias="no"),
        lambda m: m.optim.RMSprop([m.zeros(1)], centered=1),
    ):
        only_ours_refuses(TypeError, "expected True or False, got", call)


@row("unknown-states")
def unknown_states() -> None:
    def load(m: Any) -> None:
        optimizer = m.optim.Adam([m.zeros(1)])
        optimizer.load_state_dict(optimizer.state_dict() | {"state": {"0": {}}})

    only_ours_refuses(ValueError, "state: expected parameters of the groups, got ['0']", load)


@row("random-draws")
def random_draws() -> None:
    torch.manual_seed(0)
    mg.manual_seed(0)
    assert torch.randn(4).tolist() != mg.randn(4).numpy().tolist()


@row("gpu-subnormals")
def gpu_subnormals() -> None:
    _need_a_gpu()
    x = np.full(2, 1e-39, np.float32)
    assert (torch.tensor(x) * 2).tolist() == pytest.approx([2e-39] * 2)
    assert (mg.tensor(x, device="gpu") * 2).cpu().numpy().tolist() == [0, 0]


@row("gpu-late-errors")
def gpu_late_errors() -> None:
    _need_a_gpu()
    x = mg.ones(3, device="gpu")
    picked = x[mg.tensor([3], device="gpu")]
    refuses(IndexError, "index: 3 is out of bounds", picked.cpu)
    assert x.cpu().numpy().tolist() == [1, 1, 1]


def _need_a_gpu() -> None:
    if not mg.is_gpu_available():
        pytest.skip("no GPU: CuPy or a CUDA device is missing")


# ---------------------------------------------------------------------------- shapes


@row("view-copies")
def view_copies() -> None:
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        torch.ones(2, 3).T.view(6)
    assert mg.ones(2, 3).T.view(6).shape == (6,)


@row("mse-broadcast", ("target: expected input's shape",))
def mse_broadcast() -> None:
    call = lambda m: functions(m).mse_loss(m.ones(2, 3), m.ones(3))  # noqa: E731
    only_ours_refuses(ValueError, "target: expected input's shape (2, 3), got (3,)", call)


@row("linear-vector", ("weight: expected shape (O, F)",))
def linear_vector() -> None:
    call = lambda m: functions(m).linear(m.ones(2, 3), m.ones(3))  # noqa: E731
    only_ours_refuses(ValueError, "weight: expected shape (O, F), got (3,)", call)


@row("cat-empty-vector", ("tensors: cannot cat shapes",), ("cat",))
def cat_empty_vector() -> None:
    call = lambda m: m.cat([m.ones(2, 3), m.ones(0)])  # noqa: E731
    only_ours_refuses(ValueError, "tensors: cannot cat shapes [(2, 3), (0,)]", call)


@row("single-target", ("target: expected class indices of shape",))
def single_target() -> None:
    call = lambda m: functions(m).nll_loss(m.ones(3), m.tensor([0]))  # noqa: E731
    only_ours_refuses(ValueError, "target: expected class indices of shape", call)


@row("empty-images", ("expected at least one channel and pixel",))
def empty_images() -> None:
    call = lambda m: functions(m).adaptive_avg_pool2d(m.ones(1, 2, 0, 3), 1)  # noqa: E731
    only_ours_refuses(ValueError, "input: expected at least one channel and pixel", call)


@row("empty-channels")  # not drawn
def empty_channels() -> None:
    call = lambda m: functions(m).batch_norm(m.ones(0, 3), None, None, training=True)  # noqa: E731
    only_ours_refuses(ValueError, "input: expected more than one value per channel", call)


@row("indexing", ("something between them", "can only have a single ellipsis"))
def indexing() -> None:
    only_ours_refuses(IndexError, "a single ellipsis", lambda m: m.ones(2)[..., ...])
    call = lambda m: m.ones(3, 4, 2)[0, :, m.tensor([1, 1])]  # noqa: E731
    only_ours_refuses(NotImplementedError, "an integer and an array", call)


@row("late-groups")
def late_groups() -> None:
    def rate(library: Any) -> float:
        optimizer = _sgd(library)
        schedule = library.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        optimizer.add_param_group({"params": [library.zeros(1)], "lr": 3.0})
        optimizer.step()
        schedule.step()
        return optimizer.param_groups[1]["lr"]

    with pytest.raises(ValueError, match="zip"):
        rate(torch)
    assert rate(mg) == 1.5


# ---------------------------------------------------------------------------- what is missing


@row("first-order")
def first_order() -> None:
    call = lambda m: (m.ones(2, requires_grad=True) ** 2).sum().backward(create_graph=True)  # noqa: E731
    only_ours_refuses(NotImplementedError, "create_graph=True", call)


@row("hook-order")
def hook_order() -> None:
    def order(m: Any) -> list[str]:
        found: list[str] = []
        x = m.ones(1, requires_grad=True)
        first, other = x * 2, x * 3
        then, other_then = first * 2, other * 3
        named = {"first": first, "other": other, "then": then, "other then": other_then}
        for name, t in named.items():
            t.register_hook(lambda g, n=name: found.append(n))
        (then + other_then).backward()
        return found

    assert order(torch) == ["other then", "then", "other", "first"]
    assert order(mg) == ["other then", "other", "then", "first"]


@row("hook-gradients")
def hook_gradients() -> None:
    def grads(m: Any) -> tuple[Any, Any]:
        x, w = (m.ones(1, requires_grad=True) for _ in "xw")
        y = x * 2
        y.register_hook(lambda g: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            (y * w).backward()
        return x.grad, w.grad

    assert grads(torch) == (None, torch.tensor([2.0]))
    assert grads(mg) == (None, None)
    seen: list[Any] = []
    tx, mx = torch.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    for x in (tx, mx):
        x.register_hook(seen.append)
    _NoGradient.apply(tx).backward()
    assert seen == [None]
    mg.op(lambda x: (x + 1, lambda g, needs: (None,)))(mx).backward()
    assert seen == [None]


class _NoGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x + 1

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> None:
        return None


@row("hook-arguments")
def hook_arguments() -> None:
    def call(m: Any) -> Any:
        model = m.nn.Identity()
        model.register_forward_pre_hook(lambda *_: (m.ones(1), {}), with_kwargs=True)
        return model(m.ones(1))

    only_ours_refuses(TypeError, "hook: its result: expected None or a tuple (args, kw", call)


@row("no-in-place")
def no_in_place() -> None:
    tx, mx = torch.ones(2), mg.ones(2)
    same, other = tx, mx
    tx += 1
    mx += 1
    assert same.tolist() == [2, 2]
    assert other.numpy().tolist() == [1, 1]
    with pytest.raises(TypeError, match="does not support item assignment"):
        mx[0] = 3
    for name in ("add_", "zero_", "copy_", "relu_"):
        assert hasattr(torch.Tensor, name)
        assert not hasattr(mg.Tensor, name)


OPTIONS: list[tuple[str, Callable[[Any], Any]]] = [
    ("exponent as a Tensor", lambda m: m.ones(2) ** m.ones(2)),
    ("max: of two tensors", lambda m: m.ones(2).max(m.ones(2))),
    ("decorating a generator", lambda m: m.no_grad()(lambda: (yield))),
    ("pad=(-1, 0)", lambda m: functions(m).pad(m.ones(3), (-1, 0))),
    ("mode='replicate'", lambda m: functions(m).pad(m.ones(1, 3), (1, 1), mode="replicate")),
    ("inplace=True", lambda m: functions(m).relu(m.ones(2), inplace=True)),
    ("inplace=True", lambda m: m.nn.Dropout(inplace=True)),
    (
        "return_indices=True",
        lambda m: functions(m).max_pool2d(m.ones(1, 2, 2), 2, return_indices=True),
    ),
    ("reduce=True", lambda m: functions(m).mse_loss(m.ones(2), m.ones(2), reduce=True)),
    ("size_average=True", lambda m: functions(m).mse_loss(m.ones(2), m.ones(2), True)),
    (
        "gradients of target probabilities",
        lambda m: functions(m).cross_entropy(m.ones(1, 2), m.ones(1, 2, requires_grad=True)),
    ),
    ("padding_mode='reflect'", lambda m: m.nn.Conv2d(1, 1, 1, padding_mode="reflect")),
    ("track_running_stats=False", lambda m: m.nn.BatchNorm2d(1, track_running_stats=False)),
    ("momentum=None", lambda m: m.nn.BatchNorm1d(1, momentum=None)),
    ("device='cpu'", lambda m: m.nn.Linear(1, 1, device="cpu")),
    ("dtype=", lambda m: m.ones(2).sum(dtype=_int64(m))),
    ("out=tensor", lambda m: m.cat([m.ones(2)], out=m.ones(2))),
    ("generator=", lambda m: m.nn.init.normal_(m.ones(2), generator=_generator(m))),
    ("epoch=3", lambda m: m.optim.lr_scheduler.StepLR(_sgd(m), 1).step(3)),
]


@row("options", ("is not supported", "are not supported"))
def options() -> None:
    for text, call in OPTIONS:
        only_ours_refuses(NotImplementedError, text, call)


@row("names")
def names() -> None:
    x = mg.ones(2, 3)
    assert (str(x.dtype), x.shape, str(x.device)) == ("float32", (2, 3), "cpu")
    assert str(torch.ones(2).dtype) == "torch.float32"
    torch.ones(2).to(torch.float64)
    assert x.to("float64").to(np.float32).dtype == np.dtype("float32")


@row("error-types")
def error_types() -> None:
    for call in (lambda m: m.ones(2, 3) @ m.ones(2, 3), lambda m: m.ones(6).reshape(4, 2)):
        with pytest.raises(RuntimeError):
            call(torch)
        with pytest.raises(ValueError, match=r"inner sizes|cannot reshape"):
            call(mg)


@row("focal-loss")
def focal_loss() -> None:
    assert not hasattr(T, "focal_loss")
    assert not hasattr(torch.nn, "FocalLoss")
    assert F.focal_loss(mg.ones(1, 2), mg.tensor([0]), 0.0).item() == pytest.approx(math.log(2))
    assert isinstance(nn.FocalLoss(), nn.Module)


# ---------------------------------------------------------------------------- bugs
