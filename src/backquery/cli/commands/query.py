"""``backquery query``: what the network reads in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import answer_table, print_json, show
from backquery.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backquery.model.protocol import Model as AnyModel

Pictures = Annotated[list[Path], Parameter(help="Pictures of any size, one character or thing on each.")]
Ink = Annotated[
    Literal["auto", "dark", "light"], Parameter(help="What was drawn, dark or light; auto looks at the border.")
]
Centre = Annotated[
    bool, Parameter(help="Scale and move the ink into the middle, as MNIST was made; otherwise only scale.")
]


def query(
    model: Model, images: Pictures, /, *, ink: Ink = "auto", centre: Centre = True, as_json: AsJson = False
) -> None:
    """Ask a network what it reads in pictures, and show its answers as bars.

    For example: `backquery query mnist my-three.png`

    With --json: classes, images (the paths), answers (for each image one number for each class) and read (for
    each image the class with the strongest answer).
    """
    from backquery.cli.matching import load_for_images

    network = load_for_images(model)
    answers = network.query(network.scale(prepared(network, images, ink, centre)))
    strongest = [network.classes[position] for position in answers.argmax(axis=1)]
    if as_json:
        print_json(
            {
                "classes": list(network.classes),
                "images": [str(path) for path in images],
                "answers": answers.tolist(),
                "read": strongest,
            }
        )
        return
    for path, answer, read in zip(images, answers, strongest, strict=True):
        show(f"{path}: read as {read}", answer_table(answer.tolist(), network.classes), "")


def prepared(
    network: AnyModel, images: list[Path], ink: Literal["auto", "dark", "light"] = "auto", centre: bool = True
) -> NDArray[Any]:
    """Pictures (n, height, width) as raw pixels on the network's scale."""
    import numpy as np

    from backquery.datasets import prepare_image
    from backquery.model.layout import Layout

    layout = Layout.of(network.input_shape)
    if not layout.known or layout.channels > 1:
        raise ModelError(f"the model takes inputs of shape {network.input_shape}, which no picture can become")
    assert network.scaling is not None
    shape, maximum = (layout.rows, layout.columns), network.scaling.maximum
    return np.stack([prepare_image(path, shape, maximum, ink=ink, centre=centre) for path in images])
