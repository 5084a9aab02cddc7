"""``backquery data list``, ``data fetch`` and ``data inspect``."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from backquery.cli.options import AsJson, Data, DataSetName, TestHalf
from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.cli.terminal import count, give, pairs, table

if TYPE_CHECKING:
    from backquery.datasets import Summary
    from backquery.datasets.summary import SplitSummary


def list_(*, as_json: AsJson = False) -> None:
    """List the data sets that are known by name, and whether each is at hand.

    With --json: data_sets, a list of name, description, at_hand (true or false), folder (text, or null where
    nothing is kept in files).
    """
    from backquery.datasets import catalogue

    known = [_entry(name, description) for name, description in catalogue().items()]
    rows = [(one["name"], "at hand" if one["at_hand"] else "to fetch", one["description"]) for one in known]
    give(as_json, {"data_sets": known}, table(("<name", "<", "<what it is"), rows, gap=2))


def fetch_(name: DataSetName, /, *, as_json: AsJson = False) -> None:
    """Download a data set by its name, check it against the published checksum, and keep it.

    It is kept in the folder BACKQUERY_DATA if that is set, otherwise in the user's cache.

    With --json: name, folder (null for one that comes with the package or is made anew).
    """
    from backquery.datasets import fetch

    folder = fetch(name)
    where = f"{name} needs no files" if folder is None else f"{name} is at hand in {folder}"
    give(as_json, {"name": name, "folder": folder}, where)


def inspect_(
    data: Data, /, *, test: TestHalf = None, reading: ReadingOptions = AS_FOUND, as_json: AsJson = False
) -> None:
    """Count and measure the images of a data set before a network is trained on it.

    With --json: name, classes, input_shape (with 3 at its end for colours), maximum, meaning (ground: one where 0
    is the ground of all images, none where 0 is black; centred; decided: how that is known), shared (test images
    that are also in the train half), and for each of train and test (or null) images, counts, lowest, highest,
    blank, colours (the means of red, green and blue; null for grey).
    """
    from backquery.datasets import inspect, open_data

    summary = inspect(open_data(data, test, how=reading.reading()))
    shared = f"{count(summary.shared, 'test image')} also among the training images: the test is too kind"
    counts = table(("<class", ">train", ">test"), [_counts(summary, name) for name in summary.classes])
    give(as_json, summary.as_json(), pairs(_about(summary)), "", counts, notes=[shared] if summary.shared else [])


def _entry(name: str, description: str) -> dict[str, Any]:
    from backquery.datasets import is_at_hand, needs_fetching

    at_hand, folder = not needs_fetching(name), is_at_hand(name)
    return {"name": name, "description": description, "at_hand": at_hand, "folder": folder}


def _about(summary: Summary) -> list[tuple[str, str]]:
    height, width = summary.input_shape[:2]
    kind = "pixels in colour" if len(summary.input_shape) == 3 else "pixels"
    return [
        ("data set", summary.name),
        ("images", f"{height} x {width} {kind}, {summary.meaning.range_in_words(summary.maximum)}"),
        ("train", _half(summary.train)),
        ("test", "none; a share of the others can be held out" if summary.test is None else _half(summary.test)),
        *zip(chain(["meaning"], repeat(" ")), summary.meaning.decided, strict=False),
    ]


def _half(part: SplitSummary) -> str:
    images = count(part.images, "image")
    told = f"{images}, raw pixels {part.lowest:g} to {part.highest:g}, {part.blank:.0%} of them "
    if part.colours is None:
        return f"{told}blank"
    means = ", ".join(f"{colour} {mean:.0f}" for colour, mean in part.colours.items())
    return f"{told}black; on average {means}"


def _counts(summary: Summary, name: str) -> list[str]:
    return [name, *("" if half is None else f"{half.counts[name]:,}" for half in (summary.train, summary.test))]
