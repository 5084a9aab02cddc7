"""How data are read, and what a model takes, where files leave it open."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backquery.cli import UsageError
from backquery.datasets.options import Ink, Reading

if TYPE_CHECKING:
    from backquery.model import Scaling

SCALES = ("book", "unit", "raw")

Scale = Annotated[
    str | None,
    Parameter(
        help="What the model was given for paper and for full ink, such as 0,16 or -1,1 or, of dark ink on white "
        "paper, 1,0; or by name: book 0.01,1; unit 0,1; raw the pixels of the data as they are. For models that "
        "do not say it themselves; by default the likeliest, which is said.",
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
        )


AS_FOUND = ReadingOptions()


def scaling_called(name: str, maximum: float) -> Scaling:
    """The scaling of raw pixels from 0 to `maximum` that `--scale` asks for."""
    from backquery.model import Scaling

    name = name.strip().lower()
    named = {"book": (0.01, 1.0), "unit": (0.0, 1.0), "raw": (0.0, maximum)}
    low, high = named.get(name) or two_numbers(name, "--scale", f"{', '.join(SCALES)} or 0,16")
    if low == high or not isfinite(high - low):
        raise UsageError(f"--scale needs two different, finite numbers for paper and for ink; received {name!r}.")
    return Scaling.between(low, high, maximum)


def two_numbers(text: str, option: str, example: str) -> tuple[float, float]:
    """``"0,16"`` to (0.0, 16.0); `UsageError` for anything else."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes {example}; received {text[:80]!r}.") from None
    return low, high
