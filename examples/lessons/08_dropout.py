# %% [markdown]
# # 8. Dropout: another network in every step
#
# In training, dropout sets each number to 0 with probability p, and divides the others by 1 − p. In
# evaluation it does nothing. So a network cannot rely on any single number; it learns redundant
# features.
#
# Two questions: why divide by 1 − p, and what is the gradient of a random function?

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import nn

F = mg.functional
mg.manual_seed(0)

# %%
x = mg.ones(10, requires_grad=True)
y = F.dropout(x, p=0.4)
y.backward(mg.ones(10))
print("forward: ", np.round(y.detach().numpy(), 2))
print("gradient:", np.round(x.grad.numpy(), 2))
print("in evaluation:", F.dropout(x, p=0.4, training=False).detach().numpy(), "\n")

# %% [markdown]
# The mask is drawn once, in forward, and kept: y = x · mask / (1 − p). For a fixed mask that is a
# product with constants, so **the gradient is multiplied by the same mask**. A number that was
# dropped had no effect, and gets no gradient.
#
# Dividing by 1 − p preserves the mean: with probability 1 − p a number is kept, 1 / (1 − p) times
# as large. So the next layer gets the same mean in training and in evaluation.

# %%
values = mg.tensor(np.linspace(0.5, 2.0, 20000), dtype="float32")
for p in (0.1, 0.5, 0.9):
    dropped = F.dropout(values, p=p)
    print(f"p = {p}: mean {dropped.mean().item():.3f} of {values.mean().item():.3f}", end="; ")
    print(f"standard deviation {dropped.std().item():.3f} of {values.std().item():.3f}")

# %% [markdown]
# ## train() and eval()
#
# `model.train()` and `model.eval()` set the mode of a module and of all modules inside it.
# Forgetting `eval()` is a common mistake: the same input then gives another output each time.

# %%
model = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1))
example = mg.randn(1, 4)
with mg.no_grad():
    model.train()
    in_training = np.array([model(example).item() for _ in range(2000)])
    model.eval()
    in_evaluation = model(example).item()
print(f"\nin training:   {in_training.mean():.4f} ± {in_training.std():.4f}, of 2000 networks")
print(f"in evaluation: {in_evaluation:.4f}, always")

# %% [markdown]
# ## A random function can only be checked with a seed
#
# `gradcheck` calls the function many times. If every call draws another mask, differences are
# meaningless, and `gradcheck` raises an error. With the same seed, every call computes the same
# function.

# %%
checked = mg.randn(3, 4, dtype="float64", requires_grad=True)
try:
    mg.gradcheck(lambda t: F.dropout(t, 0.5), checked)
except ValueError as error:
    print("\ngradcheck:", error)


def seeded(t):
    mg.manual_seed(7)
    return F.dropout(t, 0.5)


print("gradcheck, seeded:", mg.gradcheck(seeded, checked))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
draws = np.stack([F.dropout(mg.ones(24), 0.4).numpy() for _ in range(10)])
left.imshow(draws, cmap="Greys", vmin=0, vmax=2.5)
left.set(title="Masks of ten steps: white is dropped", xlabel="number", ylabel="step")
right.hist(in_training, bins=40, color="C0", alpha=0.7, label="training: 2000 masks")
right.axvline(in_training.mean(), color="C0", linewidth=2, label="their mean")
right.axvline(in_evaluation, color="C1", linewidth=2, linestyle="--", label="evaluation")
right.set(title="Output of one network for one input", xlabel="output")
right.legend(loc="upper right", fontsize=8)
figure.savefig("08_dropout.png")

# %% [markdown]
# ## Exercises
#
# 1. Write `dropout_channels(x, keep)` with `mg.op`, which drops whole channels of (N, C, H, W):
#    `keep` is a mask of shape (N, C). Check it with `check_op`.
# 2. If x has mean m and variance v, what are mean and variance after dropout? Derive, and compare
#    with the printed numbers. Why is this a problem for a batch norm after it?
#
# Solutions: `tests/examples/lessons/test_08_dropout.py`.
