"""Devices, memory layout, pooled memory and the matrix product."""

from __future__ import annotations

import builtins
import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import backend
from tests.common import LAYOUTS, grid, interrupted, lay_out, layouts, refuses, seeds, shapes

# ---------------------------------------------------------------------------- devices


def test_cpu():
    cpu = mg.device("cpu")
    assert (cpu.type, cpu.index, str(cpu), repr(cpu)) == ("cpu", 0, "cpu", "device('cpu')")
    assert cpu == mg.device("cpu:0") == mg.device(cpu)
    assert cpu != "cpu"
    assert len({cpu, mg.device("cpu:0")}) == 1
    assert cpu.xp is np


@pytest.mark.parametrize("spec", ["tpu", "", "cpu:", "gpu:x", "gpu:-1", "auto:1", "CPU"])
def test_unknown_devices(spec):
    text = f"device: expected 'cpu', 'gpu', 'gpu:N' or 'auto', got {spec!r}"
    refuses(ValueError, text, lambda: mg.device(spec))


def test_other_device_errors():
    refuses(ValueError, "there is one CPU device, 'cpu', got 'cpu:1'", lambda: mg.device("cpu:1"))
    refuses(TypeError, "device: expected a str or device, got int", lambda: mg.device(0))


@pytest.fixture
def no_cupy(monkeypatch):
    """A machine without CuPy."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("No module named 'cupy'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("no_cupy")
@pytest.mark.parametrize("spec", ["gpu", "cuda", "gpu:0", "cuda:1"])
def test_gpu_without_cupy_says_how_to_install_it(spec):
    text = (
        "device 'gpu' needs CuPy, which cannot be imported (No module named 'cupy'); "
        "run pip install -e '.[gpu]' in the folder of the checkout"
    )
    refuses(mg.DeviceError, text, lambda: mg.device(spec))
    refuses(mg.DeviceError, text, lambda: mg.zeros(2, device=spec))
    assert not mg.is_gpu_available()
    assert mg.device("auto") == mg.device("cpu")


class CUDARuntimeError(RuntimeError):
    pass


def fake_cupy(monkeypatch, count):
    """CuPy as it appears on a machine where ``count()`` GPUs are found."""
    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def test_gpu_without_a_driver_says_so(monkeypatch):
    def fail():
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    fake_cupy(monkeypatch, fail)
    text = (
        "CuPy is installed but finds no usable GPU (cudaErrorInsufficientDriver); check the driver"
    )
    refuses(mg.DeviceError, text, lambda: mg.device("gpu"))
    assert not mg.is_gpu_available()


def test_gpu_without_a_device_says_so(monkeypatch):
    fake_cupy(monkeypatch, lambda: 0)
    text = "CuPy and the driver work but there is no GPU; use 'cpu'"
    refuses(mg.DeviceError, text, lambda: mg.device("gpu"))


def test_gpu_numbers(monkeypatch):
    cupy = fake_cupy(monkeypatch, lambda: 2)
    assert mg.is_gpu_available()
    second = mg.device("cuda:1")
    assert (second.type, second.index, str(second)) == ("gpu", 1, "gpu:1")
    assert second.xp is cupy
    assert mg.device("auto") == mg.device("gpu") == mg.device("gpu:0") != second
    text = "device: 'gpu:2' was asked for, but there are 2 GPUs (from 0)"
    refuses(mg.DeviceError, text, lambda: mg.device("gpu:2"))


def test_the_gpu_in_use(monkeypatch):
    cupy = fake_cupy(monkeypatch, lambda: 2)
    current = [0]
    cupy.cuda.runtime.getDevice = lambda: current[0]
    cupy.cuda.Device = lambda index: SimpleNamespace(use=lambda: current.__setitem__(0, index))
    array = SimpleNamespace(device=SimpleNamespace(id=1))
    text = (
        'mul: a tensor is on gpu:1 while gpu:0 is in use; call minigrad.device("gpu:1").use() first'
    )
    refuses(mg.DeviceError, text, lambda: backend.check_current("mul", array))
    mg.device("cpu").use()
    mg.device("gpu:1").use()
    backend.check_current("mul", array)
    backend.check_current("mul", np.ones(1))


def test_nothing_is_moved_while_a_step_is_recorded(monkeypatch):
    """A graph would copy from the same address of the CPU at every replay."""
    cupy = fake_cupy(monkeypatch, lambda: 1)
    cupy.cuda.Device = lambda index: contextlib.nullcontext()
    cupy.cuda.get_current_stream = lambda: SimpleNamespace(is_capturing=lambda: True)
    text = "moved to the GPU: do so before the step"
    refuses(RuntimeError, text, lambda: backend.move(np.ones(3), mg.device("gpu")))


class Pool:
    """A pool of CuPy's: 3 GiB in arrays, half of one in pieces."""

    def __init__(self, limit: int) -> None:
        self.get_limit = lambda: limit
        self.used_bytes, self.free_bytes = (lambda: 3 << 30), (lambda: 1 << 29)
        self.total_bytes = lambda: 7 << 29

    def malloc(self, size: int) -> None: ...


