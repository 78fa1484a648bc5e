"""Kill the workers of a search at random moments, and tear lines of its journal; count losses.

    python -m benchmarks.search_faults --kills 100 --trials 20 --seeds 3 --out faults.json

A small search is run undisturbed, and then again for each seed by forked workers of which one at a
time gets SIGKILL, until so many were killed. A worker takes the place of each. The moments are
drawn from the search's progress, so that epochs end between kills on any machine: after a random
epoch of the search, and then a random part of an epoch later. Such a search has lost something

- if a trial has not ended exactly once, or differs from the undisturbed one's in any figure;
- if an epoch is missing or was counted twice;
- if a kill cost more than one epoch, or an epoch was trained again without a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import minigrad as mg
from cifar import environment
from cifar.search import request, storage, study, worker
from cifar.search.request import Settings
from cifar.training import train

PATIENCE = 300.0  # seconds, for an epoch, and for a search without further kills
POLL = 0.02  # seconds between looks at the progress
NOTES = "trained"  # the file with a line for every epoch trained: process, trial, epoch
SET_STATE, SET_ACCURACY = 6, 7  # in a journal, by optuna's JournalOperation
SPACE = """
recipe = "resnet-82"
epochs = {epochs}
set = {{ model = "resnet", validation = 40, batch_size = 20, augmentation.rotation = 0 }}
[space.stages]
type = "int"
low = 1
high = 1
[space.channels]
field = "model_options.channels"
type = "categorical"
choices = [2, 4]
each = "stages"
[space.lr]
type = "float"
low = 1e-3
high = 1e-1
log = true
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20, help="of a trial (20)")
    parser.add_argument("--images", type=int, default=1000, help="of an epoch (1000)")
    parser.add_argument("--workers", type=int, default=4, help="at any time (4)")
    parser.add_argument("--seeds", type=int, default=1, help="searches, each with other moments")
    parser.add_argument("--storage", help="the URL of an empty database in place of a journal")
    parser.add_argument("--out", help="write the counts here, as JSON")
    asked = parser.parse_args()
    if asked.storage and asked.seeds > 1:
        parser.error("--seeds: expected 1 with --storage, since each search needs an empty one")
    head = {"machine": environment.describe("optuna"), "threads": mg.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), asked.trials, asked.epochs, asked.images, asked.workers)
        head |= {
            "storage": "database" if asked.storage else "journal",
            "workers": asked.workers,
            "trials": asked.trials,
            "epochs": asked.trials * asked.epochs,
            "max_retry": bench.settings.max_retry,
            "seconds undisturbed, one worker": round(bench.seconds, 1),
        }
        found = [bench.disturbed(asked.kills, seed, asked.storage) for seed in range(asked.seeds)]
    print(json.dumps(found, indent=1))
    if asked.out:
        environment.write(asked.out, {**head, "searches": found})
    sys.exit(any(one["lost"] or one["kills"] < asked.kills for one in found))


