"""``backquery studio``: the page on which a network is asked, asked backwards, looked into and trained."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Model
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import give, say
from backquery.errors import MissingExtraError

if TYPE_CHECKING:
    from backquery.datasets import Dataset
    from backquery.model import Model as AnyModel
    from backquery.studio.guard import Guard

LOOPBACK = "127.0.0.1"

Data = Annotated[
    str | None,
    Parameter(
        help="Images to test on, to lay beside and to learn from: a data set's name or a path. By default those "
        "that the model was trained on, where they are at hand."
    ),
]
Port = Annotated[
    int | None,
    Parameter(help="By default 8471, or another one that is free; 0 for any.", validator=Number(gte=0, lte=65535)),
]
Address = Annotated[
    str,
    Parameter(help="The one address to answer to. Any but 127.0.0.1 lets others in the network in."),
]
Browser = Annotated[bool, Parameter(help="Open the page in the browser, or only print its link.")]


def studio(
    model: Model = "mnist",
    /,
    *,
    data: Data = None,
    port: Port = None,
    address: Address = LOOPBACK,
    browser: Browser = True,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Open a page that draws, asks a network, asks it backwards, looks inside, and watches one learn.

    The page is served to this machine alone, without the internet, until Ctrl-C. The link that is printed lets
    one browser in, once: open it yourself if no browser opens. For example: `backquery studio mine.safetensors`

    With --json: link, model, address and port, printed when the page can be opened.
    """
    try:
        from backquery.studio.launch import bind, port_of, serve
    except ImportError as error:
        raise MissingExtraError("the studio", str(error.name), "studio") from None
    from backquery.cli.noted import about
    from backquery.cli.source import load_for_images
    from backquery.studio.opened import Opened

    network = load_for_images(model, scale)
    opened = Opened(Path(model).name, network, _opener(network, data, reading), lambda: about(model, network))
    listener = bind(address, port)
    if address != LOOPBACK:
        say(f"warning: whoever can reach {address} and sees the link can use the studio; nothing is encrypted")

    def announce(guard: Guard) -> None:
        link = guard.link()
        answer = {"link": link, "model": opened.subject.name, "address": address, "port": port_of(listener)}
        give(as_json, answer, link)
        say("the studio is open until Ctrl-C")
        sys.stdout.flush()
        if browser:
            Thread(target=webbrowser.open, args=(guard.link(),), daemon=True).start()

    serve(opened, listener, address, announce)


def _opener(model: AnyModel, data: str | None, how: ReadingOptions) -> Callable[[], Dataset | None]:
    """How to open the data in the background: what was named is opened at once, so that a mistake is told now."""
    from backquery.datasets import open_data
    from backquery.studio.opened import usual_data

    if data is None:
        return lambda: usual_data(model)
    chosen = open_data(data, how=how.reading(), model=model)
    model.scale(chosen.train.images[:1])  # images of another size are refused now, not after long work
    return lambda: chosen
