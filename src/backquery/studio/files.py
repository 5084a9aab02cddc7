"""The page's own files: as they are served, and as a notebook takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "page"
WIDGET = HERE / "widget.js"

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def page_files() -> Mapping[str, Path]:
    """The files by the paths that they are served under; nothing else can be asked for."""
    files = {path.name: path for path in sorted(PAGE.iterdir()) if path.suffix in KINDS}
    index = files.pop("index.html")
    words = {f"/words/{path.name}": path for path in sorted((PAGE / "words").glob("*.json"))}
    return {"/": index, **{f"/page/{name}": path for name, path in files.items()}, **words}


def page_parts() -> dict[str, object]:
    """The page without its address: modules by name, markup, styles, and sentences by language."""
    markup = (PAGE / "index.html").read_text("utf-8")
    words = sorted((PAGE / "words").glob("*.json"))
    return {
        "modules": {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.js"))},
        "markup": markup.partition("<body>")[2].partition("</body>")[0].strip(),
        "styles": "\n".join((PAGE / name).read_text("utf-8") for name in ("style.css", "regions.css")),
        "words": {path.stem: json.loads(path.read_text("utf-8")) for path in words},
    }
