"""Batches are PyTorch's, and can be replayed: entered anywhere, they are those of an uninterrupted
epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import DataLoader, Subset, TensorDataset
from tests.common import host, refuses

sizes = st.integers(0, 40)
batch_sizes = st.integers(1, 12)


def loader(n=23, batch_size=5, device="cpu", **options):
    """Images that name themselves: image i is filled with i and labelled 10 i."""
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    labels = mg.tensor(np.arange(n) * 10, device=device)
    return DataLoader(
        TensorDataset(mg.tensor(images, device=device), labels), batch_size, **options
    )


def add_noise(images, generator):
    return mg.Tensor(images.data + generator.normal(size=images.shape))


def numbers(batches):
    return [host(labels) for _, labels in batches]


@given(sizes, batch_sizes, st.booleans(), st.booleans())
def test_every_image_comes_once_with_its_label(n, batch_size, shuffle, drop_last):
    data = loader(n, batch_size, shuffle=shuffle, drop_last=drop_last)
    batches = list(data.epoch(3))
    assert len(batches) == len(data)
    seen = []
    for i, (images, labels) in enumerate(batches):
        assert images.shape == (len(labels), 2, 3, 3)
        assert images.dtype == np.uint8
        assert len(labels) == batch_size or (i == len(data) - 1 and not drop_last)
        np.testing.assert_array_equal(host(images)[:, 0, 0, 0] * 10.0, host(labels))
        seen += host(labels).tolist()
    kept = n - n % batch_size if drop_last else n
    assert len(set(seen)) == len(seen) == kept
    if not shuffle:
        assert seen == [10 * i for i in range(kept)]
    elif not drop_last:
        assert sorted(seen) == [10 * i for i in range(n)]


@given(batch_sizes, st.integers(0, 5), st.integers(0, 1000), st.data())
def test_entering_at_any_batch(batch_size, epoch, seed, data):
    def make():
        return loader(30, batch_size, shuffle=True, seed=seed, transform=add_noise)

    whole = list(make().epoch(epoch))
    start = data.draw(st.integers(0, len(whole) + 1))
    entered = list(make().epoch(epoch, start))
    assert len(entered) == max(0, len(whole) - start)
    for (a, i), (b, j) in zip(whole[start:], entered, strict=True):
        np.testing.assert_array_equal(host(i), host(j))
        np.testing.assert_array_equal(host(a), host(b))


def test_order_differs_by_epoch_and_seed():
    orders = {
        (seed, epoch): tuple(np.concatenate(numbers(loader(shuffle=True, seed=seed).epoch(epoch))))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    assert tuple(range(0, 230, 10)) not in orders.values()


def test_transform_draws_differ_by_seed_epoch_and_batch():
    draws = set()
    for seed in (0, 1):
        for epoch in (0, 1):
            data = loader(10, 5, seed=seed, transform=add_noise)
            draws |= {float(host(x)[0, 0, 0, 0] - host(y)[0] / 10) for x, y in data.epoch(epoch)}
    assert len(draws) == 8


def test_iterating_again_is_the_next_epoch():
    data = loader(shuffle=True, transform=add_noise)
    for epoch in range(3):
        list(data.epoch(7))  # an epoch asked for by number is not counted
        for ours, expected in zip(data, data.epoch(epoch), strict=True):
            for a, b in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(host(a), host(b))


def test_iterators_at_the_same_time_are_epochs_of_their_own():
    data = loader(shuffle=True)
    first, second = iter(data), iter(data)
    assert not np.array_equal(np.concatenate(numbers(first)), np.concatenate(numbers(second)))


def test_the_data_are_not_changed_and_batches_not_shared():
    data = loader(6, 6)
    (images, labels), *_ = data
    images.data += 1
    labels.data += 1
    (again, numbers_again), *_ = data
    assert host(again)[0, 0, 0, 0] == 0
    assert host(numbers_again)[0] == 0


def test_batches_stay_on_the_device_and_agree(device):
    ours = list(loader(shuffle=True, device=device).epoch(2))
    for (images, labels), (_, expected) in zip(ours, loader(shuffle=True).epoch(2), strict=True):
        assert images.device == labels.device == mg.device(device)
        np.testing.assert_array_equal(host(labels), host(expected))


# ---------------------------------------------------------------------------- any dataset


class Squares:
    """Samples of its own, of NumPy arrays and numbers."""

    def __init__(self, n=10):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return np.full((2, 3), index, np.float32), index**2


def plain(batch):
    """A batch in NumPy arrays, lists and dicts, with the types of its Tensors."""
    if isinstance(batch, (mg.Tensor, torch.Tensor)):
        return str(batch.dtype).removeprefix("torch."), tuple(batch.shape), batch.tolist()
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    return type(batch), [plain(value) for value in batch] if isinstance(
        batch, (list, tuple)
    ) else batch


def make_samples(library, count):
    """Datasets of several kinds."""
    tensors = (
        library.tensor(np.arange(count * 3).reshape(count, 3)),
        library.tensor([*range(count)]),
    )
    data = library.utils.data
    whole = data.TensorDataset(*tensors)
    return [
        [*range(count)],
        [0.5 * i for i in range(count)],
        [(f"sample {i}", {"a": i, "b": [i, float(i)]}) for i in range(count)],
        Squares(count),
        whole,
        data.Subset(whole, [*range(0, count, 2)]),
        data.Subset(data.Subset(Squares(count), [*range(1, count)]), [*range(0, count - 1, 2)]),
        data.ConcatDataset([whole, whole]),
    ]


@given(st.integers(2, 9), st.integers(1, 4), st.booleans(), st.integers(0, 7))
def test_batches_in_order_are_pytorchs(count, batch_size, drop_last, kind):
    found = [
        [
            plain(batch)
            for batch in library.utils.data.DataLoader(
                make_samples(library, count)[kind], batch_size, drop_last=drop_last
            )
        ]
        for library in (mg, torch)
    ]
    assert found[0] == found[1]


def test_fast_and_slow_ways_agree():
    """A subclass with samples of its own is asked for them."""

    class Negative(TensorDataset):
        def __getitem__(self, index):
            return tuple(-t for t in super().__getitem__(index))

    x = mg.tensor(np.arange(12.0).reshape(6, 2))
    for data, sign in ((TensorDataset(x), 1), (Negative(x), -1)):
        for dataset, order in ((data, [0, 1, 2, 3, 4, 5]), (Subset(data, [5, 0, 3]), [5, 0, 3])):
            found = np.concatenate([host(batch) for (batch,) in DataLoader(dataset, 4)])
            np.testing.assert_array_equal(found, sign * host(x)[order])


def test_gradients_reach_the_tensors_of_a_dataset():
    x = mg.ones(3, 2, requires_grad=True)
    for (batch,) in DataLoader(TensorDataset(x), 2):
        batch.sum().backward()
    assert host(x.grad).tolist() == [[1, 1]] * 3


def test_orders_by_others():
    def order(**options):
        return [host(batch).tolist() for batch in DataLoader([*range(6)], **options)]

    assert order(batch_sampler=[[1], (5, 0)]) == [[1], [5, 0]]
    assert order(sampler=[3, 3, 1], batch_size=2) == [[3, 3], [1]]
    assert order(sampler=[3, 3, 1], batch_size=2, drop_last=True) == [[3, 3]]
    assert len(DataLoader([*range(6)], sampler=[3, 3, 1], batch_size=2)) == 2
    assert len(DataLoader([*range(6)], batch_sampler=[[1], [2], [3]])) == 3
    generator = mg.Generator().manual_seed(5)
    first = [order(shuffle=True, batch_size=6, generator=generator) for _ in range(2)]
    assert first[0] != first[1]
    generator.manual_seed(5)
    assert order(shuffle=True, batch_size=6, generator=generator) == first[0]


def test_collate_fn_and_transform():
    batches = [*DataLoader(Squares(5), 2, collate_fn=len)]
    assert batches == [2, 2, 1]

    def stack_images(samples):
        return mg.tensor(np.stack([image for image, _ in samples]))

    def brighten(images, generator):
        return images + generator.integers(1, 100)

    loader = DataLoader(Squares(4), 4, transform=brighten)
    (images, squares), *_ = loader.epoch(3)
    added = host(images)[0, 0, 0]
    assert added >= 1
    assert host(images)[3, 1, 2] == added + 3
    assert host(squares).tolist() == [0, 1, 4, 9]
    (alone,) = DataLoader(Squares(4), 4, collate_fn=stack_images, transform=brighten).epoch(3)
    np.testing.assert_array_equal(host(alone), host(images))
    text = "transform: expected batches that begin with a Tensor, got int"
    wrong = DataLoader(Squares(4), 4, collate_fn=len, transform=brighten)
    refuses(TypeError, text, lambda: next(iter(wrong)))


def test_samples_at_once():
    class AtOnce(Squares):
        def __getitems__(self, indices):
            return [indices] if 3 in indices else [i * 10 for i in indices]

    loader = DataLoader(AtOnce(4), 2)
    batches = iter(loader)
    assert host(next(batches)).tolist() == [0, 10]
    text = "dataset: expected 2 samples from its __getitems__, got 1"
    refuses(ValueError, text, lambda: next(batches))


def named_context(name):
    return loader(num_workers=1, multiprocessing_context=name)


@pytest.mark.parametrize(
    ("error", "text", "make"),
    [
        (ValueError, "batch_size: ", lambda: loader(batch_size=0)),
        (TypeError, "batch_size: ", lambda: loader(batch_size=2.5)),
        (ValueError, "seed: ", lambda: loader(seed=-1)),
        (TypeError, "dataset: expected an object with __len__", lambda: DataLoader(iter([1]))),
        (TypeError, "dataset: expected an object with __len__", lambda: DataLoader(len)),
        (ValueError, "start: ", lambda: loader().epoch(0, -1)),
        (ValueError, "number: ", lambda: loader().epoch(-1)),
        (TypeError, "sampler: ", lambda: loader(sampler=3)),
        (ValueError, "sampler: expected it or shuffle", lambda: loader(sampler=[1], shuffle=True)),
        (ValueError, "batch_sampler: ", lambda: loader(batch_sampler=[[1]])),
        (TypeError, "generator: ", lambda: loader(generator=np.random.default_rng(0))),
        (ValueError, "number: the order is that of a sampler", loader(sampler=[1]).epoch),
        (ValueError, "that of a generator", loader(generator=mg.Generator()).epoch),
        (TypeError, "collate_fn: ", lambda: loader(collate_fn=3)),
        (ValueError, "num_workers: ", lambda: loader(num_workers=-1)),
        (ValueError, "timeout: needs num_workers", lambda: loader(timeout=1)),
        (ValueError, "persistent_workers: needs", lambda: loader(persistent_workers=True)),
        (ValueError, "multiprocessing_context: expected", lambda: named_context("thread")),
        (TypeError, "pin_memory: ", lambda: loader(pin_memory=1)),
        (NotImplementedError, "in_order=False", lambda: loader(in_order=False)),
    ],
)
def test_errors(error, text, make):
    refuses(error, text, make)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.booleans())
@settings(max_examples=15)
def test_processes_share_each_batch(count, size, processes, tensors):
    """Every sample of a batch goes to one process, with the draws that it has in a whole batch."""

    def noisy(images, generator):
        total, rows = mg.data.rows_of_batch(len(images))
        return images + mg.Tensor(generator.random((total, 2))[rows])

    values = mg.arange(count * 2).reshape(count, 2).double()
    data = mg.data.TensorDataset(values, mg.arange(count))
    if not tensors:
        data = [(values[i], {"number": i}) for i in range(count)]

    def batches(rank, of):
        options = {"shuffle": True, "transform": noisy, "num_replicas": of, "rank": rank}
        return [*mg.data.DataLoader(data, size, **options).epoch(1)]

    for whole, *parts in zip(
        batches(0, 1), *(batches(rank, processes) for rank in range(processes)), strict=True
    ):
        for rank, (images, numbers) in enumerate(parts):
            there = numbers if tensors else numbers["number"]
            expected = whole[1] if tensors else whole[1]["number"]
            assert there.tolist() == expected.tolist()[rank::processes]
            np.testing.assert_array_equal(images.numpy(), whole[0].numpy()[rank::processes])
