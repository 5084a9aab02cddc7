"""A page of one file in real browsers, from the disk: its size, and how long a visitor waits for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tests import firefox
from tests.needs import firefox as firefox_is_here
from tests.studio.alone.conftest import LISTEN, READY

from backquery import datasets, load_model
from backquery.studio.alone.made import Sample, page_of
from benchmarks.studio import STOPWATCH, by_mouse, summary
from benchmarks.studio import browser as chromium
from benchmarks.training import Section

STARTS, SCANS, MOVES, EPOCHS = 7, 30, 500, 20
COLUMNS = ["what", "Chromium", "Firefox", "aim"]

Evaluate = Callable[..., Any]

FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"

TEN_SCANS = """
async (times) => {
  const spent = [];
  for (let time = 0; time < times; time++) {
    const began = performance.now();
    await window.question({ ask: 'scans', method: 'gauss-newton' });
    spent.push(performance.now() - began);
  }
  return spent;
}
"""

FRAMES = """
async (moves) => {
  const slider = document.querySelectorAll('[data-part=sliders] input')[3];
  const image = document.querySelector('[data-part=image]');
  const put = CanvasRenderingContext2D.prototype.putImageData;
  let shown = () => {};
  CanvasRenderingContext2D.prototype.putImageData = function (...values) {
    put.apply(this, values);
    if (this.canvas === image) shown();
  };
  const spent = [];
  for (let move = 0; move < moves; move++) {
    const began = performance.now();
    const painted = new Promise((done) => { shown = done; });
    slider.value = String(0.5 + 0.49 * Math.sin(move / 20));
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await painted;
    spent.push(performance.now() - began);
  }
  CanvasRenderingContext2D.prototype.putImageData = put;
  return spent;
}
"""
"""From a slider's event until its image is on the canvas, in the browser's own clock."""

LEARN = """
async (epochs, images) => {
  const began = performance.now();
  const wanted = { hidden: 50, rate: 0.1, epochs, images, seed: 1, pace: 0, method: 'transpose' };
  await window.question({ ask: 'train', ...wanted }, ['done']);
  return performance.now() - began;
}
"""

PAUSE = """
async (epochs, images) => {
  let [longest, last, learning] = [0, performance.now(), true];
  const look = (now) => {
    [longest, last] = [Math.max(longest, now - last), now];
    if (learning) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  const wanted = { hidden: 100, rate: 0.1, epochs, images, seed: 2, pace: 0, method: 'gauss-newton' };
  await window.question({ ask: 'train', ...wanted }, ['done']);
  learning = false;
  return longest;
}
"""


def page() -> Section:
    """Milliseconds, of the bundled network's page with learning."""
    digits = datasets.load("digits")
    sample = Sample.of(digits)
    with TemporaryDirectory() as folder:
        file = Path(folder, "page.html")
        file.write_text(page_of("mnist", load_model("mnist"), sample), "utf-8")
        size = file.stat().st_size / 1e6
        found = [measured(opening, file, sample.training) for opening in (in_chromium, in_firefox)]
    aims = {
        "first paint": "300",
        "slider, median": "16",
        "ten scans, median": "60",
        "an epoch of the digits": "100",
    }
    rows = [[name, *(one.get(name, "-") for one in found), aims.get(name, "")] for name in found[0]]
    title = f"The bundled network's page of one file, {size:.2f} MB (aim: 3), opened from the disk; milliseconds"
    return title, COLUMNS, rows


def measured(opening: Any, file: Path, images: int) -> dict[str, str]:
    """All figures by their names, of one browser; none where it is not there."""
    paints = []
    with opening() as new_page:
        if new_page is None:
            return {}
        for _ in range(STARTS):
            evaluate, _ = new_page(file)
            if (painted := evaluate(FIRST_PAINT)) is not None:
                paints.append(painted)
        scans = evaluate(TEN_SCANS, SCANS)
        frames = np.sort(evaluate(FRAMES, MOVES))
        one, many = (evaluate(LEARN, epochs, images) for epochs in (1, EPOCHS))
        pause = evaluate(PAUSE, EPOCHS, images)
        _, by_hand = new_page(file)
        return {
            "first paint": f"{np.median(paints):.0f}" if paints else "-",
            "slider, median": f"{np.median(frames):.1f}",
            "slider, 95 % below": f"{frames[int(0.95 * len(frames))]:.1f}",
            "slider by the mouse to the painted frame": by_hand(),
            "ten scans, median": f"{np.median(scans):.0f}",
            # The looks at the network are as many in either.
            "an epoch of the digits": f"{(many - one) / (EPOCHS - 1):.1f}",
            "a training of one epoch with 60 looks": f"{one:.0f}",
            "longest pause of the page while it learns": f"{pause:.0f}",
        }


@contextmanager
def in_chromium() -> Iterator[Any]:
    """How to open a file: how to evaluate there, and how to have its slider moved by the mouse."""
    with chromium() as new_page:

        def opened(file: Path) -> tuple[Evaluate, Callable[[], str]]:
            page = new_page()
            page.add_init_script(LISTEN)
            page.goto(file.as_uri())
            page.wait_for_selector("[data-ready]")

            def evaluate(text: str, *values: Any) -> Any:
                return page.evaluate(f"(values) => ({text})(...values)", list(values))

            def by_hand() -> str:
                page.evaluate(STOPWATCH)
                return summary(by_mouse(page, "gauss-newton", MOVES))[1]

            return evaluate, by_hand

        yield opened


@contextmanager
def in_firefox() -> Iterator[Any]:
    """The same; the mouse is not moved there."""
    with firefox.browsing() if firefox_is_here() else nullcontext() as browser:
        if browser is None:
            yield None
            return
        browser.before_pages(LISTEN)

        def opened(file: Path) -> tuple[Evaluate, Callable[[], str]]:
            browser.go(file)
            assert browser.evaluate(READY)
            return browser.evaluate, lambda: "-"

        yield opened
