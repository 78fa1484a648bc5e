"""How a CPU runs operations faster than their definitions: threads, blocks, compiled kernels."""
