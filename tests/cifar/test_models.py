"""Each model is the study's: its parameters, and PyTorch's values with the same weights."""

from __future__ import annotations

import functools

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

import minigrad as mg
from cifar import models
from cifar.errors import UserError
from cifar.models import resnet_82
from cifar.twins import reference
from cifar.twins.reference import models as reference_models
from tests.common import host, refuses

PARAMETERS = {  # design §3; of speed-94 and -95 with those that are never trained
    "dense-residual": 16_998_986,
    "four-block": 2_091_018,
    "gated": 1_118_300,
    "gated-basic": 228_441,
    "resnet": 175_258,
    "resnet-32": 464_154,
    "resnet-82": 4_959_770,
    "simple": 6_447_754,
    "speed-94": 1_972_792,
    "speed-95": 4_606_520,
}
READ = {
    "safetensors": safetensors.torch.load_file,
    "pt": functools.partial(torch.load, weights_only=True),
}
WRITE = {"safetensors": safetensors.torch.save_file, "pt": torch.save}


@pytest.fixture(scope="module", params=models.names())
def twins(request):
    """A model and its twin in PyTorch with the same weights and with running statistics that are
    not the initial ones, and a batch."""
    ours, theirs = models.create(request.param, seed=1), reference.create(request.param)
    rng = np.random.default_rng(0)
    for name, b in ours.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            b.data[...] = rng.uniform(0.5, 1.5, b.shape)
    theirs.load_state_dict(
        {k: torch.tensor(np.array(v.numpy())) for k, v in ours.state_dict().items()}
    )
    return ours, theirs, rng.normal(size=(4, 3, 32, 32)).astype(np.float32)


def test_every_model_is_tested():
    assert set(models.names()) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_parameters(name):
    assert sum(p.numel() for p in models.create(name).parameters()) == PARAMETERS[name]


def test_layers_and_state_are_pytorchs(twins):
    ours, theirs, _ = twins
    leaves = [
        [(name, repr(m)) for name, m in model.named_modules() if not list(m.children())]
        for model in (ours, theirs)
    ]
    assert leaves[0] == leaves[1]
    found = [(k, v.shape, f"torch.{v.dtype}") for k, v in ours.state_dict().items()]
    assert found == [(k, tuple(v.shape), str(v.dtype)) for k, v in theirs.state_dict().items()]


@pytest.mark.parametrize("suffix", READ)
def test_weights_go_both_ways_by_file(twins, tmp_path, suffix):
    """Bit for bit, running statistics and their counters included."""
    ours, theirs, _ = twins
    mine, file = tmp_path / f"ours.{suffix}", tmp_path / f"theirs.{suffix}"
    for name, b in ours.named_buffers():
        b.data += name.endswith("num_batches_tracked")
    expected = {name: value.numpy().copy() for name, value in ours.state_dict().items()}
    mg.save(expected, mine)
    theirs.load_state_dict(READ[suffix](mine), strict=True)
    WRITE[suffix](theirs.state_dict(), file)
    ours.load_state_dict(mg.load(file), strict=True)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[name], err_msg=name)
        theirs_value = theirs.state_dict()[name].numpy()
        np.testing.assert_array_equal(theirs_value, expected[name], err_msg=name)
        assert value.dtype == theirs_value.dtype == expected[name].dtype


def test_the_onnx_graph_gives_the_same_logits(twins, tmp_path):
    model, rng = twins[0].eval(), np.random.default_rng(1)
    mg.onnx.export(model, mg.zeros(1, 3, 32, 32), tmp_path / "x.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 7):
        x = rng.normal(size=(n, 3, 32, 32)).astype(np.float32)
        (found,) = session.run(None, {"input": x})
        with mg.no_grad():
            expected = model(mg.tensor(x)).numpy()
        limit = 1e-5 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def test_forward_is_pytorchs(twins):
    ours, theirs, x = twins
    with mg.no_grad(), torch.no_grad():
        y, ty = ours.eval()(mg.tensor(x)), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(host(y), ty.numpy(), rtol=1e-3, atol=1e-4)


def test_first_gradients_are_pytorchs(twins):
    """In training mode, but for dropout, whose masks are drawn differently; in float64, since
    eighty layers of batch norm over four images magnify rounding."""
    ours, theirs, x = twins
    x = x.astype(np.float64)
    for model, lib in ((ours.to("float64"), mg.nn), (theirs.double(), torch.nn)):
        model.train()
        for m in model.modules():
            if isinstance(m, lib.Dropout):
                m.eval()
    labels = np.arange(len(x))
    mg.functional.cross_entropy(ours(mg.tensor(x)), mg.tensor(labels)).backward()
    torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels)).backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.requires_grad}
    found = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad}
    assert found.keys() == expected.keys()
    largest = max(g.abs().max() for g in expected.values())  # 0 of biases before batch norm
    for name, g in expected.items():
        np.testing.assert_allclose(host(found[name]), g, 1e-6, 1e-10 * largest, err_msg=name)


