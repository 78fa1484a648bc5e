"""model.fuse: what is folded, what is left alone, and that results stay the same."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from cifar import models
from minigrad import functional as F
from minigrad import nn
from tests.common import host, refuses

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
FOLDED = {
    "dense-residual": 0,  # batch norm follows a sum
    "four-block": 5,
    "gated": 9,
    "gated-basic": 0,  # has none
    "resnet": 15,
    "resnet-32": 31,
    "resnet-82": 82,
    "simple": 0,  # batch norm follows ReLU and pooling
    "speed-94": 3,  # the others follow pooling
    "speed-95": 3,
}


def unsettle(model, dtype="float32"):
    """In evaluation mode, with batch norm statistics and parameters as if trained."""
    rng = np.random.default_rng(0)
    for module in model.modules():
        if isinstance(module, NORMS):
            for name, low in {
                "running_mean": -1,
                "running_var": 0.5,
                "weight": 0.5,
                "bias": -1,
            }.items():
                if (t := getattr(module, name)) is not None:
                    t.data[...] = rng.uniform(low, 1.5, t.shape)
    return model.eval().to(dtype)


def norms(model):
    return sum(isinstance(module, NORMS) for module in model.modules())


def state(model):
    return {name: host(t).tobytes() for name, t in model.state_dict().items()}


def check(model, *shape, folded):
    """``fuse`` folds that many batch norms, changes no result, and leaves the model as it was."""
    unsettle(model)
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-10)):
        model.to(dtype)
        before = state(model)
        fused = model.fuse(mg.zeros(*shape, dtype=dtype))
        assert state(model) == before
        assert norms(model) - norms(fused) == folded
        x = mg.tensor(np.random.default_rng(1).normal(size=shape), dtype)
        ours, expected = (np.concatenate(_flat(m(x))) for m in (fused, model))
        assert ours.dtype == dtype
        assert abs(ours - expected).max() <= tolerance * abs(expected).max()
    return fused


def _flat(y):
    return [host(t).reshape(-1) for t in (y if isinstance(y, tuple) else (y,))]


@pytest.mark.parametrize("name", models.names())
def test_models(name):
    check(models.create(name), 2, 3, 32, 32, folded=FOLDED[name])


class Model(nn.Module):
    """Members by name, and a forward of them."""

    def __init__(self, forward, **members):
        vars(self).update(members)
        self.way = forward

    def forward(self, x):
        return self.way(self, x)


def conv_and_norm(forward, **more):
    return Model(forward, conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), **more)


class Standardised(nn.Conv2d):
    """A convolution that uses its weights in another way."""

    def forward(self, x):
        w = self.weight
        return F.conv2d(x, w / (w * w).sum().sqrt(), self.bias)


def kept(self, x):
    self.features = self.conv(x)
    return self.bn(self.features)


LEFT_ALONE = {
    "relu between": lambda m, x: m.bn(F.relu(m.conv(x))),
    "pooling between": lambda m, x: m.bn(F.max_pool2d(m.conv(x), 2)),
    "a view between": lambda m, x: m.bn(m.conv(x)[:, :, 1:]),
    "an operation reads it too": lambda m, x: (lambda y: m.bn(y) + y)(m.conv(x)),
    "batch norm adds it too": lambda m, x: (lambda y: m.bn(y, residual=y))(m.conv(x)),
    "its values are read": lambda m, x: (lambda y: m.bn(y) * float(y.max()))(m.conv(x)),
    "its values are written": lambda m, x: (lambda y: (y.data.sort(), m.bn(y))[1])(m.conv(x)),
    "returned as well": lambda m, x: (lambda y: (m.bn(y), y))(m.conv(x)),
    "put aside": kept,
    "batch norm on something else too": lambda m, x: m.bn(m.conv(x)).sum() + m.bn(m.bn(m.conv(x))),
    "convolution for something else too": lambda m, x: m.bn(m.conv(x)) + F.relu(m.conv(x)),
    "no module": lambda m, x: m.bn(F.conv2d(x, m.conv.weight, m.conv.bias)),
    "weights read": lambda m, x: m.bn(m.conv(x)) * m.conv.weight.sum(),
    "norm's weights read": lambda m, x: m.bn(m.conv(x)) * sum(p.sum() for p in m.bn.parameters()),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_left_alone(case):
    check(conv_and_norm(LEFT_ALONE[case]), 2, 3, 8, 8, folded=0)


def test_left_alone_for_their_types():
    check(nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4)), 2, 3, 8, 8, folded=0)
    # Batch norm takes the middle axis for the channels, Linear the last.
    check(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)), 2, 4, 5, folded=0)
    check(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)), 2, 3, 8, 8, folded=0)


def test_hooks_and_a_forward_of_its_own():
    """Both may use a layer's weights and results in another way; hooks of others change nothing."""
    seen = []
    for layer in ("conv", "bn"):
        for register in ("register_forward_hook", "register_forward_pre_hook"):
            model = conv_and_norm(lambda m, x: m.bn(m.conv(x)))
            getattr(getattr(model, layer), register)(lambda module, *_: seen.append(module))
            fused = check(model, 2, 3, 8, 8, folded=0)
            seen.clear()
            fused(mg.zeros(1, 3, 8, 8, dtype="float64"))
            assert seen == [getattr(fused, layer)]
    model = conv_and_norm(lambda m, x: m.bn(m.conv(x)))
    conv = model.conv
    conv.forward = lambda x: F.conv2d(x, conv.weight * 2)
    check(model, 2, 3, 8, 8, folded=0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    model.register_forward_hook(lambda module, args, y: y * 2)
    model[2].register_forward_pre_hook(lambda module, args: args[0] + 1)
    check(model, 2, 3, 8, 8, folded=1)


def by_list(m, x):
    for layer in m.layers:
        x = layer(x)
    return x


def test_folded_wherever_it_is():
    shape = (2, 3, 8, 8)
    conv, bn = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
    pair = nn.Sequential(conv, bn, nn.ReLU())
    check(nn.Sequential(pair, pair), *shape, folded=1)  # both run twice, always together
    both = conv_and_norm(
        lambda m, x: m.bn(m.conv(x), residual=mg.cat([x, x], 1)[:, 2:, 1:-1, 1:-1], relu=True)
    )
    check(both, *shape, folded=1)
    check(Model(by_list, conv=conv, bn=bn, layers=[conv, bn]), *shape, folded=1)
    read_shape = conv_and_norm(lambda m, x: (lambda y: m.bn(y) * y.shape[2])(m.conv(x)))
    check(read_shape, *shape, folded=1)


def test_layers_with_a_shared_weight():
    first, second = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1)
    second.weight = first.weight
    check(nn.Sequential(first, nn.BatchNorm2d(3), second), 2, 3, 4, 4, folded=1)


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_options(options, bias):
    for groups in (1, 3):
        conv = nn.Conv2d(3, 6, 3, 2, "valid", groups=groups, bias=bias)
        check(nn.Sequential(conv, nn.BatchNorm2d(6, eps=0.5, **options)), 2, 3, 9, 9, folded=1)
    linear = nn.Linear(4, 6, bias=bias)
    check(nn.Sequential(linear, nn.BatchNorm1d(6, **options)), 2, 4, folded=1)


