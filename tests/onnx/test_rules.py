"""onnxruntime computes what every operation does, at any batch size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.events import listen
from minigrad.onnx.graph import RULES
from tests.common import Operations, grid
from tests.onnx.common import F, Function, assert_same, in_one_folder, session

WEIGHT = mg.tensor(grid((6, 4, 3, 3)).astype(np.float32))
MATRIX = mg.tensor(grid((5, 6)).astype(np.float32))
CHANNELS = mg.tensor(grid((4,), low=0.5).astype(np.float32))
PICKS = mg.tensor([2, 0, 2])

OPERATIONS = {  # of an input (N, 4, 7, 6)
    "add a number": lambda x: 1.5 + x + x * 2,
    "add a parameter": lambda x: x + MATRIX[0],
    "sub from a number": lambda x: 1 - x - x[:, :1],
    "div": lambda x: x / (x * x + 1) / 3 + 1 / (x * x + 1),
    "neg and abs": lambda x: -x.abs(),
    "powers": lambda x: x**2 + x.abs() ** 0.5 + x**3.0,
    "exp log sqrt": lambda x: (x.exp() + 1).log() + (x * x).sqrt(),
    "clamp": lambda x: x.clamp(-1, 1) + x.clamp(min=0.5) + x.clamp(max=-0.5) + x.clamp(x[:, :1], 1),
    "clamp of integers": lambda x: (x * 9).to("int64").clamp(x[:, :1]),
    "clamp of integers by a fraction": lambda x: (x * 9).to("int64").clamp(-1.5),
    "integers": lambda x: mg.tensor([[1, 2, 3, 4, 5, 6]]) * x + mg.tensor(7).sqrt(),
    "comparisons": lambda x: (
        (x < 1).to("float32")
        + (x <= 0.3).to("float32") * 2
        + (x > x[:, :, :1]).to("float32") * 4
        + (x >= -1).to("float32") * 8
        + (x == x[:, :, :1]).to("float32") * 16
        + (x != x[:, :, :1]).to("float32") * 32
    ),
    "comparison of kinds": lambda x: ((x * 3).to("int64") < 0.5).to("float32"),
    "blends": lambda x: (
        x.lerp(MATRIX[0], 0.3) + x.addcmul(x, MATRIX[0], value=2) + x.addcdiv(x, x * x + 1)
    ),
    "where": lambda x: mg.where(x > 0, x, 0.0) + mg.where(x > 1, 1, x),
    "to another dtype": lambda x: (x * 10).to("int64").sum((2, 3)),
    "sums": lambda x: x.sum((2, 3)) + x.sum((1, -1), keepdim=True)[:, :, 0, 0],
    "sum of nothing": lambda x: x.sum(()),
    "sum of bools": lambda x: (x > 0).sum((1, 2)),
    "means": lambda x: x.mean((-1, 2)) + x.mean(),
    "over the batch": lambda x: x - x.mean(0),
    "var": lambda x: x.var((2, 3)) + x.var(1, correction=0)[:, 0, :4],
    "std": lambda x: x.std((2, 3), unbiased=False),
    "max and min of all": lambda x: x.max() - x.min(),
    "maxima and their places": lambda x: (
        (x.max(1).values.sum(2) + x.argmax(1).sum(2) + x.argmin() + x.amin((1, 3)))
        - x.amax(3, True).sum((1, 3))
    ),
    "trigonometry": lambda x: (
        x.sin() + x.cos() + (x / 3).tan() + x.sinh() + x.cosh() + x.asinh() + x.atan()
    ),
    "inverses": lambda x: (x / 3).asin() + (x / 3).acos() + (x / 3).atanh() + (x * x + 2).acosh(),
    "powers and roots": lambda x: (
        x.square() + (x * x + 1).rsqrt() + (x * x + 1).reciprocal() + x.exp2() + x.erf() + 2**x
    ),
    "logarithms": lambda x: (x * x + 1).log2() + (x * x + 1).log10() + (x * x + 1) ** x,
    "rounding": lambda x: (
        (x * 3).floor() + (x * 3).ceil() + (x * 3).round() + (x * 3).trunc() + x.sign() + x.frac()
    ),
    "rounding to decimals": lambda x: x.round(decimals=1),
    "quotients": lambda x: (
        x // 0.7
        + x % 0.7
        + x.fmod(0.7)
        + x.div(0.7, rounding_mode="trunc")
        + 2 // x.clamp(1)
        + x.div(0.7, rounding_mode="floor")
    ),
    "quotients of integers": lambda x: (x * 9).long() // 4 + (x * 9).long() % 4,
    "quotients of integers towards 0": lambda x: (
        (x * 9).long().div(4, rounding_mode="trunc") + (x * 9).long().trunc()
    ),
    "logic": lambda x: (
        ((x > 0) & (x < 1)).float() + ((x > 1) | ~(x > -1)).float() + ((x > 0) ^ (x > 1)).float()
    ),
    "logic of numbers": lambda x: (
        x.floor().logical_and(x.ceil()).float()
        + x.floor().logical_not().float()
        + x.floor().logical_or(x.ceil()).float()
        + x.floor().logical_xor(x.ceil()).float()
    ),
    "bits": lambda x: (((x * 9).long() & 6) | 1) ^ 12,
    "bits turned": lambda x: ~(x * 9).long(),
    "questions": lambda x: (
        (x / 0).isnan().float() + (1 / x.floor()).isinf().float() + (1 / x.floor()).isfinite()
    ),
    "questions of all": lambda x: (x > 1).any(1).float()[:, 0] + (x > -1).all((1, 2)).float(),
    "maximum and minimum": lambda x: mg.maximum(x, x[:, :1]) + mg.minimum(x, MATRIX[0]),
    "sorted": lambda x: x.sort(-1, descending=True).values + x.sort(1).values,
    "topk": lambda x: x.topk(2, 1).values + x.topk(3, 1, largest=False).indices[:, 1:],
    "gather": lambda x: (
        x.gather(1, (x[:, :2] > 0).long() + 1) + x.take_along_dim((x > 0).long(), 3)[:, :2]
    ),
    "scatter": lambda x: x.scatter(3, (x[..., :2] > 0).long(), 1.5),
    "scatter_add": lambda x: x.scatter_add(3, (x > 0).long(), x),
    "masked_fill": lambda x: x.masked_fill(x > 1, -3),
    "triangles": lambda x: x.tril() + x.triu(2),
    "diagonal": lambda x: x.diagonal(-1, 2, 3) + x.diagonal(0, 1, 2)[:, :1, :1],
    "flip and roll": lambda x: x.flip(0, 2) + x.roll((2, -1), (1, 3)),
    "pieces": lambda x: x.chunk(2, 1)[1] + x.split(2, 1)[0] + mg.stack(x.unbind(1)[:2], 1),
    "repeat": lambda x: x.repeat(1, 2, 1, 1) + x.repeat_interleave(2, 1),
    "einsum": lambda x: mg.einsum("nchw,kw->nkhc", x, MATRIX),
    "products and running sums": lambda x: x.prod(1) + x.cumsum(1)[:, 1] + x[:, :2].prod(),
    "norms": lambda x: (
        x.norm() + x.norm(1, 1) + x.norm(3, 1) + x.norm(0, 1) + x.norm(float("inf"), 1)
    ),
    "logsumexp": lambda x: x.logsumexp((1, 3)),
    "clone": lambda x: x.clone() + x.contiguous(),
    "activations": lambda x: (
        F.relu(x) + F.leaky_relu(x, 0.2) + F.sigmoid(x) + F.tanh(x) + F.gelu(x) + F.gelu(x, "tanh")
    ),
    "activations of straight pieces": lambda x: (
        F.relu6(x * 4) + F.hardtanh(x, -0.5, 1) + F.hardswish(x * 2) + F.hardsigmoid(x * 2)
    ),
    "prelu": lambda x: F.prelu(x, CHANNELS) + F.prelu(x, CHANNELS[:1]),
    "smooth activations": lambda x: F.silu(x) + F.mish(x) + F.logsigmoid(x) + F.softplus(x),
    "softplus, all options": lambda x: F.softplus(x, -1.5, 1.0),
    "elu and its kin": lambda x: F.elu(x, 0.5) + F.selu(x) + F.celu(x, 0.5),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "reshape": lambda x: x.reshape(x.shape[0], 2, -1),
    "reshape of the batch": lambda x: x.reshape(-1, 6),
    "reshape of N x N": lambda x: (x[:, 0, 0] @ x[:, 0, 0].T).unsqueeze(-1),
    "a slice with a step": lambda x: x[:, -2:, 1::2],
    "reshape with the batch inside": lambda x: x.reshape(2, x.shape[0], -1),
    "NumPy's numbers": lambda x: x[:, np.int64(1)] * np.float64(2),
    "flatten": lambda x: x.flatten(1),
    "squeeze": lambda x: x[:, :1].squeeze(1).unsqueeze(0),
    "permute": lambda x: x.permute(1, 3, 0, 2).transpose(0, 1),
    "expand": lambda x: x[:, :, :1].expand(-1, -1, 3, -1) + x[:, :, :1].expand(*x.shape)[:, :, :3],
    "expand to more": lambda x: MATRIX[0].expand(3, 1, 2, 6).expand(3, 5, 2, 6),
    "cat and stack": lambda x: mg.stack([mg.cat([x, x[:, :1]], 1), mg.cat([x[:, 1:2], x], 1)], -1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1, 3, 0), value=2.5),
    "pad by copies": lambda x: (
        F.pad(x, (1, 2, 0, 1), "reflect")
        + F.pad(x, (1, 2, 0, 1), "replicate")
        + F.pad(x, (1, 2, 0, 1), "circular")
    ),
    "matmul": lambda x: MATRIX @ (x[:, :, :6] @ MATRIX.T),
    "linear": lambda x: F.linear(x, MATRIX, MATRIX[:, 0]),
    "linear of rows": lambda x: F.linear(x[:, 0, 0], MATRIX),
    "conv2d": lambda x: F.conv2d(x, WEIGHT, WEIGHT[:, 0, 0, 0], (2, 1), (1, 2)),
    "conv2d same": lambda x: F.conv2d(x, WEIGHT[:, :, :2, :2], padding="same"),
    "conv1d": lambda x: F.conv1d(x[:, :, 0], WEIGHT[:, :, 0], padding=1, stride=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(
        F.conv2d(x / 20, WEIGHT), WEIGHT, WEIGHT[0, :, 0, 0], 2, 1, (1, 0)
    ),
    "unfold": lambda x: F.unfold(x, (3, 2), (1, 2), 1, 2),
    "fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (7, 6), 3, padding=1),
    "batch_norm": lambda x: F.batch_norm(x, CHANNELS, CHANNELS),
    "batch_norm, sum, relu": lambda x: F.batch_norm(
        x, CHANNELS, CHANNELS, residual=x * 0.5, relu=True
    ),
    "batch_norm of rows": lambda x: F.batch_norm(x[:, :, 0, 0], *[CHANNELS] * 4, eps=0.1),
    "batch_norm of sequences": lambda x: F.batch_norm(x[:, :, 0], CHANNELS, CHANNELS, CHANNELS),
    "layer_norm": lambda x: F.layer_norm(x, (7, 6)) + F.layer_norm(x, (6,), MATRIX[0], MATRIX[1]),
    "group_norm": lambda x: F.group_norm(x, 2, CHANNELS, CHANNELS * 2) + F.group_norm(x, 1),
    "instance_norm": lambda x: F.instance_norm(x[:, :, 0], weight=CHANNELS),
    "group_norm of rows": lambda x: F.group_norm(x[:, :, 0, 0], 2, CHANNELS),
    "normalize": lambda x: F.normalize(x) + F.normalize(x, 1, (2, 3)) + F.normalize(x, 3, -1),
    "normalize by the largest": lambda x: F.normalize(x, float("inf")),
    "embedding": lambda x: F.embedding((x[:, 0] * 2).clamp(0, 4).to("int64"), MATRIX),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d, all options": lambda x: F.max_pool2d(x, (3, 2), (2, 3), 1, (2, 1), True),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2),
    "avg_pool2d, all options": lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    "avg_pool2d with a divisor": lambda x: F.avg_pool2d(x, 2, 3, 1, divisor_override=3),
    "pooling of one image": lambda x: F.avg_pool2d(x[0], 2) + x.sum() * 0,
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, None)),
    "global average": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (7, 2)) + F.adaptive_max_pool2d(x, 1),
    "max_pool1d": lambda x: F.max_pool1d(x[:, 0], 3, 2, 1) + F.avg_pool1d(x[:, 1], 3, 2, 1),
    "interpolate, nearest": lambda x: F.interpolate(x, scale_factor=(2.0, 1.7)),
    "interpolate, nearest-exact": lambda x: F.interpolate(x, (5, 9), mode="nearest-exact"),
    "interpolate, bilinear": lambda x: F.interpolate(x, (5, 11), mode="bilinear"),
    "interpolate, corners": lambda x: F.interpolate(x, (5, 11), None, "bilinear", True),
    "interpolate by a factor": lambda x: F.interpolate(x, None, 1.3, "bilinear"),
    "interpolate to the same size": lambda x: F.interpolate(x, None, 1.1, "bilinear"),
    "unfold of a dimension": lambda x: x.unfold(2, 3, 2),
    "pixel_shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    "attention": lambda x: F.scaled_dot_product_attention(x, x * 2, x + 1, is_causal=True),
    "attention without a key": lambda x: F.scaled_dot_product_attention(
        x[:, 0], x[:, 1], x[:, 2], mg.tensor(np.tri(7, 7, -1, bool))
    ),
    "dropout does nothing": nn.Dropout(0.5).eval(),
    "the input itself": lambda x: x,
    "a constant": lambda x: MATRIX,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, tmp_path):
    assert_same(Function(OPERATIONS[name]), (4, 7, 6), tmp_path)


def test_every_rule_is_tested():
    with listen(seen := Operations()):
        for function in OPERATIONS.values():
            function(mg.randn(2, 4, 7, 6))
    assert set(RULES) - seen.names == {"to_device"}  # needs a second device


def test_heads(tmp_path):
    class Heads(nn.Module):
        def __init__(self):
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

        def forward(self, x):
            y, weights = self.attention(x, x, x)
            return y + weights.sum()

    assert_same(Heads(), (5, 6), tmp_path)


@in_one_folder
@given(st.data())
def test_drawn_convolutions(tmp_path, data):
    draw = data.draw
    side, pair = st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(side)
    layer = nn.Conv2d(
        *(groups * draw(side), groups * draw(side)),
        *(draw(pair), draw(pair), draw(st.integers(0, 2)), draw(side), groups),
        bias=draw(st.booleans()),
    )
    assert_same(layer, (layer.in_channels, 7, 8), tmp_path)


@in_one_folder
@given(st.data())
def test_drawn_pooling(tmp_path, data):
    draw, pair = data.draw, st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pair)
    options = {
        "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel),
        "ceil_mode": draw(st.booleans()),
    }
    layer = draw(
        st.sampled_from(
            [
                nn.MaxPool2d(kernel, draw(pair), dilation=draw(pair), **options),
                nn.AvgPool2d(kernel, draw(pair), count_include_pad=draw(st.booleans()), **options),
                nn.AdaptiveAvgPool2d(draw(pair)),
            ]
        )
    )
    assert_same(layer, (2, draw(st.integers(7, 10)), 7), tmp_path)


def exported(function, x, folder):
    """What onnxruntime computes of ``function`` for the array ``x``."""
    path = folder / "x.onnx"
    mg.onnx.export(Function(function), mg.zeros(x.shape, dtype=x.dtype), path)
    return session(path).run(None, {"input": x})[0]


@pytest.mark.parametrize("is_tensor", [False, True])
def test_lerp_ends_at_its_end(is_tensor, tmp_path):
    x = np.array([[1e8, 1.0], [-1e8, 3.0]], np.float32)
    end = mg.tensor([0.25, 5.0])
    for weight, expected in [
        (1.0, [[0.25, 5], [0.25, 5]]),
        (0.0, x.tolist()),
        (0.25, [[7.5e7, 2], [-7.5e7, 3.5]]),
        (-1.0, [[2e8, -3], [-2e8, 1]]),
    ]:
        w = mg.full((2,), weight) if is_tensor else weight
        assert exported(lambda x, w=w: x.lerp(end, w), x, tmp_path).tolist() == expected


def test_a_factor_that_prevents_overflow(tmp_path):
    x = np.full((1, 2), 2.0**100, np.float32)
    found = exported(lambda x: (x * 0).addcmul(x, x, value=2.0**-100), x, tmp_path)
    assert found.tolist() == [[2.0**100] * 2]
    found = exported(lambda x: (x * 0).addcdiv(x, 1 / x, value=2.0**-90), x, tmp_path)
    assert found.tolist() == [[2.0**110] * 2]


def test_remainders_are_exact(tmp_path):
    """A quotient that is rounded, such as 5 / 0.1 to 50, says nothing about them."""
    inf, nan = math.inf, math.nan
    a = [5, 1, -0.3, 3, -3, 3, -3, 0, 6, -6, 7, -7, 1, -1, nan, inf]
    b = [0.1, 0.1, 0.1, inf, inf, -inf, -inf, 1, -2, 2, -3, -3, 0, 0, 1, 1]
    for dtype in ("float32", "float64"):
        x = np.array([a, b], dtype).T
        for function in (mg.remainder, mg.floor_divide):
            found = exported(lambda x, f=function: f(x[:, 0], x[:, 1]), x, tmp_path)
            expected = function(mg.tensor(x[:, 0]), mg.tensor(x[:, 1])).numpy()
            np.testing.assert_array_equal(found, expected)


def test_rounding_to_thousands(tmp_path):
    x = np.array([[7000, 3000, 2500, -1600]], np.float32)
    found = exported(lambda x: x.round(decimals=-3), x, tmp_path)
    assert found.tolist() == [[7000, 3000, 2000, -2000]]


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_takes_the_operations_pixels(mode, tmp_path):
    """ONNX's own places are others, such as 6 in place of 7 from 14 to 4."""
    x = np.arange(14.0, dtype=np.float32)[None, None]
    places = [0, 3, 7, 10] if mode == "nearest" else [1, 5, 8, 12]
    found = exported(lambda x: F.interpolate(x, 4, mode=mode), x, tmp_path)
    assert found.ravel().tolist() == places
    y = np.arange(33.0, dtype=np.float32)[None, None]

    def all_sizes(x):
        return mg.cat([F.interpolate(x, out, mode=mode) for out in range(1, 60)], -1)

    np.testing.assert_array_equal(exported(all_sizes, y, tmp_path), all_sizes(mg.tensor(y)).numpy())


