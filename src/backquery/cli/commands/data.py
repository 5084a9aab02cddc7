"""``backquery data list``, ``data fetch`` and ``data inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backquery.cli.options import AsJson, Data, DataSetName, TestHalf
from backquery.cli.terminal import count, pairs, print_json, say, show

if TYPE_CHECKING:
    from backquery.datasets import Summary
    from backquery.datasets.summary import SplitSummary


def list_(*, as_json: AsJson = False) -> None:
    """List the data sets that are known by name, and whether each is at hand.

    With --json: data_sets, a list of name, description, at_hand (true or false), folder (text, or null where
    nothing is kept in files).
    """
    from rich.table import Table

    from backquery.datasets import catalogue

    known = [_entry(name, description) for name, description in catalogue().items()]
    if as_json:
        print_json({"data_sets": known})
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", "", "what it is"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for entry in known:
        table.add_row(entry["name"], "at hand" if entry["at_hand"] else "to fetch", entry["description"])
    show(table)


def fetch_(name: DataSetName, /, *, as_json: AsJson = False) -> None:
    """Download a data set by its name, check it against the published checksum, and keep it.

    It is kept in the folder BACKQUERY_DATA if that is set, otherwise in the user's cache.

    With --json: name, folder (null for one that comes with the package).
    """
    from backquery.datasets import fetch

    folder = fetch(name)
    if as_json:
        print_json({"name": name, "folder": None if folder is None else str(folder)})
    else:
        show(f"{name} comes with the package" if folder is None else f"{name} is at hand in {folder}")


def inspect_(data: Data, /, *, test: TestHalf = None, as_json: AsJson = False) -> None:
    """Count and measure the images of a data set before a network is trained on it.

    With --json: name, classes, input_shape, maximum, shared (test images that are also in the train half),
    and for each of train and test (or null) images, counts, lowest, highest, blank.
    """
    from backquery.datasets import inspect, open_data

    summary = inspect(open_data(data, test))
    if as_json:
        print_json(summary.as_json())
        return
    show(pairs(_about(summary)), "", _counts(summary))
    if summary.shared:
        say(f"{count(summary.shared, 'test image')} also among the training images: the test is too kind")


def _entry(name: str, description: str) -> dict[str, Any]:
    from backquery.datasets import is_at_hand
    from backquery.datasets.catalogue import DIGITS

    folder: Path | None = is_at_hand(name)
    at_hand = folder is not None or name == DIGITS
    return {
        "name": name,
        "description": description,
        "at_hand": at_hand,
        "folder": None if folder is None else str(folder),
    }


def _about(summary: Summary) -> list[tuple[str, str]]:
    height, width = summary.input_shape
    return [
        ("data set", summary.name),
        ("images", f"{height} x {width} pixels, 0 (paper) to {summary.maximum:g} (ink)"),
        ("train", _half(summary.train)),
        ("test", "none; a share of the others can be held out" if summary.test is None else _half(summary.test)),
    ]


def _half(part: SplitSummary) -> str:
    images = count(part.images, "image")
    return f"{images}, raw pixels {part.lowest:g} to {part.highest:g}, {part.blank:.0%} of them blank"


def _counts(summary: Summary) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0))
    for heading in ("class", "train", "test"):
        table.add_column(heading, justify="left" if heading == "class" else "right", header_style="dim")
    for name in summary.classes:
        test = "" if summary.test is None else f"{summary.test.counts[name]:,}"
        table.add_row(name, f"{summary.train.counts[name]:,}", test)
    return table
