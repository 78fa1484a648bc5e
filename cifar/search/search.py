"""A search on this machine: starts, watches and replaces workers, and tests the best trial."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from optuna.trial import FrozenTrial

from cifar import datasets, environment, process
from cifar.device import find_device
from cifar.errors import UserError
from cifar.search import live, request, winner
from cifar.search.request import Settings
from cifar.search.storage import open_storage
from cifar.search.study import LOST, PLACE, Study, open_study
from cifar.search.worker import remove_state

WORKER: Final = (sys.executable, "-m", "cifar.search.worker")
POLL: Final = 0.5  # seconds
MAX_LOST: Final = 20  # workers in a row that are lost and have taken up no trial
PATIENCE: Final = 120.0  # seconds that a worker has to stop after its step


def search(settings: Settings, worker: Sequence[str] = WORKER) -> Study:
    """Run trials until all have ended, and test the best one; returns the study.

    Args:
        worker: the command of a worker, which reads its settings on stdin.

    Raises:
        UserError: an option, the space, the data or the storage cannot be used, or a worker failed.
        KeyboardInterrupt: a signal stopped it; the same command resumes it.
    """
    plan = request.plan(settings)
    data = datasets.load(plan.dataset, "train", settings.data_dir, plan.data_options)
    settings = dataclasses.replace(settings, dataset=data.name)
    places = settings.device.split(",")
    for place in places:
        find_device(place)
    storage = open_storage(settings.place_of_storage)
    plan = dataclasses.replace(plan, dataset=data.name)
    study = open_study(plan, storage, settings.folder, settings.trials)
    print(
        f"search {plan.name}: {settings.trials} trials of {plan.space.epochs} epochs, by "
        f"{settings.sampler} sampler, in {study.out}"
    )
    with process.stop_on_signals() as stop, live.shown(settings.progress) as show:
        _Workers(settings, places, worker).run(study, stop, show)
    if stop:
        print("stopped; the same command goes on", file=sys.stderr)
        raise KeyboardInterrupt
    for trial in study.all():
        if trial.user_attrs.get(PLACE) == study.place:
            remove_state(study, trial.number)
    winner.evaluate_once(study, settings)
    return study


def _progress(trials: Sequence[FrozenTrial]) -> list[object]:
    """A value that changes when a worker starts or continues a trial."""
    return [(trial.state, trial.user_attrs.get(LOST)) for trial in trials]


class _Workers:
    """The processes that run trials on this machine."""

    def __init__(self, settings: Settings, places: Sequence[str], command: Sequence[str]) -> None:
        self.settings, self.places, self.command = settings, places, command
        threads = max(1, environment.cores() // settings.workers)
        self.environment = {"MINIGRAD_NUM_THREADS": str(threads), **os.environ}

    def run(self, study: Study, stop: Sequence[int], show: live.Show) -> None:
        """Run the workers until all trials have ended, or a signal is in ``stop``."""
        lost, before = 0, _progress(study.all())
        with self._stopped_at_last() as running:
            for number in range(self.settings.workers):
                running[number] = self._start(number)
            while running and not stop:
                codes = {number: process.poll() for number, process in running.items()}
                trials = study.all()
                show(trials)
                for number, code in codes.items():
                    if code is None:
                        continue
                    del running[number]
                    if code > 0:
                        raise UserError(f"worker {number}: {self._last_line(number)}")
                    if code < 0:
                        now = _progress(trials)
                        lost, before = (lost + 1, now) if now == before else (0, now)
                        if lost > MAX_LOST:
                            raise UserError(
                                f"worker {number}: {lost} were lost to signals in a row, the last "
                                f"one to signal {-code}; see {self._log(number)}"
                            )
                        running[number] = self._start(number)
                time.sleep(POLL)
            show(study.all())

    def _log(self, number: int) -> Path:
        return self.settings.folder / f"worker-{number}.log"

    def _last_line(self, number: int) -> str:
        lines = self._log(number).read_text("utf-8", "replace").strip().splitlines()
        line = lines[-1] if lines else "it failed"
        return f"{line.removeprefix('error: ')}; see {self._log(number)}"

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        place = self.places[number % len(self.places)]
        settings = dataclasses.replace(self.settings, device=place)
        with self._log(number).open("ab") as log:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,  # not an argument: a URL may hold a password
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C reaches it once, from here
            )
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(msgspec.json.encode(settings))
        return process

    @contextmanager
    def _stopped_at_last(self) -> Iterator[dict[int, subprocess.Popen[bytes]]]:
        """Yield the processes by number, and stop those that still run at the end."""
        running: dict[int, subprocess.Popen[bytes]] = {}
        try:
            yield running
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
