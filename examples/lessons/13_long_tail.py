# %% [markdown]
# # 13. A long tail, and focal loss
#
# Real data is not balanced: many cats, few lynxes. A loss is a mean over examples, so frequent
# classes dominate it. A network that never predicts "lynx" has a small loss, and is useless for
# lynxes.
#
# Three classes of points, with 1000, 100 and 10 examples. The test set has the same number of each.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from cifar.datasets import subsets
from minigrad import nn

F = mg.functional
CENTRES = np.array([(0.0, 0.0), (1.6, 0.6), (0.7, 1.9)])
COUNTS = np.array([1000, 100, 10])


def points(counts, seed):
    draw = np.random.default_rng(seed)
    x = np.concatenate([draw.normal(c, 0.6, (n, 2)) for c, n in zip(CENTRES, counts, strict=True)])
    return mg.tensor(x, dtype="float32"), mg.tensor(np.repeat([0, 1, 2], counts))


x, t = points(COUNTS, seed=0)
x_test, t_test = points([2000, 2000, 2000], seed=1)

# %% [markdown]
# ## Two remedies
#
# **Weights.** Give examples of rare classes a larger weight. The obvious weight is 1/n. Cui et al.
# (2019) take into account that a second, similar example adds less than the first: the effective
# number of n examples is (1 − βⁿ) / (1 − β), and the weight is its inverse.
#
# **Focal loss** (Lin et al., 2017) depends not on the class, but on how hard an example is:
#
#     L = −(1 − p)^γ ln p
#
# where p is the probability of the true class. For p = 0.9 and γ = 2 the factor is 0.01: the many
# easy examples hardly count. γ = 0 is cross-entropy.

# %%
weights = subsets.class_balanced_weights(COUNTS, beta=0.999)
print("weights of the classes:", np.round(weights, 3))
easy, hard = mg.tensor([[3.0, 0.0]]), mg.tensor([[-1.0, 0.0]])
for gamma in (0.0, 1.0, 2.0):
    a, b = (F.focal_loss(z, mg.tensor([0]), gamma=gamma).item() for z in (easy, hard))
    print(f"γ = {gamma:.0f}: an easy example costs {a:.5f}, a hard one {b:.3f}: {b / a:.0f} times")
print()


# %%
def train(loss_of):
    """A small network trained with this loss, and its accuracy on each class of the test set."""
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = mg.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss_of(model(x)).backward()
        optimizer.step()
    with mg.no_grad():
        right = (model(x_test).argmax(1) == t_test).numpy()
    return model, right.reshape(3, -1).mean(axis=1)


balanced = mg.tensor(weights, dtype="float32")
losses = {
    "cross-entropy": lambda z: F.cross_entropy(z, t),
    "focal, γ = 2": lambda z: F.focal_loss(z, t, gamma=2.0),
    "weights": lambda z: F.cross_entropy(z, t, weight=balanced),
    "weights, focal": lambda z: F.focal_loss(z, t, gamma=2.0, weight=balanced),
}
trained = {name: train(loss_of) for name, loss_of in losses.items()}
print("accuracy by class    many    some     few    mean")
for name, (_, accuracy) in trained.items():
    print(f"{name:18}", *(f"{a:7.1%}" for a in (*accuracy, accuracy.mean())))

# %% [markdown]
# Weights move the borders towards the frequent class, which loses a little accuracy, while the rare
# classes gain much. Focal loss alone ignores the classes. It helps if there are many easy examples;
# here the frequent class also has many hard ones, near the border. In the studies, both together
# are best: `docs/results.md`.

# %%
figure, axes = plt.subplots(1, 4, figsize=(13, 3.5), layout="constrained")
axis = np.linspace(0.001, 1, 400)
for gamma in (0, 1, 2, 5):
    axes[0].plot(axis, -((1 - axis) ** gamma) * np.log(axis), label=f"γ = {gamma}")
axes[0].set(title="Focal loss", xlabel="p of the true class", ylim=(0, 4))
axes[0].legend()
side = np.linspace(-2, 3.5, 120)
plane = mg.tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), dtype="float32")
for ax, name in zip(axes[1:3], ("cross-entropy", "weights"), strict=True):
    with mg.no_grad():
        answer = trained[name][0](plane).argmax(1).numpy().reshape(120, 120)
    shades = {"levels": [-0.5, 0.5, 1.5, 2.5], "colors": ["C0", "C1", "C2"], "alpha": 0.35}
    ax.contourf(side, side, answer, **shades)
    for c, marker in enumerate("os^"):
        ax.scatter(*x.numpy()[t.numpy() == c].T, s=(3, 10, 30)[c], marker=marker, color=f"C{c}")
    ax.set(title=f"Borders: {name}", xlim=(-2, 3.5), ylim=(-2, 3.5), xticks=[], yticks=[])
places = np.arange(3)
for k, (name, (_, accuracy)) in enumerate(trained.items()):
    axes[3].bar(places + 0.2 * k - 0.3, accuracy, 0.2, label=name)
axes[3].set(title="Accuracy by class", ylim=(0, 1.45), yticks=np.linspace(0, 1, 6))
axes[3].set_xticks(places, ["many", "some", "few"])
axes[3].legend(fontsize=8, ncols=2, loc="upper center")
figure.savefig("13_long_tail.png")

# %% [markdown]
# ## Exercises
#
# 1. Derive dL/dz of focal loss for two classes by hand: dL/dp times dp/dz. For which p is the
#    gradient of the logit largest if γ = 2?
# 2. Another remedy: train as usual, and add ln(1/3) − ln(n/N) to each logit afterwards. Why is that
#    right? How well does it work here?
#
# Solutions: `tests/examples/lessons/test_13_long_tail.py`.
