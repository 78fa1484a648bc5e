"""The speed of a convolutional network's operations in NumPy in three memory orders.

    python -m benchmarks.layout

One core, float32, each operation written plainly and as suits the order best: a 3 x 3 convolution
(im2col and one matrix product per block of output rows), the moments of batch norm, and 2 x 2 max
pooling. Times are medians. minigrad's order is CHWN, with the batch innermost.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl
from numpy.lib.stride_tricks import sliding_window_view

from cifar import environment

ORDERS = ("NCHW", "NHWC", "CHWN")
SHAPES = ((3, 32, 32, 64), (32, 64, 30, 64), (64, 64, 16, 128), (128, 128, 8, 128))  # C, O, H, N


def _convolve(order: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Valid 3 x 3 convolution of x in ``order`` with w (O, C, 3, 3), in blocks that fit the
    cache."""
    o, c = w.shape[:2]
    rows = w.reshape(o, -1)
    if order == "CHWN":
        windows = sliding_window_view(x, (3, 3), (1, 2)).transpose(0, 4, 5, 1, 2, 3)
        oh, ow, n = windows.shape[3:]
        y = np.empty((o, oh, ow, n), x.dtype)
        for i in range(oh):
            y[:, i] = (rows @ windows[:, :, :, i].reshape(c * 9, -1)).reshape(o, ow, n)
        return y
    if order == "NCHW":
        windows = sliding_window_view(x, (3, 3), (2, 3)).transpose(0, 1, 4, 5, 2, 3)
        n, oh, ow = windows.shape[0], *windows.shape[4:]
        y = np.empty((n, o, oh, ow), x.dtype)
        for i in range(n):
            y[i] = (rows @ windows[i].reshape(c * 9, -1)).reshape(o, oh, ow)
        return y
    windows = sliding_window_view(x, (3, 3), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    n, oh, ow = windows.shape[:3]
    columns = np.ascontiguousarray(w.transpose(2, 3, 1, 0)).reshape(-1, o)
    y = np.empty((n, oh, ow, o), x.dtype)
    for i in range(n):
        y[i] = (windows[i].reshape(-1, 9 * c) @ columns).reshape(oh, ow, o)
    return y


def _moments(order: str, x: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    axes = tuple(i for i, name in enumerate(order) if name != "C")
    mean = x.mean(axis=axes, keepdims=True)
    return mean, np.square(x - mean).mean(axis=axes)


def _pool(order: str, x: np.ndarray, _: np.ndarray) -> np.ndarray:
    h, w = order.index("H"), order.index("W")

    def part(a: int, b: int) -> np.ndarray:
        index: list[Any] = [slice(None)] * 4
        index[h], index[w] = slice(a, None, 2), slice(b, None, 2)
        return x[tuple(index)]

    return np.maximum(np.maximum(part(0, 0), part(0, 1)), np.maximum(part(1, 0), part(1, 1)))


PARTS: dict[str, Callable[[str, np.ndarray, np.ndarray], Any]] = {
    "conv": _convolve,
    "moments": _moments,
    "pool": _pool,
}


def _median_ms(function: Callable[..., Any], *arguments: Any, repeat: int = 7) -> float:
    function(*arguments)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", help="write the results to this JSON file")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    table = []
    print(f"{'C -> O, H x W, N':22s} {'part':8s} " + " ".join(f"{o + ' ms':>9s}" for o in ORDERS))
    with threadpoolctl.threadpool_limits(1):
        for c, o, size, n in SHAPES:
            w = rng.standard_normal((o, c, 3, 3), np.float32)
            image = rng.standard_normal((n, c, size, size), np.float32)
            made = {
                order: np.ascontiguousarray(image.transpose(["NCHW".index(a) for a in order]))
                for order in ORDERS
            }
            for part, run in PARTS.items():
                times = {order: _median_ms(run, order, made[order], w) for order in ORDERS}
                table.append({"shape": [c, o, size, n], "part": part, "ms": times})
                label = f"{c} -> {o}, {size} x {size}, {n}"
                print(f"{label:22s} {part:8s} " + " ".join(f"{times[k]:9.2f}" for k in ORDERS))
    if given.out:
        environment.write(given.out, {"machine": environment.describe(), "results": table})


if __name__ == "__main__":
    main()