class Bench:
    """A small search in ``folder``, and what it finds undisturbed.

    Args:
        trials, epochs: of the search.
        images: that each epoch trains on.
        workers: of the disturbed searches.
    """

    def __init__(
        self, folder: Path, trials: int, epochs: int, images: int, workers: int = 2
    ) -> None:
        self.folder, self.trials, self.epochs, self.workers = folder, trials, epochs, workers
        for split, count in (("train", images + 40), ("test", 20)):
            np.savez(folder / f"{split}.npz", **_pictures(count))
        space = folder / "tiny.toml"
        space.write_text(SPACE.format(epochs=epochs), encoding="utf-8")
        self.settings = Settings(
            str(space),
            trials,
            device="cpu",
            dataset="arrays",
            data_dir=str(folder),
            out=str(folder / "undisturbed"),
            set=("model_options.kernel_sizes=[3]", "model_options.blocks=[1]"),
        )
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            worker.work(self.settings)  # here, so that kernels are loaded before processes fork
        self.seconds = time.perf_counter() - started
        self.results = results(self.settings)

    def disturbed(self, kills: int, seed: int, url: str | None = None) -> dict[str, Any]:
        """The same search with so many workers killed: counts, and what was lost."""
        rng = np.random.default_rng(seed)
        out = Path(tempfile.mkdtemp(prefix="disturbed-", dir=self.folder))
        settings = dataclasses.replace(self.settings, out=str(out), storage=url)
        journal = None if url else Path(settings.place_of_storage)
        started = time.perf_counter()
        running = [self._start(settings) for _ in range(self.workers)]
        killed: set[int] = set()
        torn = 0
        epoch = self.seconds / self.trials / self.epochs * self.workers  # for all of them at once
        # not among the last epochs, during which the search may end
        for after in np.sort(rng.uniform(0, 0.9 * self.trials * self.epochs, kills)):
            self._wait(out, int(after))
            time.sleep(rng.uniform(0, epoch))
            victim = int(rng.integers(self.workers))
            pid = running[victim]
            os.kill(pid, signal.SIGKILL)
            code = os.waitpid(pid, 0)[1]
            running[victim] = self._start(settings)
            if code != signal.SIGKILL:
                break  # it was done, since all trials have ended
            killed.add(pid)
            if journal is not None and journal.exists() and rng.random() < 0.2:
                torn += _tear(journal)
        ends = [self._end(pid) for pid in running]
        notes = _notes(out)
        trained = sum(map(len, notes.values()))
        lost = [f"worker: {end}" for end in ends if end != 0]
        lost += self._differences(settings)
        lost += [wrong for n in range(self.trials) for wrong in self._epochs(out, n, killed)]
        lost += _counted_twice(journal) if journal else []
        return {
            "seed": seed,
            "kills": len(killed),
            "lines torn": torn,
            "trials completed": sum(one[0] == "COMPLETE" for one in results(settings).values()),
            "epochs trained": trained,
            "epochs trained again": trained - _distinct(notes),
            "seconds": round(time.perf_counter() - started, 1),
            "lost": lost[:20],
        }

    def _wait(self, out: Path, after: int) -> None:
        """Wait until so many different epochs are trained."""
        until = time.monotonic() + PATIENCE
        while _distinct(_notes(out)) < after and time.monotonic() < until:
            time.sleep(POLL)

    def _differences(self, settings: Settings) -> list[str]:
        """What is not as in the undisturbed search, in words."""
        found = results(settings)
        return [
            f"trial {n}: {found.get(n)}, not {self.results.get(n)}"
            for n in sorted(found.keys() | self.results.keys())
            if found.get(n) != self.results.get(n)
        ]

    def _epochs(self, out: Path, number: int, killed: set[int]) -> list[str]:
        """What is wrong with the epochs of a trial, in words."""
        wrong = []
        before, last = 0, 0
        for pid, epoch in _notes(out).get(number, []):
            if pid != before and before and before not in killed:
                wrong.append(f"trial {number}: {pid} took it from {before}, which was not killed")
            if epoch != last + 1 and not (epoch == last and pid != before):
                wrong.append(f"trial {number}: epoch {epoch} came after {last}")
            before, last = pid, epoch
        file = out / f"trial-{number:04}" / "metrics.jsonl"
        text = file.read_text("utf-8") if file.exists() else ""
        lines = [json.loads(line)["epoch"] for line in text.splitlines()]
        if lines != [*range(1, self.epochs + 1)]:
            wrong.append(f"trial {number} has the epochs {lines}")
        return wrong

    def _start(self, settings: Settings) -> int:
        """The process ID of a worker, which notes every epoch that it has trained."""
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        code = 1
        try:
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(log, stream)
            save = train.save

            def noted(run: Any, metrics: Any) -> None:
                note = f"{os.getpid()} {int(run.out.name[-4:])} {metrics.epoch}\n".encode()
                path = run.out.parent / NOTES
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.write(file, note)
                os.close(file)
                save(run, metrics)

            vars(train)["save"] = noted
            worker.work(settings)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)

    def _end(self, pid: int) -> int:
        """The exit code of a worker that is left alone."""
        with _alarm(PATIENCE, pid):
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def _alarm(seconds: float, pid: int) -> Iterator[None]:
    """Kill a process that takes longer."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _notes(out: Path) -> dict[int, list[tuple[int, int]]]:
    """The epochs trained, in their order, by trial, each with the process that trained it. The
    last was perhaps not saved before its process was killed."""
    found: dict[int, list[tuple[int, int]]] = {}
    file = out / NOTES
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        pid, number, epoch = map(int, line.split())
        found.setdefault(number, []).append((pid, epoch))
    return found


def _distinct(notes: dict[int, list[tuple[int, int]]]) -> int:
    """The number of different epochs trained."""
    return sum(len({epoch for _, epoch in one}) for one in notes.values())


def _counted_twice(journal: Path) -> list[str]:
    """The trials that ended, and the epochs that were told, other than once, in words."""
    ends: Counter[int] = Counter()
    epochs: Counter[tuple[int, int]] = Counter()
    for log in JournalFileBackend(str(journal)).read_logs(0):
        if log["op_code"] == SET_STATE and TrialState(log["state"]).is_finished():
            ends[log["trial_id"]] += 1
        elif log["op_code"] == SET_ACCURACY:
            epochs[log["trial_id"], log["step"]] += 1
    return [f"trial {n} ended {k} times" for n, k in ends.items() if k != 1] + [
        f"epoch {e} of trial {n} was told {k} times" for (n, e), k in epochs.items() if k != 1
    ]


def _tear(journal: Path) -> bool:
    """Leave part of a line at the journal's end, as a writer does whose disk is full."""
    with filelock.FileLock(f"{journal}.held"), journal.open("ab") as file:
        file.write(b'{"op_code": 7, "worker_id": "torn')
    return True


def _pictures(count: int) -> dict[str, Any]:
    """Noisy pictures whose brightness gives the class away."""
    labels = np.arange(count) % 10
    noise = np.random.default_rng(count).integers(0, 40, (count, 3, 8, 8))
    return {"images": (noise + labels[:, None, None, None] * 20).astype(np.uint8), "labels": labels}


def results(settings: Settings) -> dict[int, Any]:
    """How each trial of a search ended, its accuracies and what it drew."""
    where = storage.open_storage(settings.place_of_storage)
    found = study.open_study(request.plan(settings), where, settings.folder, settings.trials)
    return {
        one.number: [
            one.state.name,
            one.values,
            sorted(one.intermediate_values.items()),
            one.params,
            one.user_attrs.get(study.REASON),
        ]
        for one in found.all()
    }


if __name__ == "__main__":
    main()
