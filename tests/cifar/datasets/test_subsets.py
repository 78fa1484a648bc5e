"""Held-out images, long tails and class weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from cifar.datasets import Dataset, subsets
from cifar.errors import UserError
from tests.common import refuses

F = mg.functional


def data(per_class: int) -> Dataset:
    """``per_class`` images of each of ten classes, each image's number in its pixels."""
    n = 10 * per_class
    images = np.arange(n, dtype=np.uint32).view(np.uint8).reshape(n, 4, 1, 1)
    labels = np.random.default_rng(0).permutation(np.arange(n) % 10)
    return Dataset("made", "train", images, labels, tuple("abcdefghij"))


def numbers(part: Dataset) -> list[int]:
    return part.images.reshape(len(part), 4).copy().view(np.uint32).ravel().tolist()


def test_the_studys_long_tail():
    whole = data(5000)
    part = subsets.long_tailed(whole, 0.01)
    counts = subsets.class_counts(part.labels, 10)
    assert counts.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert counts.sum() == 12_406
    kept = numbers(part)
    assert sorted(set(kept)) == kept
    assert (part.labels == whole.labels[kept]).all()
    assert numbers(subsets.long_tailed(whole, 0.01)) == kept


@pytest.mark.parametrize("imbalance", [0.0, -0.1, 1.5, float("nan")])
def test_impossible_tails(imbalance):
    refuses(UserError, "long_tail: expected", lambda: subsets.long_tailed(data(2), imbalance))


def test_no_tail_keeps_all():
    assert numbers(subsets.long_tailed(data(3), 1.0)) == list(range(30))


@given(st.integers(1, 29))
def test_hold_out_splits(count):
    whole = data(3)
    rest, val = subsets.hold_out(whole, count)
    assert len(val) == count
    assert sorted(numbers(rest) + numbers(val)) == list(range(30))
    for part in (rest, val):
        assert (part.labels == whole.labels[numbers(part)]).all()
    assert numbers(subsets.hold_out(whole, count)[1]) == numbers(val)


def test_what_a_recipe_trains_on():
    whole = data(30)
    assert subsets.split(whole, 0, 1.0) == (whole, None)
    some, val = subsets.split(whole, 40, 1.0, 20)
    assert len(some) == len(set(numbers(some)) - set(numbers(val))) == 20
    assert numbers(some) == numbers(subsets.split(whole, 40, 1.0, 20)[0]) != numbers(whole)[:20]
    refuses(UserError, "subset: expected at most 260", lambda: subsets.split(whole, 40, 1.0, 261))
    rest, val = subsets.split(whole, 40, 1.0)
    assert [numbers(rest), numbers(val)] == [numbers(x) for x in subsets.hold_out(whole, 40)]
    assert (rest.split, val.split) == ("train", "validation")
    tail, same = subsets.split(whole, 40, 0.1)
    assert numbers(tail) == numbers(subsets.long_tailed(rest, 0.1))
    assert numbers(same) == numbers(val)


@pytest.mark.parametrize("count", [0, 30, -1])
def test_impossible_hold_outs(count):
    refuses(UserError, "validation: expected 1 to 29", lambda: subsets.hold_out(data(3), count))


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=12), st.floats(0, 0.99999))
def test_class_balanced_weights(counts, beta):
    weights = subsets.class_balanced_weights(np.array(counts), beta)
    assert weights.dtype == np.float64
    assert weights.sum() == pytest.approx(len(counts), rel=1e-5)
    order = np.argsort(counts)
    assert (np.diff(weights[order]) <= 1e-6).all()  # the rarer, the heavier
    expected = [(1 - beta) / (1 - beta**n) for n in counts]
    np.testing.assert_allclose(weights / weights[0], np.array(expected) / expected[0], rtol=1e-4)


def test_class_balanced_weights_refuse():
    counts = np.array([3, 4])
    refuses(ValueError, "beta: expected", lambda: subsets.class_balanced_weights(counts, 1.0))
    empty = np.array([3, 0])
    refuses(ValueError, "counts: expected", lambda: subsets.class_balanced_weights(empty, 0.9))


@given(st.floats(0, 4), st.floats(0.05, 4))
def test_focal_loss_turns_from_easy_to_hard_examples(gamma, more):
    """As γ grows the loss of an easy example falls relative to a hard one's; γ = 0 is CE."""
    logits, labels = mg.tensor([[4.0, 0.0], [0.5, 0.0], [-1.0, 0.0]]), mg.tensor([0, 0, 0])

    def losses(gamma):
        return F.focal_loss(logits, labels, gamma, reduction="none").numpy()

    easy, medium, hard = losses(gamma + more) / losses(gamma)
    assert easy < medium < hard < 1
    expected = F.cross_entropy(logits, labels, reduction="none").numpy()
    np.testing.assert_array_equal(losses(0.0), expected)
