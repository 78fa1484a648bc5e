"""Memory over whole networks: inference keeps nothing, training comes back to where it was."""

from __future__ import annotations

import gc
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import memory, nn
from minigrad.device import CPU, device_of, move
from minigrad.layout import memory_order
from minigrad.memory import MIN_POOLED_BYTES, _Pool, _pool, empty, out_of_memory, zeros
from tests.common import (
    LAYOUTS,
    fake_cupy,
    grid,
    interrupted,
    lay_out,
    refuses,
)

SHAPE = (16, 16, 16, 16)  # enough images and channels for every way that an operation has
ACTIVATION = 4 * 16**4
LAYERS = {
    "convolution": lambda: nn.Conv2d(16, 16, 3, padding=1),  # Winograd where compiled
    "convolution, direct where compiled": lambda: nn.Conv2d(16, 16, 5, padding=2),
    "convolution with a stride": lambda: nn.Sequential(Stretch(), nn.Conv2d(16, 16, 3, 2, 1)),
    "batch norm": lambda: nn.BatchNorm2d(16),
    "max pooling": lambda: nn.MaxPool2d(3, 1, 1),
    "average pooling": lambda: nn.AvgPool2d(3, 1, 1),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "dropout": nn.Dropout,
    "linear": lambda: nn.Linear(16, 16),
}


class Stretch(nn.Module):
    """Every pixel four times, so that a stride of 2 comes back to the same size."""

    def forward(self, x):
        n, c, h, w = x.shape
        return x.reshape(n, c, h, 1, w, 1).expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def peak(model, x):
    """Bytes held at once, at most, while ``model`` runs on ``x``; its result not among them."""
    tracemalloc.start()
    try:
        model(x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("each_way")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_no_grad_needs_no_more_for_a_deeper_network(layer, training, monkeypatch):
    monkeypatch.setattr(
        "minigrad.memory.MIN_POOLED_BYTES", 1 << 62
    )  # nothing is pooled: freed is freed
    mg.set_num_threads(1)  # a second thread's scratch comes at any time
    shallow, deep = (nn.Sequential(*(LAYERS[layer]() for _ in range(n))) for n in (2, 6))
    shallow.train(training), deep.train(training)
    x = mg.randn(*SHAPE)
    with mg.no_grad():
        deep(x)  # compiles, and fills the thread's scratch
        few, many = peak(shallow, x), peak(deep, x)
    assert many - few < ACTIVATION / 4


def test_with_gradients_a_deeper_network_needs_more(monkeypatch):
    """What the test above would see if something were kept."""
    monkeypatch.setattr("minigrad.memory.MIN_POOLED_BYTES", 1 << 62)
    shallow, deep = (nn.Sequential(*(nn.BatchNorm2d(16) for _ in range(n))) for n in (2, 6))
    x = mg.randn(*SHAPE)
    deep(x)
    assert peak(deep, x) - peak(shallow, x) > 3 * ACTIVATION


@pytest.mark.usefixtures("each_way")
def test_140_training_steps_without_the_collector():
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(128, 10),
    )
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = mg.randn(32, 3, 8, 8), mg.tensor(np.arange(32) % 10)

    def steps(count):
        for _ in range(count):
            loss = mg.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def held():
        """Objects that refer to others, and bytes of pooled arrays."""
        return len(gc.get_objects()), _pool.used + _pool.kept

    gc.collect()
    gc.disable()
    try:
        steps(20)
        objects, pooled = held()
        steps(120)
        objects_then, pooled_then = held()
        tracemalloc.start()  # sees all arrays, but makes a step seven times as slow
        steps(3)
        traced = tracemalloc.get_traced_memory()[0]
        steps(10)
        traced_then = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert objects_then - objects < 60  # one every second step would be more
    assert pooled_then <= pooled
    assert traced_then - traced < 1 << 16  # 6.6 kB a step would be more


# ---------------------------------------------------------------------------- how much would fit

sizes = st.lists(st.integers(1, 1 << 30), min_size=1, max_size=9)


@given(sizes, st.integers(1, 512), st.integers(0, 1 << 36), st.integers(0, 1 << 36))
def test_the_batch_that_fits(per_image, batch, before, room):
    """Of a step that keeps arrays of so many bytes an image one by one: never less than fit, and
    just as many where it was the last array that did not."""
    held = [batch * size for size in itertools.accumulate(per_image)]
    assume(held[-1] > room)
    failed = next(i for i, size in enumerate(held) if size > room)
    inside = held[failed - 1] if failed else 0
    figures = before + inside, batch * per_image[failed], room - inside
    found = memory.fitting(batch, before, *figures)
    right = room // sum(per_image)
    assert right <= found < batch
    assert failed + 1 < len(per_image) or found == right


def test_nothing_is_promised_beyond_what_failed():
    """Memory enough, but in pieces; or arrays that went before the failure."""
    assert memory.fitting(8, 100, 150, 10, 500) == 7
    assert memory.fitting(8, 900, 100, 10, 5) == 7
    assert memory.fitting(8, 100, 100, 50, 0) == 0