def conv_bn(x, conv, bn):
    y = F.conv2d(x, conv.weight, None, conv.stride, conv.padding)
    return F.batch_norm(y, None, None, bn.weight, bn.bias, training=True)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["BasicBlock", "PlainShortcutBlock"])
def test_residual_blocks_are_the_papers(name, stride):
    """Written out here, because a twin runs the same file (He et al., CVPR 2016, eq. 1 and 2)."""
    file = "resnet_82" if name == "BasicBlock" else "resnet_32"
    block = getattr(reference_models.load(file), name)(4, 4 * stride, stride)
    x = torch.randn(2, 4, 8, 8)
    shortcut = x
    if stride == 2 and name == "BasicBlock":
        shortcut = conv_bn(x, *block.shortcut)
    elif stride == 2:
        zeros = torch.zeros(2, 2, 4, 4)
        shortcut = torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1)
    y = conv_bn(F.relu(conv_bn(x, block.conv1, block.bn1)), block.conv2, block.bn2)
    torch.testing.assert_close(block(x), F.relu(y + shortcut))


@pytest.mark.parametrize("name", models.names())
def test_the_seed_decides_the_weights(name):
    first, same, other = (
        next(models.create(name, 10, seed).parameters()).data for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", models.names())
def test_number_of_classes(name):
    model = models.create(name, num_classes=7).eval()
    with mg.no_grad():
        assert model(mg.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("depth", [4, 9, 15, 81])
def test_depths_that_no_resnet_has(depth):
    refuses(ValueError, "depth: expected 6 n + 4", lambda: resnet_82.resnet(depth, 1))


def test_a_resnet_of_any_depth_and_width():
    with mg.no_grad():
        assert resnet_82.resnet(10, 1).eval()(mg.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_resnet_82_is_a_resnet():
    """The study's own network is within the space that `cifar search` tries."""
    options = {"blocks": [2, 2], "channels": [16, 32], "kernel_sizes": [3, 3]}
    ours = models.create("resnet", 10, 1, **options)
    study = resnet_82.stages([[resnet_82.BasicBlock] * 2] * 2, [16, 32], 10)
    assert repr(ours) == repr(study)


SHAPE = {
    "blocks": [1, 2],
    "channels": [4, 6],
    "kernel_sizes": [3, 5],
    "shortcut_kernel": 3,
    "pooling": "max",
    "pooled": 2,
}


def test_a_resnet_of_options_is_its_twin():
    ours, theirs = models.create("resnet", 7, **SHAPE), reference.create("resnet", 7, **SHAPE)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    with mg.no_grad(), torch.no_grad():
        y, expected = ours.eval()(mg.tensor(x)), theirs.eval()(torch.tensor(x))
    np.testing.assert_allclose(host(y), expected.numpy(), rtol=1e-3, atol=1e-4)
    assert "Conv2d(6, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2)" in repr(ours)
    assert "MaxPool2d(kernel_size=8" in repr(ours)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"blocks": [1]}, "resnet: blocks, channels, kernel_sizes: expected an entry"),
        ("resnet", {"blocks": "two"}, "resnet: blocks: expected whole numbers from 1, got 'two'"),
        ("resnet", {"kernel_sizes": [3, 3, 2]}, "resnet: kernel_sizes: expected odd whole"),
        ("resnet", {"pooling": "sum"}, "resnet: pooling: expected avg or max, got 'sum'"),
        ("resnet", {"pooled": 3}, "resnet: expected a multiple of 12 pixels, got 32"),
        ("resnet", {"depth": 3}, "resnet has some of blocks, channels, "),
        ("simple", {"blocks": [1]}, "simple has none, got 'blocks'"),
    ],
)
def test_options_that_no_model_has(name, options, message):
    refuses(UserError, f"model_options: {message}", lambda: models.create(name, **options))


def test_unknown_model():
    refuses(UserError, "model: expected one of ", lambda: models.create("nonesuch"))
