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
    """Names, and what Numba compiles: of a kernel that threads share, the loop and the launch."""
    from minigrad.cpu.kernels.team import Kernel

    for module in pkgutil.iter_modules(kernels.__path__):
        found = vars(importlib.import_module(f"{kernels.__name__}.{module.name}"))
        for name, value in found.items():
            if isinstance(value, registry.CPUDispatcher):
                yield f"{module.name}.{name}", value
            elif isinstance(value, Kernel):
                yield f"{module.name}.{name}", value.part
                yield f"{module.name}.{name} (shared)", value.run


def step():
    """A training step of a few kernels, which call others; returns what each made."""
    rng, made = np.random.default_rng(0), []

    def tensor(*shape):
        return mg.tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)

    w = nn.Parameter(tensor(5, 3, 3, 3).detach())
    optimizer = optim.SGD([w], lr=0.1, weight_decay=0.1)
    for n in 5, 6:  # rows of a length that no vector divides, and of one that some do
        x, scale, shift, z = tensor(n, 3, 9, 11), tensor(5), tensor(5), tensor(n, 5, 9, 11)
        y = F.conv2d(x, w, padding=1)
        y = F.batch_norm(y, None, None, scale, shift, training=True, residual=z, relu=True)
        y.backward(tensor(*y.shape).detach())
        optimizer.step()
        made += [y, x.grad, w.grad, scale.grad, shift.grad, z.grad, w]
    return made


def bits():
    """A line per array of a step, and how many kernels came from disk."""
    for t in step():
        print(np.ascontiguousarray(t.detach().numpy()).tobytes().hex())
    print(sum(sum(f.stats.cache_hits.values()) for _, f in kernel_functions()))


def test_who_compiled_makes_no_difference(tmp_path):
    """This process, an earlier one, or a helper, which compiles in another order."""
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "MINIGRAD_COMPILED": "1"}
    compute = (
        f"from minigrad.cpu import helper; helper.refuse(); from {__name__} import bits; bits()"
    )
    ahead = (
        f"from minigrad import precompile as ahead; from {__name__} import step\n"
        f"ahead.training_step = step; ahead.main({os.getpid()})"
    )

    def run(cache, program):
        command, cache = [sys.executable, "-c", program], {"NUMBA_CACHE_DIR": str(tmp_path / cache)}
        done = subprocess.run(
            command, env=environment | cache, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.splitlines()

    *compiled, none = run("own", compute)
    *found, all_of_them = run("own", compute)
    run("helped", ahead)
    *helped, most = run("helped", compute)
    assert none == "0"
    assert int(all_of_them) == int(most) >= 5
    assert found == helped == compiled


def test_what_a_kernel_calls_is_part_of_its_machine_code():
    """The modules are imported here, not with this one: a process that compiles ahead notes the
    calls of those that it imports afterwards."""
    apart = [
        f"{name} calls {other.py_func.__name__}"
        for name, function in kernel_functions()
        for other in map(function.py_func.__globals__.get, function.py_func.__code__.co_names)
        if isinstance(other, registry.CPUDispatcher)
        and other._compiler.pipeline_class is not kernels._PartCompiler
    ]
    assert apart == []
