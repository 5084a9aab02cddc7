"""The studio in a real browser: from a slider's move to the painted image, and memory over many moves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.training import Section

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from backquery.model import Model

MOVES, MANY_MOVES, WARM_UP, STARTS = 2_000, 20_000, 50, 6
LEARNED = 6_000
FRAME = 1 / 60
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SWITCHES += ["--disable-sync", "--no-first-run"]

# The clock starts when the browser learned that the pointer moved (or with the input event, where there is no
# pointer) and stops in the animation frame after the image was put on its canvas, the one that shows it.
STOPWATCH = """
() => {
  const slider = document.querySelectorAll('[data-part=sliders] input')[3];
  const image = document.querySelector('[data-part=image]');
  const put = CanvasRenderingContext2D.prototype.putImageData;
  let began = null;
  window.moves = [];
  let told = () => {};
  window.painted = (count) => new Promise((done) => {
    told = () => window.moves.length >= count && done(window.moves.length);
    told();
  });
  for (const kind of ['pointerrawupdate', 'input']) {
    slider.addEventListener(kind, (event) => { began ??= event.timeStamp; }, true);
  }
  CanvasRenderingContext2D.prototype.putImageData = function (...values) {
    put.apply(this, values);
    if (this.canvas !== image || began === null) return;
    const start = began;
    began = null;
    requestAnimationFrame(() => { window.moves.push(performance.now() - start); told(); });
  };
}
"""

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"

SWEEP = """
async (count) => {
  const slider = document.querySelectorAll('[data-part=sliders] input')[3];
  window.moves.length = 0;
  for (let move = 1; move <= count; move++) {
    slider.value = String(0.5 + 0.49 * Math.sin(move / 40));
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await window.painted(move);
  }
}
"""


COLUMNS = ["method", "moves", "median", "p95", "p99", "longest"]


def moves() -> Section:
    """Milliseconds of 2,000 moves of one slider that the mouse drags, the bundled network."""
    with browser() as new_page:
        first = [first_paint(new_page) for _ in range(STARTS)]
        rows = dragged(new_page, "mnist", ("transpose", "gauss-newton"), MOVES)
    title = (
        f"A slider moved until its image is painted, ms; first paint {np.median(first[1:]):.2f} s after the "
        f"command ({first[0]:.2f} s the first time, of {STARTS})"
    )
    return title, COLUMNS, rows


def colour_moves() -> Section:
    """The same of three convolutions with batch normalisation that read coloured digits, 32 x 32."""
    model()  # taught, or fetched from the cache, before a clock runs
    with browser() as new_page:
        rows = dragged(new_page, f"{__name__}:model", ("gauss-newton",), MOVES // 4)
    title = "A slider moved until its image is painted, ms: three convolutions (32-64-64), 3 x 32 x 32"
    return title, COLUMNS, rows


def model() -> Model:
    """A convolutional network that has learned coloured digits, with what it keeps of them."""
    from backquery import Scaling, datasets, fit_statistics, from_torch
    from benchmarks.colour_networks import plain, taught

    digits = datasets.load("coloured-digits")
    few = replace(digits, train=digits.train.select(slice(LEARNED)))
    read = from_torch(taught(plain, few, 3), input_shape=(3, 32, 32), scaling=Scaling.unit(255))
    return replace(read, statistics=fit_statistics(read, few.train.select(slice(LEARNED // 2))))


def dragged(new_page: Any, source: str, methods: Sequence[str], count: int) -> list[list[str]]:
    """A row for each method: what so many moves took on a page about this model."""
    with running(source) as (link, _, _):
        page = new_page()
        page.goto(link)
        page.wait_for_selector("[data-ready]")
        page.evaluate(STOPWATCH)
        return [[method, *summary(by_mouse(page, method, count))] for method in methods]


def first_paint(new_page: Any) -> float:
    """Seconds from the command until the page shows something."""
    with running() as (link, _, seconds):
        page = new_page()
        page.goto(link)
        page.wait_for_selector("[data-ready]")
        painted: float = page.evaluate(FIRST_PAINT) / 1000
        page.close()
    return seconds + painted


def memory() -> Section:
    """Megabytes of the page and of the server over 20,000 moves."""
    rows = []
    with browser() as new_page, running() as (link, server, _):
        page = new_page()
        page.goto(link)
        page.wait_for_selector("[data-ready]")
        page.evaluate(STOPWATCH)
        choose(page, "gauss-newton")
        measure = page.context.new_cdp_session(page)
        measure.send("Performance.enable")
        for done in range(0, MANY_MOVES + 1, MANY_MOVES // 5):
            if done:
                page.evaluate(SWEEP, MANY_MOVES // 5)
            measure.send("HeapProfiler.collectGarbage")
            metrics = {
                entry["name"]: entry["value"] for entry in measure.send("Performance.getMetrics")["metrics"]
            }
            rows.append([f"{done:,}", f"{metrics['JSHeapUsedSize'] / 1e6:.2f}", resident(server.pid)])
    return "Memory while a slider moves, gauss-newton", ["moves", "page, MB", "server, MB"], rows


def by_mouse(page: Page, method: str, count: int = MOVES) -> list[float]:
    """Milliseconds of `count` moves of a slider that the mouse holds, each painted before the next.

    A hand does not know when the browser's frames begin: each move comes after a random share of one. Keys would
    measure the browser: after a key press Chromium holds back all messages until its next frame.
    """
    choose(page, method)
    box = page.locator("[data-part=sliders] input").nth(3).bounding_box()
    assert box is not None
    height, thumb = box["y"] + box["height"] / 2, 16
    page.mouse.move(box["x"] + box["width"] - thumb / 2, height)
    page.mouse.down()
    page.evaluate("window.moves = []")
    painted, rng = 0, np.random.default_rng(0)
    for move in range(count + WARM_UP):
        sleep(rng.uniform(0, FRAME))
        share = abs((0.03 * (move + 1)) % 2 - 1)  # to and fro, a few hundredths at a time
        page.mouse.move(box["x"] + thumb / 2 + share * (box["width"] - thumb), height)
        painted = page.evaluate("count => window.painted(count)", painted + 1)
    page.mouse.up()
    times: list[float] = page.evaluate("window.moves")
    return times[WARM_UP : WARM_UP + count]


def choose(page: Page, method: str) -> None:
    page.locator(f"[data-part=methods] input[value={method}]").check()
    page.locator("[data-part=sliders] button").nth(3).click()
    page.wait_for_timeout(1500)


def summary(times: list[float]) -> list[str]:
    shares = np.percentile(times, [50, 95, 99, 100])
    return [f"{len(times):,}", *(f"{share:.1f}" for share in shares)]


@contextmanager
def running(
    source: str = "mnist",
    program: tuple[str, ...] = (sys.executable, "-m", "backquery"),
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[str, subprocess.Popen[str], float]]:
    """The command as a visitor starts it: its link, its process, and the seconds until the link was there."""
    command = [*program, "studio", source, "--no-browser", "--port", "0", "--json"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    started = perf_counter()
    server = subprocess.Popen(command, **quiet, text=True, env=environment)
    assert server.stdout is not None
    try:
        link = json.loads(server.stdout.readline())["link"]
        yield link, server, perf_counter() - started
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        yield chromium.new_page
        chromium.close()


def resident(process: int) -> str:
    """Megabytes of a process in memory, where the system tells."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return "-"
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return f"{int(line.split()[1]) / 1024:.0f}"
