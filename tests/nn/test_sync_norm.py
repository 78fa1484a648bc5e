"""SyncBatchNorm: in place of other batch norms, and alone."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad import nn
from tests.common import refuses


def test_every_batch_norm_is_replaced_with_its_state():
    shared = nn.BatchNorm2d(3, eps=0.1, momentum=0.3)
    model = nn.Sequential(
        nn.Conv2d(3, 3, 1), shared, nn.Sequential(nn.BatchNorm1d(4, affine=False)), shared
    )
    model.eval()
    before = dict(model.state_dict())
    made = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert made is model
    assert model[1] is model[3]
    kinds = [type(m) for m in model.modules() if "BatchNorm" in type(m).__name__]
    assert kinds == [nn.SyncBatchNorm] * 2
    assert (model[1].eps, model[1].momentum, model[1].training) == (0.1, 0.3, False)
    assert model[1].weight is shared.weight
    assert model[2][0].weight is None
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name].data is value.data for name, value in before.items())
    one = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(2))
    assert isinstance(one, nn.SyncBatchNorm)


def test_alone_it_is_batch_norm():
    x = mg.randn(4, 3, 2, 2)
    ours, plain = nn.SyncBatchNorm(3), nn.BatchNorm2d(3)
    for layer in (ours, plain):
        layer(x)
        layer.eval()
    np.testing.assert_array_equal(ours(x).detach().numpy(), plain(x).detach().numpy())
    assert ours.running_mean.tolist() == plain.running_mean.tolist()
    refuses(ValueError, "expected shape (N, C)", lambda: ours(mg.ones(3)))
