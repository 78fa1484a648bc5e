"""``python -m tests.site build/docs``: look at the built site in Chromium, as its readers would.

One page of each kind, in a wide light window and a narrow dark one (``--all``: both colours in both
widths): axe finds no barrier, nothing is wider than the window, and the console is silent. The exit
code is 1 if something is wrong, and 0 where no Chromium is installed.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGES = (
    "index.html",
    "lessons/05_convolution.html",
    "gradients.html",
    "explorer.html",
    "api/minigrad.nn.html",
    "source/minigrad/tape/backward.py.html",
    "search.html",
)


def troubles(site: Path, program: str, looks: list[tuple[str, int]]) -> list[str]:
    """What is wrong, a line for each page and look."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    axe, found, heard = Axe(), [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for colours, width in looks:
            size = {"width": width, "height": 900}
            shown = browser.new_context(viewport=size, color_scheme=colours).new_page()
            shown.on("pageerror", lambda error: heard.append(str(error)))
            for page in PAGES:
                shown.goto(f"file://{site.resolve()}/{page}")
                problems = [
                    f"{p['id']}: {[n['html'][:120] for n in p['nodes']][:2]}"
                    for p in axe.run(shown).response["violations"]
                ]
                if (wide := shown.evaluate("document.documentElement.scrollWidth")) > width:
                    problems.append(f"{wide} pixels wide")
                found += [f"{page}, {colours}, {width}: {p}" for p in [*problems, *heard]]
                heard.clear()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="folder of the built site")
    parser.add_argument("--all", action="store_true", help="both colours in both widths")
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print("no Chromium is installed: the site is not looked at")
        return 0
    looks = [("light", 1280), ("dark", 390)]
    if given.all:
        looks = list(itertools.product(("light", "dark"), (1280, 390)))
    found = troubles(given.site, program, looks)
    print("\n".join(found) or f"{len(PAGES)} pages, {len(looks)} looks: no barriers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
