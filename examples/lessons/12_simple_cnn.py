# %% [markdown]
# # 12. Training and inspecting a network
#
# Now we have all parts: convolution, batch norm, pooling, dropout, cross-entropy, an optimiser. We
# train the *simple* study's network, with a quarter of its channels so that it is quick, on
# CIFAR-10 if it is on this machine, otherwise on a synthetic set. Then we inspect it.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from cifar import datasets
from minigrad import nn

F = mg.functional
STEPS, BATCH = 150, 64

data = datasets.load("auto", "train")
print(f"{len(data)} images of {data.name}")
mg.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3),
    nn.ReLU(),
    nn.BatchNorm2d(8),
    nn.Conv2d(8, 16, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.BatchNorm2d(16),
    nn.Flatten(),
    nn.Linear(16 * 14 * 14, 64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
model.summary(mg.zeros(BATCH, 3, 32, 32))

# %% [markdown]
# ## The training loop
#
# The five lines are those of lesson 2; only the model is larger. The loader shuffles the images and
# divides them into batches.

# %%
pixels = mg.tensor(data.images[: STEPS * BATCH]).to("float32") / 255 - 0.5
labels = mg.tensor(data.labels[: STEPS * BATCH])
pairs = mg.data.TensorDataset(pixels, labels)
loader = mg.data.DataLoader(pairs, batch_size=BATCH, shuffle=True)
optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)
first_filters = model[0].weight.detach().numpy().copy()
losses = []
for step, (images, targets) in enumerate(loader):
    loss = F.cross_entropy(model(images), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    if step % 25 == 24:
        print(f"step {step + 1}: loss {np.mean(losses[-25:]):.2f}")
print(f"the loss of guessing is ln 10 = {np.log(10):.2f}")

# %% [markdown]
# ## Looking inside
#
# One more step, recorded. Open `12_simple_cnn.html` and try this:
#
# 1. Click on the first convolution, and on a pixel of its output: the patch, the column and the
#    filter of lesson 5. Then see the gradient through the rotated filter.
# 2. Click on batch norm: the three terms of lesson 6, on this batch.
# 3. Play it. Watch the memory: it grows in forward, as operations keep values for backward, and
#    falls in backward, as they are freed.
# 4. Click on cross_entropy: softmax − target, of lesson 9.


# %%
def step(images, targets):
    return F.cross_entropy(model(images), targets)


few = {"images": pixels[:8], "targets": labels[:8]}
print(mg.explore(step, "12_simple_cnn.html", inputs=few, title="A network, trained a little"))

# %% [markdown]
# The picture shows the first layer's maps of one image, and the gradient of the loss with respect
# to its pixels, which the tape computes like any other.

# %%
model.eval()
image = pixels[:1].detach()
image.requires_grad = True
logits = model(image)
F.cross_entropy(logits, labels[:1]).backward()
maps = model[0](image).relu().detach().numpy()[0]
p = F.softmax(logits, dim=1).detach().numpy()[0]
best = np.argsort(-p)[:3]
print("\nfirst image,", data.classes[int(labels[0].item())], end=": ")
print(", ".join(f"{data.classes[c]} {p[c]:.0%}" for c in best))

figure = plt.figure(figsize=(11, 5), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1.8, 1))
a, b, c = top.subplots(1, 3, width_ratios=(1.6, 1, 1))
a.plot(losses, color="0.7")
a.plot(np.arange(9, len(losses)), np.convolve(losses, np.ones(10) / 10, "valid"), "C0")
a.axhline(np.log(10), color="C3", linestyle=":", label="guessing")
a.set(title="Loss, and its mean over 10 steps", xlabel="step", ylim=(1, 3))
a.legend()
b.imshow(data.images[0].transpose(1, 2, 0))
b.set(title=f"{data.classes[int(labels[0].item())]}", xticks=[], yticks=[])
slope = np.abs(image.grad.numpy()[0]).max(axis=0)
c.imshow(slope, cmap="magma")
c.set(title="gradient of the pixels", xticks=[], yticks=[])
for k, axes in enumerate(bottom.subplots(1, 8)):
    axes.imshow(maps[k], cmap="Blues")
    axes.set(xticks=[], yticks=[])
bottom.suptitle("Its maps in the first layer")
figure.savefig("12_simple_cnn.png")

# %% [markdown]
# ## Exercises
#
# 1. How many multiplications does one image take in each layer, forward? Which layer has most of
#    the weights, and which most of the multiplications?
# 2. Change the *image* instead of the weights: move the pixels against the gradient of the loss for
#    a class of your choice, until the network predicts it. How little must the image change?
#
# Solutions: `tests/examples/lessons/test_12_simple_cnn.py`. `python examples/train_cnn.py` trains
# the full network, to 78 %.
