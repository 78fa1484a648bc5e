"""Devices, memory, modes and tools."""

from __future__ import annotations

from typing import Any

import minigrad as mg
from minigrad import nn
from tests.misuse.table import NAN, WRONG, calls, leaf


def captured(inputs: Any) -> Any:
    return mg.CapturedStep(lambda x: x)(inputs)


calls("memory.used", mg.memory.used, {}, where="cpu")
calls("memory.held", mg.memory.held, {}, where="cpu")
calls("set_num_threads", mg.set_num_threads, {}, threads=1)
calls("set_flush_denormal", mg.set_flush_denormal, {}, mode=False)
calls("set_precision", mg.set_precision, {}, precision="fp32")
calls(
    "watch_compilation",
    lambda callback: mg.watch_compilation(callback).__enter__(),
    {"callback": ("function",)},
    callback=print,
)
calls("set_compiled", mg.set_compiled, {}, enabled=mg.is_compiled())
calls("set_implementation", mg.set_implementation, {}, choice=mg.get_implementation())
calls("no_grad", lambda func: mg.no_grad()(func), {"func": ("function",)}, func=len)
calls("enable_grad", lambda func: mg.enable_grad()(func), {"func": ("function",)}, func=len)
calls("inference_mode", lambda func: mg.inference_mode()(func), {"func": ("function",)}, func=len)
calls("set_grad_enabled", mg.set_grad_enabled, {}, mode=True)
calls("detect_anomaly", mg.detect_anomaly, {}, model=None)
calls(
    "gradcheck", mg.gradcheck, {"constant": ("dict",), "domains": ("dict",)}, func=lambda x: x * x,
    inputs=mg.tensor([1.0], "float64", requires_grad=True), eps=1e-6, atol=1e-5, rtol=1e-3,
    raise_exception=True, constant=[], domains={0: (0, 2)},
)  # fmt: skip
calls(
    "gradgradcheck", mg.gradgradcheck, {"constant": ("dict",), "domains": ("dict",)},
    func=lambda x: x * x, inputs=mg.tensor([1.0], "float64", requires_grad=True), eps=1e-6,
    atol=1e-5, rtol=1e-3, raise_exception=True, constant=[], domains={0: (0, 2)},
)  # fmt: skip
calls("op", mg.op, {"function": ("function",)}, function=len)
calls("CapturedStep", mg.CapturedStep, {"step": ("function",), "warm": ("huge",)}, step=len, warm=1)
calls("CapturedStep.__call__", captured, {"inputs": ("tensor",)}, inputs=mg.ones(1))

WRONG |= {
    "set_num_threads": {"threads": [0, -1, 4097, True, 1.0, None]},
    "set_flush_denormal": {"mode": [1, 0, None]},
    "set_precision": {"precision": ["fp16", "", 32, True]},
    "set_compiled": {"enabled": [1, 0, None]},
    "set_implementation": {"choice": ["fast", None, True]},
    "no_grad": {"func": [None, lambda: (yield)]},
    "enable_grad": {"func": [None, lambda: (yield)]},
    "inference_mode": {"func": [None, lambda: (yield)]},
    "set_grad_enabled": {"mode": [1, None]},
    "gradgradcheck": {
        "func": [None, lambda x: None, lambda x: x.data, lambda x: x > 0, lambda x: x.detach()],
        "inputs": [[], None, [1.0]],
        "eps": [0, -1, NAN, None],
        "atol": [-1, NAN, None],
        "rtol": [-1, NAN, None],
        "raise_exception": [1, None],
        "constant": [None, 0, [1], [-1], [True]],
        "domains": [[], {0: 1}, {0: (2, 1)}, {0: (NAN, 2)}, {0: ("0", 2)}],
    },
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
}  # fmt: skip
