"""Gradients and trainings over ranks equal those of one process; the ranks are threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.distributed import GradientAverager
from tests.common import refuses
from tests.distributed.common import furthest, on_ranks, train


@pytest.mark.parametrize(
    ("images", "batch", "weighted"), [(24, 8, False), (22, 8, True), (18, 5, False)]
)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ranks_train_as_one_process(ranks, images, batch, weighted):
    """20 steps with augmentation, dropout and synchronised batch norm; sets that do not divide
    evenly, and a last batch with fewer images than ranks."""
    alone = train(None, images, batch, weighted=weighted)
    found = on_ranks(ranks, lambda rank: train(rank, images, batch, weighted=weighted, bucket=1e-4))
    assert max(furthest(one, alone) for one in found) < 1e-12
    assert sorted(number for *_, seen in found for number in seen) == sorted(alone[2])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.floats(0, 1e-4), st.booleans())
@settings(max_examples=10)
def test_mean_over_all_samples(counts, cap, known):
    """Any numbers of samples and any bucket size; a parameter may be unused on some ranks."""
    if not sum(counts):
        counts[0] = 1
    data = np.random.default_rng(0).standard_normal((sum(counts), 3))
    parts = np.split(data, np.cumsum(counts)[:-1])

    def loss(x, w, unused):
        y = (x @ w).relu().mean() if len(x) else (x @ w).sum()
        return y + unused.sum() if len(x) > 2 else y

    def leaves():
        w = mg.tensor(np.arange(12.0).reshape(3, 4) - 5, requires_grad=True)
        return w, mg.ones(2, dtype="float64", requires_grad=True)

    def on_rank(rank):
        w, unused = leaves()
        averager = GradientAverager([w, unused], cap, rank)
        x = mg.tensor(parts[rank.rank])
        part = loss(x, w, unused) if len(x) or rank.rank % 2 else None
        total = averager.backward(part, len(x), sum(counts) if known else None)
        assert total == sum(counts)
        return w.grad.numpy(), unused.grad.numpy(), len(averager.buckets)

    expected = [np.zeros((3, 4)), np.zeros(2)]
    for part in parts:
        w, unused = leaves()
        if len(part):
            loss(mg.tensor(part), w, unused).backward()
            for i, p in enumerate((w, unused)):
                if p.grad is not None:
                    expected[i] += p.grad.numpy() * len(part) / sum(counts)
    for *found, buckets in on_ranks(len(counts), on_rank):
        assert buckets == (1 if cap * 2**20 >= 14 * 8 else 2)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_buckets_are_sent_while_backward_runs():
    """The last layer's gradients are on their way before the first layer's are known."""

    def on_rank(rank):
        layers = [mg.nn.Linear(4, 4) for _ in range(3)]
        model = mg.nn.Sequential(*layers)
        averager = GradientAverager(model.parameters(), 20 * 4 / 2**20, rank)
        sent = []
        layers[0].weight.register_hook(lambda _: sent.append(len(rank.calls)))
        averager.backward(model(mg.ones(2, 4)).sum(), 1, rank.size)
        return sent, rank.calls, averager.bytes

    for sent, calls, size in on_ranks(2, on_rank):
        assert sent == [2]
        assert calls == [80, 80, 80]
        assert size == 240


@pytest.mark.parametrize("ranks", [1, 2])
def test_sets_gradients_on_any_number_of_ranks(ranks):
    """Not added to earlier ones, divided by ``total``, and 0 where nothing leads to the loss."""

    def on_rank(rank):
        p, unused, fixed = (mg.tensor([1.0, -2.0], requires_grad=True) for _ in range(3))
        averager = GradientAverager([p, unused, fixed], process_group=rank)
        fixed.requires_grad = False
        for weight, total, expected in [
            (4, 1, 4 * ranks),
            (4, 8, ranks / 2),
            (4, None, 1),
            (0, 5, 0),
        ]:
            found = averager.backward((p**2).sum(), weight, total)
            assert found == (total or 4 * ranks)
            assert p.grad.tolist() == [2 * expected, -4 * expected]
            assert unused.grad.tolist() == [0, 0]
            assert fixed.grad is None
        assert averager.backward(None, 3) == 3 * ranks
        assert p.grad.tolist() == [0, 0]

    on_ranks(ranks, on_rank)


@pytest.mark.parametrize("ranks", [1, 2])
def test_wrong_arguments(ranks):
    """They are refused before a gradient changes."""

    def on_rank(rank):
        p = mg.ones(1, requires_grad=True)
        averager = GradientAverager([p], process_group=rank)
        averager.backward(p.sum(), 1)
        for error, message, args in [
            (ValueError, "weight: expected a number from 0, got -1", (p.sum(), -1)),
            (TypeError, "weight: expected a number, got 'many'", (p.sum(), "many")),
            (ValueError, "weight: expected a number from 0, got nan", (p.sum(), float("nan"))),
            (ValueError, "total: expected a number above 0, got 0", (p.sum(), 1, 0)),
            (ValueError, "total: expected a number from 0, got -2", (p.sum(), 1, -2)),
            (TypeError, "loss: expected a Tensor, got int", (3, 1)),
            (ValueError, "loss: expected one element, got shape (2,)", (mg.ones(2) * p, 1)),
        ]:
            refuses(error, message, lambda args=args: averager.backward(*args))
            assert p.grad.tolist() == [1]

    on_ranks(ranks, on_rank)


@pytest.mark.parametrize("ranks", [1, 2])
def test_no_rank_with_samples(ranks):
    def on_rank(rank):
        p = mg.ones(1, requires_grad=True)
        averager = GradientAverager([p], process_group=rank)
        refuses(ValueError, "weight: expected one above 0", lambda: averager.backward(None, 0))
        refuses(ValueError, "weight: expected one above 0", lambda: averager.backward(p.sum(), 0))
        if ranks > 1:
            refuses(RuntimeError, "call GradientAverager.backward", lambda: p.sum().backward())

    on_ranks(ranks, on_rank)


def test_alone():
    p = mg.ones(2, requires_grad=True)
    assert GradientAverager([p]).backward((p * 3).sum(), 5) == 5
    assert p.grad.tolist() == [3, 3]
    refuses(TypeError, "params: expected a Tensor", lambda: GradientAverager([1]))
