# %% [markdown]
# # 6. Batch norm's backward, derived two ways
#
# Batch norm gives each channel of a batch mean 0 and variance 1:
#
#     x̂ = (x − μ) / √(σ² + ε)      μ and σ²: mean and variance of the batch
#
# Its derivative is considered hard, because each x acts in three ways: directly, through μ, and
# through σ². We derive it step by step with the tape, then as one formula, and compare.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

F = mg.functional
mg.set_implementation("definition")
eps = 1e-5
draw = np.random.default_rng(0)
x = draw.normal(2.0, 3.0, 8)  # one channel, 8 values
g = draw.normal(0.0, 1.0, 8)  # the gradient that arrives

# %% [markdown]
# ## First way: small steps
#
# Every step is an operation on the tape. The chain rule does the rest.

# %%
t = mg.tensor(x, requires_grad=True)
centred = t - t.mean()
variance = (centred * centred).mean()
normal = centred / (variance + eps).sqrt()
normal.backward(mg.tensor(g), retain_graph=True)
small_steps = t.grad.numpy()
mg.trace((normal * mg.tensor(g)).sum(), {"x": t})

# %% [markdown]
# ## Second way: which changes of x leave x̂ unchanged?
#
# x̂ does not change if all x move **together**, because the mean is subtracted. It does not change
# either if all x are **scaled** about their mean, because we divide by the deviation (up to ε). So
# the gradient of x has no component along these two directions, 1 and x̂. Remove them from g, and
# scale:
#
#     dL/dx = (g − mean(g) − x̂ · mean(g x̂)) / √(σ² + ε)
#
# The three terms are the three ways in which x acts. This is what the engine computes, in
# `minigrad/ops/norm.py`: two sums over the batch instead of a chain of ten small steps.

# %%
deviation = np.sqrt(x.var() + eps)
x_hat = (x - x.mean()) / deviation
direct = g / deviation
through_mean = -g.mean() / deviation * np.ones(8)
through_variance = -x_hat * (g * x_hat).mean() / deviation
at_once = direct + through_mean + through_variance

b = mg.tensor(x.reshape(8, 1), requires_grad=True)
F.batch_norm(b, None, None, training=True, eps=eps).backward(mg.tensor(g.reshape(8, 1)))
engine = b.grad.numpy()[:, 0]

print("\nsmall steps:", np.round(small_steps, 5))
print("at once:    ", np.round(at_once, 5))
print("the engine: ", np.round(engine, 5))
print(f"\nalong 1:  Σ dL/dx     = {at_once.sum():+.1e}")
print(f"along x̂:  Σ dL/dx · x̂ = {(at_once * x_hat).sum():+.1e}  (0 up to ε)")

# %% [markdown]
# Finite differences confirm it, for weight and bias too.

# %%
arguments = [mg.tensor(draw.normal(size=s), requires_grad=True) for s in ((4, 3, 2, 2), 3, 3)]
norm = lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)  # noqa: E731
print("gradcheck:", mg.gradcheck(norm, arguments))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
places, width = np.arange(8), 0.26
terms = {"g": direct, "− mean(g)": through_mean, "− x̂ mean(g x̂)": through_variance}
for k, (name, term) in enumerate(terms.items()):
    left.bar(places + (k - 1) * width, term, width, label=name)
left.plot(places, at_once, "k_", markersize=26, markeredgewidth=2.5, label="their sum, dL/dx")
left.axhline(0, color="0.5", linewidth=0.8)
left.set(title="The three terms, divided by √(σ² + ε)", xlabel="value of the batch")
left.legend(fontsize=8, markerscale=0.5)
moves = np.linspace(-1, 1, 41)
for name, move, style in (
    ("all together", np.ones(8), "C0-"),
    ("scaled", x - x.mean(), "C1--"),
    ("the first alone", np.eye(8)[0] * 3, "C2:"),
):
    normalised = [(lambda v: (v - v.mean()) / np.sqrt(v.var() + eps))(x + a * move) for a in moves]
    style_of = {"linewidth": 2.5, "label": name}
    right.plot(moves[5:], [(v * g).sum() for v in normalised[5:]], style, **style_of)
right.set(title="Only the third move changes L = Σ g x̂", xlabel="length of the move", ylabel="L")
right.legend()
figure.savefig("06_batch_norm.png")

# %% [markdown]
# ## Exercises
#
# 1. **Layer norm** normalises each row of (N, C) instead of each column. Write it with `mg.op`, and
#    check it. You need not derive anything new.
# 2. In evaluation, batch norm uses fixed numbers in place of μ and σ². What is its derivative then?
#    How large is the error if that derivative (the first term alone) is used in training, in the
#    example above?
#
# Solutions: `tests/examples/lessons/test_06_batch_norm.py`.
