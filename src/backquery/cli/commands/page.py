"""``backquery page``: the studio's page in one HTML file that needs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Model, written
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import give, say
from backquery.errors import OutputError

if TYPE_CHECKING:
    from backquery.model import Model as AnyModel
    from backquery.studio.alone.made import Sample

Page = Annotated[Path, written("The page: an .html file.")]
With = Annotated[
    Literal["learning"] | None,
    Parameter(name="--with", help="learning: a network learns there, the bundled digits or the images of --data."),
]
Data = Annotated[
    str | None,
    Parameter(
        help="Images to learn from, and to test on where they fit the model: a data set's name or a path. A "
        "sample of them travels in the file, for everybody to see who has it."
    ),
]
Most = Annotated[
    int,
    Parameter(help="Images to learn from that travel at most; to test on, a quarter.", validator=Number(gte=10)),
]


def page(
    model: Model = "mnist",
    /,
    *,
    output: Page,
    with_: With = None,
    data: Data = None,
    most: Most = 2000,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Write one file to give away: a page on which a network is asked, asked backwards, looked into and damaged.

    The file needs a browser and nothing else: no installation, no server, no network. It opens by a double click
    or from any static host, on phones too. For example: `backquery page mine.safetensors -o mine.html`

    With --json: output, bytes, and images (how many travel in the file).
    """
    from backquery.cli.source import load_for_images
    from backquery.files import check_writable, replacing
    from backquery.studio.alone.made import page_of

    if output.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"pages are written as .html; received {output}")
    check_writable(output)
    network = load_for_images(model, scale)
    sample = None if (with_ or data) is None else _sample(network, data, most, reading)
    content = page_of(Path(model).name, network, sample)
    with replacing(output) as stream:
        stream.write(content.encode(errors="replace"))  # a file's name may hold what is no text
    travelling = 0 if sample is None else len(sample)
    if data is not None:
        say(f"{travelling} images of {data} travel with the page, for everybody to see who has it")
    size = output.stat().st_size
    give(
        as_json,
        {"output": output, "bytes": size, "images": travelling},
        f"a page of {size / 1e6:.1f} MB that needs nothing but a browser",
        wrote=[output],
    )


def _sample(model: AnyModel, data: str | None, most: int, how: ReadingOptions) -> Sample:
    from backquery.datasets import load, open_data
    from backquery.studio.alone.made import Sample
    from backquery.studio.opened import BUNDLED

    dataset = load(BUNDLED) if data is None else open_data(data, how=how.reading(), model=model)
    return Sample.of(dataset, most, most // 4)
