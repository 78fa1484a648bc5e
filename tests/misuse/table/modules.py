"""Modules, layers and initialisers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import minigrad as mg
from minigrad import nn
from tests.misuse.table import CALLS, NAN, WRONG, calls, init, leaf, model


def listed(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **options: list(function(**options))


def silently(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without its warning that it is deprecated."""

    def silent(**options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return function(**options)

    return silent


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
_tree = nn.Sequential(nn.BatchNorm1d(1))
for _name, _target in {"submodule": "0", "parameter": "0.bias", "buffer": "0.running_mean"}.items():
    calls(f"nn.Module.get_{_name}", getattr(_tree, f"get_{_name}"), {}, target=_target)
for _name in ("add_module", "register_module"):
    calls(
        f"nn.Module.{_name}", lambda n=_name, **options: getattr(nn.Module(), n)(**options),
        {"name": ("text",)}, name="a", module=None,
    )  # fmt: skip
calls("nn.Module.cuda", lambda device: model().cuda(device), {"device": ("huge",)}, device=None)
calls("nn.Module.requires_grad_", _tree.requires_grad_, {}, requires_grad=True)
calls("nn.ModuleDict", nn.ModuleDict, {"modules": ("dict",)}, modules={"a": nn.ReLU()})
calls(
    "nn.ParameterList", nn.ParameterList, {"values": ("dict", "tensor")}, values=[nn.Parameter(1.0)]
)
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
    "trunc_normal_": {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
    "orthogonal_": {"gain": 1.0},
    "sparse_": {"sparsity": 0.5, "std": 0.01},
    "eye_": {},
}.items():
    calls(
        f"nn.init.{_name}", getattr(init, _name), {"tensor": ("tensor",)}, tensor=leaf(), **_options
    )
calls("nn.init.dirac_", init.dirac_, {}, tensor=leaf(2, 3, 1), groups=1)
for _name in (  # the former names, which warn
    *("constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal"),
    *("orthogonal", "sparse", "uniform", "xavier_normal", "xavier_uniform"),
):
    _, _rightly, _may = CALLS[f"nn.init.{_name}_"]
    calls(f"nn.init.{_name}", silently(getattr(init, _name)), _may, **_rightly)
calls("nn.init.calculate_gain", init.calculate_gain, {}, nonlinearity="leaky_relu", param=0.1)
calls("nn.init.default_", init.default_, {"weight": ("tensor",), "bias": ("tensor",)},
      weight=leaf(), bias=None)  # fmt: skip

calls(
    "nn.TransformerEncoderLayer", nn.TransformerEncoderLayer, {"activation": ("function",)},
    d_model=4, nhead=2, dim_feedforward=3, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
    batch_first=True, norm_first=False, bias=True,
)  # fmt: skip
calls(
    "nn.TransformerEncoder", nn.TransformerEncoder, {"num_layers": ("huge",)},
    encoder_layer=nn.ReLU(), num_layers=2, norm=None, enable_nested_tensor=True, mask_check=True,
)  # fmt: skip
_clipped = {"parameters": [leaf()]}
calls("nn.utils.clip_grad_norm_", nn.utils.clip_grad_norm_, {"parameters": ("tensor",)},
      max_norm=1.0, norm_type=2.0, error_if_nonfinite=False, **_clipped)  # fmt: skip
calls("nn.utils.clip_grad_value_", nn.utils.clip_grad_value_, {"parameters": ("tensor",)},
      clip_value=1.0, **_clipped)  # fmt: skip
calls("nn.utils.get_total_norm", nn.utils.get_total_norm, {"tensors": ("tensor",)},
      tensors=[leaf()], norm_type=2.0, error_if_nonfinite=False)  # fmt: skip
calls("nn.utils.parameters_to_vector", nn.utils.parameters_to_vector, {"parameters": ("tensor",)},
      **_clipped)  # fmt: skip
calls("nn.utils.vector_to_parameters", nn.utils.vector_to_parameters, {"parameters": ("tensor",)},
      vec=mg.ones(6), **_clipped)  # fmt: skip

WRONG |= {
    "nn.utils.clip_grad_norm_": {"max_norm": [-1, NAN], "norm_type": [0, -1]},
    "nn.utils.vector_to_parameters": {"vec": [mg.ones(5), mg.ones(2, 3)]},
    "nn.init.trunc_normal_": {"std": [0, -1], "b": [-3, NAN]},
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
