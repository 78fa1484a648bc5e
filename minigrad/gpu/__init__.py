"""Operations on a GPU: CUDA kernels, their launches, and recorded training steps."""
