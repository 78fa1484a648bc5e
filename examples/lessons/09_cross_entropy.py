# %% [markdown]
# # 9. Why softmax and cross-entropy are one operation
#
# A classifier ends with one number per class, the *logits* z. Softmax turns them into
# probabilities, and cross-entropy is large for a small probability of the true class t:
#
#     p_c = e^(z_c) / Σ e^(z_k),     L = −ln p_t
#
# They are easy to write as two operations. That is a mistake, for two reasons: the gradient is only
# simple for both together, and separately the numbers overflow.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg

F = mg.functional

# %% [markdown]
# ## Reason 1: the gradient is simple only together
#
# Softmax alone has a full matrix of derivatives, dp_c/dz_k = p_c ([c = k] − p_k), and cross-entropy
# alone has dL/dp_t = −1 / p_t, huge for a small p_t. In their product almost everything cancels:
#
#     dL/dz = p − t      (t as a vector: 1 for the true class, 0 for the others)
#
# This is the prediction minus the target, and always between −1 and 1.

# %%
z = np.array([2.0, -1.0, 0.5])
true = 1
p = np.exp(z) / np.exp(z).sum()
jacobian = np.diag(p) - np.outer(p, p)  # of softmax
of_loss = np.array([0.0, -1 / p[true], 0.0])  # of −ln p_t
target = np.eye(3)[true]
print("two steps, through the matrix:", np.round(jacobian.T @ of_loss, 5))
print("together, p − t:              ", np.round(p - target, 5))
logits = mg.tensor(z[None], requires_grad=True)
F.cross_entropy(logits, mg.tensor([true])).backward()
print("the engine:                   ", np.round(logits.grad.numpy()[0], 5), "\n")

# %% [markdown]
# ## Reason 2: the numbers
#
# In float32, e^z overflows at z = 89, and a probability below 10⁻⁴⁵ is 0. Then ln 0 = −∞ and the
# gradient is NaN: one such example destroys the whole network.
#
# Together, ln p_t = z_t − ln Σ e^(z_k), and the largest logit can be factored out of the sum:
#
#     ln Σ e^(z_k) = m + ln Σ e^(z_k − m),   m = max z
#
# No exponent is then above 0, and one of them is 0, so the sum is at least 1.


# %%
def in_two_steps(z, true):
    """−ln softmax(z)_t as it is written in books."""
    e = z.exp()
    p = e / e.sum(dim=1, keepdim=True)
    return -p[:, true].log().mean()


distances = [1.0, 20.0, 80.0, 100.0, 1000.0]
print("logits 0 and d, true class 0        in two steps            together")
table = []
for distance in distances:
    row = [distance]
    for loss_of in (in_two_steps, lambda z, true: F.cross_entropy(z, mg.tensor([true]))):
        z = mg.tensor([[0.0, distance]], requires_grad=True)
        loss = loss_of(z, 0)
        loss.backward()
        row += [loss.item(), z.grad.numpy()[0, 1]]
    table.append(row)
    print("d = {:6.0f}: loss, gradient {:12.3f} {:10.3f} {:12.3f} {:10.3f}".format(*row))

# %% [markdown]
# The correct losses grow like d: a network that is sure and wrong gets a gradient near 1, the
# largest possible. That is why classifiers do not use squared errors of probabilities: their
# gradient has another factor p (1 − p), and vanishes when the network is most wrong.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
axis = mg.linspace(-10, 10, 201, dtype="float64", requires_grad=True)
both = mg.stack([axis, mg.zeros(201, dtype="float64")], 1)
target = mg.zeros(201, dtype="int64")
losses = {
    "cross-entropy": lambda: F.cross_entropy(both, target, reduction="none"),
    "squared error of p": lambda: (F.softmax(both, dim=1)[:, 0] - 1) ** 2,
}
for name, loss_of in losses.items():
    axis.grad = None
    both = mg.stack([axis, mg.zeros(201, dtype="float64")], 1)
    loss = loss_of()
    loss.sum().backward()
    left.plot(axis.detach().numpy(), loss.detach().numpy(), label=name)
    right.plot(axis.detach().numpy(), axis.grad.numpy(), label=name)
left.set(title="Loss", xlabel="logit of the true class, the other is 0")
right.set(title="Gradient: large where the answer is wrong", xlabel="logit of the true class")
left.legend()
right.legend()
figure.savefig("09_cross_entropy.png")

# %% [markdown]
# ## Exercises
#
# 1. Write `log_sum_exp(x)` of each row with `mg.op`, safe for x = 1000. What is its derivative? You
#    have seen it before.
# 2. *Label smoothing* replaces t by 0.9 t + 0.1 / C. At which p is the gradient 0 now? Use SGD to
#    find the logits of one example that minimise the loss, and compare.
#
# Solutions: `tests/examples/lessons/test_09_cross_entropy.py`. The engine's:
# `minigrad/ops/loss.py`.
