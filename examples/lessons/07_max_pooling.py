# %% [markdown]
# # 7. Max pooling, and what happens at ties
#
# Max pooling keeps the largest of each 2 × 2 pixels. If the largest changes a little, the result
# changes with it. If another one changes a little, nothing happens. So **the whole gradient goes to
# the maximum**, and the others get 0.
#
# At a tie there is no derivative: the function has a kink. The engine must still choose one.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

F = mg.functional
image = np.array(
    [
        [1.0, 7.0, 3.0, 2.0],
        [4.0, 5.0, 8.0, 0.0],
        [6.0, 6.0, 0.0, 0.0],
        [2.0, 1.0, 0.0, 0.0],
    ]
)
x = mg.tensor(image[None, None], requires_grad=True)
y = F.max_pool2d(x, 2)
arriving = np.array([[10.0, 20.0], [30.0, 40.0]])
y.backward(mg.tensor(arriving[None, None]))
print("maxima:\n", y.detach().numpy()[0, 0])
print("gradients:\n", x.grad.numpy()[0, 0])

# %% [markdown]
# Two windows above have ties: 6 and 6, and four zeros. As in PyTorch, **the first one wins**, row
# by row. Is that right? At a kink, each slope between those on its two sides is a *subgradient*,
# and gradient descent works with any of them. All of these are subgradients of max(a, b) at a = b:
#
#     (1, 0): the first wins       (½, ½): they share       (0, 1): the last wins
#
# But (1, 1) is not a subgradient: if both moved by 1, the maximum would move by 1, not by 2. The
# parts must sum to one. `max` along a dimension chooses one, and `amax` shares, in PyTorch and in
# minigrad.

# %%
a = mg.tensor([6.0, 6.0, 2.0], requires_grad=True)
a.max(0).values.backward()
first = a.grad.tolist()
a.grad = None
a.amax(0).backward()
print("\nmax and amax at [6, 6, 2]:", first, a.grad.tolist())

# %% [markdown]
# ## A check fails at a tie
#
# Central differences at a kink give the mean of the two slopes, here ½ and ½. The choice (1, 0)
# differs from that, although it is a valid subgradient: there is no derivative to compare with. For
# this reason `minigrad.testing.arrays` draws distinct values.

# %%
tied = mg.tensor([6.0, 6.0, 2.0], dtype="float64", requires_grad=True)
apart = mg.tensor([6.0, 6.1, 2.0], dtype="float64", requires_grad=True)
for name, values in (("a tie", tied), ("no tie", apart)):
    passed = mg.gradcheck(lambda t: t.max(0).values, values, raise_exception=False)
    print(f"gradcheck of max with {name}: {passed}")

# %% [markdown]
# ## Ties are common
#
# After ReLU many pixels are exactly 0, so many windows hold four zeros. The gradient goes to one of
# these zeros, and ReLU stops it there (its slope at 0 is 0). So these ties have no effect.

# %%
draw = np.random.default_rng(0)
noise = mg.tensor(draw.normal(-0.3, 1.0, (1, 1, 64, 64)), requires_grad=True)
active = noise.relu()
pooled = F.max_pool2d(active, 2)
zero = (pooled == 0).to("float64").mean().item()
pooled.sum().backward()
reached = (noise.grad.numpy() != 0).mean()
print(f"\nwindows with four zeros: {zero:.0%}; pixels that get a gradient: {reached:.0%} of 25%")

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", width_ratios=(2, 1, 2))
panels = (
    (image, "pixels", "Blues", 14),
    (y.detach().numpy()[0, 0], "maxima", "Blues", 14),
    (x.grad.numpy()[0, 0], "where the gradients go", "Oranges", 80),
)
for ax, (numbers, title, cmap, limit) in zip(axes, panels, strict=True):
    ax.imshow(numbers, cmap=cmap, vmin=0, vmax=limit)
    for (i, j), value in np.ndenumerate(numbers):
        ax.text(j, i, f"{value:g}", ha="center", va="center")
    if len(numbers) == 4:
        ax.axhline(1.5, color="black")
        ax.axvline(1.5, color="black")
    ax.set(title=title, xticks=[], yticks=[])
figure.savefig("07_max_pooling.png")

# %% [markdown]
# ## Exercises
#
# 1. Write `shared_max(x)`, the maximum of each row of (N, C), with `mg.op`; at ties, share the
#    gradient equally. Check it with `check_op`, and at a tie by hand.
# 2. With a stride smaller than the window, windows overlap, and a pixel can win more than once.
#    What gradient does it get? Predict it for the image above, with window 3, stride 1 and
#    gradients 1.
#
# Solutions: `tests/examples/lessons/test_07_max_pooling.py`. The engine's: `minigrad/ops/pool.py`.
