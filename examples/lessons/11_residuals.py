# %% [markdown]
# # 11. Residual addition: gradients in deep networks
#
# In a network of 40 layers, the gradient of the first is a product of 40 matrices. If each shrinks
# it by a tenth, 0.9⁴⁰ = 1.5 % of it is left; if each halves it, 10⁻¹². A residual network computes
# x + f(x) instead of f(x). In backward, the addition **copies** the gradient: one copy goes through
# f, the other bypasses it unchanged. The input gets their sum.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import nn

DEPTH, WIDTH = 40, 32


class Plain(nn.Module):
    """DEPTH layers of tanh(W x + b)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)])

    def change(self, x, f):
        return f

    def forward(self, x):
        for layer in self.layers:
            x = self.change(x, layer(x).tanh())
        return x


class Residual(Plain):
    """The same layers, each added to its input; divided by √DEPTH, so that the sum stays small."""

    def change(self, x, f):
        return x + f / DEPTH**0.5


# %% [markdown]
# Hooks (`docs/hooks.md`) give the gradient at each layer: the hook of a module receives its output,
# and a hook that we register on that output receives the gradient.


# %%
def gradient_norms(model):
    """‖dL/d output‖ of every layer, from the first to the last."""
    norms = [0.0] * DEPTH

    def watch(number):
        def hook(module, inputs, output):
            def arrived(gradient):
                norms[number] = float(np.linalg.norm(gradient.numpy()))

            output.register_hook(arrived)

        return hook

    for number, layer in enumerate(model.layers):
        layer.register_forward_hook(watch(number))
    mg.manual_seed(1)
    x, target = mg.randn(16, WIDTH), mg.randn(16, WIDTH)
    ((model(x) - target) ** 2).mean().backward()
    return norms


norms = {}
for kind in (Plain, Residual):
    mg.manual_seed(0)
    norms[kind.__name__] = gradient_norms(kind())
print("layer   plain      residual")
for number in (0, 9, 19, 29, 39):
    print(f"{number + 1:5}   {norms['Plain'][number]:.1e}    {norms['Residual'][number]:.1e}")
left_over = norms["Plain"][0] / norms["Plain"][-1]
print(f"\nof the gradient at the last plain layer, {left_over:.0e} reaches the first")

# %% [markdown]
# ## Does it matter? Train both
#
# The task is easy: return the sign of each input. One layer could nearly do it. The first layers of
# the plain network get almost no gradient; they stay random, and later layers cannot recover the
# information that they destroy.


# %%
def train(kind, steps=80):
    mg.manual_seed(0)
    model = kind()
    optimizer = mg.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(steps):
        x = mg.randn(64, WIDTH)
        target = x.sign() * 0.8
        loss = ((model(x) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


losses = {kind.__name__: train(kind) for kind in (Plain, Residual)}
for name, values in losses.items():
    print(f"{name:8}: loss {values[0]:.2f} → {np.mean(values[-10:]):.2f}")
print("the loss of always answering 0 is 0.64")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name, style in (("Plain", "C3o-"), ("Residual", "C0s-")):
    left.semilogy(range(1, DEPTH + 1), norms[name], style, markersize=3.5, label=name)
    right.plot(losses[name], style[:2] + "-", label=name)
left.set(title="Gradient that arrives at each layer, at the start", xlabel="layer", ylabel="norm")
right.axhline(0.64, color="0.6", linestyle=":", label="answering 0")
right.set(title="Training 40 layers", xlabel="step", ylabel="loss", ylim=(0, None))
left.legend()
right.legend()
figure.savefig("11_residuals.png")

# %% [markdown]
# ## Exercises
#
# 1. For one residual block y = x + f(x), write dL/dx by hand from g and f's gradient, and check it
#    with the tape. What does the engine do where the two copies meet?
# 2. *ReZero* computes x + a f(x) with a number a per layer that starts at 0. What is the gradient
#    norm of each layer's output at the start? Of each layer's weight? Of each a?
#
# Solutions: `tests/examples/lessons/test_11_residuals.py`. The explorer shows both terms and their
# sum at every residual addition.
