"""Sources written for PyTorch run with minigrad once their import lines name it, and compute the
same."""

from __future__ import annotations

import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad as mg
from tests.common import host

HERE = Path(__file__).parent
# How each is called; as they are they have millions of weights.
MODELS = {
    "mobilenet_v2": lambda m: m.MobileNetV2(
        width_mult=0.25,
        inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]],
        dropout=0.0,
    ),
    "densenet": lambda m: m.DenseNet(4, (2, 3, 2), 8),
    "vit": lambda m: m.VisionTransformer(16, 4, dim=24, depth=2),
    "convnext": lambda m: m.ConvNeXt(depths=[1, 1, 2, 1], dims=[8, 12, 16, 20]),
}
TO_MINIGRAD = {
    r"^import torch$": "import minigrad as torch",
    r"^import torch\.nn as nn$": "from minigrad import nn",
    r"^import torch\.nn\.functional as F$": "from minigrad import functional as F",
    r"^from torch import nn$": "from minigrad import nn",
    r"^from torch\.nn import functional as F$": "from minigrad import functional as F",
}


def load(name: str, library: str) -> types.ModuleType:
    """The source as a module of either library."""
    text = (HERE / f"{name}.py").read_text(encoding="utf-8")
    if library == "minigrad":
        for theirs, ours in TO_MINIGRAD.items():
            text = re.sub(theirs, ours, text, flags=re.MULTILINE)
        assert not re.search(r"^(import|from) torch", text, re.MULTILINE)
    module = types.ModuleType(f"{name}_of_{library}")
    exec(compile(text, f"{name}.py", "exec"), vars(module))
    return module


@pytest.fixture(params=MODELS, scope="module")
def twins(request):
    """A model in both libraries, with the weights that PyTorch drew."""
    make = MODELS[request.param]
    torch.manual_seed(0)
    ours, theirs = make(load(request.param, "minigrad")), make(load(request.param, "torch"))
    state = theirs.state_dict()
    for i, (key, value) in enumerate(state.items()):
        if key.endswith("gamma"):  # 10⁻⁶ at the start: a wrong block would not be seen
            value += 0.1 * (i + 1)
    assert [*ours.state_dict()] == [*state]
    ours.load_state_dict(state)
    assert [(n, tuple(p.shape)) for n, p in ours.named_parameters()] == [
        (n, tuple(p.shape)) for n, p in theirs.named_parameters()
    ]
    return ours.double(), theirs.double()


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_are_pytorchs(twins, training):
    ours, theirs = (model.train(training) for model in twins)
    size = 16 if hasattr(ours, "pos_embed") else 32
    x = np.random.default_rng(0).normal(size=(3, 3, size, size))
    labels = np.array([1, 7, 3])
    mx, tx = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, ty = ours(mx), theirs(tx)
    np.testing.assert_allclose(host(y), ty.detach().numpy(), rtol=1e-9, atol=1e-11)
    for model in (ours, theirs):
        model.zero_grad()
    mg.nn.CrossEntropyLoss()(y, mg.tensor(labels)).backward()
    torch.nn.CrossEntropyLoss()(ty, torch.tensor(labels)).backward()
    reference = dict(theirs.named_parameters())
    gradients = {name: (p.grad, reference[name].grad) for name, p in ours.named_parameters()}
    gradients["input"] = mx.grad, tx.grad
    largest = max(float(tg.abs().max()) for _, tg in gradients.values())
    for name, (g, tg) in gradients.items():
        np.testing.assert_allclose(
            host(g), tg.numpy(), rtol=1e-7, atol=1e-11 * largest, err_msg=name
        )
    for b, tb in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(host(b), tb.numpy(), rtol=1e-9, atol=1e-12)


def test_it_trains(twins):
    model, _ = twins
    model.float().train()
    size = 16 if hasattr(model, "pos_embed") else 32
    optimizer = mg.optim.Adam(model.parameters(), lr=3e-3)
    x, labels = mg.randn(8, 3, size, size), mg.tensor(np.arange(8))
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = mg.functional.cross_entropy(model(x), labels)
        loss.backward()
        mg.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
