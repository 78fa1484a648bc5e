"""Draws repeat for a seed, differ between streams, and stay the same from version to version."""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import rng
from minigrad.rng import drawn_by, replayable
from tests.common import refuses, seeds

streams = st.lists(st.integers(0, 1000), max_size=3).map(tuple)


@given(seeds, streams)
def test_a_seed_and_stream_repeat_their_draws(seed, stream):
    def draw():
        mg.manual_seed(seed, *stream)
        return [rng.generator().integers(2**63, size=3).tolist() for _ in range(2)]

    first = draw()
    assert draw() == first
    assert first[0] != first[1]


@given(seeds, streams, seeds, streams)
def test_other_seeds_and_streams_draw_otherwise(seed, stream, other_seed, other_stream):
    def draw(*numbers):
        mg.manual_seed(*numbers)
        return rng.generator().integers(2**63, size=2).tolist()

    same = (seed, *stream) == (other_seed, *other_stream)
    assert (draw(seed, *stream) == draw(other_seed, *other_stream)) == same


def test_a_longer_draw_does_not_move_the_next():
    found = []
    for size in (1, 1000):
        mg.manual_seed(0)
        rng.generator().random(size)
        found.append(rng.generator().random())
    assert found[0] == found[1]


# ---------------------------------------------------------------------------- threads


