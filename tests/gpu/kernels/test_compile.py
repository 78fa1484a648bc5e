"""Every CUDA kernel compiles without warnings for every generation of GPU, each way it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from minigrad.gpu import launch as cuda
from tests.gpu.kernels.nvrtc import compiled, resources
from tests.gpu.kernels.registry import ARCHITECTURES, DOUBLE, FAMILIES

KERNELS = Path(cuda.__file__).parent
CASES = [(family, macros) for family, sets in FAMILIES.items() for macros in sets]
USED = [
    (family, macros, architecture)
    for family, macros in CASES
    for architecture in ARCHITECTURES
    if architecture != "sm_75" or macros.get("PRECISION", "0") == "0"  # it has no other
]


def test_every_file_is_registered():
    assert {file.stem for file in KERNELS.glob("*.cu")} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_sources_are_text_in_every_locale(family):
    """CuPy hands them to the compiler in files of the locale's encoding."""
    assert cuda.source(family).isascii()


@pytest.mark.parametrize(("family", "macros", "architecture"), USED, ids=str)
def test_compiles(family, macros, architecture):
    """On A100 and Hopper without registers in memory, and for two blocks at a time."""
    code = compiled(cuda.source(family), architecture, **macros)
    for name in cuda.declarations(family):
        assert f".text.{name}".encode() in code
    found = resources(cuda.source(family), architecture, **macros)
    assert set(found) == set(cuda.declarations(family))
    for name, taken in found.items() if architecture in ("sm_80", "sm_90") else ():
        assert taken.spilled == 0, name
        assert taken.shared <= 48 << 10, name  # what needs no asking for
        threads = 128 if int(macros.get("BM", 128)) < 128 else 256
        assert 2 * threads * taken.registers <= 1 << 16, f"{name}: {taken}"


@pytest.mark.parametrize("family", FAMILIES)
def test_float_kernels_do_not_count_in_double(family):
    """It is up to 64 times slower, and one constant without an f is enough."""
    macros = next(m for m in FAMILIES[family] if m.get("REAL", "float") == "float")
    _, *kernels = compiled(cuda.source(family), "compute_80", **macros).decode().split(".entry ")
    found = {k.partition("(")[0] for k in kernels if ".f64" in k}
    assert found == DOUBLE & set(cuda.declarations(family))


@pytest.mark.parametrize(("family", "macros"), CASES, ids=str)
def test_every_kernel_is_understood(family, macros):
    """`launch` finds each kernel of the file, and can check its arguments."""
    names = list(cuda.declarations(family))
    assert len(names) == cuda.source(family).count('extern "C" __global__') > 0
    for name in names:
        assert cuda.signature(family, name, tuple(macros.items()))


def test_registers_in_memory_are_seen():
    text = """extern "C" __global__ void __launch_bounds__(1024) f(float *x, int n) {
        float a[99];
        for (int i = 0; i < 99; ++i) a[i] = x[i * n];
        __syncthreads();
        for (int i = 0; i < 99; ++i) x[i] = a[98 - i];
    }"""
    assert resources(text, "sm_80")["f"].spilled > 0


def test_a_warning_fails():
    with pytest.raises(AssertionError, match="never referenced"):
        compiled('extern "C" __global__ void f() { int x; }', "sm_80")
