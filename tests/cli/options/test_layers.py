"""What is asked of a layer on the command line fits together, or is refused with the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backquery.cli import UsageError
from backquery.cli.options.layers import THE_ANSWERS, LayerOptions


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channel": [1]}, "--channel is asked of one layer: add --layer"),
        ({"kept_of": [Path("a.png")]}, "--kept-of is asked of one layer"),
        ({"layer": "1"}, "one of --channel, --node and --kept-of"),
        ({"layer": "1", "node": [1], "channel": [1]}, "one of --channel, --node and --kept-of"),
        ({"layer": "1", "node": [1], "place": "1,1"}, "--place is a place in a --channel"),
        ({"layer": "1", "kept_of": [Path("a.png")], "signal": 1.0}, "--signal is asked of"),
    ],
)
def test_what_does_not_fit_together_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LayerOptions(**given)


def test_a_place_is_a_row_and_a_column() -> None:
    assert LayerOptions(layer="c", channel=[1], place="4, 5").where() == (4, 5)
    assert LayerOptions(layer="c", channel=[1]).where() is None
    for place in ("4", "4,x", "1,2,3"):
        with pytest.raises(UsageError, match="--place takes a row and a column, such as 4,4"):
            LayerOptions(layer="c", channel=[1], place=place).where()


def test_channels_and_nodes_are_told_apart_and_labels_do_not_go_with_them() -> None:
    channels, nodes = LayerOptions(layer="c", channel=[1, 0]), LayerOptions(layer="1", node=[3])
    assert (channels.kind, channels.numbers, nodes.kind, nodes.numbers) == ("channel", [1, 0], "node", [3])
    channels.check_alone(label=None, near=None)
    THE_ANSWERS.check_alone(label=["3"])
    with pytest.raises(UsageError, match="--label is asked of the answers, not of a --layer"):
        channels.check_alone(confidence=None, label=["3"])
