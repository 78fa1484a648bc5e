"""Tensor-core fragments against matrix products, and what takes their place below sm_80."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from minigrad.gpu import launch as cuda
from tests.common import seeds
from tests.emulated import kernels
from tests.gpu.kernels.nvrtc import compiled
from tests.gpu.kernels.registry import ARCHITECTURES

pytestmark = pytest.mark.usefixtures("on_cpu")

# Row-major A and B, one warp.
KERNELS = r"""
#include "mma.cuh"

extern "C" __global__ void product_tf32(const float *A, const float *B, float *D) {
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned a[4], b[2];
    float d[4] = {};
    for (int i = 0; i < 4; ++i) a[i] = to_tf32(A[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
    for (int i = 0; i < 2; ++i) b[i] = to_tf32(B[(t + i * 4) * 8 + g]);
    mma_m16n8k8_tf32(d, a, b);
    for (int i = 0; i < 4; ++i) D[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

extern "C" __global__ void product_bf16(const float *A, const float *B, float *D) {
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned a[4], b[2];
    float d[4] = {};
    for (int i = 0; i < 4; ++i) {
        const float *at = A + (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
        a[i] = to_bf16x2(at[0], at[1]);
    }
    for (int i = 0; i < 2; ++i) {
        const float *at = B + (2 * t + i * 8) * 8 + g;
        b[i] = to_bf16x2(at[0], at[8]);
    }
    mma_m16n8k16_bf16(d, a, b);
    for (int i = 0; i < 4; ++i) D[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

extern "C" __global__ void rounded(const float *x, float *tf32, unsigned *bf16, int n) {
    for (int i = 0; i < n; ++i) {
        tf32[i] = __uint_as_float(to_tf32(x[i]));
        bf16[i] = to_bf16x2(x[i], -x[i]);
    }
}

extern "C" __global__ void copied(const float *x, float *y) {
    __shared__ __align__(16) float held[8];
    cp_async_16(held, x);
    cp_async_4(held + 4, x + 4, false);
    cp_async_commit();
    cp_async_wait<0>();
    for (int i = 0; i < 5; ++i) y[i] = held[i];
}
"""


@pytest.fixture(autouse=True, params=["compute_75", "compute_90"])
def _test_kernels(monkeypatch, request):
    monkeypatch.setattr(kernels, "TARGET", request.param)
    text = cuda._text
    monkeypatch.setattr(cuda, "_text", lambda f: KERNELS if f == "mma_test.cu" else text(f))


def tf32(x):
    """Ten bits of mantissa, ties away from zero."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    scaled = np.abs(mantissa) * 2**11
    return np.copysign(np.floor(scaled + 0.5) * np.exp2(exponent - 11.0), x)


def bf16(x):
    """Seven bits of mantissa, ties to even."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.rint(mantissa * 2**8) * np.exp2(exponent - 8.0)


@pytest.mark.parametrize(("name", "k", "to"), [("tf32", 8, tf32), ("bf16", 16, bf16)])
def test_products(name, k, to):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((16, k), (k, 8)))
    d = np.empty((16, 8), np.float32)
    cuda.launch("mma_test", f"product_{name}", 1, 32, (a, b, d))
    np.testing.assert_allclose(d, to(a) @ to(b), 1e-5, 1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds)
@np.errstate(invalid="ignore")  # NaN of every kind
def test_rounding(seed):
    bits = np.random.default_rng(seed).integers(0, 2**32, 64, np.uint32)
    bits[:8] = [0, 1 << 31, 0x3F801000, 0x3F803000, 0x3F808000, 0x3F818000, 0x7F800000, 0x7FC00000]
    x = bits.view(np.float32)
    # Numbers near the largest round to infinity, the least ones are denormal: apart, below.
    x = np.where((np.abs(x) < 1e38) & (np.abs(x) > 1e-37) | (x == 0) | ~np.isfinite(x), x, 1)
    x = x.astype(np.float32)
    y, z = np.empty(64, np.float32), np.empty(64, np.uint32)
    cuda.launch("mma_test", "rounded", 1, 1, (x, y, z, 64))
    np.testing.assert_array_equal(y, tf32(x))
    np.testing.assert_array_equal((z << 16).view(np.float32), bf16(x))
    np.testing.assert_array_equal((z & 0xFFFF0000).view(np.float32), -bf16(x))


def test_copies():
    x, y = np.arange(8, dtype=np.float32), np.empty(5, np.float32)
    cuda.launch("mma_test", "copied", 1, 1, (x, y))
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 0])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles(architecture):
    code = compiled(cuda.source("mma_test"), architecture)
    assert b".text.product_bf16" in code
