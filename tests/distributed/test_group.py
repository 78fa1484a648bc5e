"""The calls of a process that is alone, and their arguments."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import distributed
from minigrad.distributed import ReduceOp, group
from tests.common import refuses
from tests.distributed.common import on_ranks


def test_a_process_alone_is_rank_0_of_1():
    assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)
    assert (distributed.get_local_rank(), distributed.get_local_size()) == (0, 1)
    assert not distributed.is_initialized()
    assert distributed.get_backend() == ""
    x, objects = mg.tensor([1.0, 2.0]), [1, "a"]
    assert distributed.all_reduce(x) is None
    distributed.broadcast(x)
    distributed.barrier()
    distributed.broadcast_object_list(objects)
    work = distributed.all_reduce(x, async_op=True)
    work.wait()
    assert work.is_completed()
    assert x.tolist() == [1, 2]
    assert objects == [1, "a"]
    distributed.destroy_process_group()  # nothing to leave


def test_what_rank_0_raises_is_raised():
    assert distributed.from_rank_0(lambda: 3) == 3
    refuses(ZeroDivisionError, "division", lambda: distributed.from_rank_0(lambda: 1 // 0))


def test_nccl_carries_tensors_on_gpus(monkeypatch):
    monkeypatch.setattr(group.Group, "backend", "nccl")
    why = "tensor: backend 'nccl' carries tensors on GPUs, got one on the CPU"
    for call in (distributed.all_reduce, distributed.broadcast):
        refuses(ValueError, why, lambda call=call: call(mg.zeros(2)))


@pytest.mark.parametrize("op", ReduceOp)
def test_every_rank_gets_the_result(op):
    expected = {"SUM": 6.0, "PROD": 6.0, "MIN": 1.0, "MAX": 3.0}

    def on_rank(rank):
        x, y = mg.tensor([rank.rank + 1.0]), mg.tensor([rank.rank])
        distributed.all_reduce(x, op, rank)
        distributed.broadcast(y, 2, rank)
        objects = [rank.rank]
        distributed.broadcast_object_list(objects, 1, rank)
        return x.item(), y.item(), objects

    assert on_ranks(3, on_rank) == [(expected[op.value], 2, [1])] * 3


def test_wrong_arguments():
    x = mg.ones(2, requires_grad=True)
    for error, text, act in (
        (TypeError, "tensor: expected a Tensor", lambda: distributed.all_reduce([1.0])),
        (ValueError, "tensor: expected a leaf", lambda: distributed.all_reduce(x * 2)),
        (ValueError, "src", lambda: distributed.broadcast(x, 1)),
        (TypeError, "group: expected a Group", lambda: distributed.barrier(3)),
        (TypeError, "async_op", lambda: distributed.barrier(async_op=1)),
        (ValueError, "backend: expected", lambda: distributed.init_process_group("gloo")),
    ):
        refuses(error, text, act)
