"""The cost of exploring a training step: time, size of the page, and time to open it.

    python -m benchmarks.explore --model resnet-82

After one step to warm up, one process runs ``--rounds`` rounds of a plain step (forward and
backward) on random images and of ``mg.explore``, which runs and records the same step and makes
the page. Headless Chromium then opens the page ``--rounds`` times; its time is from the start of
the navigation until the graph is on the screen, with modules folded. Figures are medians. Needs
Playwright and Chromium (extra ``test``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import minigrad as mg
from benchmarks import contest
from cifar import environment, models

F = mg.functional
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measure(model: str, batch: int, rounds: int) -> tuple[dict[str, Any], str]:
    """Seconds of plain and explored steps, and the page."""
    network = models.create(model)
    images = mg.randn(batch, 3, 32, 32)
    labels = mg.tensor([i % 10 for i in range(batch)])

    def loss(images: mg.Tensor, labels: mg.Tensor) -> mg.Tensor:
        return F.cross_entropy(network(images), labels)

    def plain() -> None:
        network.zero_grad()
        loss(images, labels).backward()

    page = ""

    def explored() -> None:
        nonlocal page
        page = mg.explore(loss, None, {"images": images, "labels": labels}).html

    plain()
    network.zero_grad()
    times: dict[str, list[float]] = {"step": [], "explored": []}
    for _ in range(rounds):
        times["step"].append(seconds(plain))
        network.zero_grad()
        times["explored"].append(seconds(explored))
    figures = {
        "step_s": median(times["step"]),
        "explored_s": median(times["explored"]),
        "ratio": median(times["explored"]) / median(times["step"]),
        "by_round": times,
        "page_bytes": len(page.encode()),
    }
    return figures, page


def seconds(run: Callable[[], None]) -> float:
    began = perf_counter()
    run()
    return perf_counter() - began


def open_times(text: str, rounds: int) -> tuple[list[float], int]:
    """Seconds until the graph is displayed, in each of ``rounds`` new tabs, and the number of its
    cards."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(text, "utf-8")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        taken = []
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            tab = context.new_page()
            began = perf_counter()
            tab.goto(f"file://{file}")
            tab.wait_for_selector("html[data-ready]")
            # Two frames later everything is on the screen.
            tab.evaluate(
                "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            taken.append(perf_counter() - began)
            cards = tab.locator("[role=treeitem]").count()
            context.close()
        browser.close()
    return taken, cards


def main() -> None:
    """Command line."""
    parser = contest.parser(__doc__, turns=3)
    add = parser.add_argument
    add("--model", default="resnet-82", choices=models.names())
    add("--batch", type=contest.positive, default=128, help="images of the step")
    given = parser.parse_args()
    figures, text = measure(given.model, given.batch, given.rounds)
    opened, cards = open_times(text, given.rounds)
    figures |= {"open_s": median(opened), "opened": opened, "cards": cards}
    print(
        f"{given.model}, batch {given.batch}:\n"
        f"  a step {figures['step_s']:.2f} s, explored {figures['explored_s']:.2f} s: "
        f"{figures['ratio']:.2f} times\n"
        f"  page: {figures['page_bytes'] / 1e6:.1f} MB, open after {figures['open_s']:.2f} s, "
        f"{cards} cards"
    )
    if given.out:
        head = {"model": given.model, "batch": given.batch, "rounds": given.rounds}
        environment.write(given.out, {"machine": contest.describe(), **head, **figures})


if __name__ == "__main__":
    contest.run(main)
