"""How data are read, and what a model takes, where files leave it open."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli import UsageError
from backquery.datasets.options import Ink, Reading

if TYPE_CHECKING:
    from backquery.model import Scaling, Shape

SCALES = ("book", "unit", "raw")
BY_CHANNEL = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}
"""Means and deviations of red, green and blue over what many colour networks are trained on, white being 1."""

Scale = Annotated[
    str | None,
    Parameter(
        help="What the model was given for paper and for full ink, such as 0,16 or -1,1 or, of dark ink on white "
        "paper, 1,0; or by name: book 0.01,1; unit 0,1; raw the pixels of the data as they are; imagenet or "
        "cifar10 each colour less its mean there, by its deviation. For models that do not say it themselves; by "
        "default the likeliest, which is said.",
        allow_leading_hyphen=True,
    ),
]


@Parameter(name="*", group="What files leave open")
@dataclass(frozen=True)
class ReadingOptions:
    """What the files of a data set leave open; what is not told is found out, and said where it is not sure."""

    ink: Annotated[
        Ink,
        Parameter(
            help="What was drawn: dark on a bright ground, which is turned, or light; auto looks at the borders "
            "of all images together."
        ),
    ] = "auto"
    range: Annotated[
        str | None,
        Parameter(
            help="The numbers for one end of the scale and the other, such as 0,16; by default found out.",
            allow_leading_hyphen=True,
        ),
    ] = None
    transposed: Annotated[
        bool | None, Parameter(help="Whether images are stored column by column; by default known by the files.")
    ] = None
    colour: Annotated[
        bool | None,
        Parameter(help="Whether images are read in colour or in grey; by default in colour where most are."),
    ] = None
    shape: Annotated[
        str | None,
        Parameter(
            help="What image a row of pixels makes, where it is no square: rows and columns, and 3 for colours "
            "behind them or before, such as 20,28 or 32,32,3 or 3,32,32."
        ),
    ] = None
    images: Annotated[str | None, Parameter(help="The name of the images in an archive of arrays.")] = None
    labels: Annotated[str | None, Parameter(help="The name of the labels in an archive of arrays.")] = None
    label_column: Annotated[
        str | None, Parameter(help="The column of a table that holds the labels: its name, or its number from 1.")
    ] = None

    def reading(self) -> Reading:
        """The same for the readers."""
        column = self.label_column
        return Reading(
            self.images,
            self.labels,
            int(column) if column is not None and column.isdecimal() else column,
            self.ink,
            None if self.range is None else two_numbers(self.range, "--range", "0,16"),
            self.transposed,
            self.colour,
            None if self.shape is None else _whole_numbers(self.shape),
        )


AS_FOUND = ReadingOptions()


def scaling_called(name: str, maximum: float, input_shape: Shape) -> Scaling:
    """The scaling of raw pixels from 0 to `maximum` to inputs of this shape that `--scale` asks for."""
    from backquery.model import Layout, Scaling

    name = name.strip().lower()
    if name in BY_CHANNEL:
        if Layout.of(input_shape).channels != 3:
            raise UsageError(f"--scale {name} is for colours; the model takes inputs of shape {input_shape}.")
        return Scaling.by_channel(*BY_CHANNEL[name], input_shape, maximum=maximum)
    named = {"book": (0.01, 1.0), "unit": (0.0, 1.0), "raw": (0.0, maximum)}
    low, high = named.get(name) or two_numbers(name, "--scale", f"{', '.join((*SCALES, *BY_CHANNEL))} or 0,16")
    if low == high or not isfinite(high - low):
        raise UsageError(f"--scale needs two different, finite numbers for paper and for ink; received {name!r}.")
    return Scaling.between(low, high, maximum)


def _whole_numbers(text: str) -> tuple[int, ...]:
    """``"32,32,3"`` to (32, 32, 3); `UsageError` for anything else."""
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise UsageError(f"--shape takes 20,28 or 32,32,3; received {text[:80]!r}.") from None


def two_numbers(text: str, option: str, example: str) -> tuple[float, float]:
    """``"0,16"`` to (0.0, 16.0); `UsageError` for anything else."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes {example}; received {text[:80]!r}.") from None
    return low, high
