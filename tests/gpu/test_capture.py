"""Numbers of a step: computed at once, or remembered and computed before each replay."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.gpu import capture


def counter(start: float = 0.0):
    """A function whose numbers differ each time."""
    calls = iter(np.arange(start, start + 100))
    return lambda: [next(calls), 7.0]


def test_outside_of_a_recording():
    values = counter()
    first, second = (capture.varying(values, 2, np.float32, np) for _ in range(2))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, [0, 7])
    np.testing.assert_array_equal(second, [1, 7])


def test_in_a_recording():
    slots = capture.Slots()
    with capture.recording(slots):
        assert capture.is_recording()
        a = capture.varying(counter(), 2, np.float32, np)
        b = capture.varying(lambda: [2**53 + 1], 1, np.uint64, np)
    assert not capture.is_recording()
    for step in range(3):
        slots.refill()
        np.testing.assert_array_equal(a, [step, 7])
        assert b[0] == 2**53 + 1
    np.testing.assert_array_equal(capture.varying(counter(5), 2, np.float32, np), [5, 7])


def test_numbers_are_sent_in_few_pieces(monkeypatch):
    """All that vary as one, until a piece is full; what does not vary, once."""
    slots, sent = capture.Slots(), []
    send = capture._Chunk.send
    monkeypatch.setattr(capture._Chunk, "send", lambda self: sent.append(self.used) or send(self))
    with capture.recording(slots):
        small = [capture.varying(counter(i), 2, dtype, np) for i, dtype in enumerate(("f4", "u8"))]
        fixed = capture.constant(np.arange(6).reshape(2, 3), np)
        large = capture.varying(lambda: range(1000), 1000, np.float64, np)
    for step in range(2):
        slots.refill()
        for i, array in enumerate(small):
            np.testing.assert_array_equal(array, [step + i, 7])
            assert array.ctypes.data % capture.ALIGNMENT_BYTES == 0
        np.testing.assert_array_equal(fixed, [[0, 1, 2], [3, 4, 5]])
        np.testing.assert_array_equal(large, np.arange(1000))
    assert sent == [48, 32, 8000, 32, 8000]
    assert any(np.shares_memory(fixed, array) for array in slots.kept)
    np.testing.assert_array_equal(capture.constant(np.arange(3), np), [0, 1, 2])


def test_memory_comes_from_outside_of_the_recording():
    inside = []

    @contextlib.contextmanager
    def outside():
        inside.append(True)
        yield
        inside.pop()

    def empty(*args):
        assert inside
        return np.empty(*args)

    slots, xp = capture.Slots(outside), SimpleNamespace(empty=empty)
    with capture.recording(slots):
        capture.varying(counter(), 2, np.float32, xp)
        capture.varying(lambda: range(9999), 9999, np.float32, xp)
        capture.constant(np.arange(3), xp)
    assert len(slots._chunks) == 2
    assert not inside


def test_refill_keeps_the_order_of_the_step():
    order = []
    slots = capture.Slots()
    with capture.recording(slots):
        for name in "abc":
            capture.varying(lambda name=name: order.append(name) or [0], 1, np.int32, np)
    slots.refill()
    assert order == ["a", "b", "c"]


def test_what_a_recording_keeps():
    slots = capture.Slots()
    arrays = np.zeros(3), np.ones(2)
    capture.keep(*arrays)
    with capture.recording(slots):
        capture.keep(*arrays)
    assert [id(a) for a in slots.kept] == [id(a) for a in arrays]


def test_an_error_ends_the_recording():
    with pytest.raises(KeyError), capture.recording(capture.Slots()):
        raise KeyError
    assert capture.varying(lambda: [3], 1, np.int32, np)[0] == 3


def test_one_recording_at_a_time():
    slots = capture.Slots()
    with (
        capture.recording(slots),
        pytest.raises(RuntimeError, match="captured already"),
        capture.recording(capture.Slots()),
    ):
        pass


def test_wrong_count():
    with pytest.raises(ValueError, match="expected 3 numbers, got 2"):
        capture.varying(lambda: [1, 2], 3, np.float32, np)
