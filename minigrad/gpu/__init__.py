"""How a GPU runs operations: CUDA kernels, their launches, recorded steps."""
