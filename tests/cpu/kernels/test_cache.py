"""The process that compiles a kernel and those that find it on disk compute the same bits: a run
that was the first to train must be resumable by one that is not."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim

kernels = pytest.importorskip("minigrad.cpu.kernels")
registry = pytest.importorskip("numba.core.registry")


def kernel_functions():
    for module in pkgutil.iter_modules(kernels.__path__):
        found = vars(importlib.import_module(f"{kernels.__name__}.{module.name}"))
        for name, value in found.items():
            if isinstance(value, registry.CPUDispatcher):
                yield f"{module.name}.{name}", value


def bits():
    """A line per array that some kernel made, and how many kernels came from disk."""
    rng = np.random.default_rng(0)

    def tensor(*shape):
        return mg.tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)

    def show(name, *tensors):
        for t in tensors:
            print(name, np.ascontiguousarray(t.detach().numpy()).tobytes().hex())

    for name, channels, out in ("winograd", 40, 40), ("direct", 3, 5):
        x, w, b = tensor(6, channels, 9, 11), tensor(out, channels, 3, 3), tensor(out)
        y = F.conv2d(x, w, b, padding=1)
        y.backward(tensor(*y.shape).detach())
        show(name, y, x.grad, w.grad, b.grad)
    for n in 5, 6:  # rows of a length that no vector divides, and of one that some do
        for relu in False, True:
            x, w, b, z = tensor(n, 3, 5, 7), tensor(3), tensor(3), tensor(n, 3, 5, 7)
            y = F.batch_norm(x, None, None, w, b, training=True, residual=z, relu=relu)
            y.backward(tensor(*y.shape).detach())
            show("norm", y, x.grad, w.grad, b.grad, z.grad)
        x = tensor(n, 3, 8, 8)
        y = F.avg_pool2d(F.max_pool2d(F.dropout(F.relu(x), 0.5), 3, 2), 2)
        y.backward(tensor(*y.shape).detach())
        show("pool", y, x.grad)
    for make in optim.SGD, optim.Adam, optim.RMSprop:
        p = nn.Parameter(tensor(77).detach())
        optimizer = make([p], lr=0.1, weight_decay=0.1)
        for _ in range(2):
            p.grad = tensor(77).detach()
            optimizer.step()
        show("optim", p)
    print(sum(sum(f.stats.cache_hits.values()) for _, f in kernel_functions()))


def test_who_compiled_makes_no_difference(tmp_path):
    """This process, an earlier one, or a helper, which compiles in another order."""
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "MINIGRAD_COMPILED": "1"}
    compute = (
        f"from minigrad.cpu import helper; helper.refuse(); from {__name__} import bits; bits()"
    )

    def run(cache, program):
        command, cache = [sys.executable, "-c", program], {"NUMBA_CACHE_DIR": str(tmp_path / cache)}
        done = subprocess.run(
            command, env=environment | cache, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.splitlines()

    *compiled, none = run("own", compute)
    *found, all_of_them = run("own", compute)
    run("helped", f"from minigrad import precompile; precompile.main({os.getpid()})")
    *helped, most = run("helped", compute)
    assert none == "0"
    assert int(all_of_them) >= 12
    assert int(most) >= 10
    assert found == helped == compiled


@pytest.mark.parametrize(("name", "function"), list(kernel_functions()))
def test_what_a_kernel_calls_is_inlined(name, function):
    names = function.py_func.__code__.co_names
    called = [function.py_func.__globals__.get(n) for n in names]
    for other in called:
        if isinstance(other, registry.CPUDispatcher):
            assert other.targetoptions["forceinline"], f"{name} calls {other.py_func.__name__}"
