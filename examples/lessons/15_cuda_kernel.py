# %% [markdown]
# # 15. A CUDA kernel and its NumPy twin
#
# A GPU runs one small program, the *kernel*, in thousands of threads. Threads are grouped in
# blocks. Each thread knows the number of its block and its own number in the block, and from them
# the element to work on. Every kernel of the engine has a twin: the definition in NumPy, which
# computes the same for the whole array. We read two kernels, and run the same steps on the CPU. No
# GPU is needed.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad.gpu import launch

# %% [markdown]
# ## One thread per element
#
# This is the engine's kernel for the gradient of ReLU. `REAL` is float or double.

# %%
print(launch.source("activation").strip(), "\n")

# %% [markdown]
# To run it on a CPU, replace the GPU by two loops: over blocks, and over the threads of a block.
# The last block may extend beyond the end of the array. Hence the `if` in the kernel: without it, a
# thread would write outside the array.


# %%
def relu_gradient(block, thread, block_size, y, g, n, gx):
    """The kernel, line by line, for one thread."""
    i = block * block_size + thread
    if i < n:
        gx[i] = g[i] if y[i] != 0 else 0


def run(kernel, blocks, threads, *arguments):
    """Run all threads one after the other; a GPU runs them in parallel, in any order."""
    for block in np.random.default_rng().permutation(blocks):
        for thread in range(threads):
            kernel(block, thread, threads, *arguments)


draw = np.random.default_rng(0)
x = draw.normal(size=1000).astype(np.float32)
g = draw.normal(size=1000).astype(np.float32)
y = np.maximum(x, 0)
gx = np.full(1000, np.nan, np.float32)
threads = 256
blocks = launch.blocks(len(x), threads)
run(relu_gradient, blocks, threads, y, g, len(x), gx)
print(f"{blocks} blocks of {threads} threads for {len(x)} elements")

mg.set_implementation("definition")
t = mg.tensor(x, requires_grad=True)
t.relu().backward(mg.tensor(g))
mg.set_implementation("auto")
np.testing.assert_array_equal(gx, t.grad.numpy())
print("kernel and definition agree, bit for bit\n")

# %% [markdown]
# ## Threads that work together: a sum
#
# A sum needs all elements, so threads must exchange values. The threads of a block share a little
# fast memory, and can wait for each other (`__syncthreads`). They add in a **tree**: first thread i
# adds the value of thread i + 128, then of i + 64, and so on: 8 rounds for 256 numbers.
#
#     shared[thread] = x[i];
#     for (int half = blockDim.x / 2; half > 0; half /= 2) {
#         __syncthreads();                    // all have written before anyone reads
#         if (thread < half) shared[thread] += shared[thread + half];
#     }
#
# The NumPy twin computes each round for all threads of a block at once. The end of a statement is
# the barrier.


# %%
def tree_sum(x, block_size=256):
    """The sum of x: a tree in each block, then a tree over the blocks."""
    padded = np.zeros(-(-len(x) // block_size) * block_size, x.dtype)
    padded[: len(x)] = x
    shared = padded.reshape(-1, block_size).copy()
    half = block_size // 2
    while half:
        shared[:, :half] += shared[:, half : 2 * half]
        half //= 2
    sums = shared[:, 0]
    return sums[0] if len(sums) == 1 else tree_sum(sums, block_size)


# %% [markdown]
# ## Why the engine uses no atomic additions
#
# There is a simpler way: every thread adds its number to one variable, with `atomicAdd`. But then
# the order of the additions depends on the timing of the threads, and a floating-point sum depends
# on the order. Two runs of the same training would differ. A tree has a fixed order, is as fast,
# and rounds *less*: each number passes through log₂ n additions instead of up to n.

# %%
values = draw.uniform(0, 1, 20000).astype(np.float32)
exact = values.astype(np.float64).sum()
in_any_order = []
for seed in range(200):
    order = np.random.default_rng(seed).permutation(len(values))
    in_any_order.append(np.cumsum(values[order])[-1])  # one after the other, in float32
tree = [tree_sum(values) for _ in range(200)]
print(f"200 runs with atomics: {len(set(in_any_order))} different sums,", end=" ")
print(f"off by up to {np.abs(np.array(in_any_order) - exact).max():.4f}")
print(f"200 runs with a tree:  {len(set(tree))} sum, off by {abs(tree[0] - exact):.4f}")

# %% [markdown]
# With a GPU, the same tensor code runs the real kernels:

# %%
if mg.is_gpu_available():
    on_gpu = mg.tensor(x, device="gpu", requires_grad=True)
    on_gpu.relu().backward(mg.tensor(g, device="gpu"))
    np.testing.assert_array_equal(on_gpu.grad.cpu().numpy(), gx)
    print("and the GPU agrees")
else:
    print("\n(no GPU here; the tests run the compiled kernels in an interpreter: tests/emulated)")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for level, half in enumerate((8, 4, 2, 1)):
    for thread in range(half):
        for source in (thread, thread + half):
            left.plot([source, thread], [-level, -level - 1], "C0-" if source == thread else "C1-")
for level in range(5):
    count = 16 >> level
    left.plot(range(count), [-level] * count, "o", color="black", markersize=4)
left.set(title="A tree of 16 threads: four rounds", xlabel="thread", yticks=-np.arange(5))
left.set_yticklabels(["numbers", "round 1", "round 2", "round 3", "sum"])
right.hist(np.array(in_any_order) - exact, bins=30, color="C1", alpha=0.8, label="atomics")
right.axvline(tree[0] - exact, color="C0", linewidth=3, label="tree, every time")
right.set(title="Error of 200 sums of 20000 numbers", xlabel="error")
right.legend()
figure.savefig("15_cuda_kernel.png")

# %% [markdown]
# ## Exercises
#
# 1. Write the kernel of y = a x + b for arrays of any length as a function of one thread, with a
#    *grid-stride loop*: a fixed number of threads, each taking every (blocks · threads)-th element.
# 2. In the tree above, leave out the barrier: let the threads of a round run one after the other in
#    a random order, each doing all its rounds at once. How often is the sum right?
#
# Solutions: `tests/examples/lessons/test_15_cuda_kernel.py`. The engine's kernels are
# `minigrad/gpu/reduce.cuh` and `minigrad/gpu/norm.cu`; compare them with `minigrad/ops/norm.py`.
