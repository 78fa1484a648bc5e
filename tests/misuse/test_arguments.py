"""Wrong arguments of everything public that tests/parity does not call: optimisers, schedules,
data, creation, settings, files, tools, methods. Each is refused in one line that names it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from tests.common import tensor_names
from tests.test_misuse import NAMES as WITH_TABLE

init, data = nn.init, mg.data
REFUSED = (TypeError, ValueError, NotImplementedError, IndexError, mg.OutOfMemoryError)
JUNK: dict[str, Any] = {
    "object": object(),
    "dict": {},
    "bytes": b"no",
    "text": "no",
    "slice": slice(1),
    "function": len,
    "complex": 1j,
    "array": np.ones((2, 2)),
    "tensor": mg.ones(3, 2),
    "huge": 10**400,
}


def leaf(*shape: int) -> mg.Tensor:
    return mg.ones(*(shape or (2, 3)), requires_grad=True)


def updated(name: str = "Adam", **options: Any) -> Any:
    """An optimiser with state."""
    p = leaf()
    optimizer = getattr(optim, name)([p], lr=0.1, **options)
    p.grad = mg.ones(2, 3)
    optimizer.step()
    return optimizer


def schedule() -> Any:
    return optim.StepLR(updated(), 2)


def plateau() -> Any:
    return optim.ReduceLROnPlateau(updated())


def loader(**options: Any) -> Any:
    return data.DataLoader(mg.zeros(6, 2), mg.zeros(6), **options)


def model() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()


def epoch(**options: Any) -> Any:
    return list(loader().epoch(**options))


def captured(inputs: Any) -> Any:
    return mg.CapturedStep(lambda x: x)(inputs)


def set_grad(grad: Any) -> None:
    leaf().grad = grad


def listed(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **options: list(function(**options))


# How each is called rightly, argument by argument, and the kinds of junk that one may be.
Call = tuple[Callable[..., Any], dict[str, Any], dict[str, tuple[str, ...]]]
CALLS: dict[str, Call] = {}


def calls(name: str, function: Callable[..., Any], may: dict[str, Any], /, **rightly: Any) -> None:
    CALLS[name] = (function, rightly, may)


_switches = {"foreach": None, "maximize": False, "differentiable": False}
_adam = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
_adam |= _switches | {"capturable": False, "fused": None}
calls("optim.Optimizer", optim.Optimizer, {"defaults": ("dict",)}, params=[leaf()], defaults={})
calls(
    "optim.SGD", optim.SGD, {}, params=[leaf()], lr=0.1, momentum=0.9, dampening=0, weight_decay=0,
    nesterov=False, fused=None, **_switches,
)  # fmt: skip
calls("optim.Adam", optim.Adam, {}, params=[leaf()], decoupled_weight_decay=False, **_adam)
calls("optim.AdamW", optim.AdamW, {}, params=[leaf()], **_adam)
calls(
    "optim.RMSprop", optim.RMSprop, {}, params=[leaf()], lr=0.1, alpha=0.9, eps=1e-8, momentum=0,
    weight_decay=0, centered=False, capturable=False, **_switches,
)  # fmt: skip
calls(
    "optim.Optimizer.add_param_group",
    lambda param_group: updated().add_param_group(param_group),
    {},
    param_group={"params": leaf()},
)
calls("optim.Optimizer.zero_grad", updated().zero_grad, {}, set_to_none=True)
calls(
    "optim.Optimizer.step",
    lambda closure: updated().step(closure),
    {"closure": ("function",)},
    closure=None,
)
calls(
    "optim.Optimizer.load_state_dict",
    lambda state_dict: updated().load_state_dict(state_dict),
    {},
    state_dict=updated().state_dict(),
)
calls("optim.LRScheduler", optim.LRScheduler, {}, optimizer=updated(), last_epoch=-1)
calls(
    "optim.LambdaLR",
    optim.LambdaLR,
    {"lr_lambda": ("function",), "last_epoch": ("huge",)},
    optimizer=updated(),
    lr_lambda=lambda epoch: 1.0,
    last_epoch=-1,
)
calls(
    "optim.StepLR",
    optim.StepLR,
    {"step_size": ("huge",), "last_epoch": ("huge",)},
    optimizer=updated(),
    step_size=2,
    gamma=0.1,
    last_epoch=-1,
)
calls(
    "optim.MultiStepLR",
    optim.MultiStepLR,
    {"milestones": ("dict",), "last_epoch": ("huge",)},  # no milestones
    optimizer=updated(),
    milestones=[1],
    gamma=0.1,
    last_epoch=-1,
)
calls(
    "optim.CosineAnnealingLR", optim.CosineAnnealingLR,
    {"T_max": ("huge",), "last_epoch": ("huge",)}, optimizer=updated(), T_max=3, eta_min=0.0,
    last_epoch=-1,
)  # fmt: skip
calls(
    "optim.ReduceLROnPlateau", optim.ReduceLROnPlateau,
    {"patience": ("huge",), "cooldown": ("huge",)}, optimizer=updated(), mode="min", factor=0.1,
    patience=1, threshold=0.1, threshold_mode="rel", cooldown=0, min_lr=0.0, eps=1e-8,
)  # fmt: skip
calls(
    "optim.LRScheduler.load_state_dict",
    lambda state_dict: schedule().load_state_dict(state_dict),
    {},
    state_dict=schedule().state_dict(),
)
calls("optim.LRScheduler.step", lambda epoch: schedule().step(epoch), {}, epoch=None)
calls(
    "optim.ReduceLROnPlateau.step", lambda **options: plateau().step(**options), {}, metrics=0.5,
    epoch=None,
)  # fmt: skip
calls(
    "data.DataLoader",
    lambda **options: list(data.DataLoader(**options)),
    {"seed": ("huge",), "batch_size": ("huge",), "images": ("tensor",), "transform": ("function",)},
    images=mg.zeros(3, 2), labels=mg.zeros(3), batch_size=2, shuffle=False, transform=None, seed=0,
    drop_last=False,
)  # fmt: skip
calls("data.DataLoader.epoch", epoch, {"number": ("huge",), "start": ("huge",)}, number=0, start=0)
_many = {"seed": ("huge",), "stream": ("huge",)}
calls(
    "data.replayable", lambda seed, stream: data.replayable(seed, stream), _many, seed=0, stream=0
)

_made = {"dtype": "float32", "device": "cpu", "requires_grad": False}
calls("zeros", lambda size, **options: mg.zeros(size, **options), {}, size=2, **_made)
calls("ones", lambda size, **options: mg.ones(size, **options), {}, size=2, **_made)
calls("randn", lambda size, **options: mg.randn(size, **options), {}, size=2, **_made)
_held = {"data": ("array", "tensor")}
calls("tensor", mg.tensor, _held, data=[1.0], **_made)
calls("Tensor", mg.Tensor, _held, data=[1.0], requires_grad=False)
calls("nn.Parameter", nn.Parameter, _held, data=[1.0], requires_grad=True)
calls("device", mg.device, {}, spec="cpu")
calls("get_xp", mg.get_xp, {"array": ("array",)}, array=np.ones(2))
calls("manual_seed", lambda seed, stream: mg.manual_seed(seed, stream), _many, seed=0, stream=0)
calls("memory.used", mg.memory.used, {}, where="cpu")
calls("memory.held", mg.memory.held, {}, where="cpu")
calls("set_num_threads", mg.set_num_threads, {}, threads=1)
calls("set_precision", mg.set_precision, {}, precision="fp32")
calls(
    "watch_compilation",
    lambda told: mg.watch_compilation(told).__enter__(),
    {"told": ("function",)},
    told=print,
)
calls("set_compiled", mg.set_compiled, {}, enabled=mg.is_compiled())
calls("set_implementation", mg.set_implementation, {}, choice=mg.get_implementation())
calls("no_grad", lambda func: mg.no_grad()(func), {"func": ("function",)}, func=len)
calls("detect_anomaly", mg.detect_anomaly, {}, model=None)
calls(
    "gradcheck", mg.gradcheck, {"constant": ("dict",), "domains": ("dict",)}, func=lambda x: x * x,
    inputs=mg.tensor([1.0], "float64", requires_grad=True), eps=1e-6, atol=1e-5, rtol=1e-3,
    raise_exception=True, constant=[], domains={0: (0, 2)},
)  # fmt: skip
calls("optim.Rule", optim.Rule, {"formula": ("function",)}, formula=lambda p, g, *, lr: None)
calls("op", mg.op, {"function": ("function",)}, function=len)
calls("CapturedStep", mg.CapturedStep, {"step": ("function",), "warm": ("huge",)}, step=len, warm=1)
calls("CapturedStep.__call__", captured, {"inputs": ("tensor",)}, inputs=mg.ones(1))

calls("Tensor.grad", set_grad, {}, grad=mg.ones(2, 3))
calls(
    "Tensor.backward", lambda **options: leaf(1).backward(**options), {},
    gradient=mg.ones(1), retain_graph=False, create_graph=False,
)  # fmt: skip
calls("Tensor.register_hook", leaf().register_hook, {"hook": ("function",)}, hook=len)
calls("Tensor.requires_grad_", lambda **o: mg.ones(1).requires_grad_(**o), {}, requires_grad=True)

calls("nn.Linear", nn.Linear, {}, in_features=1, out_features=1, bias=True)
calls(
    "nn.Conv2d", nn.Conv2d, dict.fromkeys(("stride", "padding", "dilation"), ("huge",)),
    in_channels=2, out_channels=2, kernel_size=1, stride=1, padding=0,
    dilation=1, groups=1, bias=True, padding_mode="zeros",
)  # fmt: skip
for _layer in (nn.BatchNorm1d, nn.BatchNorm2d):
    calls(
        f"nn.{_layer.__name__}", _layer, {}, num_features=2, eps=1e-5, momentum=0.1, affine=True,
        track_running_stats=True, bias=True,
    )  # fmt: skip
calls("nn.Sequential", nn.Sequential, {}, modules=nn.ReLU())
CALLS["nn.Sequential"] = (
    lambda modules: nn.Sequential(modules), {"modules": nn.ReLU()}, {"modules": ("dict",)},
)  # fmt: skip
calls("nn.Sequential.__getitem__", lambda index: model()[index], {"index": ("slice",)}, index=0)
calls("nn.ModuleList", nn.ModuleList, {"modules": ("dict",)}, modules=[nn.ReLU()])
calls("nn.ModuleList.append", nn.ModuleList().append, {}, module=nn.ReLU())
calls(
    "nn.ModuleList.__getitem__",
    lambda index: nn.ModuleList([nn.ReLU()])[index],
    {"index": ("slice",)},
    index=0,
)
for _name, _options in {
    "named_modules": {"memo": None, "prefix": "", "remove_duplicate": True},
    "modules": {"remove_duplicate": True},
    "named_parameters": {"prefix": "", "recurse": True, "remove_duplicate": True},
    "parameters": {"recurse": True},
    "named_buffers": {"prefix": "", "recurse": True, "remove_duplicate": True},
    "buffers": {"recurse": True},
    "state_dict": {"destination": None, "prefix": "", "keep_vars": False},
}.items():
    function = listed(getattr(model(), _name))
    calls(f"nn.Module.{_name}", function, {"prefix": ("text",)}, **_options)
calls("nn.Module.train", lambda mode: model().train(mode), {}, mode=True)
calls("nn.Module.zero_grad", model().zero_grad, {}, set_to_none=True)
calls(
    "nn.Module.to", lambda **options: model().to(**options),
    {"device": ("tensor",), "tensor": ("tensor",)},
    device="cpu", dtype=None, non_blocking=False, tensor=None,
)  # fmt: skip
calls(
    "nn.Module.register_buffer", lambda **options: nn.Module().register_buffer(**options),
    {"name": ("text",), "tensor": ("tensor",)}, name="a", tensor=None, persistent=True,
)  # fmt: skip
calls(
    "nn.Module.register_parameter", lambda **options: nn.Module().register_parameter(**options),
    {"name": ("text",)}, name="a", param=None,
)  # fmt: skip
_hooks = {"hook": repr, "prepend": False, "with_kwargs": False}
_may: dict[str, Any] = {"hook": ("function",)}
calls("nn.Module.register_forward_pre_hook", nn.ReLU().register_forward_pre_hook, _may, **_hooks)
_hooks |= {"always_call": False}
calls("nn.Module.register_forward_hook", nn.ReLU().register_forward_hook, _may, **_hooks)
calls("nn.Module.apply", lambda fn: nn.ReLU().apply(fn), {"fn": ("function",)}, fn=repr)
calls(
    "nn.Module.load_state_dict", lambda **options: model().load_state_dict(**options), {},
    state_dict=model().state_dict(), strict=True, assign=False,
)  # fmt: skip
calls("nn.fuse", lambda model: nn.fuse(model, mg.ones(2, 3)), {}, model=model())

calls("nn.init.constant_", init.constant_, {"tensor": ("tensor",)}, tensor=leaf(), val=1.0)
for _name, _options in {
    "uniform_": {"a": 0.0, "b": 1.0},
    "normal_": {"mean": 0.0, "std": 1.0},
    "zeros_": {},
    "ones_": {},
    "fans": {},
    "xavier_uniform_": {"gain": 1.0},
    "xavier_normal_": {"gain": 1.0},
    "kaiming_uniform_": {"a": 0.0, "mode": "fan_in", "nonlinearity": "relu"},
    "kaiming_normal_": {"a": 0.0, "mode": "fan_in", "nonlinearity": "relu"},
}.items():
    calls(
        f"nn.init.{_name}", getattr(init, _name), {"tensor": ("tensor",)}, tensor=leaf(), **_options
    )
calls("nn.init.calculate_gain", init.calculate_gain, {}, nonlinearity="leaky_relu", param=0.1)
calls("nn.init.default_", init.default_, {"weight": ("tensor",), "bias": ("tensor",)},
      weight=leaf(), bias=None)  # fmt: skip

SAYS = {  # where an error calls an argument otherwise
    "spec": "device",
    "where": "device",
    "stream": "seed|stream",
    "func": "func|no_grad",
    "bias": "bias|tensor",
    "weight": "tensor",
    "module": "modules",
    "state_dict": "state_dict( for Sequential)?",
    "lr_lambda": "lr_lambda(: its result)?",
}


def refusal(argument: str, call: Callable[[], Any]) -> None:
    """``call`` is refused in one line that begins with the name of ``argument``."""
    with pytest.raises((*REFUSED, mg.DeviceError)) as caught:
        call()
    text = str(caught.value)
    said = rf"({SAYS.get(argument, argument)})(:|=.* is not supported)|\w+ of size "
    assert re.match(said, text), text
    assert "\n" not in text
    assert len(text) < 1000, text


@pytest.mark.parametrize("name", CALLS)
def test_the_right_call_is_right(name):
    function, rightly, _ = CALLS[name]
    bad = {"optim.LRScheduler": NotImplementedError, "CapturedStep.__call__": mg.DeviceError}
    if name in bad:  # abstract; and on the CPU
        with pytest.raises(bad[name]):
            function(**rightly)
    else:
        function(**rightly)


@pytest.mark.parametrize("name", CALLS)
def test_junk_in_place_of_an_argument(name):
    function, rightly, may = CALLS[name]
    threads = mg.get_num_threads()
    for argument in rightly:
        for kind, junk in JUNK.items():
            if kind not in may.get(argument, ()):
                refusal(argument, lambda a=argument, j=junk: function(**{**rightly, a: j}))
    assert mg.get_num_threads() == threads


NAN = math.nan
# What is of the right type, and wrong all the same; by the call's name, argument by argument.
WRONG: dict[str, dict[str, list[Any]]] = {
    **{
        f"optim.{name}": {
            "params": [[], [leaf() * 2], [None], {leaf()}, [{"params": 3}], None],
            "lr": [-1, NAN, True, None],
            "weight_decay": [-1, NAN, True, None],
            "maximize": [1, None],
        }
        for name in ("SGD", "Adam", "AdamW", "RMSprop")
    },
    "optim.Optimizer": {"params": [[]]},
    "optim.Optimizer.add_param_group": {"param_group": [None, [leaf()]]},
    "optim.Optimizer.load_state_dict": {"state_dict": [None, [], {"state": {}}]},
    "optim.LRScheduler.load_state_dict": {"state_dict": [None, [], {"last_epoch": 1}]},
    "optim.StepLR": {"step_size": [0, -1, True, 1.5], "gamma": [-1, NAN, None]},
    "optim.MultiStepLR": {"milestones": [[-1], [1.5], [True], 3, None], "gamma": [-1, NAN]},
    "optim.CosineAnnealingLR": {"T_max": [0, -1, 2.0], "eta_min": [-1, NAN, None]},
    "optim.LambdaLR": {"lr_lambda": [None, lambda e: None, lambda e: NAN, lambda e: -1]},
    "optim.ReduceLROnPlateau": {
        "factor": [0, 1, -1, NAN, None],
        "patience": [-1, 1.5],
        "threshold": [NAN, None],
        "cooldown": [-1, 1.5, None],
        "min_lr": [-1, NAN, None],
        "eps": [-1, NAN, None],
    },
    "optim.ReduceLROnPlateau.step": {"metrics": [None, mg.ones(0), "0.5"]},
    "data.DataLoader": {
        "labels": [mg.zeros(2), mg.zeros(3, 1), mg.zeros(()), None],
        "batch_size": [0, -1, True, 1.0, None],
        "shuffle": [1],
        "transform": [
            lambda x, rng: None,
            lambda x, rng: x.data,
            lambda x, rng: x[:0],
            lambda x, rng: x.sum(),
        ],
        "seed": [-1, 0.5, True, None],
        "drop_last": [1, None],
    },
    "data.DataLoader.epoch": {"number": [-1, 0.5, True, None], "start": [-1, 0.5, None]},
    "data.replayable": {"seed": [-1, 0.5, True, None], "stream": [-1, 0.5, True, None]},
    "manual_seed": {"seed": [-1, 0.5, True, None], "stream": [-1, 0.5, None]},
    **{
        name: {
            "size": [-1, 1.5, True, None, [2, -1], [[2]], 10**15, (10**10, 10**10), [1] * 65],
            "dtype": ["complex64", "longdouble", ">f4", "U3", object, NAN],
            "device": [0, "tpu", "gpu:", "cpu:1", "gpu:x"],
            "requires_grad": [1, None],
        }
        for name in ("zeros", "ones")
    },
    "randn": {"size": [-1, 10**15], "dtype": ["int64", "bool"], "device": ["tpu"]},
    "tensor": {
        "data": [None, "1", [[1], [1, 2]], 2**63, [2**63], [None], {1}, np.array(["a"]),
                 np.array([1j]), np.array([None]), np.ones(2, np.longdouble), np.ones(2, ">f4"),
                 np.ma.masked_array([1.0], [True]), np.array(["2000"], "M8[D]")],
    },
    "device": {"spec": [None, 0, "", "tpu", "gpu:-1", "cpu:1"]},
    "set_num_threads": {"threads": [0, -1, True, 1.0, None]},
    "set_precision": {"precision": ["fp16", "", 32, True]},
    "set_compiled": {"enabled": [1, 0, None]},
    "set_implementation": {"choice": ["fast", None, True]},
    "no_grad": {"func": [None, lambda: (yield)]},
    "detect_anomaly": {"model": [leaf(), nn.ReLU]},
    "gradcheck": {
        "func": [None, lambda x: None, lambda x: x.data, lambda x: x > 0, lambda x: x.detach()],
        "inputs": [[], None, mg.ones(1, requires_grad=True), [1.0]],
        "eps": [0, -1, NAN, None],
        "atol": [-1, NAN, None],
        "rtol": [-1, NAN, None],
        "raise_exception": [1, None],
        "constant": [None, 0, [1], [-1], [True]],
        "domains": [[], {1: (0, 1)}, {0: 1}, {0: (2, 1)}, {0: (NAN, 2)}, {0: ("0", 2)}],
    },
    "CapturedStep": {"step": [None], "warm": [0, -1, True, 1.5, None]},
    "Tensor.grad": {"grad": [mg.ones(3, 2), mg.ones(1), mg.ones(2, 3, dtype="float64")]},
    "Tensor.backward": {
        "gradient": [mg.ones(2), mg.ones(()), mg.ones(1, dtype="float64"), 1.0],
        "retain_graph": [1],
        "create_graph": [1, None],
    },
    "nn.Linear": {"in_features": [0, -1, True], "out_features": [0, 1.5], "bias": [1, None]},
    "nn.Conv2d": {"in_channels": [0], "kernel_size": [0, (1,), True], "groups": [0, 3, None]},
    "nn.Sequential": {
        "modules": [None, {"a": None}, {"a.b": nn.ReLU()}, {"": nn.ReLU()}, {"forward": nn.ReLU()},
                    {"training": nn.ReLU()}, {1: nn.ReLU()}],
    },
    "nn.ModuleList": {"modules": [0, [None], nn.ReLU(), {"a": nn.ReLU()}]},
    "nn.Sequential.__getitem__": {"index": [2, -3, 1.0, True, None]},
    "nn.ModuleList.__getitem__": {"index": [1, -2, None]},
    "nn.Module.train": {"mode": [1, None]},
    "nn.Module.to": {"device": ["int32", "bool", "complex64", "tpu"]},
    "nn.Module.load_state_dict": {"state_dict": [None, [], [("0.weight", 1)]], "strict": [1]},
    "nn.init.uniform_": {"tensor": [mg.tensor([1])], "a": [NAN, math.inf], "b": [-1, math.inf]},
    "nn.init.normal_": {"tensor": [mg.tensor([1])], "mean": [NAN, None], "std": [-1, NAN]},
    "nn.init.constant_": {"val": [None, "1"]},
    "nn.init.fans": {"tensor": [mg.ones(2), mg.ones(())]},
    "nn.init.xavier_uniform_": {"tensor": [mg.ones(2)], "gain": [-1, NAN, None]},
    "nn.init.xavier_normal_": {"tensor": [mg.ones(2)], "gain": [-1, NAN, None]},
    "nn.init.kaiming_uniform_": {"a": [NAN, None], "mode": ["fan", None]},
    "nn.init.calculate_gain": {"nonlinearity": ["swish", None], "param": [NAN]},
}  # fmt: skip
WRONG["Tensor"] = {"data": WRONG["tensor"]["data"], "requires_grad": [1, None]}
WRONG["optim.SGD"] |= {
    "momentum": [-1, NAN, None],
    "dampening": [NAN, None],
    "nesterov": [1, None],
    "foreach": [True],
}
for _name in ("optim.Adam", "optim.AdamW"):
    WRONG[_name] |= {
        "betas": [(0.9,), (0.9, 0.9, 0.9), 0.9, (1, 0.9), (-1, 0.9), ("a", 0.9), (0.9, NAN), None],
        "eps": [-1, NAN, None],
        "amsgrad": [True],
    }
WRONG["optim.RMSprop"] |= {n: [-1, NAN, None] for n in ("alpha", "eps", "momentum")}
WRONG["optim.RMSprop"]["centered"] = [1, None]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_of_the_right_type(name):
    function, rightly, _ = CALLS[name]
    for argument, values in WRONG[name].items():
        for value in values:
            refusal(argument, lambda a=argument, v=value: function(**{**rightly, a: v}))


def test_a_parameter_twice():
    p, other = leaf(), leaf()
    refusal("params", lambda: optim.SGD([p, other, p]))
    optimizer = optim.SGD([p])
    refusal("params", lambda: optimizer.add_param_group({"params": [other, p]}))
    refusal("param_group", lambda: optimizer.add_param_group({"lr": 0.1}))
    assert len(optimizer.param_groups) == 1


def test_files(tmp_path):
    path, state = tmp_path / "a.safetensors", {"a": mg.ones(2)}
    for junk in (None, 3, b"a", 1j, {}, mg.ones(2), "a\0b"):
        refusal("path", lambda j=junk: mg.save(state, j))
        refusal("path", lambda j=junk: mg.load(j))
    tensors = [None, 3, "a", [mg.ones(2)], {3: mg.ones(2)}, {"a": [1.0]}, {"a": 1.0}]
    arrays = [np.array([None]), np.array([1j]), np.array(["a"]), np.ones(1, np.longdouble)]
    for junk in (*tensors, *({"a": array} for array in arrays)):
        refusal("tensors(: a name)?", lambda j=junk: mg.save(j, path))
    endless: list[Any] = []
    endless.append(endless)
    for junk in (object(), {1, 2}, mg.ones(2), endless, b"no"):
        refusal("metadata", lambda j=junk: mg.save(state, path, j))
    assert not list(tmp_path.iterdir())
    mg.save(state, path)
    for junk in (3, "tpu"):
        refusal("device", lambda j=junk: mg.load(path, j))


def test_export(tmp_path):
    file = tmp_path / "a.onnx"
    wrong: dict[str, list[Any]] = {
        "model": [None, len, leaf()],
        "args": [None, 3, np.ones(2), mg.tensor([1]), mg.ones(())],
        "f": [None, 3, b"a", "a\0b"],
        "input_names": ["x", [], [3], ["a", "b"], {"a"}, [""], ["0.weight"]],
        "output_names": ["x", [], [3], ["1.running_mean"], ["input"]],
        "metadata": [3, [], {"a": 1}, {1: "a"}],
        "doc_string": [None, 3],
    }
    rightly: dict[str, Any] = {"model": model(), "args": mg.ones(1, 3), "f": file}
    for argument, values in wrong.items():
        for value in values:
            refusal(argument, lambda a=argument, v=value: mg.onnx.export(**{**rightly, a: v}))
    assert not list(tmp_path.iterdir())


# Names without a call of their own above or in the table, and why.
ELSEWHERE = {
    "no arguments of its own": """
        CaptureError DeviceError OutOfMemoryError get_implementation get_num_threads get_precision
        is_compiled is_gpu_available Tensor.gpu Tensor.numpy Tensor.retain_grad Tensor.retains_grad
        Tensor.zero_grad nn.Module.children nn.Module.eval
        nn.Module.named_children nn.Module.extra_repr Tensor.T Tensor.shape
        Tensor.ndim Tensor.device Tensor.dtype Tensor.is_leaf optim.Optimizer.state_dict
        optim.LRScheduler.get_last_lr optim.LRScheduler.state_dict
    """,
    "a module, whose functions are here": """
        checkpoint console data functional memory nn onnx optim nn.init optim.lr_scheduler
    """,
    "given what training itself has counted": "memory.advice memory.fitting",
    "attributes": "Tensor.data Tensor.node Tensor.requires_grad",
    "tested here by themselves": "save load",
    "for subclasses": """
        nn.Module nn.Module.forward optim.Optimizer.active_slots optim.Optimizer.check_options
        optim.LRScheduler.get_lr
    """,
    "takes what it is given": "nn.Identity",
    "refused by name in test_misuse, drawn in tests/parity": "functional.batch_norm",
    "operators, where Python names both operands; the constructor is Tensor": " ".join(
        f"Tensor.{n}" for n, v in vars(mg.Tensor).items() if n[:2] == "__" and callable(v)
    ),
}


def defined(module: Any) -> set[str]:
    if hasattr(module, "__all__"):
        return set(module.__all__)
    own = {n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    return {name for name in own if not name.startswith("_")}


def methods(kind: type) -> set[str]:
    return {n for n, v in vars(kind).items() if inspect.isfunction(v) and not n.startswith("_")}


def test_every_public_name_is_misused():
    own = tensor_names()
    kinds = {
        "nn.Module": nn.Module,
        "optim.Optimizer": optim.Optimizer,
        "optim.LRScheduler": optim.LRScheduler,
        "optim.ReduceLROnPlateau": optim.ReduceLROnPlateau,
        "data.DataLoader": data.DataLoader,
    }
    homes = {"": mg, "nn.": nn, "functional.": mg.functional, "optim.": optim}
    public = {
        *(f"{home}{name}" for home, module in homes.items() for name in module.__all__),
        *(f"data.{name}" for name in defined(data)),
        *(f"memory.{name}" for name in defined(mg.memory)),
        *(f"nn.init.{name}" for name in defined(init)),
        *(f"{path}.{name}" for path, kind in kinds.items() for name in methods(kind)),
        *(f"Tensor.{name}" for name in own),
    } - {"nn.Module.fuse"}  # fmt: skip
    elsewhere = {name for names in ELSEWHERE.values() for name in names.split()}
    assert public - {*CALLS, *WITH_TABLE} - elsewhere == set()
    assert elsewhere - public == set()