@pytest.fixture
def switching_often():
    """Threads take turns every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count, work):
    """What ``work(number, wait)`` returns in each of ``count`` new threads; ``wait`` is for all."""
    wait = Barrier(count).wait
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: work(number, wait), range(count)))


@pytest.mark.usefixtures("switching_often")
def test_threads_that_share_a_sequence_draw_each_of_it_once():
    def work(number, wait):
        wait()
        return [rng.next_draw() for _ in range(5000)]

    mg.manual_seed(5)
    draws = [draw for found in in_threads(4, work) for draw in found]
    mg.manual_seed(5)
    assert sorted(draws) == [rng.next_draw() for _ in range(4 * 5000)]


@pytest.mark.usefixtures("switching_often")
def test_a_thread_that_seeds_draws_what_it_would_alone():
    """Two models in two threads, each step seeded as training does."""
    layer, x = mg.nn.Dropout(0.5), mg.ones(4, 8)

    def train(seed, wait):
        wait()
        masks = []
        for step in range(20):
            mg.manual_seed(seed % 2, step)
            masks += [layer(layer(x)).numpy().copy() for _ in range(2)]
        return masks

    alone = [train(seed, lambda: None) for seed in (0, 1)]
    assert not np.array_equal(alone[0], alone[1])
    mg.manual_seed(3)
    for seed, together in enumerate(in_threads(4, train)):
        np.testing.assert_array_equal(together, alone[seed % 2])
    expected = rng.next_draw()  # nobody has touched the main thread's
    mg.manual_seed(3)
    assert rng.next_draw() == expected


@pytest.mark.parametrize("drop", [0.0, 0.25, 0.5, 1.0])
def test_keep_mask_frequency(drop):
    mask = rng.next_draw().keep_mask((100, 1001), drop)
    assert mask.dtype == bool
    assert mask.shape == (100, 1001)
    assert abs(mask.mean() - (1 - drop)) <= 5 * np.sqrt(drop * (1 - drop) / mask.size)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_keep_mask_shapes(shape):
    assert rng.next_draw().keep_mask(shape, 0.5).shape == shape


def test_pinned_draws():
    """Runs from earlier versions must replay: these never change."""
    mg.manual_seed(7, 1, 2)
    mask = rng.next_draw().keep_mask((64, 65), 0.3)
    values = mg.randn(5)
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    assert digest[:16] == "2a1e2e883d6e6f6f"
    np.testing.assert_allclose(
        values.numpy(), [0.0761041, 0.542329, 0.0266899, -0.276703, 0.493443], 1e-5
    )


def test_the_upper_end_is_left_out():
    """Whatever dtype the numbers are rounded to."""
    x = mg.rand(1 << 16, dtype="float16").numpy()
    assert 0 <= x.min() < x.max() < 1
    assert not (x.astype("f") * 2**11 % 1).any()
    assert abs(x.astype("f").mean() - 0.5) < 0.01
    for dtype, low, high in (
        ("float32", 1e5, 1e5 + 1),
        ("float32", -1e5, 1 - 1e5),
        ("float16", 0, 0.1),
        ("float16", 2048, 2052),
    ):
        x = mg.zeros(1 << 16, dtype=dtype).uniform_(low, high).numpy()
        assert x.dtype.type(low) <= x.min() < x.max() < x.dtype.type(high)
    for low, high in ((2, 2), (1, 1 + 1e-10)):
        assert np.all(mg.zeros(9).uniform_(low, high).numpy() == low)


def test_permutations_have_each_number_once():
    for n in (2048, 2049):
        assert len({*mg.randperm(n, dtype="float16").tolist()}) == n
    text = "n: expected a whole number up to {}, got"
    for dtype, most in (("float16", 2**11 + 1), ("float32", 2**24 + 1), ("float64", 2**53 + 1)):
        refuses(ValueError, text.format(most), lambda d=dtype, n=most + 1: mg.randperm(n, dtype=d))
    refuses(TypeError, "dtype: expected integers or floats", lambda: mg.randperm(2, dtype="bool"))


def test_randn(device):
    mg.manual_seed(0)
    x = mg.randn(100, 200, device=device, requires_grad=True)
    assert (x.shape, x.dtype, x.device) == ((100, 200), np.float32, mg.device(device))
    assert x.requires_grad
    assert abs(x.mean().item()) < 0.03
    assert abs(x.var().item() - 1) < 0.03
    mg.manual_seed(0)
    assert mg.randn((100, 200), dtype="float64").numpy().astype("f")[3, 4] == x[3, 4].item()


def test_draws_that_are_drawn_again():
    for seed in (None, 3):
        if seed is not None:
            mg.manual_seed(seed)
        with rng.drawn_again():
            first = mg.randn(3).tolist()
            mg.randn(5)
        assert mg.randn(3).tolist() == first


def test_replayable_streams():
    def draw(*key):
        return tuple(replayable(*key).integers(0, 2**32, 4))

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(1), draw(2), draw(1, 0), draw(1, 2), draw(1, 2, 3), draw(1, 3, 2)}) == 6


def test_a_generator_is_a_sequence_of_its_own():
    def draws(generator, count=3):
        return [int(drawn_by("generator", generator).integers(2**62)) for _ in range(count)]

    own = mg.Generator()
    first = draws(own)
    assert len({*first, *draws(own)}) == 6
    assert draws(own.manual_seed(0)) == first != draws(own.manual_seed(1))
    assert own.initial_seed() == 1
    expected = (mg.manual_seed(3), draws(None))[1]
    mg.manual_seed(3)
    draws(own)
    assert draws(None) == expected  # the shared sequence goes on by itself
    assert own.seed() == own.initial_seed() != 1
    refuses(ValueError, "seed: ", lambda: own.manual_seed(-1))
    refuses(NotImplementedError, "device='cuda'", lambda: mg.Generator("cuda"))
    refuses(TypeError, "generator: ", lambda: drawn_by("generator", 3))


def test_a_generator_of_its_own():
    """Draws by a Generator repeat from its seed, and leave the thread's sequence alone."""
    draws = (
        lambda g: mg.rand(3, generator=g),
        lambda g: mg.randn_like(mg.ones(2), generator=g),
        lambda g: mg.randint(0, 9, (4,), generator=g),
        lambda g: mg.randperm(9, generator=g),
        lambda g: mg.bernoulli(mg.full((9,), 0.5), generator=g),
        lambda g: mg.multinomial(mg.ones(9), 3, generator=g),
        lambda g: mg.zeros(3).normal_(generator=g),
    )
    mg.manual_seed(0)
    expected = mg.rand(2).tolist()
    for draw in draws:
        mg.manual_seed(0)
        found = [draw(mg.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2)]
        assert found[0] == found[1] != found[2]
        assert mg.rand(2).tolist() == expected
    refuses(TypeError, "generator: expected a Generator, got int", lambda: mg.rand(1, generator=1))


def test_a_seed_that_ends_with_its_context():
    mg.manual_seed(3)
    mg.rand(2)
    second = mg.rand(2).tolist()
    mg.manual_seed(3)
    mg.rand(2)
    with rng.seed_restored():
        mg.manual_seed(4)
    assert mg.rand(2).tolist() == second
