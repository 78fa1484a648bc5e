"""Settings of the whole suite, and the devices that tests run on."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

import minigrad as mg
from minigrad.cpu import helper

pytest.register_assert_rewrite("tests.common")

from tests.common import set_compiled  # noqa: E402  # after what rewrites its assertions

torch.set_num_threads(1)
helper.refuse()  # pytest has processes enough
CI = bool(os.environ.get("CI"))  # where the same examples are drawn each time: fewer suffice
settings.register_profile("minigrad", max_examples=20 if CI else 30, deadline=None, derandomize=CI)
settings.load_profile("minigrad")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The collector never looks at the modules and thousands of tests, which all stay: one look
    takes most of a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)], scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Each device in turn; "gpu" is skipped where there is none."""
    if request.param == "gpu" and not mg.is_gpu_available():
        pytest.skip("no GPU: CuPy or a CUDA device is missing")
    return request.param


@pytest.fixture(params=["auto", "numpy", "definition"], scope="module")
def each_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each choice of implementations in turn, "auto" with compiled kernels."""
    if request.param == "auto":
        pytest.importorskip("numba")
    with set_compiled(mg.is_compiled()):
        mg.set_implementation(request.param)
        yield
        mg.set_implementation("auto")


@pytest.fixture(scope="module")
def compiled() -> Iterator[None]:
    """Compiled kernels, whatever the environment says; skipped without Numba."""
    pytest.importorskip("numba")
    with set_compiled(True):
        yield


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """The same draws and precision for every test, whatever a GPU's default; the number of threads,
    which decides rounding, put back."""
    mg.manual_seed(0)
    mg.set_precision("fp32")
    threads = mg.get_num_threads()
    yield
    if mg.get_num_threads() != threads:
        mg.set_num_threads(threads)
