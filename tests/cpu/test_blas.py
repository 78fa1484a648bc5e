"""NumPy's BLAS: how many threads it uses. tests/cpu/kernels/test_blas.py calls its functions."""

from __future__ import annotations

import threading

import pytest
import threadpoolctl

from minigrad.cpu import threads


def test_blas_is_held_to_one_thread_inside_a_task():
    known = {library.filepath for library in threads.blas.libraries}  # NumPy's, not SciPy's
    if not known:
        pytest.skip("NumPy's BLAS is unknown to threadpoolctl")

    def counts():
        found = threadpoolctl.threadpool_info()
        return {p["filepath"]: p["num_threads"] for p in found if p["filepath"] in known}

    before, inside = counts(), []
    threads.parallel(lambda i: inside.append(counts()), 1)
    assert set(inside[0].values()) == {1}
    assert counts() == before
    threads.parallel(lambda i: inside.append(counts()), 2, calls_blas=False)
    assert inside[1:] == [before, before]


def test_blas_is_held_to_one_thread_until_the_last_caller_is_done():
    entered, left, inside = threading.Event(), threading.Event(), []
    libraries = threads.blas.libraries
    before = [library.get_num_threads() for library in libraries]

    def task(i):
        entered.set()
        left.wait(timeout=10)
        inside.extend(library.get_num_threads() for library in libraries)

    other = threading.Thread(target=lambda: threads.parallel(task, 1))
    other.start()
    entered.wait(timeout=10)
    threads.parallel(lambda i: None, 1)
    left.set()
    other.join(timeout=10)
    assert inside == [1] * len(libraries)
    for library, count in zip(libraries, before, strict=True):
        library.set_num_threads(count)
