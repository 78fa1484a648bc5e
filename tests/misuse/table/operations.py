"""Calls of operations that are refused though the types are right: error, argument, call."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from tests.misuse.table import REFUSED_CALLS

F = mg.functional
X, VECTOR = mg.ones(2, 3), mg.ones(2)
DOUBLE, INTEGERS = X.to("float64"), X.to("int64")
IMAGES, FILTERS = mg.ones(2, 4, 5, 6), mg.ones(8, 4, 3, 3)
LABELS = mg.tensor([0, 1])
SOFT = mg.ones(2, 3, requires_grad=True)


def refused(error: type[Exception], argument: str, *calls: Any) -> None:
    REFUSED_CALLS.extend((error, argument, call) for call in calls)


def conv(error: type[Exception], argument: str, *filters: int, **options: Any) -> None:
    w = mg.ones(filters) if filters else FILTERS
    refused(error, argument, lambda: F.conv2d(IMAGES, w, **options))


# Element by element, and activations
refused(TypeError, "exponent", lambda: X.pow("2"))
refused(ValueError, "exponent", lambda: INTEGERS**-INTEGERS)
refused(ValueError, "exponent", lambda: INTEGERS**-1)
refused(ValueError, "clamp", lambda: X.clamp(), lambda: VECTOR.clamp(mg.ones(3)))
refused(TypeError, "min", lambda: X.clamp(min="0"))
refused(TypeError, "condition", lambda: mg.where(X, X, X), lambda: mg.where([True], X, X))
refused(ValueError, "where", lambda: mg.where(VECTOR > 0, mg.ones(3), VECTOR))
refused(ValueError, "approximate", lambda: F.gelu(X, "erf"))
refused(IndexError, "dim", lambda: F.softmax(VECTOR, 1), lambda: F.log_softmax(VECTOR, -2))
refused(TypeError, "softmax", lambda: F.softmax(X))
refused(TypeError, "log_softmax", lambda: F.log_softmax(X))
refused(TypeError, "input", lambda: F.softmax(X > 0, 0), lambda: F.gelu(INTEGERS))
refused(TypeError, "input", lambda: F.leaky_relu(INTEGERS), lambda: F.mish(INTEGERS))
refused(ValueError, "max_val", lambda: F.hardtanh(X, 1.0, -1.0))
refused(ValueError, "weight", lambda: F.prelu(X, VECTOR), lambda: F.prelu(X, mg.ones(1, 3)))
refused(TypeError, "weight", lambda: F.prelu(X, mg.ones(3).to("float64")))
refused(ValueError, "beta", lambda: F.softplus(X, 0))
refused(ValueError, "alpha", lambda: F.celu(X, 0))
refused(TypeError, "inplace", lambda: F.silu(X, inplace=1), lambda: F.relu6(X, "yes"))

# Products and convolution
refused(ValueError, "matmul", lambda: X @ X, lambda: mg.ones(3) @ VECTOR)
refused(ValueError, "input", lambda: mg.ones(()) @ VECTOR)
refused(ValueError, "other", lambda: VECTOR @ mg.ones(()))
refused(TypeError, "matmul", lambda: X @ DOUBLE.T)
refused(TypeError, "other", lambda: X @ np.ones((3, 2)))
refused(ValueError, "input", lambda: F.linear(X, mg.ones(4, 2)))
refused(ValueError, "input", lambda: F.linear(mg.ones(()), mg.ones(4, 2)))
refused(ValueError, "weight", lambda: F.linear(X, mg.ones(4, 3, 1)))
refused(ValueError, "bias", lambda: F.linear(X, X, mg.ones(3)))
refused(TypeError, "weight", lambda: F.linear(X, DOUBLE), lambda: F.linear(INTEGERS, X))
refused(TypeError, "bias", lambda: F.linear(X, X, LABELS))
conv(ValueError, "weight", 8, 4, 3)
conv(ValueError, "weight", 8, 3, 3, 3)
conv(ValueError, "weight", 8, 4, 6, 3)
conv(ValueError, "weight", 3, 2, 3, 3, groups=2)
conv(ValueError, "weight", groups=2)
conv(ValueError, "weight", dilation=3)
conv(ValueError, "groups", groups=0)
conv(ValueError, "bias", bias=mg.ones(4))
conv(TypeError, "bias", bias=mg.ones(8, dtype="float64"))
conv(ValueError, "stride", stride=0)
conv(TypeError, "stride", stride=1.5)
conv(ValueError, "stride", stride=(1, 2, 3))
conv(ValueError, "padding", padding=-1)
conv(ValueError, "padding", padding="full")
conv(ValueError, "padding", padding="same", stride=2)
conv(ValueError, "dilation", dilation=0)
refused(ValueError, "input", lambda: F.conv2d(X, FILTERS))
refused(TypeError, "input", lambda: F.conv2d(IMAGES.to("int64"), FILTERS.to("int64")))
refused(TypeError, "weight", lambda: F.conv2d(IMAGES, FILTERS.to("float64")))
refused(ValueError, "bias", lambda: F.conv_transpose2d(IMAGES, mg.ones(4, 1, 2, 2), VECTOR))
refused(TypeError, "weight", lambda: F.conv_transpose2d(IMAGES, FILTERS.to("float64")))

# Pooling and norms
refused(ValueError, "kernel_size", lambda: F.max_pool2d(IMAGES, 0))
refused(ValueError, "kernel_size", lambda: F.max_pool2d(IMAGES, (1, 2, 3)))
refused(ValueError, "kernel_size", lambda: F.avg_pool2d(IMAGES, 7))
refused(TypeError, "kernel_size", lambda: F.max_pool2d(IMAGES, "2"))
refused(ValueError, "stride", lambda: F.max_pool2d(IMAGES, 2, 0))
refused(ValueError, "padding", lambda: F.max_pool2d(IMAGES, 2, 2, 2))
refused(ValueError, "padding", lambda: F.max_pool2d(IMAGES, 2, 2, -1))
refused(ValueError, "dilation", lambda: F.max_pool2d(IMAGES, 2, 2, 0, 0))
refused(
    NotImplementedError, "return_indices=", lambda: F.max_pool2d(IMAGES, 2, return_indices=True)
)
refused(ValueError, "divisor_override", lambda: F.avg_pool2d(IMAGES, 2, 2, 0, False, True, 0))
refused(ValueError, "output_size", lambda: F.adaptive_avg_pool2d(IMAGES, (1, 2, 3)))
refused(ValueError, "output_size", lambda: F.adaptive_avg_pool2d(IMAGES, -1))
refused(TypeError, "output_size", lambda: F.adaptive_avg_pool2d(IMAGES, 1.5))
for _pool in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d):
    refused(ValueError, "input", lambda f=_pool: f(X, 1))
for _pool in (F.avg_pool2d, F.adaptive_avg_pool2d):
    refused(TypeError, "input", lambda f=_pool: f(IMAGES.to("int64"), 2))


def norm(error: type[Exception], argument: str, x: mg.Tensor = X, **options: Any) -> None:
    options = {"running_mean": None, "running_var": None, "training": True} | options
    refused(error, argument, lambda: F.batch_norm(x, **options))


norm(ValueError, "input", mg.ones(3))
norm(ValueError, "input", mg.ones(1, 3))
norm(TypeError, "input", INTEGERS)
norm(ValueError, "running_mean", training=False)
for _name in ("running_mean", "running_var", "weight", "bias"):
    norm(ValueError, _name, **{_name: VECTOR})
norm(TypeError, "weight", weight=mg.ones(3, dtype="float64"))
norm(ValueError, "residual", residual=mg.ones(2, 1))
norm(ValueError, "residual", residual=DOUBLE)
refused(ValueError, "p", lambda: F.normalize(X, 0))
refused(TypeError, "dim", lambda: F.normalize(X, dim=()))
refused(NotImplementedError, "out=", lambda: F.normalize(X, out=X))

# Losses
for _loss in (F.cross_entropy, F.nll_loss, F.focal_loss):
    refused(ValueError, "weight", lambda f=_loss: f(X, LABELS, weight=VECTOR))
    refused(TypeError, "weight", lambda f=_loss: f(X, LABELS, weight=mg.ones(3, dtype="float64")))
    refused(TypeError, "input", lambda f=_loss: f(INTEGERS, LABELS))
    refused(ValueError, "input", lambda f=_loss: f(mg.tensor(0.5), mg.tensor(0)))
    refused(ValueError, "target", lambda f=_loss: f(X[0], LABELS[:1]))
    refused(ValueError, "target", lambda f=_loss: f(X[:1], mg.tensor(0)))
    refused(IndexError, "target", lambda f=_loss: f(X, mg.tensor([0, 3])))
    refused(ValueError, "reduction", lambda f=_loss: f(X, LABELS, reduction="avg"))
for _loss in (F.cross_entropy, F.nll_loss, F.mse_loss):
    for _name in ("size_average", "reduce"):
        refused(NotImplementedError, f"{_name}=", lambda f=_loss, n=_name: f(X, X, **{n: True}))
refused(NotImplementedError, "target", lambda: F.cross_entropy(X, SOFT))
refused(TypeError, "target", lambda: F.cross_entropy(X, DOUBLE), lambda: F.nll_loss(X, VECTOR))
refused(ValueError, "target", lambda: F.cross_entropy(X, X[:1]), lambda: F.mse_loss(X, X[0]))
refused(TypeError, "target", lambda: F.mse_loss(X, INTEGERS))
refused(ValueError, "label_smoothing", lambda: F.cross_entropy(X, LABELS, label_smoothing=1.5))
refused(ValueError, "ignore_index", lambda: F.cross_entropy(X, X, ignore_index=1))
refused(ValueError, "ignore_index", lambda: F.nll_loss(X, LABELS, ignore_index=2**63))
refused(ValueError, "input", lambda: F.cross_entropy(mg.zeros(2, 0), LABELS))
refused(ValueError, "gamma", lambda: F.focal_loss(X, LABELS, -1))
refused(IndexError, "target", lambda: F.focal_loss(X, mg.tensor([0, -100])))
refused(ValueError, "reduction", lambda: F.mse_loss(X, X, reduction="avg"))

# Reductions and shapes
for _name in ("sum", "mean", "var", "std", "max", "min", "argmax"):
    refused(IndexError, "dim", *[lambda n=_name, d=d: getattr(X, n)(dim=d) for d in (2, -3)])
    refused(TypeError, "dim", *[lambda n=_name, d=d: getattr(X, n)(dim=d) for d in ("0", 0.5)])
refused(ValueError, "max", lambda: mg.zeros(0).max())
refused(ValueError, "min", lambda: mg.zeros(2, 0).min(1))
refused(ValueError, "argmax", lambda: mg.zeros(0).argmax())
refused(TypeError, "other", lambda: X.max(0, other=X))
refused(ValueError, "shape", lambda: X.reshape(4, 2), lambda: X.reshape(-1, -1))
refused(ValueError, "size", lambda: X.reshape(-2, 3), lambda: X.expand(4, 3))
refused(ValueError, "size", lambda: X.expand(3), lambda: X.expand(-1, 2, 3))
refused(ValueError, "start_dim", lambda: X.flatten(1, 0))
refused(ValueError, "dims", lambda: X.permute(0), lambda: X.permute(0, 0))
refused(TypeError, "dim0", lambda: X.transpose(0.5, 1))
refused(IndexError, "dim", lambda: X.squeeze(2), lambda: X.unsqueeze(3))
refused(ValueError, "dim", lambda: X.squeeze((0, 0)))
refused(IndexError, "index", lambda: X[2])
refused(TypeError, "index", lambda: X[0.5], lambda: X["a"], lambda: X[VECTOR])
refused(NotImplementedError, "index", lambda: mg.ones(3, 4, 2)[0, :, [1, 1]])
refused(NotImplementedError, "index", lambda: mg.ones(3, 4, 2)[[0, 1], None, 0])
refused(TypeError, "tensors", lambda: mg.cat([]), lambda: mg.cat(X), lambda: mg.cat([X, 1]))
refused(TypeError, "tensors", lambda: mg.cat([VECTOR, LABELS]))
refused(ValueError, "tensors", lambda: mg.cat([X, mg.zeros(2, 2)]))
refused(ValueError, "tensors", lambda: mg.cat([mg.zeros(()), mg.zeros(())]))
refused(ValueError, "tensors", lambda: mg.stack([X, mg.zeros(3)]))
refused(IndexError, "dim", lambda: mg.cat([X], 2), lambda: mg.stack([X], 3))
refused(ValueError, "tensor", lambda: F.one_hot(mg.tensor([0, 2]), 2))
refused(TypeError, "tensor", lambda: F.one_hot(VECTOR))
refused(ValueError, "num_classes", lambda: F.one_hot(mg.tensor([0, 2]), -2))
refused(ValueError, "num_classes", lambda: F.one_hot(mg.zeros(0, dtype="int64")))
for _target in ("tpu", "float99", 3.5):
    refused(TypeError, "device", lambda t=_target: X.to(t))

# What was once taken for something
refused(TypeError, "keepdim", lambda: X.sum(0, keepdim="no"), lambda: X.max(0, keepdim="no"))
refused(TypeError, "keepdim", lambda: X.argmax(0, keepdim=2))
refused(TypeError, "training", lambda: F.dropout(X, 0.5, "eval"))
refused(TypeError, "ignore_index", lambda: F.cross_entropy(X, LABELS, ignore_index=[1]))
refused(TypeError, "ignore_index", lambda: F.nll_loss(X, LABELS, ignore_index=1.5))
refused(TypeError, "ceil_mode", lambda: F.max_pool2d(IMAGES, 1, ceil_mode="no"))
refused(TypeError, "tensor", lambda: F.one_hot([1, 2]))
refused(TypeError, "value", lambda: F.pad(X, (1, 1), value="0"))
norm(TypeError, "running_mean", running_mean=b"no")
norm(TypeError, "training", training="no")
norm(TypeError, "relu", relu=1)
norm(TypeError, "residual", residual=1)
refused(TypeError, "input", lambda: mg.nn.BatchNorm2d(3)(None))
refused(TypeError, "input", lambda: mg.nn.Flatten()(np.zeros((2, 3))))
refused(TypeError, "affine", lambda: mg.nn.BatchNorm2d(3, affine="no"))
refused(TypeError, "requires_grad", lambda: mg.tensor([1], requires_grad=True))
