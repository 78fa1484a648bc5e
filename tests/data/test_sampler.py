"""Orders of samples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tests.common import refuses


@given(st.lists(st.integers(), max_size=12), st.integers(1, 5), st.booleans())
def test_lists_of_indices_are_pytorchs(indices, size, drop_last):
    ours = BatchSampler(indices, size, drop_last)
    theirs = torch.utils.data.BatchSampler(indices, size, drop_last)
    assert [*ours] == [*theirs]
    assert len(ours) == len(theirs)


@given(st.integers(1, 20), st.none() | st.integers(1, 50))
def test_every_sample_as_often_as_the_others(count, number):
    data = [0] * count
    found = [*RandomSampler(data, num_samples=number)]
    assert len(found) == len(RandomSampler(data, num_samples=number)) == (number or count)
    times = Counter(found)
    assert times.keys() <= {*range(count)}
    assert max(times.values()) - min(times[i] for i in range(count)) <= 1
    drawn = [*RandomSampler(data, True, number)]
    assert len(drawn) == (number or count)
    assert {*drawn} <= {*range(count)}


def test_orders():
    assert [*SequentialSampler("abc")] == [0, 1, 2]
    assert [*RandomSampler([])] == []
    indices = [*range(10, 60)]
    sampler = SubsetRandomSampler(indices)
    first, second = [*sampler], [*sampler]
    assert sorted(first) == sorted(second) == indices
    assert first != second  # each pass anew
    assert len(sampler) == 50
    mg.manual_seed(0)
    assert [*RandomSampler(indices)] == (mg.manual_seed(0), [*RandomSampler(indices)])[1]
    own = mg.Generator()
    assert [*RandomSampler(indices, generator=own)] == [
        *RandomSampler(indices, generator=own.manual_seed(0))
    ]


def test_weights():
    found = Counter(WeightedRandomSampler([0, 1, 3], 4000))
    assert found[0] == 0
    assert 0.2 < found[1] / 4000 < 0.3
    weights = mg.tensor([0.0, 1.0, 3.0, 0.5])
    assert sorted(WeightedRandomSampler(weights, 3, replacement=False)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (TypeError, "data_source: ", lambda: SequentialSampler(3)),
        (TypeError, "data_source: ", lambda: RandomSampler(3)),
        (ValueError, "num_samples: ", lambda: RandomSampler([1], num_samples=0)),
        (TypeError, "replacement: ", lambda: RandomSampler([1], 1)),
        (TypeError, "generator: ", lambda: RandomSampler([1], generator=3)),
        (TypeError, "indices: ", lambda: SubsetRandomSampler(3)),
        (TypeError, "weights: ", lambda: WeightedRandomSampler("ab", 1)),
        (TypeError, "weights: ", lambda: WeightedRandomSampler([[1.0]], 1)),
        (ValueError, "weights: ", lambda: WeightedRandomSampler([1, -1], 1)),
        (ValueError, "weights: ", lambda: WeightedRandomSampler([1, np.nan], 1)),
        (ValueError, "a weight above 0, got 0", lambda: WeightedRandomSampler([0], 1)),
        (ValueError, "2 weights above 0", lambda: WeightedRandomSampler([0, 1], 2, False)),
        (TypeError, "sampler: ", lambda: BatchSampler(3, 1, False)),
        (ValueError, "batch_size: ", lambda: BatchSampler([1], 0, False)),
        (TypeError, "drop_last: ", lambda: BatchSampler([1], 1, 0)),
        (NotImplementedError, "a subclass defines", lambda: iter(Sampler())),
    ],
)
def test_errors(error, text, make):
    refuses(error, text, make)


@given(st.integers(0, 30), st.integers(1, 5), st.booleans(), st.booleans(), st.integers(0, 3))
def test_each_sample_goes_to_one_process(count, processes, shuffle, drop_last, epoch):
    """PyTorch's order; but no sample is repeated to make all processes alike."""
    data, options = [0] * count, {"shuffle": shuffle, "drop_last": drop_last}
    found = []
    for rank in range(processes):
        one = DistributedSampler(data, processes, rank, **options)
        one.set_epoch(epoch)
        mine = [*one]
        assert len(mine) == len(one) == one.num_samples
        found.append(mine)
        if not shuffle and (drop_last or count % processes == 0):
            theirs = torch.utils.data.DistributedSampler(data, processes, rank, **options)
            assert mine == ([*theirs] if count >= processes else [])
    every = sorted(i for mine in found for i in mine)
    kept = count - count % processes if drop_last else count
    assert len(every) == kept
    assert len({*every}) == kept
    assert {*every} <= {*range(count)}


def test_one_process_alone_gets_all():
    assert sorted(DistributedSampler([0] * 5)) == [*range(5)]
    first, second = DistributedSampler([0] * 50), DistributedSampler([0] * 50)
    second.set_epoch(1)
    assert [*first] != [*second]
