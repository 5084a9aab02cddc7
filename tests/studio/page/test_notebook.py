"""The view of a notebook, in a browser: the widget's own module, with a front end that only carries messages."""

from __future__ import annotations

from base64 import b64encode
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from backquery.studio.files import WIDGET, page_parts
from backquery.studio.visit import Visit
from tests.studio.conftest import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FRONT = """
async ({ esm, parts }) => {
  const heard = new Set();
  const model = {
    get: () => parts,
    on: (_, handler) => heard.add(handler),
    off: (_, handler) => heard.delete(handler),
    send: (content) => window.ask(content),
  };
  setInterval(async () => {
    for (const [view, text] of await window.answers()) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      for (const handler of heard) handler({ view }, [new DataView(bytes.buffer)]);
    }
  }, 20);
  const widget = (await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })))).default;
  window.end = await widget.render({ model, el: document.body.appendChild(document.createElement("div")) });
}
"""


def test_the_widget_shows_the_studio(studio: Serving, browser: Browser) -> None:
    frames: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    visits: dict[str, Visit] = {}
    ended: list[str] = []

    def ask(content: dict[str, Any]) -> None:
        view = content["view"]
        if content.get("close"):
            ended.append(view)
            visits[view].close()
            return
        if view not in visits:
            visits[view] = Visit(studio.opened, lambda frame: frames.put((view, frame)))
        visits[view].take(content["ask"])

    def answers() -> list[list[str]]:
        found = []
        try:
            while True:
                view, frame = frames.get_nowait()
                found.append([view, b64encode(frame).decode()])
        except Empty:
            return found

    page = browser.new_page(viewport={"width": 1100, "height": 900})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if "http" in request.url[:5] else None)
    page.expose_function("ask", ask)
    page.expose_function("answers", answers)
    page.evaluate(FRONT, {"esm": WIDGET.read_text("utf-8"), "parts": page_parts()})
    page.wait_for_selector("[data-ready]", timeout=30_000)
    assert page.locator('[data-part="model"]').inner_text()
    assert not page.locator('[data-part="link"]').is_visible()
    assert page.locator(".studio").evaluate("(root) => getComputedStyle(root).maxWidth") != "none"
    page.evaluate("window.end()")
    page.wait_for_function("true")
    assert list(visits) == ended
    assert not complaints
    page.close()
