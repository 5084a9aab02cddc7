"""``backquery query``: what the network reads in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from backquery.cli.options import AsJson, Model
from backquery.cli.options.reading import Scale
from backquery.cli.terminal import Drawing, answer_table, give

Pictures = Annotated[list[Path], Parameter(help="Pictures of any size, one character or thing on each.")]
Ink = Annotated[
    Literal["auto", "dark", "light"], Parameter(help="What was drawn, dark or light; auto looks at the border.")
]
Centre = Annotated[
    bool | None,
    Parameter(
        help="Scale and move the ink into the middle, as MNIST was made; otherwise only scale. By default as the "
        "model's own images were."
    ),
]


def query(
    model: Model,
    images: Pictures,
    /,
    *,
    ink: Ink = "auto",
    centre: Centre = None,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Ask a network what it reads in pictures, and show its answers as bars.

    For example: `backquery query mnist my-three.png`

    With --json: classes, images (the paths), answers (for each image one number for each class) and read (for
    each image the class with the strongest answer).
    """
    import numpy as np

    from backquery.cli.source import load_for_images, prepared
    from backquery.errors import ModelError

    network = load_for_images(model, scale)
    answers = network.query(network.scale(prepared(network, images, ink, centre)))
    for path, answer in zip(images, answers, strict=True):
        if not np.all(np.isfinite(answer)):
            raise ModelError(f"the model's answers to {path} are not finite, so that nothing can be read in it")
    strongest = [network.classes[position] for position in answers.argmax(axis=1)]
    parts: list[Drawing | str] = []
    for path, answer, read in zip(images, answers.tolist(), strongest, strict=True):
        parts += [f"{path}: read as {read}", answer_table(answer, network.classes), ""]
    give(
        as_json,
        {"classes": network.classes, "images": images, "answers": answers.tolist(), "read": strongest},
        *parts,
    )
