"""NVIDIA's machine on a CPU: its compiler's code runs in an interpreter that checks every access.

:mod:`tests.emulated.kernels` runs the kernels of minigrad on NumPy arrays, with g++ and NVRTC.
"""
