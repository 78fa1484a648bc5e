"""States load as PyTorch loads them: all or nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from tests.common import host
from tests.nn.test_module import sequential, twins

OLD = {
    "no count": lambda state: state.pop("1.num_batches_tracked"),
    "a count with an axis": lambda state: state.update(
        {"1.num_batches_tracked": torch.tensor([7])}
    ),
    "counts": lambda state: state.update({"1.num_batches_tracked": torch.tensor([7, 8])}),
    "no mean": lambda state: state.pop("1.running_mean"),
    "a weight with another axis": lambda state: state.update({"1.weight": torch.ones(1, 4)}),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("change", OLD)
def test_states_of_old_are_taken_as_pytorch_takes_them(change, metadata, strict):
    """PyTorch's own states tell the version of each module; a plain dict may be of any age."""
    ours, theirs = twins(sequential)
    state = theirs.state_dict() if metadata else dict(theirs.state_dict())
    OLD[change](state)
    try:
        expected = tuple(theirs.load_state_dict(state, strict))
    except RuntimeError:
        with pytest.raises(ValueError, match="1\\."):
            ours.load_state_dict(state, strict)
        return
    assert ours.load_state_dict(state, strict) == expected
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.numpy())


def test_every_misfit_is_named_and_nothing_changes():
    model = sequential(nn)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    state = {k: np.zeros_like(v) for k, v in before.items()}
    del state["0.bias"], state["1.running_mean"]
    state |= {"4.weight": np.zeros(1), "extra": np.zeros(1)}
    state["3.1.weight"] = np.zeros((5, 63))
    state["1.weight"] = np.array(["a"] * 4)
    for strict in (True, False):
        with pytest.raises(ValueError, match="state_dict for Sequential") as caught:
            model.load_state_dict(state, strict)
        text = str(caught.value)
        assert "3.1.weight: expected shape (5, 64), got (5, 63)" in text
        assert "1.weight: expected numbers, got <U1" in text
        for problem in (
            "missing 0.bias",
            "missing 1.running_mean",
            "unexpected 4.weight",
            "unexpected extra",
        ):
            assert (problem in text) is strict
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_loading_without_strict_reports_what_it_left_alone():
    ours, theirs = sequential(nn), sequential(torch.nn)
    state = theirs.state_dict()
    removed = state.pop("0.bias")
    state["extra"] = torch.zeros(1)
    mine, reference = (m.load_state_dict(state, strict=False) for m in (ours, theirs))
    assert mine == tuple(reference) == (["0.bias"], ["extra"])
    loaded = ours.state_dict()
    assert not np.array_equal(loaded["0.bias"].numpy(), removed.numpy())
    np.testing.assert_array_equal(loaded["0.weight"].numpy(), state["0.weight"].numpy())
    assert ours.load_state_dict(loaded) == ([], [])


def test_loading_converts_and_copies():
    layer = nn.Linear(2, 1)
    weight = np.array([[1.0, 2.0]])
    layer.load_state_dict({"weight": weight, "bias": mg.tensor([3], dtype="int32")})
    weight[...] = 0
    assert host(layer.weight).tolist() == [[1, 2]]
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert host(layer.bias).tolist() == [3]
