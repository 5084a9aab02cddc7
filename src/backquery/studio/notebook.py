"""The studio in a notebook: ``Studio(model)`` shows the page of ``backquery studio`` below a cell.

It needs the extra `notebook`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from backquery.datasets import Dataset, open_data
from backquery.errors import MissingExtraError
from backquery.io import load_model
from backquery.model import Model, Network, Scaling
from backquery.studio.files import WIDGET, page_parts
from backquery.studio.opened import Opened, usual_data
from backquery.studio.visit import Visit

try:
    import anywidget
    import traitlets
except ImportError:
    raise MissingExtraError("the studio in a notebook", "anywidget", "notebook") from None

MOST_VIEWS = 16
"""Places where one studio is shown at once."""


class Studio(anywidget.AnyWidget):  # type: ignore[misc]
    """The studio as a widget.

    `model` is a network or any other `Model`, or what `load_model` takes; `data` a data set or its name, by
    default the one that the model was trained on, where it is at hand. What is switched off, loaded or trained
    stays in the view where it was done: `model` does not change.
    """

    _esm = WIDGET.read_text("utf-8")
    _parts = traitlets.Dict().tag(sync=True)

    def __init__(self, model: Model | str | os.PathLike[str] = "mnist", data: Dataset | str | None = None) -> None:
        self._visits: dict[str, Visit] = {}
        opened = load_model(model) if isinstance(model, str | os.PathLike) else model
        if opened.scaling is None and isinstance(opened, Network):
            opened = replace(opened, scaling=Scaling.book())
        name = Path(model).name if isinstance(model, str | os.PathLike) else type(model).__name__.lower()
        self._opened = Opened(name, opened, _opener(opened, data))
        super().__init__(_parts=page_parts())
        self.on_msg(self._take)
        self._opened.prepare()

    def close(self) -> None:
        """Take the widget away, and end what it still does."""
        for view in list(self._visits):
            self._visits.pop(view).close()
        super().close()

    def _take(self, _: Any, content: dict[str, Any], __: list[Any]) -> None:
        """A message of one of the views."""
        view, asked = content.get("view"), content.get("ask")
        if not isinstance(view, str):
            return
        if content.get("close") and view in self._visits:
            self._visits.pop(view).close()
        elif isinstance(asked, str) and (view in self._visits or len(self._visits) < MOST_VIEWS):
            if view not in self._visits:
                self._visits[view] = Visit(self._opened, self._sender(view))
            self._visits[view].take(asked)

    def _sender(self, view: str) -> Callable[[bytes], None]:
        """How a thread sends to one view: by the kernel's own loop, as sockets are not for other threads."""
        loop = asyncio.get_running_loop()

        def send(frame: bytes) -> None:
            with suppress(RuntimeError):  # the kernel has ended
                loop.call_soon_threadsafe(lambda: self.send({"view": view}, buffers=[frame]))

        return send


def _opener(model: Model, data: Dataset | str | None) -> Callable[[], Dataset | None]:
    if data is None:
        return lambda: usual_data(model)
    chosen = open_data(data, model=model) if isinstance(data, str) else data
    if model.scaling is not None:
        chosen = chosen.with_maximum(model.scaling.maximum)
    return lambda: chosen
