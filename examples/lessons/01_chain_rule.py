# %% [markdown]
# # 1. The chain rule, and a tape of your own
#
# Training a network asks, for millions of numbers: if this number rises a little, how much does the
# loss change? That slope is a *derivative*, and all of them together are the *gradient*.
#
# A network is a long chain of small steps. Each step is easy to differentiate. The **chain rule**
# combines them: if x changes u with slope du/dx, and u changes y with slope dy/du, then
#
#     dy/dx = dy/du · du/dx
#
# and if several paths lead from x to y, their products are **added**.
#
# Run this file with `python examples/lessons/01_chain_rule.py`, or open it as a notebook. It prints
# numbers, and writes a picture into the current folder: `01_chain_rule.png`.

# %%
import inspect
import math

import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad.ops import arithmetic

# %% [markdown]
# ## A tape in 40 lines
#
# A `Scalar` is a number that records which numbers it was computed from, and the slope with respect
# to each. These records are called the *tape*: forward writes it, backward reads it from the end.


# %%
class Scalar:
    """A number on a tape: its value, and pairs of an input and the slope with respect to it."""

    def __init__(self, value, inputs=()):
        self.value = value
        self.inputs = inputs
        self.grad = 0.0

    def __add__(self, other):
        return Scalar(self.value + other.value, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Scalar(self.value * other.value, [(self, other.value), (other, self.value)])

    def tanh(self):
        y = math.tanh(self.value)
        return Scalar(y, [(self, 1 - y * y)])

    def backward(self):
        """Set ``grad`` of every number that this one depends on: the derivative by that number."""
        order = []

        def visit(number):
            if number not in order:
                for source, _ in number.inputs:
                    visit(source)
                order.append(number)

        visit(self)  # inputs come before the numbers computed from them ...
        self.grad = 1.0
        for number in reversed(order):  # ... so in reverse, each grad is complete when it is used
            for source, slope in number.inputs:
                source.grad += slope * number.grad  # the chain rule; += adds the paths


# %% [markdown]
# `a` is used twice below, so its gradient is the sum of two products.

# %%
a, b = Scalar(0.5), Scalar(-1.5)
y = (a * b).tanh() + a * a
y.backward()
print(f"your tape:   y = {y.value:.6f}   dy/da = {a.grad:.6f}   dy/db = {b.grad:.6f}")

# %% [markdown]
# ## The same with minigrad
#
# A `Tensor` is the same idea for whole arrays. `requires_grad=True` asks for its gradient.
# `mg.trace` prints the tape: each operation's inputs (#0 is the result of operation 0) and result,
# the bytes that it keeps for backward, and the norm of the gradient of its result.

# %%
ta = mg.tensor(0.5, dtype="float64", requires_grad=True)
tb = mg.tensor(-1.5, dtype="float64", requires_grad=True)
ty = (ta * tb).tanh() + ta * ta
ty.backward(retain_graph=True)  # keep the tape, to print it below
print(f"minigrad:    y = {ty.item():.6f}   dy/da = {ta.grad.item():.6f}", end="")
print(f"   dy/db = {tb.grad.item():.6f}\n")
mg.trace(ty, {"a": ta, "b": tb})

# %% [markdown]
# And this is how minigrad defines a product. Like your `__mul__`, it gives the result, and the
# gradients of the inputs from the gradient `g` of the result. `needs` says which inputs need one.
# You can skip the rest: `meet` handles numbers and arrays, and `twice` and `keeping` are for
# gradients of gradients.

# %%
print()
print(inspect.getsource(arithmetic.mul.definition))

# %% [markdown]
# ## Check by measuring
#
# A derivative can always be checked with a difference quotient: move the input by a tiny step to
# both sides, and divide the difference of the results by the distance.


# %%
def slope_at(x):
    """f(x) = tanh(−1.5 x) + x², and f'(x) by the tape."""
    x = Scalar(x)
    y = (x * Scalar(-1.5)).tanh() + x * x
    y.backward()
    return y.value, x.grad


xs = np.linspace(-1.5, 1.5, 121)
values, slopes = np.array([slope_at(x) for x in xs]).T
step = 1e-6
measured = [(slope_at(x + step)[0] - slope_at(x - step)[0]) / (2 * step) for x in xs]
print(f"largest difference between tape and measurement: {np.abs(slopes - measured).max():.1e}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(xs, values, color="black", label="f(x) = tanh(−1.5 x) + x²")
for x in (-1.0, -0.2, 0.5, 1.2):
    value, slope = slope_at(x)
    near = np.array([x - 0.35, x + 0.35])
    left.plot(near, value + slope * (near - x), color="C1", linewidth=3, alpha=0.8)
    left.plot(x, value, "o", color="C1")
left.plot([], [], color="C1", linewidth=3, label="slope by the tape")
left.set(xlabel="x", title="A function and its slopes")
left.legend()
right.plot(xs, slopes, color="C1", label="by the tape")
right.plot(xs[::8], measured[::8], "x", color="black", label="measured")
right.axhline(0, color="0.8", zorder=0)
right.set(xlabel="x", title="Its derivative f'(x)")
right.legend()
figure.savefig("01_chain_rule.png")

# %% [markdown]
# ## Exercises
#
# 1. Give `Scalar` a method `exp` and a division. Check d(eˣ / x)/dx at x = 2 against e² / 4.
# 2. `backward` sorts the numbers first. Write one that does not sort, but passes each gradient on
#    as soon as it arrives, without waiting for the others. Find an expression for which it is
#    wrong.
#
# Solutions: `tests/examples/lessons/test_01_chain_rule.py`. The real tape is `minigrad/tape/`.