def test_advice(monkeypatch):
    monkeypatch.setattr(memory, "used", lambda where: 100)
    with (
        pytest.raises(mg.OutOfMemoryError) as caught,
        memory.advice(16, mg.device("cpu")),
    ):
        raise mg.OutOfMemoryError("conv2d: no", asked=1000, used=700, free=400)
    assert str(caught.value) == "conv2d: no; of the 16 images of a batch at most about 10 fit"
    assert (caught.value.asked, caught.value.used, caught.value.free) == (1000, 700, 400)
    unknown = pytest.raises(mg.OutOfMemoryError, match=r"^a step: no$")
    with unknown, memory.advice(16, mg.device("cpu")):
        raise MemoryError("no")  # nothing is known of a CPU's
    with pytest.raises(KeyError), memory.advice(16, mg.device("cpu")):
        raise KeyError


def test_used_and_held():
    gc.collect()  # what others left would be given back in between
    first = empty((1 << 16,), np.uint8)  # counts what was given back until now
    before, more = memory.used("cpu"), 2 * memory.held("cpu")
    x = empty((more,), np.uint8)
    assert memory.used("cpu") == before + more <= memory.held("cpu")
    del first, x
    empty((1 << 16,), np.uint8)
    assert memory.used("cpu") == before < before + more <= memory.held("cpu")


# ---------------------------------------------------------------------------- the pool


class Pool:
    """A pool of CuPy's: 3 GiB in arrays, half of one in pieces."""

    def __init__(self, limit: int) -> None:
        self.get_limit = lambda: limit
        self.used_bytes, self.free_bytes = (lambda: 3 << 30), (lambda: 1 << 29)
        self.total_bytes = lambda: 7 << 29

    def malloc(self, size: int) -> None: ...


def test_move(device):
    for layout in LAYOUTS:
        a = lay_out(grid((2, 3, 4)), layout)
        there = move(a, mg.device(device))
        assert device_of(there) == mg.device(device)
        np.testing.assert_array_equal(move(there, CPU), a)
    assert move(a, CPU) is a


@pytest.mark.parametrize(
    ("limit", "free", "text"),
    [(0, 3 << 29, "1.50 of 8.00 GiB"), (1 << 32, 1 << 30, "1.00 of 4.00 GiB")],
)
def test_out_of_memory_on_a_gpu_says_what_is_free(monkeypatch, limit, free, text):
    cupy = fake_cupy(monkeypatch, lambda: 1)
    cupy.cuda.runtime.memGetInfo = lambda: (1 << 30, 8 << 30)
    cupy.cuda.get_allocator = lambda: Pool(limit).malloc
    cupy.get_default_memory_pool = lambda: Pool(0)
    monkeypatch.setattr("minigrad.memory.own_pools", {"a captured step": Pool(limit)})  # counts too
    error = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    explained = out_of_memory("conv2d", error("Out of memory allocating 5,000 bytes"))
    assert isinstance(explained, mg.OutOfMemoryError)
    assert str(explained) == f"conv2d: Out of memory allocating 5,000 bytes; {text} are free"
    assert (explained.asked, explained.used, explained.free) == (5000, 6 << 30, free)


def test_memory_that_is_not_there_is_not_counted():
    _pool.take(0)  # counts what was given back until now
    before = _pool.used, _pool.peak
    refuses(MemoryError, "Unable to allocate", lambda: empty((1 << 60,), np.uint8))
    assert (_pool.used, _pool.peak) == before


def address(array):
    return array.__array_interface__["data"][0]


def test_freed_memory_is_used_again_only_once_no_view_is_left():
    size = (MIN_POOLED_BYTES,)
    a = empty(size, np.uint8)
    a[...] = 1
    view, where = a[5:].reshape(-1, 1), address(a)
    del a
    b = empty(size, np.uint8)
    b[...] = 2
    assert address(b) != where
    assert (view == 1).all()
    del view
    c = empty(size, np.uint8)
    assert address(c) == where
    assert (b == 2).all()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=40))
def test_pool_keeps_at_most_what_was_once_in_use(steps):
    pool, held, most = _Pool(), [], 0
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
        pool = _Pool()

        def use(pool=pool):
            for size in (100, 200, 300, 200, 400):
                pool.returned.append(pool.take(size))

        use()
        more = interrupted(memory, at, use)
        for _ in range(3):
            use()
        assert pool.kept == sum(raw.nbytes for arrays in pool.free.values() for raw in arrays)
        at += 1
    assert at > 20


@pytest.mark.parametrize("shape", [(3,), (300, 300), (0, 5), ()])
@pytest.mark.parametrize("dtype", ["float32", "uint8", np.dtype("int64")])
def test_empty_and_zeros(shape, dtype):
    for make in (empty, zeros):
        array = make(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        array[...] = 7
    assert not zeros(shape, dtype).any()  # perhaps in the memory just freed


@pytest.mark.parametrize("shape", [(2, 3, 4), (4, 1 << 16)])  # below and above the pool's size
def test_new_arrays_in_an_order_of_memory(shape):
    order = [1, *range(2, len(shape)), 0]
    found = zeros(shape, np.float32, order=order)
    assert found.shape == shape
    assert memory_order(found) == order
    assert not found.any()
