# %% [markdown]
# # 10. SGD, momentum and Adam in a valley
#
# A gradient gives the direction of descent. The optimiser chooses the length of the step. We run
# three of them in a long, narrow valley,
#
#     L(a, b) = (a² + 40 b²) / 2
#
# whose gradient points across the valley much more than along it: (a, 40 b).

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

START, STEPS = (-4.0, 0.8), 60
STEEP = mg.tensor([1.0, 40.0], dtype="float64")


def valley(position):
    """L at a Tensor of shape (2,)."""
    return (STEEP * position * position).sum() / 2


def walk(make, steps=STEPS):
    """The positions and losses of the optimiser that ``make(parameters)`` returns."""
    position = mg.tensor(START, dtype="float64", requires_grad=True)
    optimizer = make([position])
    way, losses = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = valley(position)
        loss.backward()
        way.append(position.detach().numpy().copy())
        losses.append(loss.item())
        optimizer.step()
    return np.array(way), losses


# %% [markdown]
# - **SGD** moves by −lr · g. The rate must stay below 2/40, or steps across the valley climb the
#   other side. Along the valley such steps are tiny.
# - **Momentum** moves by a running sum of gradients, v ← 0.9 v + g. Gradients across the valley
#   change sign and cancel; those along it add up, to ten times the step.
# - **Adam** divides each direction by the typical size of its gradients, so the steps in both
#   directions have a length of about lr, however steep they are.

# %%
optimizers = {
    "SGD, lr 0.045": lambda p: mg.optim.SGD(p, lr=0.045),
    "momentum 0.9, lr 0.01": lambda p: mg.optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam, lr 0.3": lambda p: mg.optim.Adam(p, lr=0.3),
}
walks = {name: walk(make) for name, make in optimizers.items()}
for name, (way, losses) in walks.items():
    print(f"{name:22} after {STEPS} steps at ({way[-1][0]:+.3f}, {way[-1][1]:+.3f})", end="")
    print(f", loss {losses[-1]:.1e}")
_, diverging = walk(lambda p: mg.optim.SGD(p, lr=0.051))
print(f"SGD, lr 0.051: loss {diverging[0]:.1f} grows to {diverging[-1]:.1f}, as 0.051 > 2/40\n")

# %% [markdown]
# ## An optimiser is a few lines
#
# Adam keeps two running means for each number: of the gradient, m, and of its square, v. Both start
# at 0, and are divided by 1 − βᵗ to correct this bias.


# %%
def adam_by_hand(steps, lr=0.3, beta1=0.9, beta2=0.999, eps=1e-8):
    x, m, v = np.array(START), np.zeros(2), np.zeros(2)
    way = [x.copy()]
    for t in range(1, steps):
        g = np.array([1.0, 40.0]) * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        x = x - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        way.append(x)
    return np.array(way)


adam = walks["Adam, lr 0.3"][0]
print("by hand and by minigrad, largest difference:", np.abs(adam_by_hand(STEPS) - adam).max())

# %%
figure, (left, right) = plt.subplots(
    1, 2, figsize=(11, 3.8), layout="constrained", width_ratios=(1.6, 1)
)
a, b = np.meshgrid(np.linspace(-4.6, 2, 200), np.linspace(-1.1, 1.1, 200))
heights = (a * a + 40 * b * b) / 2
left.contourf(a, b, np.sqrt(heights), levels=18, cmap="Greys", alpha=0.6)
for (name, (way, losses)), style in zip(walks.items(), ("C0o-", "C1s-", "C2^-"), strict=True):
    left.plot(*way.T, style, markersize=3.5, linewidth=1.2, label=name)
    right.semilogy(losses, style[:2] + "-", markersize=2.5, linewidth=1, label=name)
left.plot(0, 0, "k*", markersize=14)
left.set(title="Three paths to the minimum", xlabel="a", ylabel="b")
right.set(title="Loss", xlabel="step")
right.legend(fontsize=8)
figure.savefig("10_optimizers.png")

# %% [markdown]
# ## Exercises
#
# 1. Nesterov's momentum looks ahead: it moves by g + 0.9 v. Write one step by hand and compare with
#    `mg.optim.SGD(..., momentum=0.9, nesterov=True)`.
# 2. SGD in this valley multiplies each coordinate by a constant in every step. Which? Derive from
#    it the largest lr that converges, and the fastest lr.
#
# Solutions: `tests/examples/lessons/test_10_optimizers.py`. The engine's: `minigrad/optim/adam.py`.
