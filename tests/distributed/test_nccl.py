"""NCCL's calls, their order and types; NCCL and the streams of CuPy are stand-ins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.distributed import ReduceOp, nccl
from tests.common import refuses

NAMES = {f"NCCL_{name}": name for name in (*nccl.TYPES.values(), *(op.value for op in ReduceOp))}


class OnCard(np.ndarray):
    """An array whose memory has the address that CuPy gives it."""

    @property
    def data(self):
        return SimpleNamespace(ptr=id(self))


@pytest.fixture
def calls(monkeypatch):
    """What was called, in order."""
    found: list[tuple] = []

    class Ranks:
        def __init__(self, *start):
            found.append(("start", *start))

        def __getattr__(self, name):
            return lambda *args: found.append((name, *args))

    class Stream:
        ptr = 7

        def __init__(self, non_blocking=False):
            self.name = "own" if non_blocking else "current"

        def record(self):
            found.append(("record", self.name))
            return SimpleNamespace(done=True, of=self.name)

        def wait_event(self, event):
            found.append((self.name, "waits for", event.of))

    current = Stream()
    cuda = SimpleNamespace(Stream=Stream, get_current_stream=lambda: current)
    xp = SimpleNamespace(cuda=cuda, ascontiguousarray=lambda a: np.ascontiguousarray(a).view(OnCard)
                         if not a.flags.c_contiguous else a)  # fmt: skip
    monkeypatch.setattr(nccl, "get_xp", lambda array: xp)
    library = SimpleNamespace(NcclCommunicator=Ranks, get_unique_id=lambda: "id", **NAMES)
    monkeypatch.setattr(nccl, "nccl", lambda: library)
    return found


def test_a_call_runs_between_what_was_launched_before_and_after(calls):
    ranks = nccl.NcclRanks(1, 4, nccl.unique_id())
    array = np.zeros((2, 3), np.float32).view(OnCard)
    work = ranks.all_reduce(array, ReduceOp.MAX)
    assert work.is_completed()
    assert calls == [
        ("start", 4, "id", 1),
        ("record", "current"),
        ("own", "waits for", "current"),
        ("allReduce", id(array), id(array), 6, "FLOAT32", "MAX", 7),
        ("record", "own"),
    ]
    work.wait()
    assert calls[-1] == ("current", "waits for", "own")
    ranks.broadcast(array, 2)
    assert calls[-2] == ("bcast", id(array), 6, "FLOAT32", 2, 7)
    ranks.close()
    assert calls[-1] == ("destroy",)


def test_arrays_that_are_not_in_one_piece_and_other_types(calls):
    ranks = nccl.NcclRanks(0, 2, "id")
    array = np.arange(6.0).reshape(2, 3).view(OnCard).T
    before = array.copy()
    ranks.all_reduce(array).wait()
    np.testing.assert_array_equal(array, before)
    refuses(TypeError, "tensor: expected one of", lambda: ranks.all_reduce(np.zeros(1, bool)))