def test_linear_resizing_to_any_size(tmp_path):
    """Also to sizes and by factors that are not whole in float32."""
    x = grid((2, 1, 7, 10)).astype(np.float32)
    for options in (
        {"size": (31, 10)},
        {"size": (31, 1), "align_corners": True},
        {"scale_factor": (1.3, 0.7)},  # 10 * float32(0.7) < 7
        {"scale_factor": (0.7, 0.7), "align_corners": True},
    ):

        def resize(x, options=options):
            return F.interpolate(x, mode="bilinear", **options)

        found = exported(resize, x, tmp_path)
        np.testing.assert_allclose(found, resize(mg.tensor(x)).numpy(), 1e-5, 1e-5)


@in_one_folder
@given(st.data())
def test_drawn_indices(tmp_path, data):
    bound = st.none() | st.integers(-6, 6)
    parts = st.one_of(
        st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 3])),
        st.integers(-3, 2),
        st.none(),
    )
    index = [slice(None), *data.draw(st.lists(parts, max_size=3))]
    if data.draw(st.booleans()):
        index.insert(data.draw(st.integers(1, len(index))), Ellipsis)
    elif data.draw(st.booleans()):
        index = [part for part in index if part is None or isinstance(part, slice)]
        index[data.draw(st.integers(1, len(index))) :] = [PICKS.data]
    try:
        empty = 0 in mg.zeros(2, 3, 5, 4)[tuple(index)].shape
    except (IndexError, NotImplementedError):
        return
    if not empty:
        assert_same(Function(lambda x: x[tuple(index)]), (3, 5, 4), tmp_path)
