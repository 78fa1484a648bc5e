"""Workers give the batches that there would be without, and end when they should."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import DataLoader, TensorDataset, get_worker_info
from tests.common import host, refuses

FORK = "fork" in multiprocessing.get_all_start_methods()
pytestmark = pytest.mark.skipif(not FORK, reason="local datasets here need fork")


def loader(dataset, *args, num_workers=2, context="fork", **options):
    return DataLoader(
        dataset, *args, num_workers=num_workers, multiprocessing_context=context, **options
    )


class Samples:
    """Calls a function of the index."""

    def __init__(self, count, function):
        self.count, self.function = count, function

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.function(index)


def add_noise(images, generator):
    return mg.Tensor(images.data + generator.normal(size=images.shape))


def arrays(batches):
    return [[host(t).tolist() for t in batch] for batch in batches]


@settings(max_examples=8)
@given(
    st.integers(0, 20), st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 3)
)
def test_the_batches_are_those_without_workers(count, size, workers, ahead, start):
    data = TensorDataset(mg.tensor(np.arange(2.0 * count).reshape(count, 2)))
    options = {"shuffle": True, "transform": add_noise, "seed": 3}
    alone = DataLoader(data, size, **options)
    many = loader(data, size, num_workers=workers, prefetch_factor=ahead, **options)
    assert arrays(many.epoch(4, start)) == arrays(alone.epoch(4, start))
    assert arrays(many) == arrays(alone)
    assert multiprocessing.active_children() == []


def draws(index):
    return random.random(), np.random.rand(), host(mg.randn(1))[0]  # noqa: NPY002


def test_what_samples_draw_can_be_replayed():
    data = Samples(12, draws)
    whole = arrays(loader(data, 3, num_workers=3).epoch(1))
    assert arrays(loader(data, 3, num_workers=1).epoch(1, 2)) == whole[2:]
    flat = [number for batch in whole for entry in batch for number in entry]
    assert len({*flat}) == len(flat) == 36
    assert arrays(loader(data, 3).epoch(2)) != whole
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    list(loader(data, 3))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_batches_larger_than_a_pipe():
    """And requests that are: neither side waits for the other."""
    data = TensorDataset(mg.tensor(np.arange(60_000)))
    found = [host(batch) for (batch,) in loader(data, 15_000, prefetch_factor=3)]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(60_000))


class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raises(error):
    def sample(index):
        if index == 7:
            raise error
        return index

    return sample


def test_an_error_of_a_worker_is_raised_with_its_traceback():
    batches = iter(loader(Samples(20, raises(KeyError("seven"))), 2))
    assert [host(next(batches)).tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(KeyError, match="seven") as caught:
        next(batches)
    text = "".join(traceback.format_exception(caught.value))
    assert "in sample" in text
    assert "raise error" in text
    assert multiprocessing.active_children() == []
    with pytest.raises(RuntimeError, match="Awkward: 1 and 2"):  # pickle cannot make one again
        list(loader(Samples(20, raises(Awkward(1, 2))), 2))
    with pytest.raises(SystemExit):
        list(loader(Samples(20, raises(SystemExit(3))), 2))
    with pytest.raises(AttributeError, match="lambda"):  # nor send this one
        list(loader([1, 2], collate_fn=lambda samples: lambda: samples))


def test_an_end_of_a_worker_is_an_error():
    for how, text in ((3, "exit code 3"), (-signal.SIGKILL, "by signal 9")):

        def ends(index, how=how):
            if index == 5:
                os._exit(how) if how > 0 else os.kill(os.getpid(), -how)
            return index

        started = time.monotonic()
        with pytest.raises(RuntimeError, match=rf"worker 1 ended {text}|with {text}"):
            list(loader(Samples(9, ends)))
        assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []


def test_timeout():
    slow = loader(Samples(4, lambda index: time.sleep(60)), timeout=0.1)
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"no batch from worker 0 within 0\.1 seconds"):
        next(iter(slow))
    assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []


def test_a_pass_that_is_broken_off_leaves_no_worker():
    started = time.monotonic()
    for _ in loader(Samples(100, lambda index: index or time.sleep(0.01) or 0)):
        break
    batches = iter(loader(Samples(4, lambda index: time.sleep(60 * (index > 0)) or 0)))
    next(batches)
    del batches
    assert multiprocessing.active_children() == []
    assert time.monotonic() - started < 30


def test_what_a_worker_knows_of_itself():
    def told(index):
        info = get_worker_info()
        return (
            info.id,
            info.num_workers,
            info.seed,
            len(info.dataset),
            mg.get_num_threads(),
            mark[0],
        )

    mark = [0]
    batches = list(
        loader(Samples(4, told), seed=9, worker_init_fn=lambda number: mark.append(mark.pop() + 5))
    )
    assert arrays(batches) == [[[i % 2], [2], [9], [4], [1], [5]] for i in range(4)]
    assert get_worker_info() is None
    assert mark == [0]
    with pytest.raises(ZeroDivisionError):
        list(loader([1, 2], worker_init_fn=lambda number: 1 // 0))


def test_workers_that_stay():
    pids = Samples(4, lambda index: os.getpid())
    stays = loader(pids, persistent_workers=True)
    first, second = (sorted({*np.concatenate(arrays(stays)).ravel()}) for _ in range(2))
    assert first == second
    assert len(first) == 2
    pair = [iter(stays), iter(stays)]  # one of them makes workers of its own
    assert len({next(batches).item() for batches in pair for _ in range(2)}) == 4
    del pair, batches_ended_by(stays)[:]
    assert multiprocessing.active_children() == []


def batches_ended_by(data):
    """Break off a pass, which ends the workers that would have stayed."""
    batches = iter(data)
    next(batches)
    del batches
    return []


def test_a_process_forked_in_the_midst_of_it(tmp_path):
    """Its copy of the workers is left alone, and it can have workers of its own."""
    stays = loader(Samples(6, lambda index: index), persistent_workers=True)
    list(stays)
    batches = iter(stays)
    found = [next(batches).item()]
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            own = [batch.item() for batch in stays]
            del batches
            code = 0 if own == [*range(6)] else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    found += [batch.item() for batch in batches]
    assert found == [*range(6)]


def test_another_thread_may_iterate():
    found = []
    data = loader(TensorDataset(mg.tensor([*range(8)])), 4)
    thread = threading.Thread(target=lambda: found.extend(arrays(data)))
    thread.start()
    x = mg.randn(300, 300)
    while thread.is_alive():
        (x @ x).sum()
    thread.join()
    assert found == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]


def test_a_fresh_interpreter():
    """Nothing of a worker is inherited, all of it picklable."""
    data = TensorDataset(mg.tensor([*range(4)]))
    assert arrays(loader(data, 2, num_workers=1, context="spawn")) == [[[0, 1]], [[2, 3]]]
    local = Samples(2, lambda index: index)
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        list(loader(local, num_workers=1, context="spawn"))
    assert multiprocessing.active_children() == []


SCRIPT = """
import os, signal, sys, time
from minigrad.data import DataLoader

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

