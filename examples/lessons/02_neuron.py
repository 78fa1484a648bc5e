# %% [markdown]
# # 2. A neuron, by hand and by tape
#
# A neuron computes a weighted sum of numbers x, and maps it to a value between 0 and 1:
#
#     z = w₁ x₁ + w₂ x₂ + b,    p = 1 / (1 + e⁻ᶻ)
#
# Read p as a probability: "this point belongs to class 1". The neuron learns by moving w and b
# against the gradient of a loss, again and again. We derive that gradient by hand, compare it with
# the tape's, and train.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

# %% [markdown]
# Two clouds of points, and the class t of each, 0 or 1.

# %%
draw = np.random.default_rng(0)
x = np.concatenate([draw.normal((-1.0, -0.6), 0.7, (40, 2)), draw.normal((0.9, 0.8), 0.7, (40, 2))])
t = np.repeat([0.0, 1.0], 40)

# %% [markdown]
# ## By hand
#
# The loss is the mean of −t ln p − (1 − t) ln(1 − p): large if the neuron is sure and wrong. The
# chain rule, from the loss back to the weights, for one point:
#
#     dL/dp = (p − t) / (p (1 − p))       the loss
#     dp/dz = p (1 − p)                   the sigmoid
#     dL/dz = p − t                       their product
#     dL/dw = (p − t) x,  dL/db = p − t   the weighted sum
#
# For N points, take the mean of these.


# %%
def by_hand(w, b):
    """The loss, and its gradients with respect to w and b."""
    p = 1 / (1 + np.exp(-(x @ w + b)))
    loss = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    gz = (p - t) / len(t)
    return loss, x.T @ gz, gz.sum()


# %% [markdown]
# ## By tape
#
# Here we write only the forward part. The tape differentiates it.

# %%
points, classes = mg.tensor(x, dtype="float64"), mg.tensor(t, dtype="float64")


def by_tape(w, b):
    """The loss as a Tensor."""
    p = 1 / (1 + (-(points @ w + b)).exp())
    return -(classes * p.log() + (1 - classes) * (1 - p).log()).mean()


w = mg.tensor([0.3, -0.2], dtype="float64", requires_grad=True)
b = mg.tensor(0.1, dtype="float64", requires_grad=True)
loss = by_tape(w, b)
loss.backward()
hand_loss, hand_w, hand_b = by_hand(w.detach().numpy(), b.item())
print(f"          loss       dL/dw                 dL/db\nby hand   {hand_loss:.6f}", end="   ")
print(np.round(hand_w, 6), f"{hand_b:.6f}")
print(f"by tape   {loss.item():.6f}   {np.round(w.grad.numpy(), 6)} {b.grad.item():.6f}\n")

# %% [markdown]
# ## Training
#
# One step of gradient descent resets the gradient, runs forward and backward, and moves against the
# gradient. An optimiser does the last part (lesson 10).

# %%
optimizer = mg.optim.SGD([w, b], lr=1.0)
losses = []
for step in range(60):
    optimizer.zero_grad()
    loss = by_tape(w, b)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step in (0, 1, 5, 20, 59):
        print(f"step {step:2}: loss {loss.item():.4f}")
final, bias = w.detach().numpy(), b.item()
right = ((x @ final + bias > 0) == t).mean()
print(f"{right:.0%} of the points are on the right side")

# %%
figure, (left, curve) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
axis = np.linspace(-3, 3, 100)
plane = np.stack(np.meshgrid(axis, axis), axis=-1)
p = 1 / (1 + np.exp(-(plane @ final + bias)))
shade = left.contourf(axis, axis, p, levels=np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
left.contour(axis, axis, p, levels=[0.5], colors="black")
left.scatter(*x[t == 0].T, marker="o", color="C3", edgecolor="white", label="class 0")
left.scatter(*x[t == 1].T, marker="s", color="C0", edgecolor="white", label="class 1")
left.set(title="What the neuron has learned: p", xlabel="x₁", ylabel="x₂", aspect="equal")
left.legend(loc="lower right")
figure.colorbar(shade, ax=left)
curve.plot(losses)
curve.set(title="Its loss", xlabel="step", ylim=(0, None))
figure.savefig("02_neuron.png")

# %% [markdown]
# ## Exercises
#
# 1. Replace the loss by the squared error, the mean of (p − t)². Derive dL/dw and dL/db by hand and
#    compare with the tape. Why does this neuron learn slowly if it is sure and wrong?
# 2. No neuron can learn the classes 0, 1, 1, 0 of the corners (0, 0), (0, 1), (1, 0), (1, 1). Put
#    four neurons with tanh between the points and the last neuron, and train with the tape.
#
# Solutions: `tests/examples/lessons/test_02_neuron.py`.
