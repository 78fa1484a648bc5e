"""Silent and early ranks; the messages and MPI are stand-ins."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace

import pytest

from minigrad.distributed import watch
from minigrad.distributed.watch import ALIVE, GONE, LEAVING, Watch, turns


class Signs:
    """A communicator over which signs came from ranks."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.came, self.sent = rank, size, [], []

    def Dup(self):
        return self

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size

    def Isend(self, sign, rank):
        self.sent.append((int(sign[0]), rank))
        return SimpleNamespace(Test=lambda: True)

    def Iprobe(self, status):
        status.source = self.came[0][1] if self.came else None
        return bool(self.came)

    def Recv(self, sign, source):
        sign[0], _ = self.came.pop(0)


class Status:
    def Get_source(self):
        return self.source


@pytest.fixture
def ended(monkeypatch):
    """What the job was ended with."""
    found = []
    monkeypatch.setattr(Watch, "abort", lambda self, message: found.append(message))
    return found


def watching(rank: int, size: int, silence: float = 10) -> tuple[Watch, Signs]:
    signs = Signs(rank, size)
    names = [f"process {i} on here" for i in range(size)]
    return Watch(SimpleNamespace(Status=Status), signs, names, silence), signs


def passes(one: Watch, now: float) -> None:
    one._now = now
    one._send(LEAVING if one.is_leaving else ALIVE)
    one._receive()
    one._judge()


def test_who_tells_whom():
    for rank, others in ((0, [1, 2]), (1, [0]), (2, [0])):
        one, signs = watching(rank, 3)
        passes(one, 1)
        assert signs.sent == [(ALIVE, other) for other in others]


def test_a_silent_rank_ends_the_job(ended):
    one, signs = watching(0, 3)
    for now in (1, 5, 9):
        signs.came = [(ALIVE, 2)]
        passes(one, now)
    assert not ended
    passes(one, 10.5)
    assert re.fullmatch(r"rank 1 of 3 \(process 1 on here\): silent for 10 s: .*", ended[0])


def test_a_rank_that_ends_early_ends_the_job(ended):
    one, signs = watching(0, 2)
    for now in (1, 8, 12):
        signs.came = [(LEAVING, 1)]
        passes(one, now)
    assert ended == ["rank 1 of 2 (process 1 on here): done, while other ranks wait for it"]
    one.is_leaving = True
    signs.came = [(LEAVING, 1)]
    passes(one, 13)
    assert len(ended) == 1


def test_a_rank_that_has_left_may_be_silent(ended):
    one, signs = watching(0, 2)
    signs.came = [(ALIVE, 1), (GONE, 1)]
    passes(one, 1)
    passes(one, 100)
    assert not ended


def test_time_in_which_the_process_stood_still_does_not_count(monkeypatch):
    clock = iter([0.0, 1.0, 100.0, 101.0, 102.0])
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(clock))
    waiting = turns(SimpleNamespace(wait=lambda interval: False), 1)
    assert [next(waiting) for _ in range(3)] == [1, 3, 4]
    stop = threading.Event()
    stop.set()
    assert [*turns(stop, 1)] == []
