"""Fault injection into a search: kill its workers, truncate lines of its journal; count losses.

    python -m benchmarks.search_faults --kills 100 --trials 20 --seeds 3 --out faults.json

A small search runs undisturbed, and then again for each seed, with forked workers. One worker at a
time gets SIGKILL and is replaced, until ``--kills`` were killed. The moments follow the progress of
the search, so that epochs end between kills on any machine: each is a random fraction of an epoch
after a random epoch. A search has lost something if

- a trial has not ended exactly once, or any of its figures differs from the undisturbed search;
- an epoch is missing or was counted twice;
- a kill cost more than one epoch, or an epoch was trained again without a kill.
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

PATIENCE = 300.0  # time limit in seconds, of an epoch and of a search without further kills
POLL = 0.02  # seconds between looks at the progress
NOTES = "trained"  # the file with a line for every epoch trained: process, trial, epoch
SET_STATE, SET_ACCURACY = 6, 7  # operations in a journal (Optuna's JournalOperation)
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
        searches = [
            bench.disturbed(asked.kills, seed, asked.storage) for seed in range(asked.seeds)
        ]
    print(json.dumps(searches, indent=1))
    if asked.out:
        environment.write(asked.out, {**head, "searches": searches})
    sys.exit(any(search["lost"] or search["kills"] < asked.kills for search in searches))


class Bench:
    """A small search in ``folder``, and its results without faults.

    Args:
        trials: number of trials of the search.
        epochs: number of epochs of a trial.
        images: number of training images of an epoch.
        workers: number of workers of the disturbed searches.
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
            worker.work(self.settings)  # in this process, to load the kernels before forking
        self.seconds = time.perf_counter() - started
        self.results = results(self.settings)

    def disturbed(self, kills: int, seed: int, url: str | None = None) -> dict[str, Any]:
        """Run the same search and kill ``kills`` workers; returns counts and losses."""
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
                break  # the worker had ended, so all trials have
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
        """Wait until ``after`` different epochs are trained."""
        until = time.monotonic() + PATIENCE
        while _distinct(_notes(out)) < after and time.monotonic() < until:
            time.sleep(POLL)

    def _differences(self, settings: Settings) -> list[str]:
        """Differences from the undisturbed search, in words."""
        own = results(settings)
        return [
            f"trial {n}: {own.get(n)}, not {self.results.get(n)}"
            for n in sorted(own.keys() | self.results.keys())
            if own.get(n) != self.results.get(n)
        ]

    def _epochs(self, out: Path, number: int, killed: set[int]) -> list[str]:
        """Errors in the epochs of a trial, in words."""
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
        """Start a worker that records every epoch it has trained; returns its process ID."""
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
        """Wait for a worker; returns its exit code."""
        with _alarm(PATIENCE, pid):
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextlib.contextmanager
def _alarm(seconds: float, pid: int) -> Iterator[None]:
    """Kill process ``pid`` if the block takes longer than ``seconds``."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _notes(out: Path) -> dict[int, list[tuple[int, int]]]:
    """The epochs trained, in order, by trial, each with the process that trained it. The last may
    not have been saved before its process was killed."""
    epochs: dict[int, list[tuple[int, int]]] = {}
    file = out / NOTES
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        pid, number, epoch = map(int, line.split())
        epochs.setdefault(number, []).append((pid, epoch))
    return epochs


def _distinct(notes: dict[int, list[tuple[int, int]]]) -> int:
    """The number of different epochs trained."""
    return sum(len({epoch for _, epoch in one}) for one in notes.values())


def _counted_twice(journal: Path) -> list[str]:
    """The trials that did not end once, and the epochs not reported once, in words."""
    ends: Counter[int] = Counter()
    epochs: Counter[tuple[int, int]] = Counter()
    for log in JournalFileBackend(str(journal)).read_logs(0):
        if log["op_code"] == SET_STATE and TrialState(log["state"]).is_finished():
            ends[log["trial_id"]] += 1
        elif log["op_code"] == SET_ACCURACY:
            epochs[log["trial_id"], log["step"]] += 1
    return [f"trial {n} ended {k} times" for n, k in ends.items() if k != 1] + [
        f"epoch {e} of trial {n} was reported {k} times" for (n, e), k in epochs.items() if k != 1
    ]


def _tear(journal: Path) -> bool:
    """Append an incomplete line to the journal, as a full disk would cause."""
    with filelock.FileLock(f"{journal}.held"), journal.open("ab") as file:
        file.write(b'{"op_code": 7, "worker_id": "torn')
    return True


def _pictures(count: int) -> dict[str, Any]:
    """Noisy pictures whose brightness depends on the class."""
    labels = np.arange(count) % 10
    noise = np.random.default_rng(count).integers(0, 40, (count, 3, 8, 8))
    return {"images": (noise + labels[:, None, None, None] * 20).astype(np.uint8), "labels": labels}


def results(settings: Settings) -> dict[int, Any]:
    """The state of each trial of a search, its accuracies and its settings."""
    where = storage.open_storage(settings.place_of_storage)
    opened = study.open_study(request.plan(settings), where, settings.folder, settings.trials)
    return {
        trial.number: [
            trial.state.name,
            trial.values,
            sorted(trial.intermediate_values.items()),
            trial.params,
            trial.user_attrs.get(study.REASON),
        ]
        for trial in opened.all()
    }


if __name__ == "__main__":
    main()
