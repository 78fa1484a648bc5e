"""Every public operation, layer, loss and optimiser by itself, minigrad beside PyTorch, on the CPU.

    python -m benchmarks.ops                                 # all, about fifteen minutes
    python -m benchmarks.ops --family loss --family reduce   # a minute each at the most
    python -m benchmarks.ops --name softmax --name gelu
    python -m benchmarks.ops --redraw ops.json --plot ops.png

The cases stand in :mod:`benchmarks.ops.table` by family. Each is timed forward (recorded for
backward) and backward (the gradients of all operands), on three sizes, transposed, and in float64.
PyTorch's time is the better of NCHW and channels_last, of an optimiser plain and fused, with glibc
keeping freed memory (see :mod:`benchmarks.contest`).

A row's ratio is PyTorch's time over minigrad's, so more than 1 is faster. A family's is the
geometric mean. ``of_peak`` is a share of the machine's peak, measured before: of a large matrix
product for products, else of a large copy, where operands, results and gradients count once. Small
operands stay in the caches, so it may exceed 1.
"""
