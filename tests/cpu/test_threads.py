"""Threads of the CPU: results, nesting, exceptions, buffers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cpu import threads
from tests.common import Interrupt, grid, interrupted, leaf, refuses


def gradients():
    """A network large enough for every threaded path."""
    f = mg.functional
    x, w = leaf(grid((32, 16, 16, 16))), leaf(grid((32, 16, 3, 3), 1, -0.1, 0.1))
    y = f.max_pool2d(f.relu(f.conv2d(x, w, padding=1)), 2)
    y = f.batch_norm(f.avg_pool2d(y, 2), None, None, training=True).flatten(1)
    v = leaf(grid((64, y.shape[1]), 2, -0.1, 0.1))
    f.cross_entropy(f.linear(y, v), mg.Tensor(np.arange(32))).backward()
    return [t.grad.numpy() for t in (x, w, v)]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 64], indirect=True)
def test_number_of_threads_does_not_matter_and_results_repeat(number):
    found, again = gradients(), gradients()
    mg.set_num_threads(1)
    for one, same, alone in zip(found, again, gradients(), strict=True):
        np.testing.assert_array_equal(one, same)
        np.testing.assert_allclose(one, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 2, 50, 1000])
@pytest.mark.parametrize("number", [1, 2, 3, 64], indirect=True)
def test_each_task_runs_once(number, count):
    seen = []
    threads.parallel(seen.append, count)
    assert sorted(seen) == list(range(count))


def test_nested_calls_run_on_the_same_thread(number):
    seen = []

    def outer(i):
        here = threading.get_ident()
        threads.parallel(lambda j: seen.append((i, j, threading.get_ident() == here)), 3)

    threads.parallel(outer, 4)
    assert sorted(seen) == [(i, j, True) for i in range(4) for j in range(3)]


def test_every_thread_comes(number):
    ready, seen = threading.Barrier(number), []

    def task(i):
        ready.wait(timeout=10)
        seen.append(threading.get_ident())

    threads.parallel(task, number)
    assert len(set(seen)) == number


@pytest.mark.parametrize("nested", [False, True])
def test_an_exception_reaches_the_caller_and_the_pool_survives(number, nested):
    def fail(i):
        if i == 5:
            raise KeyError("five")

    def task(i):
        if nested:
            threads.parallel(fail, 7)
        else:
            fail(i)

    refuses(KeyError, "five", lambda: threads.parallel(task, 8))
    seen = []
    threads.parallel(seen.append, 8)
    assert sorted(seen) == list(range(8))


@pytest.mark.parametrize("elements", [None, 1, threads.MIN_PARALLEL_SIZE])
def test_overflow_is_no_warning(number, elements):
    large = np.array([3e38], np.float32)
    threads.parallel(lambda i: np.multiply(large, large), 4, elements)


def test_each_thread_has_its_own_workspace(number):
    ready, found = threading.Barrier(number), {}

    def task(i):
        ready.wait(timeout=10)  # so that every thread takes one task
        buffer = threads.workspace("test", (4, 5), np.dtype(np.float32))
        assert (buffer.shape, buffer.dtype) == ((4, 5), np.float32)
        found[threading.get_ident()] = buffer.__array_interface__["data"][0]

    threads.parallel(task, number)
    assert len(found) == len(set(found.values())) == number


def test_workspace_is_reused_and_grows():
    kind = np.dtype(np.float64)
    first = threads.workspace("reused", (10,), kind)
    assert np.shares_memory(first, threads.workspace("reused", (2, 5), kind))
    assert np.shares_memory(first, threads.workspace("reused", (3,), np.dtype(np.uint8)))
    assert not np.shares_memory(first, threads.workspace("another", (10,), kind))
    assert not np.shares_memory(first, threads.workspace("reused", (11,), kind))


@given(st.integers(0, 200), st.integers(0, 20), st.integers(1, 9))
def test_split_range(size, pieces, align):
    parts = threads.split_range(size, pieces, align)
    assert [i for part in parts for i in range(size)[part]] == list(range(size))
    assert all(part.start % align == 0 and part.start < part.stop for part in parts)
    assert len(parts) <= max(1, pieces)


@pytest.mark.parametrize(
    ("value", "found"),
    [("3", "3"), ("0", "ValueError"), ("two", "ValueError"), ("9" * 5000, "ValueError")],
)
def test_environment_variable(value, found):
    code = "import minigrad; print(minigrad.get_num_threads())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MINIGRAD_NUM_THREADS": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found in run.stdout + run.stderr
    if found == "ValueError":
        assert f"MINIGRAD_NUM_THREADS: expected a whole number from 1 to 4096, got {value!r}" in (
            run.stderr
        )


def test_an_interruption_at_any_moment_leaves_nothing_half_done(number):
    """No thread still works when it surfaces, and all of them work for the next caller."""
    known, inside = threads.blas.libraries, set()

    def task(i):
        inside.add(i)
        time.sleep(1e-3)  # so that every thread takes one
        inside.discard(i)

    threads.parallel(task, 4)
    before, at = [library.get_num_threads() for library in known], 1
    while interrupted(threads, at, lambda: threads.parallel(task, 4)):
        assert not inside, f"at moment {at}"
        ready = threading.Barrier(number)
        threads.parallel(lambda i, ready=ready: ready.wait(timeout=10), number)
        assert [library.get_num_threads() for library in known] == before
        at += 1
    assert at > 10


def test_ctrl_c_while_a_worker_is_waited_for_comes_after_it():
    """Even if it is pressed again and again."""
    begun, done = threading.Event(), []

    def task(i):
        if threading.current_thread() is threading.main_thread():
            begun.wait(timeout=10)
        else:
            begun.set()
            time.sleep(0.3)
            done.append(i)

    def interrupt(*_):
        raise Interrupt

    def send():
        begun.wait(timeout=10)
        for _ in range(4):
            time.sleep(0.03)
            os.kill(os.getpid(), signal.SIGINT)

    before, sender = mg.get_num_threads(), threading.Thread(target=send)
    mg.set_num_threads(2)
    handler = signal.signal(signal.SIGINT, interrupt)
    try:
        sender.start()
        with pytest.raises(Interrupt):
            threads.parallel(task, 2)
        assert done
    finally:
        sender.join()
        signal.signal(signal.SIGINT, handler)
        mg.set_num_threads(before)


def test_an_exception_of_a_worker_is_not_kept(number):
    alive, ready = [], threading.Barrier(number)

    class Large:
        pass

    def task(i):
        large = Large()
        alive.append(weakref.ref(large))
        ready.wait(timeout=10)
        raise KeyError("task")

    refuses(KeyError, "task", lambda: threads.parallel(task, number))
    assert len(alive) == number
    assert not any(ref() for ref in alive)


INTERRUPTED = """
import os, random, signal, sys, threading, time
import numpy as np
import minigrad as mg
from minigrad import nn
from minigrad.cpu import threads

