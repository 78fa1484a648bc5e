"""Additional data for the pictures of particular operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import CPU, Array, move
from ..ops import conv, loss, norm, pool
from ..tape import Operation
from .pictures import MAPS

ROWS = 8  # images whose probabilities are shown
CLASSES = 20


def _numbers(array: Array) -> list[float]:
    return np.asarray(move(array, CPU), np.float64).ravel().tolist()


def _window(window: conv.Window) -> dict[str, Any]:
    return {"kernel": window.kernel, "stride": window.stride, "dilation": window.dilation}


def _conv2d(inputs: Any, params: dict[str, Any], y: Array) -> dict[str, Any]:
    shown = {"padding": params["padding"], "groups": params["groups"]}
    return shown | _window(params["window"])


def _batch_norm(inputs: Any, params: dict[str, Any], y: Array) -> dict[str, Any]:
    x, weight = inputs[0].data, inputs[1]
    scale = np.ones(MAPS) if weight is None else _numbers(weight.data[:MAPS])
    deviation = np.sqrt(np.asarray(_numbers(params["var"][:MAPS])) + params["eps"])
    return {
        "mean": _numbers(params["mean"][:MAPS]),
        "r": (1 / deviation).tolist(),
        "weight": list(scale),
        "count": x.size // max(1, x.shape[1]),
        "batch": params["batch"],
        "relu": params["relu"],
    }


def _max_pool2d(inputs: Any, params: dict[str, Any], y: Array) -> dict[str, Any]:
    """For each window of the maps that are shown, the position of the maximum."""
    window, pads = params["window"], params["pads"]
    part = np.asarray(move(inputs[0].data[:1, :MAPS], CPU))
    out = params["out"]
    framed = np.full((part.shape[1], *(n + 2 * sum(window.reach) for n in part.shape[2:])), -np.inf)
    height, width = part.shape[2:]
    framed[:, pads[0] : pads[0] + height, pads[1] : pads[1] + width] = part[0]
    pixels = np.stack([framed[:, i, j] for i, j in window.offsets(out)])
    with np.errstate(all="ignore"):
        place = ((pixels == pixels.max(axis=0)) | (pixels != pixels)).argmax(axis=0)
    return {"padding": pads, "place": place.tolist()} | _window(window)


def _cross_entropy(inputs: Any, params: dict[str, Any], y: Array) -> dict[str, Any]:
    x = inputs[0].data
    if x.ndim != 2:
        return {}
    logits = np.asarray(move(x[:ROWS], CPU), np.float64)
    logp = logits if params["from_log"] else loss.log_softmax_array(logits, 1)
    named = ("target", "used", "weight", "smoothing")
    with np.errstate(all="ignore"):
        columns, norm = loss.columns(x, *(params[name] for name in named))
    target = np.asarray(move(columns[:, :ROWS], CPU), np.float64).T
    divisor = float(norm) if params["reduction"] == "mean" else 1.0
    return {
        "p": np.exp(logp[:, :CLASSES]).tolist(),
        "t": target[:, :CLASSES].tolist(),
        "divisor": divisor,
        "from_log": params["from_log"],
    }


_FORWARD: dict[Operation, Callable[..., dict[str, Any]]] = {
    conv._conv2d: _conv2d,
    norm._batch_norm: _batch_norm,
    pool._max_pool2d: _max_pool2d,
    loss._cross_entropy: _cross_entropy,
}


def forward(
    operation: Operation, inputs: tuple[Any, ...], params: dict[str, Any], y: Array
) -> dict[str, Any]:
    """The details of a run of ``operation``; {} if only its samples are shown."""
    of = _FORWARD.get(operation)
    result = of(inputs, params, y) if of and y.size else {}
    return {"kind": operation.name} | result if result else {}


def backward(kind: str, gradients: tuple[Array | None, ...]) -> dict[str, Any]:
    """Details of that ``kind`` from the derivative of an operation."""
    if kind != "batch_norm" or gradients[1] is None or gradients[2] is None:
        return {}
    t, s = gradients[1], gradients[2]
    per_channel = t.ndim == 1 and s.ndim == 1
    return {"s": _numbers(s[:MAPS]), "t": _numbers(t[:MAPS])} if per_channel else {}