@pytest.mark.parametrize(
    ("limit", "free", "text"),
    [(0, 3 << 29, "1.50 of 8.00 GiB"), (1 << 32, 1 << 30, "1.00 of 4.00 GiB")],
)
def test_out_of_memory_on_a_gpu_says_what_is_free(monkeypatch, limit, free, text):
    cupy = fake_cupy(monkeypatch, lambda: 1)
    cupy.cuda.runtime.memGetInfo = lambda: (1 << 30, 8 << 30)
    cupy.cuda.get_allocator = lambda: Pool(limit).malloc
    cupy.get_default_memory_pool = lambda: Pool(0)
    monkeypatch.setattr(backend, "own_pools", {"a captured step": Pool(limit)})  # counts too
    error = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    explained = backend.out_of_memory("conv2d", error("Out of memory allocating 5,000 bytes"))
    assert isinstance(explained, mg.OutOfMemoryError)
    assert str(explained) == f"conv2d: Out of memory allocating 5,000 bytes; {text} are free"
    assert (explained.asked, explained.used, explained.free) == (5000, 6 << 30, free)


def test_memory_that_is_not_there_is_not_counted():
    backend._pool.take(0)  # counts what was given back until now
    before = backend._pool.used, backend._pool.peak
    refuses(MemoryError, "Unable to allocate", lambda: backend.empty((1 << 60,), np.uint8))
    assert (backend._pool.used, backend._pool.peak) == before


def test_move(device):
    for layout in LAYOUTS:
        a = lay_out(grid((2, 3, 4)), layout)
        there = backend.move(a, mg.device(device))
        assert backend.device_of(there) == mg.device(device)
        np.testing.assert_array_equal(backend.move(there, backend.CPU), a)
    assert backend.move(a, backend.CPU) is a


# ---------------------------------------------------------------------------- layout


@given(shapes(1, 4), seeds, layouts)
def test_inner_and_outer(shape, seed, layout):
    a = lay_out(grid(shape, seed), layout)
    memory = backend.inner(a)
    assert memory.flags.c_contiguous
    assert memory.shape == (*shape[1:], shape[0])
    np.testing.assert_array_equal(backend.outer(memory), a)
    assert np.shares_memory(backend.outer(memory), memory)
    assert np.shares_memory(backend.inner(backend.outer(memory)), memory)


@pytest.mark.parametrize("operation", ["relu", "sigmoid", "mul", "conv", "pool", "norm", "dropout"])
def test_layout_passes_through(operation):
    """Results are batch-innermost in memory, so that the next operation finds them so."""
    x = mg.Tensor(lay_out(grid((8, 4, 6, 6)), "batch innermost"))
    f = mg.functional
    y = {
        "relu": lambda: f.relu(x),
        "sigmoid": lambda: f.sigmoid(x),
        "mul": lambda: x * x,
        "conv": lambda: f.conv2d(x, mg.Tensor(grid((5, 4, 3, 3)))),
        "pool": lambda: f.max_pool2d(x, 2),
        "norm": lambda: f.batch_norm(x, None, None, training=True),
        "dropout": lambda: f.dropout(x),
    }[operation]()
    assert y.data.transpose(1, 2, 3, 0).flags.c_contiguous


@given(
    shapes(0, 4, min_side=0), st.integers(1, 3), st.sampled_from([1, 3, 1 << 15]), seeds, st.data()
)
def test_elementwise(shape, count, block, seed, data):
    """Any number of operands of any layouts, cut into blocks of any size."""
    chosen = [data.draw(layouts) if 0 not in shape else "C" for _ in range(count)]
    arrays = [lay_out(grid(shape, seed + i), layout) for i, layout in enumerate(chosen)]

    def total(out, *blocks):
        out[...] = 0
        for part in blocks:
            out += part

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "BLOCK", block)
        y = backend.elementwise(total, *arrays)
    assert (y.dtype, y.shape) == (np.float64, shape)
    np.testing.assert_allclose(y, sum(arrays))


