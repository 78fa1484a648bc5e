"""The page: one file, safe with any name; and, in a real browser, what a reader does with it."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from cifar import models
from minigrad import nn
from minigrad.explore import page as writing
from minigrad.explore.capture import record
from minigrad.explore.page import page
from tests.explore.nets import step

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def data_of(text):
    return json.loads(re.search('<script type="application/json" id="data">(.*)</script>', text)[1])


# ---------------------------------------------------------------------------- the file


def test_a_file_by_itself(tmp_path):
    _, loss, inputs = step()
    found = mg.explore(loss, tmp_path / "page.html", inputs, title="A step & more")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert found.html == text
    assert repr(found).endswith("page.html>")
    assert "<title>A step &amp; more</title>" in text
    assert "default-src 'none'" in text
    without_licence = text.replace("http://www.w3.org/", "")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", without_licence)
    assert "Permission is hereby granted" in text  # dagre's licence goes with it
    assert len(text) < 2e6
    frame = found._repr_html_()
    assert frame.startswith("<iframe ")
    assert "<script" not in frame
    assert mg.explore(loss, None, inputs).path is None


def test_pictures_are_the_samples():
    _, loss, inputs = step()
    recording = record(loss, inputs)
    text = page(recording, "")
    data = data_of(text)
    numbers = re.search('<script type="text/plain" id="pictures">(.*)</script>', text)[1]
    pictures = np.frombuffer(base64.b64decode(numbers), "<i2")
    for value, written in zip(recording.values, data["values"], strict=True):
        for sample, at in ((value.sample, "sample"), (value.gradient, "gradient")):
            assert (sample is None) == (written[at] == -1)
            if sample is None:
                continue
            s = data["samples"][written[at]]
            length = int(np.prod(s["size"]))
            shown = pictures[s["at"] : s["at"] + length].reshape(s["size"]) / 32767 * s["scale"]
            np.testing.assert_allclose(shown, sample.maps, atol=s["scale"] / 60000 + 1e-12)


def test_numbers_that_are_not_finite():
    x = mg.tensor([[0.0, 1.0], [np.inf, np.nan]], requires_grad=True)
    data = data_of(page(record(lambda: (x.log() * 2).sum()), ""))
    assert {s["norm"] for s in data["samples"] if isinstance(s["norm"], str)} <= {"nan", "inf"}
    assert all(np.isfinite(s["scale"]) for s in data["samples"])


def test_fewer_maps_where_the_budget_is_small(monkeypatch):
    _, loss, inputs = step()
    recording = record(loss, inputs)
    whole = page(recording, "")
    monkeypatch.setattr(writing, "BUDGET", 4000)
    small = page(recording, "")
    assert len(small) < len(whole) - 8000
    assert all(s["size"][0] >= 1 for s in data_of(small)["samples"])


# ---------------------------------------------------------------------------- in the browser


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    with sync.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


class Folder:
    """Pages that tests open, made once."""

    def __init__(self, folder):
        self.folder = folder

    def file(self, name, loss, inputs=None):
        file = self.folder / f"{name}.html"
        if not file.exists():
            mg.explore(loss, file, inputs, title=f"Step of {name}")
        return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def opened(browser, folder):
    """``opened(name, loss, inputs, hash, **settings)``: the page, of which no error is heard."""
    troubles = []
    contexts = []

    def open_page(name="net", loss=None, inputs=None, at="", **settings):
        if loss is None:
            _, loss, inputs = step()
        settings = {
            "viewport": {"width": 1280, "height": 800},
            "reduced_motion": "reduce",
        } | settings
        context = browser.new_context(**settings)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: troubles.append(message.text))
        shown.on("pageerror", lambda error: troubles.append(str(error)))
        shown.on("request", lambda request: troubles.append(request.url)
                 if not request.url.startswith("file:") else None)  # fmt: skip
        shown.goto(f"file://{folder.file(name, loss, inputs)}{at}")
        shown.wait_for_selector("html[data-ready]")
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def card(shown, path):
    """The card of a node by the path that search shows."""
    shown.fill("#search", path)
    key = shown.evaluate("hit => document.querySelector(hit) && true", "#hit0")
    assert key
    shown.press("#search", "Enter")
    return shown.locator("[aria-selected=true][role=treeitem]")


def go(shown, at):
    shown.evaluate(
        "at => { const s = document.querySelector('#slider'); s.value = at;"
        " s.dispatchEvent(new Event('input')); }", at
    )  # fmt: skip


def test_a_click_shows_everything_about_an_operation(opened):
    shown = opened()
    shown.locator("[role=treeitem]", has_text="stem").click()
    details = shown.locator("#details")
    assert details.locator("h2").inner_text().startswith("stem")
    assert details.locator("math").count() >= 5
    text = details.inner_text()
    for said in ("conv2d", "3×4×8×8 float32", "kept for backward", "time forward", "time backward",
                 "stem.weight", "4×3×3×3", "Gradient that arrived", "Gradient sent to stem.weight",
                 "minigrad/ops/conv.py:"):  # fmt: skip
        assert said in text, said
    assert "Gradient sent to images" not in text
    assert details.locator("canvas.map").count() > 20
    assert details.locator("svg.histogram").count() >= 4
    details.locator("summary", has_text="Definition").click()
    assert "Y = W X + b" in details.locator("pre").first.inner_text()


def test_modules_fold_and_unfold(opened):
    shown = opened()
    block = shown.locator("[role=treeitem][aria-expanded]", has_text="blocks.0")
    before = shown.locator("[role=treeitem]").count()
    block.click()
    assert block.get_attribute("aria-expanded") == "false"
    assert shown.locator("[role=treeitem]").count() == before - 4
    assert "4 operations" in block.inner_text()
    block.click()
    assert shown.locator("[role=treeitem]").count() == before
    shown.click("#fold")
    assert shown.locator("[role=treeitem]").count() < before / 2
    shown.click("#unfold")
    assert shown.locator("[role=treeitem]").count() == before


def test_the_slider_replays_both_passes(opened):
    shown = opened()
    last = int(shown.get_attribute("#slider", "max"))
    stem = shown.locator("[role=treeitem]", has_text="stem")
    assert "forward-done" not in stem.get_attribute("class")
    go(shown, 1)
    assert {"now", "forward-done"} <= set(stem.get_attribute("class").split())
    assert "forward of conv2d in stem" in shown.get_attribute("#slider", "aria-valuetext")
    assert shown.locator("path.line.backward-done").count() == 0
    go(shown, last - 1)
    assert {"now", "backward-done"} <= set(stem.get_attribute("class").split())
    assert shown.locator("path.line.backward-done").count() > 10
    go(shown, last)
    assert "12 leaves get their gradient" in shown.inner_text("#now")
    shown.click("#back")
    shown.click("#start")
    assert shown.input_value("#slider") == "0"
    assert "0 B in use" in shown.inner_text("#memory-now")
    shown.click("#next")
    shown.click("#finish")
    assert shown.input_value("#slider") == str(last)


def test_gradients_that_meet_are_added_up(opened):
    """Of the scalar a comes 6 by one way and −12 by another."""
    a, b = mg.tensor(2.0, requires_grad=True), mg.tensor(-3.0, requires_grad=True)
    shown = opened("sum", lambda a, b: (a * b) * (a + b), {"a": a, "b": b})
    last = int(shown.get_attribute("#slider", "max"))
    leaf = shown.locator("[role=treeitem].leaf").first
    sums = []
    for at in range(last + 1):
        go(shown, at)
        sums += [text.replace("−", "-") for text in shown.locator("#now .sum").all_inner_texts()]
    loss = (a * b) * (a + b)
    loss.backward()
    numbers = [[int(n) for n in re.findall(r"^-?\d+$", text, re.MULTILINE)] for text in sums]
    assert all(first + second == total for first, second, total in numbers)
    assert [total for *_, total in numbers] == [a.grad.item(), b.grad.item()]
    assert "Σ 2 of 2" in leaf.inner_text()


def test_play_runs_to_the_end(opened):
    shown = opened()
    shown.select_option("#speed", "60")
    shown.click("#play")
    assert shown.get_attribute("#play", "aria-label") == "Pause"
    shown.wait_for_selector("#play[aria-label=Play]")
    assert shown.input_value("#slider") == shown.get_attribute("#slider", "max")


def test_search_and_links(opened):
    shown = opened()
    found = card(shown, "blocks.1 batch_norm")
    assert found.locator(".name").inner_text() == "bn"
    assert re.search("#r[0-9]+$", shown.url)
    link = shown.url[shown.url.index("#") :]
    go(shown, 5)
    shown.locator("#details .anchor").wait_for()
    again = opened(at=f"{link}@7")
    assert again.input_value("#slider") == "7"
    assert again.locator("#details h2").inner_text().startswith("bn")
    assert again.locator("[aria-selected=true][role=treeitem] .name").inner_text() == "bn"
    again.fill("#search", "nothing like it")
    assert again.inner_text("#hits") == "0 found"
    again.press("#search", "Escape")
    assert again.input_value("#search") == ""


def test_everything_by_keyboard(opened):
    shown = opened()
    shown.keyboard.press("/")
    assert shown.evaluate("document.activeElement.id") == "search"
    shown.keyboard.type("stem")
    shown.keyboard.press("Enter")
    assert "stem" in shown.evaluate("document.activeElement.textContent")
    shown.keyboard.press("ArrowRight")
    assert shown.input_value("#slider") == "1"
    shown.keyboard.press("ArrowLeft")
    assert shown.input_value("#slider") == "0"
    shown.keyboard.press("Home")
    first = shown.evaluate("document.activeElement.dataset.key")
    shown.keyboard.press("ArrowDown")
    assert shown.evaluate("document.activeElement.dataset.key") != first
    shown.keyboard.press("ArrowUp")
    assert shown.evaluate("document.activeElement.dataset.key") == first == "v0"
    shown.keyboard.press("ArrowDown")
    assert shown.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    shown.keyboard.press("Space")
    assert shown.evaluate("document.activeElement.getAttribute('aria-expanded')") == "false"
    assert shown.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle"
    ) == "solid"  # fmt: skip
    # Every control is reached by Tab alone.
    shown.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        shown.keyboard.press("Tab")
        reached.add(shown.evaluate("document.activeElement.id"))
    ids = {"search", "unfold", "fold", "out", "in", "fit", "theme", "play", "next", "slider",
           "speed", "follow"}  # fmt: skip
    assert ids <= reached


def test_the_step_is_shown_in_numbers_that_agree(opened):
    """im2col, batch norm and col2im are computed on the page: they come to what was recorded."""
    shown = opened()
    card(shown, "stem conv2d")
    product = shown.locator(".product").first.inner_text().replace("−", "-").replace("- ", "-")
    value, *parts = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", product.split("=", 1)[1]))
    assert value == pytest.approx(sum(parts), abs=2e-3)
    assert "other" not in product  # three channels are all there are
    field = shown.locator("#details .choices input").first
    first = int(field.input_value())
    field.focus()
    for _ in range(2):  # the field keeps the keyboard
        shown.keyboard.press("ArrowUp" if first < 4 else "ArrowDown")
    row = int(shown.evaluate("document.activeElement.value"))
    assert abs(row - first) == 2
    assert f"[0, {row}, " in shown.locator(".product").first.inner_text()
    turned = shown.locator(".product").count()
    assert turned == 1  # images take no gradient
    card(shown, "blocks.0.conv")
    assert shown.locator(".product").count() == 2
    parts = set()
    for k in range(4):  # what the four filters turned send to one pixel is its gradient
        shown.locator(".choices select").first.select_option(str(k))
        text = shown.locator(".product").nth(1).inner_text().replace("−", "-").split("=")
        parts.add((float(text[1]), float(text[2].split()[0])))
    [gradient] = {whole for whole, _ in parts}
    assert gradient == pytest.approx(sum(part for _, part in parts), rel=5e-3)
    shown.locator(".pick.choice").click(position={"x": 3, "y": 3})
    assert "[3, 0, 0]" in shown.locator(".product").first.inner_text()
    assert shown.locator(".grid td", has_text="").count() > 9
    card(shown, "blocks.0.bn")
    pixels = shown.evaluate("""() => [...document.querySelectorAll('.terms canvas')].slice(-2)
        .map(c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])""")
    assert np.abs(np.subtract(*map(np.array, pixels))).max() <= 3
    card(shown, "pool")
    assert shown.locator("td.marked").count() == 2
    card(shown, "cross_entropy")
    assert "softmax p" in shown.inner_text("#details")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_barriers(opened, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    shown = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    states = ("start", "blocks.0.conv", "blocks.0.bn", "pool", "cross_entropy", "blocks.1")
    for state in states if width > 1000 else states[:2]:
        if state != "start":
            go(shown, 25)  # with what follows it shown, and then:
            card(shown, state)
            shown.locator("#details details").evaluate_all("all => all.forEach(d => d.open = true)")
            assert state.rpartition(".")[2] in shown.inner_text("#details h2")
        problems = axe.run(shown).response["violations"]
        assert [(p["id"], [n["html"][:200] for n in p["nodes"]][:3]) for p in problems] == []


def test_colours_can_be_chosen(opened):
    shown = opened(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = shown.evaluate(ground)
    shown.click("#theme")
    assert shown.evaluate(ground) == light
    shown.click("#theme")
    assert shown.evaluate(ground) != light
    assert shown.get_attribute("#theme", "aria-label") == "Colours: dark"


def test_a_narrow_window(opened):
    shown = opened(viewport={"width": 390, "height": 780})
    assert not shown.locator("#details").is_visible()
    card(shown, "stem conv2d")
    assert shown.locator("#details").is_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    shown.click("#close")
    assert not shown.locator("#details").is_visible()
    card(shown, "stem conv2d")  # which is still selected
    assert shown.locator("#details").is_visible()
    shown.click("#close")


def test_hostile_names_are_text(opened):
    module = type(HOSTILE, (nn.Module,), {"forward": lambda self, x: self.inner(x) * self.p})()
    module.inner = nn.Linear(2, 2)
    module.p = nn.Parameter(mg.ones(1))
    module.named_parameters = lambda prefix="": [(HOSTILE, module.p)]

    @mg.op
    def evil(x):
        return x * 1, lambda g, needs: (g,)

    evil.definition.__doc__ = f"y = {HOSTILE},  dL/dx = {HOSTILE}"
    evil.name = HOSTILE
    shown = opened(
        "hostile", lambda **named: evil(module(named[HOSTILE])).sum(), {HOSTILE: mg.ones((3, 2))}
    )
    assert shown.title() == "Step of hostile"
    shown.click("#unfold")
    for part in shown.locator("[role=treeitem]:not([aria-expanded])").all():
        part.click(position={"x": 20, "y": 8})
    assert shown.locator("img").count() == 0
    assert shown.title() == "Step of hostile"
    assert HOSTILE in shown.locator("#scene").inner_text()


def test_in_a_notebook(browser, tmp_path):
    """The value of a cell is the page in a frame that may run its script and nothing else."""
    _, loss, inputs = step()
    (tmp_path / "cell.html").write_text(mg.explore(loss, None, inputs)._repr_html_(), "utf-8")
    shown = browser.new_page()
    troubles = []
    shown.on("pageerror", lambda error: troubles.append(str(error)))
    shown.goto(f"file://{tmp_path}/cell.html")
    frame = shown.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for()
    frame.locator("[role=treeitem]", has_text="stem").click()
    assert frame.locator("#details h2").inner_text().startswith("stem")
    frame.locator("#theme").click()
    shown.close()
    assert troubles == []


def test_a_deep_network_opens_folded(opened):
    """resnet-82: its whole step in one file of less than 10 MB."""
    mg.manual_seed(0)
    model = models.create("resnet-82")
    images, labels = mg.randn(2, 3, 32, 32), mg.tensor([1, 7])
    shown = opened("resnet-82", lambda x: mg.functional.cross_entropy(model(x), labels), images)
    file = Path(shown.url.removeprefix("file://"))
    assert file.stat().st_size < 10e6
    assert int(shown.get_attribute("#slider", "max")) == 339
    assert 40 < shown.locator("[role=treeitem]").count() < 60
    card(shown, "20.conv2")
    assert shown.locator("[role=treeitem]").count() > 50


def test_a_long_loop_is_cut_into_parts(opened):
    x = mg.randn(4, requires_grad=True)

    def loop():
        y = x
        for _ in range(150):
            y = y.tanh() + x
        return y.sum()

    shown = opened("loop", loop)
    assert shown.locator("[role=treeitem]").count() < 20
    card(shown, "sum")
    assert shown.locator("[role=treeitem]").count() > 20
    go(shown, int(shown.get_attribute("#slider", "max")) - 1)


def test_a_tape_that_was_not_watched(opened):
    _, loss, inputs = step()
    shown = opened("tape", loss(**inputs))
    assert "Forward was not watched" in shown.inner_text("#details")
    card(shown, "conv2d")
    assert "Kept: " in shown.inner_text("#details")
    go(shown, int(shown.get_attribute("#slider", "max")))
