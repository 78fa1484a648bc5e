"""Values, gradients and random draws."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import leaf, refuses
from tests.parity.differences import (
    F,
    T,
    contains,
    only_ours_refuses,
    row,
    sgd,
)
from tests.parity.driver import Call, Entry


def _several(entry: Entry, call: Call) -> str:
    pool = "max_pool" in entry.name or "MaxPool" in entry.name
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
    named = entry.name.rpartition(".")[2]
    if named not in ("cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss"):
        return ""
    x, target, weight = call.arrays
    if not np.isfinite(x).all():
        return "all"
    if weight is None or target.dtype.kind not in "iu":
        return ""
    ignored = target == call.options["ignore_index"]
    weights = weight[target[~ignored & (target < weight.size)]]
    if call.options["reduction"] == "mean" and not weights.sum() > 0:  # 0 or NaN
        return "all"
    smoothed = call.options.get("label_smoothing") and not np.isfinite(weight).all()
    return "gradient" if smoothed and ignored.any() else ""


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
    for last in (0.0, math.nan):
        tx.grad = mx.grad = None
        weight = np.array([1.0, last], np.float32)
        T.nll_loss(tx, torch.tensor([1]), torch.tensor(weight)).backward()
        F.nll_loss(mx, mg.tensor([1]), mg.tensor(weight)).backward()
        assert np.isnan(tx.grad.numpy()).tolist() == [[False, True]]
        assert np.isnan(mx.grad.numpy()).all()
    tx.grad = mx.grad = None
    weight = np.array([math.inf, 1.0], np.float32)
    options = {"label_smoothing": 0.1, "reduction": "sum"}
    T.cross_entropy(tx, torch.tensor([-100]), torch.tensor(weight), **options).backward()
    F.cross_entropy(mx, mg.tensor([-100]), mg.tensor(weight), **options).backward()
    assert np.isnan(tx.grad.numpy()).all()
    assert mx.grad.tolist() == [[0, 0]]


def _power_zero(entry: Entry, call: Call) -> str:
    powers = entry.name == "Tensor.pow of tensors"
    return "second" if powers and contains(call, lambda a: a == 0) else ""


@row("power-zero", differs=_power_zero)
def power_zero() -> None:
    slopes = []
    for library, grad in ((torch, torch.autograd.grad), (mg, mg.autograd.grad)):
        a = library.tensor([2.0], requires_grad=True)
        b = library.tensor([0.0], requires_grad=True)
        by_a = grad((a**b).sum(), a, create_graph=True)[0]
        slopes.append((by_a.item(), grad(by_a.sum(), b)[0].item()))
    assert slopes == [(0, 0), (0, 0.5)]


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
    if entry.name not in ("Tensor.var", "Tensor.std", "var_mean", "std_mean"):
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
    return "gradient" if entry.name in ("Tensor.std", "std_mean") and tiny else ""


@row("std-of-tiny", differs=_tiny_deviation)
def std_of_tiny() -> None:
    x = np.array([1e-40, -1e-40], np.float32)
    tx, mx = torch.tensor(x, requires_grad=True), leaf(x)
    tx.std().backward()
    mx.std().backward()
    assert tx.grad.tolist() == [math.inf, -math.inf]
    assert mx.grad.numpy() == pytest.approx([0.5**0.5, -(0.5**0.5)])


def _mean_beside(entry: Entry, call: Call) -> str:
    both = entry.name in ("var_mean", "std_mean")
    return "output 1" if both and contains(call, np.isinf) else ""


@row("mean-beside-variance", differs=_mean_beside)
def mean_beside_variance() -> None:
    x = np.array([-np.inf, 0.0])
    assert math.isnan(torch.var_mean(torch.tensor(x))[1])
    assert mg.var_mean(mg.tensor(x))[1].item() == -math.inf


def _weight_not_finite(entry: Entry, call: Call) -> str:
    conv = "conv" in entry.name or "Conv" in entry.name
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


@row("ties-by-winograd")
def ties_by_winograd() -> None:
    generator = np.random.default_rng(0)
    x = np.ones((16, 16, 8, 8), np.float32)
    x[..., 4:] = generator.integers(0, 2, (16, 16, 8, 4))
    # The sums of such integers are exact in float32: added directly, those of equal patches are.
    w = generator.integers(-(2**16), 2**16, (16, 16, 3, 3)).astype(np.float32)
    flat = np.s_[..., :2]  # the outputs that read ones alone
    y = T.conv2d(torch.from_numpy(x), torch.from_numpy(w)).requires_grad_()
    z = leaf(F.conv2d(mg.Tensor(x), mg.Tensor(w)).numpy())
    same = leaf(y.detach().numpy())
    T.max_pool2d(y, 2).sum().backward()
    for t in (z, same):
        F.max_pool2d(t, 2).sum().backward()
    first = np.zeros((6, 2))
    first[::2, 0] = 1
    assert (y.grad.numpy()[flat] == first).all()
    assert (same.grad.numpy() == y.grad.numpy()).all()
    assert (z.grad.numpy()[flat] == first).all() != mg.is_compiled()


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
    only_ours_refuses(
        ValueError,
        "param_group: expected options among",
        lambda m: m.optim.Adam([{"params": [m.zeros(1)], "weigth_decay": 0.1}]),
    )


@row("one-cycle-end")
def one_cycle_end() -> None:
    rates = []
    for m in (torch, mg):
        optimizer = sgd(m)
        schedule = m.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 10, anneal_strategy="linear")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch: no update came first
            rates.append([schedule.step() or optimizer.param_groups[0]["lr"] for _ in range(10)])
    assert rates[1][:-1] == pytest.approx(rates[0][:-1])
    assert rates[0][-1] < 0 == rates[1][-1]


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
