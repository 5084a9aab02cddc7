"""``backquery query``: what the network reads in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from backquery.cli.options import AsJson, Model, ShowCode
from backquery.cli.options.reading import Scale
from backquery.cli.terminal import Drawing, check_outputs, give, reading_table, save_picture

Pictures = Annotated[list[Path], Parameter(help="Pictures of any size, one character or thing on each.")]
Ink = Annotated[
    Literal["auto", "dark", "light"], Parameter(help="What was drawn, dark or light; auto looks at the border.")
]
Light = Annotated[
    Literal["auto", "even", "uneven"],
    Parameter(
        help="uneven takes the shadows of a photographed page away; auto does so where it sees such a page."
    ),
]
Centre = Annotated[
    bool | None,
    Parameter(
        help="Scale and move the ink into the middle, as MNIST was made; otherwise only scale. By default as the "
        "model's own images were."
    ),
]


Show = Annotated[
    Path | None,
    Parameter(
        name=["-o", "--output", "--show"],
        help="Also draw how each picture becomes the network's input: .png, .svg or .pdf.",
    ),
]


def query(
    model: Model,
    images: Pictures,
    /,
    *,
    ink: Ink = "auto",
    light: Light = "auto",
    centre: Centre = None,
    scale: Scale = None,
    show: Show = None,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Ask a network what it reads in pictures, and show what it saw of each, and its answers as bars.

    For example: `backquery query mnist my-three.png`, or `backquery query mnist photo.jpg -o steps.png`

    With --json: classes, images (the paths), uneven (for each image whether it was cleaned as a photograph in
    uneven light), answers (for each image one number for each class), read (for each image the class with the
    strongest answer, null for a blank one and where two tie) and show. With --show-code also code.
    """
    import numpy as np

    from backquery.cli.noted import about, noted_steps
    from backquery.cli.source import load_for_images
    from backquery.errors import ModelError
    from backquery.model import UNREAD, ink_of, labels_read, picture_of

    check_outputs(show)
    network = load_for_images(model, scale)
    notes = about(model, network)
    steps = noted_steps(notes, network, images, ink, centre, light)
    inputs = notes("inputs", network.scale, [one.pixels for one in steps])
    answers = notes("answers", network.query, inputs)
    for path, answer in zip(images, answers, strict=True):
        if not np.all(np.isfinite(answer)):
            raise ModelError(f"the model's answers to {path} are not finite, so that nothing can be read in it")
    if show is not None:
        from backquery.plots import query_steps

        figure = notes("figure", query_steps, steps, [path.name for path in images], answers, network)
        save_picture(figure, show, notes)
    labels = labels_read(network, inputs)
    strongest = [
        None if one.blank or label == UNREAD else network.classes[label]
        for one, label in zip(steps, labels, strict=True)
    ]
    looked_at = picture_of(network, ink_of(network, inputs))
    parts: list[Drawing | str] = []
    each = zip(images, steps, looked_at, answers.tolist(), strongest, strict=True)
    for path, one, seen, answer, read in each:
        if one.blank:
            parts += [f"{path}: nothing to read, the picture is blank", ""]
        else:
            told = "no reading: two labels tie" if read is None else f"read as {read}"
            parts += [f"{path}: {told}", reading_table(seen, answer, network.classes), ""]
    give(
        as_json,
        {
            "classes": network.classes,
            "images": images,
            "uneven": [one.uneven for one in steps],
            "answers": answers.tolist(),
            "read": strongest,
            "show": show,
        },
        *parts,
        wrote=[show],
        code=notes if show_code else None,
    )
