"""Subnormal numbers are zero on all threads after ``set_flush_denormal(True)``."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.cpu import denormals

TINY = 1e-40  # subnormal in float32
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in denormals.REGISTERS,
    reason="unknown for this processor and system",
)


@pytest.fixture(autouse=True)
def kept_again():
    yield
    mg.set_flush_denormal(False)


def tiny(count):
    """That many subnormal numbers, also while the processor would make zeros of them."""
    return mg.Tensor(np.full(count, np.float32(TINY).view(np.int32)).view(np.float32))


def remaining(x):
    """How many elements of half of x are not zero, by their bits: compared, they would be zeros."""
    return int(np.count_nonzero((x * 0.5).data.view(np.int32)))


@pytest.mark.parametrize("count", [4, 1 << 20])  # one thread, and several
@pytest.mark.parametrize("compiled", [False, True])
def test_products_are_zero_until_it_is_unset(count, compiled):
    if compiled and not mg.is_compiled():
        pytest.skip("Numba is missing")
    before = mg.get_num_threads(), mg.is_compiled()
    mg.set_num_threads(3)
    mg.set_compiled(compiled)
    x = tiny(count)
    try:
        for flushes in (False, True, False, True):
            assert mg.set_flush_denormal(flushes) is True
            assert remaining(x) == (0 if flushes else count)
    finally:
        mg.set_num_threads(before[0])
        mg.set_compiled(before[1])


def test_other_threads_of_the_program_keep_theirs():
    go, seen = threading.Event(), []

    def work():
        go.wait()
        seen.append(remaining(tiny(4)))

    thread = threading.Thread(target=work)
    thread.start()
    mg.set_flush_denormal(True)
    go.set()
    thread.join()
    assert seen == [4]
    assert remaining(tiny(4)) == 0


def test_kernels_may_be_compiled_meanwhile():
    """Constants that are computed from subnormal numbers would be wrong."""
    program = (
        "import minigrad as mg; mg.set_flush_denormal(True); x = mg.randn(64);"
        "y = mg.functional.softmax(x, 0).sum(); z = mg.functional.gelu(x).exp().log();"
        "assert abs(y.item() - 1) < 1e-6 and z.isfinite().all()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_an_unknown_processor_is_no_error(monkeypatch):
    monkeypatch.setattr(denormals, "REGISTERS", {})
    assert mg.set_flush_denormal(True) is False
    assert remaining(tiny(4)) == 4


def test_a_mode_is_a_bool():
    with pytest.raises(TypeError, match=r"mode: expected True or False, got int"):
        mg.set_flush_denormal(1)
