"""Speed of every public operation, layer, loss and optimiser compared with PyTorch, on the CPU.

    python -m benchmarks.ops                                 # all, about fifteen minutes
    python -m benchmarks.ops --family loss --family reduce   # a minute each at the most
    python -m benchmarks.ops --name softmax --name gelu
    python -m benchmarks.ops --redraw ops.json --plot ops.png

:mod:`benchmarks.ops.table` lists the cases by family. Each is timed forward (recorded for backward)
and backward (the gradients of all operands), for three sizes, transposed, and in float64. PyTorch's
time is the better of NCHW and channels_last (for an optimiser, of plain and fused), with glibc
keeping freed memory (see :mod:`benchmarks.contest`).

The ratio of a row is PyTorch's time divided by minigrad's: above 1, minigrad is faster. The ratio
of a family is the geometric mean. ``of_peak`` is the share of the machine's peak, measured before:
that of a large matrix product for matrix products and convolutions, otherwise that of a large copy,
counting operands, results and gradients once. Small operands stay in the cache, so it may exceed 1.
"""
