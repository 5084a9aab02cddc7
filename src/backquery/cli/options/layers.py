"""What is asked of one layer of a network, instead of its answers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backquery.cli import UsageError


@Parameter(name="*", group="One layer, instead of the answers")
@dataclass(frozen=True)
class LayerOptions:
    """A layer, and its channels, its nodes, or the pictures of which is shown what it kept."""

    layer: Annotated[
        str | None,
        Parameter(
            help="The layer: its name among the modules of PyTorch, ONNX or Keras, or the number, from 1, of a "
            "dense network's hidden layer."
        ),
    ] = None
    channel: Annotated[
        list[int] | None,
        Parameter(
            consume_multiple=True, negative="", help="What these channels of a convolution look for, from 0."
        ),
    ] = None
    place: Annotated[
        str | None,
        Parameter(help="Where in the channel, such as 4,4 for row and column; by default its mean everywhere."),
    ] = None
    node: Annotated[
        list[int] | None,
        Parameter(consume_multiple=True, negative="", help="What these nodes of the layer look for, from 0."),
    ] = None
    signal: Annotated[
        float | None,
        Parameter(
            help="The signal to ask for; by default the strongest that any of some images drawn from the prior "
            "gives.",
            allow_leading_hyphen=True,
        ),
    ] = None
    kept_of: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="What the layer kept of these pictures: the likeliest images of the same signals.",
        ),
    ] = None

    def __post_init__(self) -> None:
        told = {name.name for name in fields(self) if getattr(self, name.name) is not None}
        if told and "layer" not in told:
            raise UsageError(f"--{min(told).replace('_', '-')} is asked of one layer: add --layer.")
        if told and len(told & {"channel", "node", "kept_of"}) != 1:
            raise UsageError("--layer goes with one of --channel, --node and --kept-of.")
        if "place" in told and "channel" not in told:
            raise UsageError("--place is a place in a --channel.")
        if {"signal", "kept_of"} <= told:
            raise UsageError("--signal is asked of a --channel or a --node.")

    def check_alone(self, **others: object) -> None:
        """`UsageError` where a layer is asked, and something else is told that goes with labels."""
        told = [name for name, value in others.items() if value is not None]
        if self.layer is not None and told:
            raise UsageError(f"--{told[0]} is asked of the answers, not of a --layer.")

    @property
    def kind(self) -> str:
        """What is asked: ``"channel"`` or ``"node"``."""
        return "node" if self.channel is None else "channel"

    @property
    def numbers(self) -> list[int]:
        """Of which channels or nodes."""
        return list(self.channel or self.node or [])

    def where(self) -> tuple[int, int] | None:
        """The row and the column of `place`."""
        if self.place is None:
            return None
        try:
            row, column = map(int, self.place.split(","))
        except ValueError:
            raise UsageError(
                f"--place takes a row and a column, such as 4,4; received {self.place[:80]!r}."
            ) from None
        return row, column


THE_ANSWERS = LayerOptions()
