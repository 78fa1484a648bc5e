"""Datasets are PyTorch's; random splits take every sample once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from tests.common import host, refuses


class Numbers(Dataset[int]):
    def __init__(self, *numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        return self.numbers[index]


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=4), st.integers(-20, 20))
def test_one_after_the_other(parts, index):
    ours = ConcatDataset([Numbers(*part) for part in parts])
    theirs = torch.utils.data.ConcatDataset([Numbers(*part) for part in parts])
    assert len(ours) == len(theirs)
    assert ours.cumulative_sizes == theirs.cumulative_sizes
    if -len(ours) <= index < len(ours):
        assert ours[index] == theirs[index] == [n for part in parts for n in part][index]
    else:
        refuses(IndexError, "index: expected one of", lambda: ours[index])


def test_sums_of_datasets():
    assert [*(Numbers(1, 2) + Numbers(3) + Numbers())] == [1, 2, 3]


def test_tensors():
    x, y = mg.tensor(np.arange(6.0).reshape(3, 2)), mg.tensor([7, 8, 9])
    data = TensorDataset(x, y)
    assert len(data) == 3
    a, b = data[1]
    assert (host(a).tolist(), b.item()) == ([2, 3], 8)
    a, b = data[1:]
    assert (a.shape, b.shape) == ((2, 2), (2,))
    assert Subset(data, [2, 0])[0][1].item() == 9
    assert [y.item() for _, y in Subset(data, (2, 0)).__getitems__([1, 0])] == [7, 9]
    assert Subset([10, 11, 12], range(1, 3))[1] == 12


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 100))
def test_a_split_takes_every_sample_once(lengths, seed):
    data = [*range(sum(lengths))]
    parts = random_split(data, lengths, mg.Generator().manual_seed(seed))
    assert [len(part) for part in parts] == lengths
    assert sorted(i for part in parts for i in part) == data
    again = random_split(data, lengths, mg.Generator().manual_seed(seed))
    assert [part.indices for part in parts] == [part.indices for part in again]
    mg.manual_seed(seed)
    one = random_split(data, lengths)
    mg.manual_seed(seed)
    assert [part.indices for part in one] == [part.indices for part in random_split(data, lengths)]


@pytest.mark.filterwarnings("ignore:Length of split")  # PyTorch's
@given(st.integers(0, 50), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_fractions_are_pytorchs(count, shares):
    fractions = [share / sum(shares) for share in shares]
    assume(sum(fractions) <= 1)  # beyond it by rounding, PyTorch refuses them
    expected = torch.utils.data.random_split([*range(count)], fractions)
    assert [len(p) for p in random_split([*range(count)], fractions)] == [len(p) for p in expected]


def test_a_split_is_random():
    assert random_split([*range(100)], [100])[0].indices != [*range(100)]


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "tensors: expected at least one", TensorDataset),
        (TypeError, "tensors: ", lambda: TensorDataset(np.zeros(2))),
        (ValueError, "got ()", lambda: TensorDataset(mg.zeros(()))),
        (ValueError, "got shapes (2,), (3,)", lambda: TensorDataset(mg.zeros(2), mg.zeros(3))),
        (TypeError, "dataset: ", lambda: Subset(3, [0])),
        (TypeError, "indices: ", lambda: Subset([1], 0)),
        (ValueError, "datasets: expected at least one", lambda: ConcatDataset([])),
        (TypeError, "datasets: expected an object", lambda: ConcatDataset([3])),
        (ValueError, "whose sum is 3", lambda: random_split([1, 2, 3], [1, 1])),
        (TypeError, "lengths: ", lambda: random_split([1, 2, 3], 3)),
        (TypeError, "lengths: ", lambda: random_split([1, 2, 3], [1.5, 1.5])),
        (TypeError, "generator: ", lambda: random_split([1], [1], np.random.default_rng(0))),
        (NotImplementedError, "a subclass defines", lambda: Dataset()[0]),
    ],
)
def test_errors(error, text, make):
    refuses(error, text, make)
