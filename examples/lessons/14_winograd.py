# %% [markdown]
# # 14. Winograd: convolution with fewer multiplications
#
# Two outputs of a filter with three weights take 2 · 3 = 6 multiplications:
#
#     y₀ = w₀ d₀ + w₁ d₁ + w₂ d₂
#     y₁ = w₀ d₁ + w₁ d₂ + w₂ d₃
#
# Winograd showed that 4 are enough; for images, 16 instead of 36, or 36 instead of 144. The engine
# computes 3 × 3 convolutions in this way. We derive it in three steps, and let NumPy compute the
# matrices.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

F = mg.functional
INFINITY = np.inf

# %% [markdown]
# ## Step 1: multiply polynomials by their values
#
# Take the numbers as coefficients of polynomials. The product of h (m coefficients) and w (r
# coefficients) has n = m + r − 1 coefficients, so its values at n points determine it, and a value
# of the product is a product of values. *n multiplications are enough.* Evaluation is a product
# with a Vandermonde matrix, V; coefficients follow from values by its inverse:
#
#     h · w = V_n⁻¹ [ (V_r w) ⊙ (V_m h) ]
#
# The point "infinity" is the highest coefficient.


# %%
def vandermonde(points, width):
    """Row by row 1, x, x² … for each point; (0, …, 0, 1) for infinity."""
    last = np.eye(width)[-1]
    return np.array([last if x == INFINITY else x ** np.arange(width) for x in points])


points = [0.0, 1.0, -1.0, INFINITY]
h, w = np.array([2.0, 3.0]), np.array([1.0, 4.0, -2.0])
values = (vandermonde(points, 3) @ w) * (vandermonde(points, 2) @ h)  # four multiplications
print("by values:   ", np.linalg.inv(vandermonde(points, 4)) @ values)
print("numpy's:     ", np.convolve(h, w), "\n")

# %% [markdown]
# ## Step 2: transpose
#
# This is a convolution, whose result is *longer* than h. We need a correlation, y_i = Σ w_k
# d_(i+k), whose result is shorter than d. Lesson 5 showed that one is the transpose of the other.
# So we transpose the three matrices, and reverse their order:
#
#     y = Aᵀ [ (G w) ⊙ (Bᵀ d) ]     with  Aᵀ = V_mᵀ,  G = V_r,  Bᵀ = V_n⁻ᵀ


# %%
def matrices(m, points):
    """Aᵀ, G and Bᵀ for m outputs of a filter of 3."""
    inverse = np.linalg.inv(vandermonde(points, m + 2))
    return vandermonde(points, m).T, vandermonde(points, 3), inverse.T


at, g, bt = matrices(2, points)
d = np.array([5.0, -1.0, 2.0, 7.0])
print("by Winograd: ", at @ ((g @ w) * (bt @ d)))
print("by definition", np.correlate(d, w, "valid"))
print(f"Aᵀ =\n{at}\nG =\n{g}\nBᵀ =\n{bt}\n")

# %% [markdown]
# ## Step 3: two dimensions, many channels
#
# Apply it to rows, then to columns: Y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A. The filter and each tile of
# the input are transformed once. The sum over channels in between is again a matrix product.


# %%
def winograd(x, w, m, points):
    """The correlation of x (C, H, W) with w (O, C, 3, 3), m × m outputs at a time."""
    at, g, bt = (a.astype(x.dtype) for a in matrices(m, points))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    filters = g @ w @ g.T  # (O, C, n, n)
    y = np.empty((len(w), height, width), x.dtype)
    for i in range(0, height, m):
        for j in range(0, width, m):
            tile = bt @ x[:, i : i + m + 2, j : j + m + 2] @ bt.T  # (C, n, n)
            y[:, i : i + m, j : j + m] = at @ (filters * tile).sum(axis=1) @ at.T
    return y


draw = np.random.default_rng(0)
x, w = draw.normal(size=(64, 26, 26)), draw.normal(size=(8, 64, 3, 3)) / 24
with_tape = F.conv2d(mg.tensor(x), mg.tensor(w)).numpy()
off = np.abs(winograd(x, w, 2, points) - with_tape).max()
print(f"largest difference from minigrad's convolution, in float64: {off:.1e}")

# %% [markdown]
# ## The price: rounding
#
# Larger tiles need more points. Points far from 1 have large powers, so results are small
# differences of large numbers. The choice of points matters. The engine uses 4 × 4 outputs and the
# points 0, ±1/2, ±3/2, with half the error of the usual 0, ±1, ±2.

# %%
tilings = {
    "2 × 2: 0, ±1": (2, points),
    "4 × 4: 0, ±1, ±2": (4, [0.0, 1.0, -1.0, 2.0, -2.0, INFINITY]),
    "4 × 4: 0, ±1/2, ±3/2": (4, [0.0, 0.5, -0.5, 1.5, -1.5, INFINITY]),
    "6 × 6: 0, ±1, ±2, ±1/2": (6, [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, INFINITY]),
}
single = x.astype(np.float32), w.astype(np.float32)
mg.set_implementation("definition")
directly = F.conv2d(mg.tensor(single[0]), mg.tensor(single[1])).numpy()
mg.set_implementation("auto")
names, errors, counts = ["im2col"], [np.sqrt(np.mean((directly - with_tape) ** 2))], [9.0]
for name, (m, chosen) in tilings.items():
    names.append(name)
    errors.append(np.sqrt(np.mean((winograd(*single, m, chosen) - with_tape) ** 2)))
    counts.append((m + 2) ** 2 / m**2)
print(f"{'float32':24}multiplications per output   rounding error")
for name, count, error in zip(names, counts, errors, strict=True):
    print(f"{name:24}{count:26.2f}   {error:14.1e}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
colors = ["0.6", "C0", "C1", "C2", "C3"]
left.barh(names, counts, color=colors)
left.invert_yaxis()
left.set(title="multiplications per output and channel")
right.barh(names, np.array(errors) / errors[0], color=colors)
right.set(title="rounding error, im2col = 1", xscale="log")
for axes, numbers in ((left, counts), (right, np.array(errors) / errors[0])):
    axes.bar_label(axes.containers[0], [f" {n:.3g}" for n in numbers])
    axes.margins(x=0.15)
figure.savefig("14_winograd.png")

# %% [markdown]
# ## Exercises
#
# 1. By lesson 5, the input gradient is a convolution with the rotated filter. Compute it with
#    `winograd`, and compare with the tape's.
# 2. By transposition, the weight gradient of one tile is dL/dw = Gᵀ [ (A g Aᵀ) ⊙ (Bᵀ d B) ] G.
#    Check it with the tape.
#
# Solutions: `tests/examples/lessons/test_14_winograd.py`. The engine's, in blocks that fit a cache:
# `minigrad/cpu/conv_winograd.py`.