mg.set_num_threads(2)
threads.MIN_PARALLEL_SIZE = 0
mg.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3),
                      nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
x, y = mg.randn(16, 3, 18, 18), mg.Tensor(np.arange(16) % 10)

def step():
    model.zero_grad()
    mg.functional.cross_entropy(model(x), y).backward()
    return [p.grad.numpy() for p in model.parameters()]

expected, armed, met, rng = step(), False, 0, random.Random(0)
signal.alarm(60)  # kernels are compiled by now

def interrupt(*_):
    global met
    if armed:
        met += 1
        raise KeyboardInterrupt

def send():
    while met < 150:
        time.sleep(rng.uniform(0, 5e-3))
        for _ in range(rng.choice([1, 1, 2, 3])):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(rng.uniform(0, 2e-4))

signal.signal(signal.SIGINT, interrupt)
sender = threading.Thread(target=send)
sender.start()
while met < 150:
    try:
        armed = True
        while True:
            step()
    except KeyboardInterrupt:
        armed = False
sender.join()
for value, grad in zip(expected, step(), strict=True):
    np.testing.assert_array_equal(value, grad)
ready = threading.Barrier(2)
threads.parallel(lambda i: ready.wait(timeout=10), 2)
print("as before")
"""


def test_ctrl_c_at_random_moments_hangs_and_breaks_nothing():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert run.stdout == "as before\n", run.stderr


def test_threads_that_compute_at_once_do_not_disturb_each_other():
    """While the number of threads changes, too."""
    expected, stop, found = gradients(), threading.Event(), []

    def compute():
        while not stop.is_set():
            try:
                found.append(gradients())
            except BaseException as error:
                found.append(error)

    before, others = mg.get_num_threads(), [threading.Thread(target=compute) for _ in range(2)]
    for other in others:
        other.start()
    for i in range(60):
        mg.set_num_threads(1 + i % 3)
        time.sleep(5e-3)
        threads.parallel(lambda i: None, 3)
    stop.set()
    for other in others:
        other.join(timeout=60)
    mg.set_num_threads(before)
    assert len(found) > 2
    for each in found:
        assert isinstance(each, list), each
        for one, alone in zip(each, expected, strict=True):
            np.testing.assert_allclose(one, alone, rtol=1e-9, atol=1e-12)


FORKED = """
import os, signal, threading, time
import numpy as np
import minigrad as mg
from minigrad import memory
from minigrad.cpu import threads

mg.set_num_threads(2)
stop = False

def compute():
    while not stop:
        held = [memory.empty((n << 14,), np.float64) for n in range(1, 9)]
        threads.parallel(lambda i: None, 2)

def blas():
    return [library.get_num_threads() for library in threads.blas.libraries]

def child():
    signal.alarm(10)
    held = [memory.empty((n << 14,), np.float64) for n in range(1, 9)]
    ready = threading.Barrier(2)
    threads.parallel(lambda i: ready.wait(timeout=10), 2)  # on threads of its own
    assert blas() == before

threads.parallel(lambda i: None, 4)
before = blas()
other = threading.Thread(target=compute, daemon=True)
other.start()
for _ in range(40):
    time.sleep(1e-4)
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(7)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 7, code
stop = True
other.join()
threads.parallel(lambda i: None, 4)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_another_thread_computes_can_compute():
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_a_worker_that_finds_nothing_to_do_sleeps():
    mg.set_num_threads(2)
    threads.parallel(lambda i: None, 2)
    (worker,) = threads._workers
    for _ in range(500):
        begun = int(threads._arrivals.words[0])
        time.sleep(0.02)
        if worker.asleep and threads._arrivals.words[0] == begun:
            return
    pytest.fail("it watches on")


def test_few_elements_stay_on_this_thread():
    mg.set_num_threads(2)
    for elements, alone in (
        (threads.MIN_PARALLEL_SIZE - 1, True),
        (threads.MIN_PARALLEL_SIZE, False),
        (None, False),
    ):
        ready, found = threading.Barrier(2), set()

        def task(i, ready=ready, found=found, alone=alone):
            if not alone:
                ready.wait(timeout=10)  # so that both threads take one task
            found.add(threading.get_ident())

        threads.parallel(task, 2, elements)
        assert len(found) == (1 if alone else 2)
