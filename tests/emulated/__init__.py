"""NVIDIA's machine on a CPU: its compiler's code runs in an interpreter that checks every access.

:mod:`tests.emulated.kernels` runs the kernels of minigrad on NumPy arrays, which takes a C++ compiler
and NVRTC. :mod:`tests.emulated.under_cupy` puts the same machine under the real CuPy:

    pip install -e '.[dev,emulated]'
    python -m tests.emulated -m gpu tests/gpu
"""
