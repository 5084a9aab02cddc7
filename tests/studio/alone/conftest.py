"""A page of one file in a real browser, opened from the disk with the network cut, and talked to by the letter."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backquery import load_model
from backquery.datasets import Dataset
from backquery.model import Network
from backquery.studio.alone.made import Sample, page_of
from tests import firefox
from tests.browser import browsing
from tests.studio.conftest import unpack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

LISTEN = """
{
  const waiting = new Map();
  let last = 1e6; // above the page's own numbers
  let tell;
  const ready = new Promise((done) => { tell = done; });
  const Plain = Worker;
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        if (data === 'open') tell(this);
        if (!(data instanceof ArrayBuffer)) return;
        const length = new DataView(data).getUint32(0, true);
        const message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
        const until = waiting.get(message.id);
        if (!until || !until.accepts(message)) return;
        waiting.delete(message.id);
        let text = '';
        for (const byte of new Uint8Array(data)) text += String.fromCharCode(byte);
        until.done(btoa(text));
      }, true);
    }
  };
  window.question = async (fields, state) => {
    const worker = await ready;
    const id = ++last;
    return new Promise((done) => {
      waiting.set(id, { done, accepts: (message) => !state || message.code || state.includes(message.state) });
      worker.postMessage(JSON.stringify({ id, lane: 'test', ...fields }));
    });
  };
}
"""
"""What lets a test ask the worker: the page cannot tell, as its own questions have other numbers."""


READY = """
async () => {
  for (let look = 0; look < 300 && !document.querySelector('[data-ready]'); look++) {
    await new Promise((done) => { setTimeout(done, 50); });
  }
  return Boolean(document.querySelector('[data-ready]'));
}
"""


@dataclass
class Alone:
    """A page that is open in some browser; in Chromium with notes of what it asked for and complained of."""

    evaluate: Callable[..., Any]
    page: Page | None = None
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, ask: str, until: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
        """The engine's answer, of a training the one of this state."""
        text = self.evaluate(
            "(fields, state) => window.question(fields, state)", {"ask": ask, **fields}, until or None
        )
        return unpack(b64decode(text))


OpenAlone = Callable[..., Alone]


@pytest.fixture(scope="session")
def bundled() -> Network:
    network = load_model("mnist")
    assert isinstance(network, Network)
    return network


@pytest.fixture(scope="session")
def sample(digits: Dataset) -> Sample:
    return Sample.of(digits)


@pytest.fixture(scope="session")
def page_file(bundled: Network, sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network's page, with learning."""
    path = tmp_path_factory.mktemp("alone") / "page.html"
    path.write_text(page_of("mnist", bundled, sample), "utf-8")
    return path


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="package")
def opening(browser: Browser) -> Iterator[OpenAlone]:
    """Open a file; options are those of a browser's context.

    Afterwards it may have asked for nothing but itself, and nothing may have gone wrong.
    """
    opened: list[tuple[BrowserContext, Alone, Path]] = []

    def open_it(file: Path, ready: bool = True, **options: Any) -> Alone:
        usual = {"locale": "en", "viewport": {"width": 1280, "height": 900}, "offline": True}
        context = browser.new_context(**usual | options)
        context.set_default_timeout(20_000)
        context.add_init_script(LISTEN)
        page = context.new_page()
        # Playwright hands one value over; here they are as many as a function takes.
        alone = Alone(lambda text, *values: page.evaluate(f"(values) => ({text})(...values)", list(values)), page)
        context.on("request", lambda request: alone.requests.append(request.url))
        context.on("console", lambda line: alone.complaints.append(line.text) if line.type == "error" else None)
        context.on("weberror", lambda error: alone.complaints.append(str(error.error)))
        page.goto(file.as_uri())
        if ready:
            page.wait_for_selector("[data-ready]")
            opened.append((context, alone, file))
        return alone

    yield open_it
    for context, alone, file in opened:
        context.close()
        assert [url for url in alone.requests if url != file.as_uri() and not url.startswith("blob:")] == []
        assert alone.complaints == []


@pytest.fixture(scope="package")
def in_firefox(page_file: Path) -> Iterator[Alone]:
    with firefox.browsing() as opened:
        opened.before_pages(LISTEN)
        opened.go(page_file)
        assert opened.evaluate(READY)
        yield Alone(opened.evaluate)
        assert [url for url in opened.requests if not url.startswith(("data:", page_file.as_uri(), "blob:"))] == []


@pytest.fixture(scope="package", params=["Chromium", "Firefox"])
def alone(request: pytest.FixtureRequest, page_file: Path) -> Alone:
    """The bundled network's page; who changes its network brings it back (`reset`)."""
    if request.param == "Firefox":
        found: Alone = request.getfixturevalue("in_firefox")
        return found
    opened: Alone = request.getfixturevalue("opening")(page_file)
    return opened
