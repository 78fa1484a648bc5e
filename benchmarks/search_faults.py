"""Kill the workers of a search at random moments, and tear lines of its journal; count losses.

    python -m benchmarks.search_faults --kills 100 --trials 20 --out search-faults-cpu.json

A small search is run undisturbed, and then again by forked workers of which one at a time gets
SIGKILL, until so many were killed. A worker takes the place of each. The second search has lost
something if a trial has not ended exactly once, if an epoch is missing or was counted twice, if
more than one epoch was trained again for a kill, or if any accuracy differs from the undisturbed
one's.
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

from cifar import environment
from cifar.search import request, storage, study, worker
from cifar.search.request import Settings
from cifar.training import train

WORKERS = 2
PATIENCE = 300.0  # seconds, for a search without further kills
SET_STATE = 6  # in a journal: optuna's JournalOperation.SET_TRIAL_STATE_VALUES
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
    parser.add_argument("--epochs", type=int, default=10, help="of a trial (10)")
    parser.add_argument("--images", type=int, default=2000, help="of an epoch (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--storage", help="the URL of an empty database in place of a journal")
    parser.add_argument("--out", help="write the counts here, as JSON")
    asked = parser.parse_args()
    on = environment.describe("optuna")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), asked.trials, asked.epochs, asked.images)
        found = bench.disturbed(asked.kills, asked.seed, asked.storage)
    print(json.dumps(found, indent=1))
    if asked.out:
        environment.write(asked.out, {"machine": on, **found})
    sys.exit(bool(found["lost"]))


class Bench:
    """A small search in ``folder``, and what it finds undisturbed.

    Args:
        trials, epochs: of the search.
        images: that each epoch trains on.
    """

    def __init__(self, folder: Path, trials: int, epochs: int, images: int) -> None:
        self.folder, self.trials, self.epochs = folder, trials, epochs
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
        out = tempfile.mkdtemp(prefix="disturbed-", dir=self.folder)
        settings = dataclasses.replace(self.settings, out=out, storage=url)
        journal = None if url else Path(settings.place_of_storage)
        pace = self.seconds / WORKERS / kills  # undisturbed work between two kills
        started = time.perf_counter()
        running = [self._start(settings) for _ in range(WORKERS)]
        killed, torn = 0, 0
        while killed < kills:
            time.sleep(rng.uniform(0, 2 * pace) + rng.uniform(0, 0.2))
            victim = int(rng.integers(WORKERS))
            os.kill(running[victim], signal.SIGKILL)
            code = os.waitpid(running[victim], 0)[1]
            running[victim] = self._start(settings)
            if code != signal.SIGKILL:
                break  # it was done, since all trials have ended
            killed += 1
            if journal is not None and journal.exists() and rng.random() < 0.2:
                torn += _tear(journal)
        ends = [self._end(pid) for pid in running]
        lost = [f"worker: {end}" for end in ends if end != 0]
        lost += self._losses(settings, killed, journal)
        trained, distinct = self._trained(settings)
        return {
            "kills": killed,
            "lines torn": torn,
            "trials": self.trials,
            "epochs": self.trials * self.epochs,
            "epochs trained": trained,
            "epochs trained again": trained - distinct,
            "storage": "database" if url else "journal",
            "seconds undisturbed, one worker": round(self.seconds, 1),
            "seconds": round(time.perf_counter() - started, 1),
            "lost": lost[:20],
        }

    def _losses(self, settings: Settings, killed: int, journal: Path | None) -> list[str]:
        """What is not as in the undisturbed search, in words."""
        found = results(settings)
        lost = [
            f"trial {n}: {found.get(n)}, not {one}"
            for n, one in self.results.items()
            if found.get(n) != one
        ]
        lost += [f"trial {n} is one too many" for n in found.keys() - self.results.keys()]
        trained, distinct = self._trained(settings)
        if distinct != self.trials * self.epochs or trained - distinct > killed:
            lost.append(f"{trained} epochs trained, {distinct} different ones")
        for number, epochs in self._order(settings).items():
            if epochs != sorted(epochs):
                lost.append(f"trial {number} went back: epochs {epochs}")
            file = Path(settings.out or "", f"trial-{number:04}", "metrics.jsonl")
            text = file.read_text("utf-8") if file.exists() else ""
            lines = [json.loads(line)["epoch"] for line in text.splitlines()]
            if lines != [*range(1, self.epochs + 1)]:
                lost.append(f"trial {number} has the epochs {lines}")
        if journal is not None:
            told = Counter(
                log["trial_id"]
                for log in JournalFileBackend(str(journal)).read_logs(0)
                if log["op_code"] == SET_STATE and log["state"] in (1, 2, 3)
            )
            lost += [f"trial {n} ended {k} times" for n, k in told.items() if k != 1]
        return lost

    def _order(self, settings: Settings) -> dict[int, list[int]]:
        """The epochs that were trained, in their order, by trial."""
        order: dict[int, list[int]] = {n: [] for n in range(self.trials)}
        for line in Path(settings.out or "", "trained").read_text("utf-8").splitlines():
            number, epoch = map(int, line.split())
            order[number].append(epoch)
        return order

    def _trained(self, settings: Settings) -> tuple[int, int]:
        """(epochs that were trained, how many of them are different ones)."""
        order = self._order(settings)
        return sum(map(len, order.values())), sum(len(set(one)) for one in order.values())

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
                note = f"{int(run.out.name[-4:])} {metrics.epoch}\n".encode()
                path = run.out.parent / "trained"
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
