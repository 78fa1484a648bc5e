"""Batches can be replayed: entered anywhere, they are those of an uninterrupted epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import DataLoader, replayable
from tests.common import host

sizes = st.integers(0, 40)
batch_sizes = st.integers(1, 12)


def loader(n=23, batch_size=5, device="cpu", **options):
    """Images that name themselves: image i is filled with i and labelled 10 i."""
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    return DataLoader(
        mg.tensor(images, device=device),
        mg.tensor(np.arange(n) * 10, device=device),
        batch_size,
        **options,
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


def test_replayable_streams():
    def draw(*key):
        return tuple(replayable(*key).integers(0, 2**32, 4))

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(1), draw(2), draw(1, 0), draw(1, 2), draw(1, 2, 3), draw(1, 3, 2)}) == 6