def test_the_result():
    model = unsettle(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()))
    model(mg.randn(2, 3, 8, 8)).sum().backward()
    fused = model.fuse(mg.zeros(1, 3, 8, 8))
    assert list(fused.state_dict()) == ["0.weight", "0.bias"]
    assert isinstance(fused[1], nn.Identity)
    assert not any(module.training for module in fused.modules())
    assert all(p.grad is None and not p.requires_grad for p in fused.parameters())
    assert all(p.grad is not None and p.requires_grad for p in model.parameters())
    assert not np.shares_memory(fused[0].weight.data, model[0].weight.data)
    x = mg.randn(2, 3, 8, 8)
    x.requires_grad_()
    fused(x).sum().backward()  # of the image: what a saliency map needs
    assert x.grad.shape == x.shape
    assert fused.fuse(x)(x).data.tobytes() == fused(x).data.tobytes()


def test_errors():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    refuses(TypeError, "fuse: expected an example of the model's input", model.fuse)
    model[1].train()
    x = mg.zeros(1, 3, 8, 8)
    refuses(RuntimeError, "fuse: '1' (BatchNorm2d) is in training mode", lambda: model.fuse(x))
    refuses(RuntimeError, "fuse: Conv2d is in training mode", lambda: nn.Conv2d(3, 4, 3).fuse(x))