# ---------------------------------------------------------------------------- memory


def address(array):
    return array.__array_interface__["data"][0]


def test_freed_memory_is_used_again_only_once_no_view_is_left():
    size = (backend.POOLED,)
    a = backend.empty(size, np.uint8)
    a[...] = 1
    view, where = a[5:].reshape(-1, 1), address(a)
    del a
    b = backend.empty(size, np.uint8)
    b[...] = 2
    assert address(b) != where
    assert (view == 1).all()
    del view
    c = backend.empty(size, np.uint8)
    assert address(c) == where
    assert (b == 2).all()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=40))
def test_pool_keeps_at_most_what_was_once_in_use(steps):
    pool, held, most = backend._Pool(), [], 0
    for give_back, size in steps:
        if give_back and held:
            pool.returned.append(held.pop(size % len(held)))
            continue  # counted as in use until the next array is taken
        held.append(pool.take(size))
        free = [raw for arrays in pool.free.values() for raw in arrays]
        assert pool.used == sum(raw.nbytes for raw in held)
        assert pool.kept == sum(raw.nbytes for raw in free)
        most = max(most, pool.used)
        assert pool.used + pool.kept <= most
        assert len({id(raw) for raw in held + free}) == len(held) + len(free)


def test_an_interruption_leaves_a_pool_that_works():
    at, more = 1, True
    while more:
        pool = backend._Pool()

        def use(pool=pool):
            for size in (100, 200, 300, 200, 400):
                pool.returned.append(pool.take(size))

        use()
        more = interrupted(backend, at, use)
        for _ in range(3):
            use()
        assert pool.kept == sum(raw.nbytes for arrays in pool.free.values() for raw in arrays)
        at += 1
    assert at > 20


@pytest.mark.parametrize("shape", [(3,), (300, 300), (0, 5), ()])
@pytest.mark.parametrize("dtype", ["float32", "uint8", np.dtype("int64")])
def test_empty_and_zeros(shape, dtype):
    for make in (backend.empty, backend.zeros):
        array = make(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        array[...] = 7
    assert not backend.zeros(shape, dtype).any()  # perhaps in the memory just freed


# ---------------------------------------------------------------------------- matrix product


@pytest.mark.parametrize(
    "sizes", [(2, 3, 4), (200, 50, 40), (30, 64, 500), (1, 9000, 20), (5, 0, 3)]
)
@pytest.mark.parametrize("layout", ["C", "Fortran"])
def test_matmul2d(sizes, layout):
    m, k, n = sizes
    a, b = lay_out(grid((m, k)), layout), lay_out(grid((k, n), 1), layout)
    out = np.empty((m, n))
    assert backend.matmul2d(a, b, out=out) is out
    np.testing.assert_allclose(out, a @ b, atol=1e-9)
    found = backend.matmul2d(a, b)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, a @ b, atol=1e-9)


@pytest.mark.parametrize("shape", [(3, 5), (4, 3, 200, 200)])
def test_sums_of_arrays_in_different_memory_orders(shape):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for _ in "ab")
    turned = [*range(1, len(shape)), 0]
    a_inner = np.ascontiguousarray(a.transpose(turned)).transpose(np.argsort(turned))
    expected = a + b
    found = backend.add(a_inner, b)
    np.testing.assert_array_equal(found, expected)
    assert found.size < backend.BLOCK or backend.memory_order(found) == turned
    frame = np.zeros(tuple(n + 2 for n in shape), np.float32)
    part = frame[tuple(slice(1, -1) for _ in shape)]  # a view with gaps
    backend.add_into(part, a_inner)
    backend.add_into(part, b)
    np.testing.assert_array_equal(part, expected)
    assert np.count_nonzero(frame) == np.count_nonzero(expected)


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 1 << 16)])  # below and above the pool's size
def test_new_arrays_in_an_order_of_memory(shape):
    order = [1, *range(2, len(shape)), 0]
    found = backend.zeros(shape, np.float32, order=order)
    assert found.shape == shape
    assert backend.memory_order(found) == order
    assert not found.any()
