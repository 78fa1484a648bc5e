# %% [markdown]
# # 3. Broadcasting, and why gradients are summed
#
# NumPy adds a row b of shape (3,) to each row of a matrix of shape (4, 3). This is *broadcasting*:
# b acts as if it were repeated four times. What is the gradient of b?
#
# Each number of b is used four times, so it changes the result along four paths. By lesson 1, the
# gradients of all paths are added. **The gradient of broadcasting is a sum.**

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad.tape import unbroadcast

# %%
x = mg.tensor(np.arange(12.0).reshape(4, 3), dtype="float64")
b = mg.tensor([10.0, 20.0, 30.0], dtype="float64", requires_grad=True)
y = x + b
arriving = np.arange(1.0, 13.0).reshape(4, 3)
y.backward(mg.tensor(arriving, dtype="float64"))
print("gradient that arrives at y:\n", arriving)
print("gradient of b:", b.grad.numpy(), " = the sums of the columns:", arriving.sum(axis=0), "\n")

# %% [markdown]
# ## Why: a copy is a matrix
#
# Broadcasting is linear, so there is a matrix R with *all numbers of y = R b*. Each row of R picks
# one number of b. For any linear step y = R b the gradient goes back through the **transpose**,
#
#     dL/db = Rᵀ dL/dy
#
# and where R has several ones in a column, Rᵀ has several ones in a row: it adds.

# %%
rows, columns = y.shape
copies = np.zeros((rows * columns, columns))
for i in range(rows):
    for j in range(columns):
        copies[i * columns + j, j] = 1  # y[i, j] is a copy of b[j]
np.testing.assert_array_equal(copies @ b.detach().numpy(), np.tile(b.detach().numpy(), rows))
print("Rᵀ times the arriving gradient:", copies.T @ arriving.reshape(-1), "\n")

# %% [markdown]
# ## Which axes are summed
#
# NumPy aligns shapes at their last axis. An axis is repeated if it is missing or has length 1. The
# engine sums over these axes in one place for all operations: an operation such as `mul` returns
# gradients of the result's shape, and ignores broadcasting. The function is `unbroadcast`, in
# `minigrad/tape/backward.py`.

# %%
g = np.ones((2, 4, 3))
for shape in [(2, 4, 3), (4, 3), (3,), (4, 1), (2, 1, 1), ()]:
    summed = unbroadcast(g, shape)
    print(f"an input of shape {shape!s:9} gets gradients of shape {summed.shape!s:9}", end=" ")
    print(f"each a sum of {int(summed.flat[0])}")

# %% [markdown]
# The reverse holds too: **the gradient of a sum is broadcasting.** Each number counts once in the
# sum, so each gets the same gradient. NumPy makes this copy without memory: all numbers share one
# address, with a stride of 0 bytes.

# %%
v = mg.tensor(np.ones((4, 3)), requires_grad=True)
v.sum(dim=0).backward(mg.tensor([1.0, 2.0, 3.0], dtype="float64"))
print("\ngradient of v, where v.sum(dim=0) got [1, 2, 3]:\n", v.grad.numpy())
print("strides of a broadcast row:", np.broadcast_to([1.0, 2.0, 3.0], (4, 3)).strides)

# %%
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(10, 3.6), layout="constrained", width_ratios=(1, 2.6, 1.2)
)
left.imshow(copies, cmap="Greys", vmin=0, vmax=2.5)
left.set(title="R: copies", xlabel="of b", ylabel="of y")
middle.imshow(copies.T, cmap="Oranges", vmin=0, vmax=2)
middle.set(title="Rᵀ: sums", xlabel="of dL/dy", ylabel="of dL/db")
for axes, matrix in ((left, copies), (middle, copies.T)):
    axes.set(xticks=range(matrix.shape[1]), yticks=range(matrix.shape[0]))
    for (i, j), one in np.ndenumerate(matrix):
        axes.text(j, i, int(one), ha="center", va="center", color="black" if one else "0.75")
right.imshow(arriving, cmap="Oranges", vmin=-4, vmax=16)
for (i, j), value in np.ndenumerate(arriving):
    right.text(j, i, int(value), ha="center", va="center")
for j, value in enumerate(b.grad.numpy()):
    right.text(j, 4.25, int(value), ha="center", va="center", weight="bold", color="C1")
right.set(title="dL/dy, and below\nits sums dL/db", xticks=[], yticks=[], ylim=(4.7, -0.5))
figure.savefig("03_broadcasting.png")

# %% [markdown]
# ## Exercises
#
# 1. Write `unbroadcast(g, shape)` yourself, with `np.sum` alone. Check it against the engine's with
#    `numpy.broadcast_shapes` and shapes that Hypothesis draws.
# 2. Derive the gradient of y = x − mean(x) from what this lesson says about sums and copies. Check
#    it with `mg.gradcheck`. What is the sum of all gradients of x, for any gradient of y?
#
# Solutions: `tests/examples/lessons/test_03_broadcasting.py`.
