"""Collect finished runs of one recipe with several seeds in one JSON file, with mean and deviation.

python -m benchmarks.collect runs/simple-seed0 runs/simple-seed1 --out benchmarks/results/x.json

A file that it wrote stands for its runs, so that later seeds can be added to it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import minigrad as mg
from cifar import environment
from cifar.errors import UserError
from cifar.results import report
from cifar.results.record import OF_THE_STUDY

FIGURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "test_tta_accuracy")


def gather(paths: list[Path]) -> dict[str, Any]:
    """Record, metrics per epoch and final figures of each run, with mean and standard deviation.

    Recall by class is included if the runs' folders contain an evaluation.

    Args:
        paths: runs' folders, or files that this program wrote.

    Raises:
        UserError: the evaluation in a run's folder is damaged.
        ValueError: the runs differ in recipe, data, versions or threads, or one has not finished.
    """
    runs = [run for path in paths for run in _runs(path)]
    first = runs[0]["record"]
    for run in runs[1:]:
        for name in ("recipe", "dataset", "data_fingerprint", "versions", "threads"):
            if run["record"][name] != first[name]:
                raise ValueError(f"the runs differ in {name}")
    last = [run["epochs"][-1] for run in runs]
    known = [name for name in FIGURES if all(name in line for line in last)]
    classes = set.intersection(*(set(run["per_class"]) for run in runs))
    return {
        "recipe": first["recipe"]["name"],
        "seeds": [run["record"]["seed"] for run in runs],
        "study": {} if OF_THE_STUDY & set(first.get("overrides", {})) else first["recipe"]["claim"],
        "final": {name: _spread([line[name] for line in last]) for name in known},
        "recall": {
            name: _spread([run["per_class"][name]["recall"] for run in runs])
            for name in first.get("classes", [])
            if name in classes
        },
        "seconds_per_run": [sum(line["seconds"] for line in run["epochs"]) for run in runs],
        "peak_memory_mb": max(run["epochs"][-1]["peak_memory_mb"] for run in runs),
        "runs": runs,
    }


def _runs(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".json":
        earlier: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["runs"]
        return earlier
    _, note = mg.checkpoint.read(path / "state.safetensors")
    record, history = note["record"], note["progress"]["history"]
    if len(history) < record["recipe"]["epochs"]:
        raise ValueError(f"{path}: {len(history)} of {record['recipe']['epochs']} epochs")
    weights = path / "last.safetensors"
    _, note = mg.checkpoint.read(weights)
    evaluation = report.evaluation(path, note)
    by_class = {"per_class": report.per_class(evaluation, note)}
    by_class |= {k: v for k, v in evaluation.items() if k == "confusion"}
    size = weights.stat().st_size / 1e6
    return [{"record": record, "model_file_mb": size, "epochs": history, **by_class}]


def _spread(values: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": deviation, "runs": values}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, help="output folders of examples/train_cnn.py, or such files"
    )
    parser.add_argument("--out", required=True, help="the JSON file to write")
    parser.add_argument("--commit", help="the commit of the runs (default: the present one)")
    parser.add_argument("--command", help="the command of the runs; SEED stands for each seed")
    given = parser.parse_args()
    try:
        collected = gather(given.runs)
    except (OSError, UserError, ValueError) as error:
        sys.exit(f"error: {error}")
    source = {k: v for k, v in (("commit", given.commit), ("command", given.command)) if v}
    environment.write(given.out, {"machine": {**environment.describe(), **source}, **collected})
    recalls = {f"recall, {name}": row for name, row in collected["recall"].items()}
    for name, row in {**collected["final"], **recalls}.items():
        deviation = "" if row["std"] is None else f" ± {row['std']:.4f}"
        print(f"{name:18s} {row['mean']:.4f}{deviation}  {[round(v, 4) for v in row['runs']]}")


if __name__ == "__main__":
    main()
