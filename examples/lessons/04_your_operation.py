# %% [markdown]
# # 4. Your own operation
#
# The engine has no fixed list of operations. Any function of arrays can be one, if you also define
# how gradients pass through it. We write one, check it in three ways, break it to see that the
# checks work, and follow its gradient in the explorer.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.testing import arrays, broadcast_arrays, check_op, shapes

mg.manual_seed(0)

# %% [markdown]
# ## Softsign, by hand
#
# y = x / (1 + |x|) maps numbers to the interval from −1 to 1. Its derivative is 1 / (1 + |x|)².
#
# An operation takes NumPy arrays, not Tensors, and returns two things: the result, and a function
# that turns the gradient `g` of the result into a tuple of gradients, one for each argument (a
# tuple of one ends in a comma). `mg.op` does the rest. (`needs` says which gradients are wanted;
# here there is only one.)


# %%
@mg.op
def softsign(x):
    """y = x / (1 + |x|),  dL/dx = g / (1 + |x|)²."""
    slope = 1 + abs(x)
    return x / slope, lambda g, needs: (g / (slope * slope),)


x = mg.tensor([-3.0, 0.0, 1.0], requires_grad=True)
y = softsign(x)
y.sum().backward()
print("softsign:", y.detach().numpy(), "  its slope:", x.grad.numpy(), "\n")

# %% [markdown]
# ## Check 1: differences
#
# `mg.gradcheck` moves each input a little to both sides, as in lesson 1. The gradient of the result
# is random, so that errors cannot cancel. The error message names the input, the element, and both
# values.

# %%
values = mg.tensor([[0.5, -1.0, 2.0]], dtype="float64", requires_grad=True)
print("gradcheck:", mg.gradcheck(softsign, values))


@mg.op
def wrong(x):
    """The same with a forgotten square: right at x = 0, wrong elsewhere."""
    slope = 1 + abs(x)
    return x / slope, lambda g, needs: (g / slope,)


try:
    mg.gradcheck(wrong, values)
except AssertionError as error:
    print(error, "\n")

# %% [markdown]
# ## Check 2: examples that you did not think of
#
# `check_op` draws arrays of many shapes with Hypothesis. Besides the derivative it checks what is
# easy to forget: float32 stays float32, inputs are not overwritten, and arrays may be slices or
# transposed. These lines are a complete test.


# %%
def test_softsign():
    check_op(softsign, arrays(shapes()), reference=lambda x: x / (1 + np.abs(x)))


test_softsign()
print("check_op finds nothing wrong with softsign")


@mg.op
def careless(x):
    """Saves memory by writing into its argument, which belongs to the caller."""
    np.abs(x, out=x)
    return x / (1 + x), lambda g, needs: (g / (1 + x) ** 2,)


try:
    check_op(careless, arrays(shapes()))
except AssertionError as error:
    print("check_op on careless:", str(error).splitlines()[2], "\n")

# %% [markdown]
# Two arguments: each gets a gradient. Their shapes may differ, because the engine sums what was
# broadcast (lesson 3).


# %%
@mg.op
def slanted(x, slope):
    """y = x where x > 0, else slope x;  dL/dx = g or g slope,  dL/dslope = 0 or g x."""
    positive = x > 0
    y = np.where(positive, x, slope * x)
    return y, lambda g, needs: (np.where(positive, g, g * slope), np.where(positive, 0, g * x))


check_op(slanted, broadcast_arrays(2))
print("check_op finds nothing wrong with slanted\n")

# %% [markdown]
# ## Check 3: see it
#
# A small network uses softsign between two layers. `mg.explore` runs one step and writes a page:
# `04_your_operation.html`. Open it in a browser, press → until softsign is reached, and continue to
# the backward pass. A click on softsign shows its formulas, taken from the docstring, its source
# lines, and histograms of its input, result and gradients.


# %%
class Softsign(nn.Module):
    def forward(self, x):
        return softsign(x)


mg.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 16), Softsign(), nn.Linear(16, 2))
points = mg.randn(64, 2)
classes = (points[:, 0] * points[:, 1] > 0).to("int64")


def step(points, classes):
    return mg.functional.cross_entropy(model(points), classes)


inputs = {"points": points, "classes": classes}
page = mg.explore(step, "04_your_operation.html", inputs=inputs, title="Softsign at work")
print(page, "\n")
mg.trace(step, inputs)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
x = mg.linspace(-6, 6, 241, requires_grad=True)
for function, style in ((softsign, "C0-"), (mg.tanh, "C1--")):
    x.grad = None
    y = function(x)
    y.sum().backward()
    name = getattr(function, "name", "tanh")
    left.plot(x.detach().numpy(), y.detach().numpy(), style, label=name)
    right.plot(x.detach().numpy(), x.grad.numpy(), style, label=name)
left.set(title="Your operation, beside tanh", xlabel="x")
right.set(title="Their slopes: softsign's tails are longer", xlabel="x")
left.legend()
right.legend()
figure.savefig("04_your_operation.png")

# %% [markdown]
# ## Exercises
#
# 1. Write `softplus`, y = ln(1 + eˣ), with its derivative, and check it with `check_op`. Then try
#    it on x = 1000: does it overflow? Fix it.
# 2. Write `soft_threshold(x, t)`: x moved by t towards 0, and 0 if |x| < t. It has two gradients.
#    Draw t above 0 with `arrays(..., low=0.1, high=1)`.
#
# Solutions: `tests/examples/lessons/test_04_your_operation.py`. More: `docs/operations.md`.
