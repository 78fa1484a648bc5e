# %% [markdown]
# # 5. Convolution by im2col, and why backward rotates the filter
#
# A convolution slides a small filter over an image. At each position it multiplies the filter with
# the pixels below and sums the products. Loops in Python are slow. So we copy all patches into the
# columns of one matrix (**im2col**, image to columns). Then the convolution is *one matrix
# product*, which is fast.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad.ops.conv import Window, col2im, flip_filters, im2col

F = mg.functional
mg.set_implementation("definition")  # run the definitions, not the fast implementations

# %% [markdown]
# ## By loops
#
# One image of 5 × 5 with one channel, and one filter of 3 × 3 that detects vertical edges.

# %%
image = np.zeros((5, 5))
image[:, 2:] = [4.0, 5.0, 6.0]
image[1, 1] = 9.0
edges = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
y = np.zeros((3, 3))
for i in range(3):
    for j in range(3):
        y[i, j] = (image[i : i + 3, j : j + 3] * edges).sum()
print("by loops:\n", y)

# %% [markdown]
# ## By im2col
#
# The engine's `im2col` returns (C, KH·KW, N, OH, OW): for each of the 9 elements of the filter, the
# pixels that it is multiplied with. Reshaped, each column is one patch.

# %%
window, padding = Window((3, 3)), (0, 0)
columns = im2col(image[None, None], padding, window)
matrix = columns.reshape(9, 9)
print("\nthe patch at row 0, column 1:", image[0:3, 1:4].reshape(-1))
print("column 1 of the matrix:      ", matrix[:, 1])
print("filter times matrix:\n", (edges.reshape(1, 9) @ matrix).reshape(3, 3))
np.testing.assert_array_equal((edges.reshape(1, 9) @ matrix).reshape(3, 3), y)

# %% [markdown]
# ## Backward
#
# Y = W X is a product, so its gradients are those of a product: dL/dW = G Xᵀ and dL/dX = Wᵀ G. But
# X holds copies of pixels: each pixel is in up to nine columns. Lesson 3: the gradient of copies is
# their sum. `col2im` adds each column to its patch of the image.

# %%
g = np.zeros((3, 3))
g[1, 1] = 1.0  # a gradient arrives at the middle output only ...
gradients = (edges.reshape(9, 1) @ g.reshape(1, 9)).reshape(columns.shape)  # Wᵀ G
spread = col2im(gradients, (5, 5), padding, window)
print("\none output sends its gradient to its patch, times the filter:\n", spread[0, 0])

x = mg.tensor(image[None, None], requires_grad=True)
w = mg.tensor(edges[None, None], requires_grad=True)
F.conv2d(x, w).backward(mg.tensor(g[None, None]))
np.testing.assert_array_equal(x.grad.numpy(), spread)  # the engine agrees

# %% [markdown]
# ## Why the filter is rotated
#
# Consider one pixel and the outputs that send it a gradient. The output one row *above* the pixel
# used it with the filter's *bottom* row; the output to the *left* used it with the *right* column.
# Seen from the pixel, the filter is upside down and mirrored: rotated by 180°. So the backward pass
# of a convolution is again a convolution, of the padded gradient with the rotated filter. (With
# several channels, input and output channels also change places.)

# %%
draw = np.random.default_rng(0)
g = draw.integers(-3, 4, (1, 1, 3, 3)).astype(float)
gradients = (edges.reshape(9, 1) @ g.reshape(1, 9)).reshape(columns.shape)
by_columns = col2im(gradients, (5, 5), padding, window)
rotated = flip_filters(edges[None, None], groups=1)
by_rotation = F.conv2d(mg.tensor(g), mg.tensor(rotated), padding=2).numpy()
np.testing.assert_allclose(by_rotation, by_columns, atol=1e-12)
print("\nfilter:\n", edges, "\nrotated:\n", rotated[0, 0])
print("col2im and the rotated filter give the same gradient:\n", by_rotation[0, 0])

# %%
figure, axes = plt.subplots(
    1, 4, figsize=(13, 3.9), layout="constrained", width_ratios=(5, 9, 3, 5)
)


def table(axes, numbers, title, cmap, limit, marked=()):
    axes.imshow(numbers, cmap=cmap, vmin=-limit, vmax=limit)
    for (i, j), value in np.ndenumerate(numbers):
        axes.text(j, i, f"{value:g}", ha="center", va="center", fontsize=8)
    for top, left, height, width in marked:
        box = plt.Rectangle((left - 0.5, top - 0.5), width, height, fill=False, color="C3", lw=2.5)
        box.set_clip_on(False)
        axes.add_patch(box)
    axes.set(title=title, xticks=[], yticks=[])


table(axes[0], image, "image and one patch", "PuOr", 14, [(0, 1, 3, 3)])
table(axes[1], matrix, "its columns, and the patch as a column", "PuOr", 14, [(0, 1, 9, 1)])
table(axes[2], y, "output", "PuOr", 40, [(0, 1, 1, 1)])
table(axes[3], spread[0, 0], "gradient of the middle\noutput, spread by col2im", "RdBu", 4)
figure.savefig("05_convolution.png")

# %% [markdown]
# ## Exercises
#
# 1. Show that col2im is the transpose of im2col: for all a and b of matching shapes, the sum of
#    im2col(a) · b equals the sum of a · col2im(b). Let Hypothesis draw stride, padding and size.
# 2. With stride 2, which pixels get no gradient from a 1 × 1 filter? Express the input gradient at
#    stride 2 as a convolution with the rotated filter: put zeros between the numbers of g first.
#
# Solutions: `tests/examples/lessons/test_05_convolution.py`. The explorer shows all this for a
# pixel that you choose: lesson 12.
