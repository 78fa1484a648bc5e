"""Training of one run by several ranks.

Only rank 0 prints, and reads and writes the folder of the run; it sends the others what they need.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import minigrad as mg
from cifar import datasets, models
from cifar.errors import UserError
from cifar.own_code import Source
from cifar.recipes import Recipe


@contextmanager
def job(distributed: bool) -> Iterator[None]:
    """Context in which the processes that ``mpirun`` started train one run.

    Ranks other than 0 print nothing in it, and end with it. Each uses its share of the cores that
    it may run on, or MINIGRAD_NUM_THREADS of them. Run mpirun with ``--bind-to none``, so that each
    rank may use all cores of its machine.

    Raises:
        UserError: mpi4py or an MPI library is missing.
    """
    if not distributed:
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(mg.distributed.process_group(mistakes=(UserError, OSError)))
        except ImportError as error:
            raise UserError(str(error)) from None
        if mg.distributed.get_rank():
            _silence()
        if not os.environ.get("MINIGRAD_NUM_THREADS"):
            cores = mg.get_num_threads() // mg.distributed.get_local_size()
            mg.set_num_threads(max(1, cores))
        yield


def _silence() -> None:
    """Redirect the output of this process to /dev/null. The group can still report a failure."""
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    os.close(null)


def any_rank(flag: bool) -> bool:
    """Whether ``flag`` is true on any rank."""
    largest = mg.tensor([float(flag)])
    mg.distributed.all_reduce(largest, mg.distributed.ReduceOp.MAX)
    return bool(largest.item())


def broadcast(tensors: Iterable[mg.Tensor]) -> None:
    """Give every rank the values of rank 0, in place.

    This is needed for a model's weights before training, because machines may round differently,
    and for its buffers before each evaluation, because ranks have different running statistics of
    batch norm unless it is synchronised.
    """
    for tensor in tensors:
        mg.distributed.broadcast(tensor)


def command(words: tuple[str, ...]) -> tuple[str, ...]:
    """A training command line with the mpirun command of these ranks."""
    size = mg.distributed.get_world_size()
    return words if size == 1 else ("mpirun", "-n", str(size), *words, "--distributed")


def own_gpu(name: str) -> str:
    """The name of this rank's device: each rank of a machine has its own GPU. The number in
    ``name`` is ignored, because a resumed run has that of rank 0, whose record it reads."""
    if mg.distributed.get_world_size() == 1 or not name.startswith(("gpu", "cuda", "auto")):
        return name
    if name == "auto" and not mg.is_gpu_available():
        return "cpu"
    return f"gpu:{mg.distributed.get_local_rank()}"


def check_same_data(*sets: datasets.Dataset) -> None:
    """Raise if this rank has other images than rank 0: "auto" is another data set on a machine
    without CIFAR-10, and folders of the same name may differ."""
    if mg.distributed.get_world_size() == 1:
        return
    own = [(data.name, data.fingerprint) for data in sets]
    expected = mg.distributed.from_rank_0(lambda: own)
    if own != expected:
        name, here = expected[0][0], own[0][0]
        got = here if here != name else "other images of that name"
        raise UserError(
            f"dataset: expected the images of rank 0 ({name}), got {got} on {platform.node()}"
        )


def check_smallest_batch(
    recipe: Recipe, data: datasets.Dataset, source: Source | None, synchronized: bool
) -> None:
    """Raise before training if an epoch has no batch, or if a rank gets a batch of one image and
    the model cannot train on it, since batch norm of vectors needs two."""
    if recipe.drop_last and len(data) < recipe.batch_size:
        raise UserError(
            f"batch_size: expected at most {len(data):,}, the training images, with drop_last, got "
            f"{recipe.batch_size}"
        )
    size = 1 if synchronized else mg.distributed.get_world_size()
    last = 0 if recipe.drop_last else len(data) % recipe.batch_size
    batches = {min(recipe.batch_size, len(data)), last} - {0}
    if all(batch // size > 1 for batch in batches):
        return
    image = mg.zeros(1, *data.images.shape[1:])
    classes, side = len(data.classes), image.shape[-1]
    model = models.build(recipe.model, classes, 0, side, source, **recipe.model_options).train()
    try:
        with mg.no_grad():
            model(image)
    except ValueError as error:
        whom = f" to some of {size} ranks" if size > 1 else ""
        advice = " or --sync-batch-norm" if size > 1 else ""
        raise UserError(
            f"batch_size: {recipe.batch_size} of {len(data):,} training images leaves a batch of "
            f"one{whom}, on which {recipe.model} cannot train ({error}); choose another "
            f"--batch-size{advice}"
        ) from None
