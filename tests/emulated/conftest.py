"""Kernels on NumPy arrays, for tests of the emulator itself."""

from tests.gpu.kernels.conftest import on_cpu  # noqa: F401  # a fixture
