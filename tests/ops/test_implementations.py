"""Every implementation of every operation against its definition, over drawn shapes, options,
dtypes, memory orders, numbers of threads and sizes of blocks.

What to draw for an operation stands in a module ``cases_<topic>.py`` of this folder, in a dict
``CASES``; :class:`tests.ops.driver.Cases` says what an entry holds.
"""

from __future__ import annotations

import gc
import importlib
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.dispatch import Dispatched
from tests.common import set_compiled
from tests.ops import driver

FEW = 5  # examples, of which any implementation without kernels serves one
MODULES = [
    importlib.import_module(f"tests.ops.{file.stem}")
    for file in sorted(Path(__file__).parent.glob("cases_*.py"))
]
CASES = {operation: cases for module in MODULES for operation, cases in module.CASES.items()}
WAYS = [
    pytest.param(
        operation,
        implementation,
        mode,
        id=f"{operation.__name__.strip('_')}-{implementation.function.__module__}."
        f"{implementation.function.__name__}-{mode}",
    )
    for operation in CASES
    for implementation in operation.implementations
    for mode in ("compiled", "NumPy", "gpu")
    if (mode == "gpu") == (implementation.device == "gpu")
]


def test_every_operation_has_cases():
    """All that have implementations."""
    gc.unfreeze()  # tests/conftest.py
    found = [o for o in gc.get_objects() if issubclass(type(o), Dispatched) and o.implementations]
    gc.freeze()
    ours = [o.__qualname__ for o in found if o.__module__.startswith("minigrad.")]
    assert sorted(ours) == sorted(operation.__qualname__ for operation in CASES)


@pytest.mark.parametrize(("operation", "implementation", "mode"), WAYS)
def test_equals_the_definition(operation, implementation, mode):
    if mode == "compiled":
        pytest.importorskip("numba")
    if mode == "gpu" and shutil.which("g++") is None:
        pytest.skip("no g++, which compiles the CUDA kernels for the CPU")
    cases, served = CASES[operation], 0

    def draw(examples):
        @settings(max_examples=examples)
        @given(st.data())
        def check(data):
            nonlocal served
            served += driver.check(operation, implementation, cases, data)

        check()

    with set_compiled(mode == "compiled"):
        if mode == "NumPy":
            draw(FEW)
        if mode != "NumPy" or served:  # else it needs kernels
            draw(10 if mode == "gpu" else cases.examples)
    assert served or mode == "NumPy", "nothing that was drawn is what it serves"