class Slow:
    def __len__(self):
        return 100

    def __getitem__(self, index):
        os.write(1, b'%d\\n' % os.getpid())
        time.sleep(0.05 if index < 2 else 60)
        return index

for batch in DataLoader(Slow(), num_workers=2, multiprocessing_context="fork"):
    pass
"""


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_end(pids):
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(alive, pids))


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


@needs_proc
def test_workers_end_with_the_program():
    """Ctrl-C reaches all processes of the terminal, and shows one traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        encoding="utf-8",
    ) as process:
        pids = {int(process.stdout.readline()) for _ in range(4)}
        os.killpg(process.pid, signal.SIGINT)
        errors = process.communicate(timeout=20)[1]  # read to the end: all writers are gone
    assert len(pids) == 2
    assert all_end(pids)
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == 1


@needs_proc
def test_orphans_end_by_themselves():
    script = SCRIPT.replace("else 60", "else 0.2").replace(
        "    pass", "    os.kill(os.getpid(), 9)"
    )
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks into /proc")
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        out, errors = process.communicate(timeout=20)
    pids = {int(line) for line in out.split()}
    assert len(pids) == 2
    assert errors == ""
    assert all_end(pids)


def test_what_is_refused():
    for error, text, make in (
        (TypeError, "num_workers: ", lambda: loader([1], num_workers=1.5)),
        (ValueError, "prefetch_factor: ", lambda: loader([1], prefetch_factor=0)),
        (ValueError, "timeout: ", lambda: loader([1], timeout=-1)),
        (TypeError, "persistent_workers: ", lambda: loader([1], persistent_workers=1)),
        (TypeError, "worker_init_fn: ", lambda: loader([1], worker_init_fn=3)),
        (ValueError, "multiprocessing_context: ", lambda: loader([1], context="thread")),
    ):
        refuses(error, text, make)
