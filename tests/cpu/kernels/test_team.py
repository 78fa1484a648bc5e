"""Threads that share the parts of a kernel."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.cpu import threads

team = pytest.importorskip("minigrad.cpu.kernels.team")


@team.parallel_for
def count_up(out, borders, sleep, first, last):
    """Add 1 to each element, and note where a part began."""
    borders[first] = last
    for k in range(first, last):
        for _ in range(sleep):
            team.pause()
        out[k] += 1


def test_wait():
    number = np.zeros(1, np.int64)
    at = number.ctypes.data
    assert not team.wait(at, 0, 10)
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(team.wait, at, 0, 1 << 40)
        number[0] = 7
        assert found.result(timeout=10)


@given(st.integers(0, 50), st.integers(0, 100), st.integers(1, 8), st.integers(1, 20))
def test_parts_cover_the_range_once(begin, size, parts, align):
    out, borders = np.zeros(200, int), np.full(200, -1)
    count_up.run(0, 1, begin, begin + size, parts, align, out, borders, 0)
    assert out.tolist() == [0] * begin + [1] * size + [0] * (200 - begin - size)
    starts = [k for k in range(200) if borders[k] > k]
    assert len(starts) <= parts
    assert all((k - begin) % align == 0 for k in starts)


@pytest.mark.parametrize("number", [1, 2, 3, 64], indirect=True)
def test_workers_take_parts(number):
    """Each element is counted once, whoever comes, and again after a pause in which they sleep."""
    for _ in range(20):
        out, borders = np.zeros(1 << 10, int), np.full(1 << 10, -1)
        threads.launch(count_up, len(out), len(out), out, borders, 50, least=4)
        assert (out == 1).all()
        assert np.count_nonzero(borders >= 0) == min(number, 256)


@pytest.mark.skipif(threads._cores() < 2, reason="a worker would need a core of its own")
@pytest.mark.parametrize("number", [2], indirect=True)
def test_a_worker_helps(number):
    """Each of two parts waits a while for the other to begin."""

    @team.parallel_for
    def meet(begun, met, first, last):
        team.store(begun, first, 1)
        for _ in range(1 << 16):
            if team.load(begun, 1 - first) == 1:
                met[first] = True
                return
            team.pause()

    for _ in range(1000):  # the first time it is compiled, and the worker falls asleep again
        begun, met = threads._Words(), np.zeros(2, bool)
        threads.launch(meet, 2, 2, begun.address, met, least=1)
        if met.all():
            return
    pytest.fail("no worker came")


def test_a_worker_that_waited_for_the_interpreter_lock_helps(monkeypatch):
    """Its watch ends while its caller runs Python, and the caller lets go of the lock for a kernel
    that it launched meanwhile."""
    words, worker = threads._Words(team.WORDS), threads._Worker.__new__(threads._Worker)
    worker.jobs, worker.bell, taken = SimpleQueue(), threads._Words(), []

    def serve(*_):
        if words.words[team.OPEN]:
            taken.append(int(words.words[team.NEXT]))
            words.words[team.NEXT] += 1
            worker.jobs.put(threads._nothing_to_do)
        else:
            words.words[[team.OPEN, team.NEXT, team.COUNT]] = 1, 1, 2
            threading.Timer(1, worker.jobs.put, [None]).start()  # else it would wait for ever

    fast = SimpleNamespace(serve=serve, OPEN=team.OPEN, NEXT=team.NEXT, COUNT=team.COUNT)
    monkeypatch.setattr(threads, "_team", words)
    monkeypatch.setattr(threads, "_team_kernels", lambda: fast)
    assert worker.get() is threads._nothing_to_do
    assert taken == [1]


def test_a_busy_team_leaves_the_parts_to_their_caller():
    words = threads._Words(team.WORDS)
    words.words[team.BUSY] = 1
    out, borders = np.zeros(10, int), np.zeros(10, int)
    count_up.run(words.address, 2, 0, 10, 2, 1, out, borders, 0)
    assert (out == 1).all()
    assert words.words[team.BUSY] == 1


@pytest.mark.parametrize("number", [2], indirect=True)
def test_several_callers(number):
    def call(size):
        for _ in range(200):
            out, borders = np.zeros(size, int), np.zeros(size, int)
            threads.launch(count_up, size, size, out, borders, 1, least=10)
            assert (out == 1).all()
        return size

    sizes = [10, 50, 100, 1000]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, sizes)) == sizes


@pytest.mark.parametrize("number", [2], indirect=True)
def test_a_kernel_within_a_task_runs_there(number):
    out, borders = np.zeros((2, 100), int), np.full((2, 100), -1)

    def task(i):
        threads.launch(count_up, 100, 100, out[i], borders[i], 0, least=1)

    threads.parallel(task, 2)
    assert (out == 1).all()
    assert (borders[:, 0] == 100).all()


@team.parallel_for
def note_seats(found, rows, seat, first, last):
    for k in range(first, last):
        rows[seat, 0] = k
        for _ in range(50):
            team.pause()
        found[k] = seat < len(rows) and rows[seat, 0] == k


@pytest.mark.parametrize("number", [1, 2, 3, 64], indirect=True)
def test_each_seat_has_a_row_of_scratch_memory(number):
    """No other thread writes there."""
    rows = threads.Scratch("test", 4, np.dtype(int))
    for _ in range(20):
        found = np.zeros(1 << 10, bool)
        threads.launch(note_seats, len(found), len(found), found, rows, least=4)
        assert found.all()


@pytest.mark.parametrize("number", [2], indirect=True)
def test_scratch_memory_within_a_task_is_its_own(number):
    found, rows = np.zeros((4, 100), bool), threads.Scratch("test", 4, np.dtype(int))

    def task(i):
        threads.launch(note_seats, 100, 100, found[i], rows, least=1)

    threads.parallel(task, len(found))
    assert found.all()
