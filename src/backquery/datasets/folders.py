"""A folder of pictures as a data set: a subfolder for each class, or the label at the end of each name.

The book names its own handwriting ``2828_my_own_3.png``: the label stands before the extension. Folders may
hold the halves apart, as ``train`` and ``test`` (or ``training`` and ``testing``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from backquery.datasets.dataset import Labelled, as_halves
from backquery.datasets.images import FORMATS
from backquery.datasets.pictures import Loose, read_pictures
from backquery.errors import DataError

HALVES = {"train": ("train", "training"), "test": ("test", "testing")}

_LABEL = re.compile(r"(?P<label>\d+|[^\W\d_]+)$")


def read_image_folder(folder: Path) -> tuple[Labelled | Loose, Labelled | Loose | None]:
    """Train half, and test half or None, of a folder of PNG, JPEG, BMP, WebP or GIF pictures.

    Pictures of one size, up to 128 pixels a side, are used pixel by pixel: grey, and turned to 0 for paper
    if most of their borders are bright. Pictures of different or larger sizes are each prepared as
    `prepare_image` does, 28 x 28 and centred. `DataError` names the file that cannot be read or has no label.
    """
    train, test = (_half(folder, names) for names in HALVES.values())
    halves = [folder if train is None else train, *([] if train is None or test is None else [test])]
    return as_halves(read_pictures(halves, [labelled_pictures(half) for half in halves]))


def labelled_pictures(folder: Path) -> list[tuple[Path, str]]:
    """Every picture in the folder with its label: its subfolder's name, or what its own name ends in.

    Subfolders are dealt out evenly, the first of each, then the next: a network that is trained in this order, one
    image at a time, would forget all classes but the last if they came one after the other.
    """
    by_class = [
        (place / len(pictures), path, child.name)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
        for pictures in [_pictures(child)]
        for place, path in enumerate(pictures)
    ]
    dealt = [(path, label) for _, path, label in sorted(by_class, key=lambda picture: picture[0])]
    return dealt or [(path, label_in_name(path)) for path in _pictures(folder)]


def picture_files(folder: Path) -> list[Path]:
    """The pictures in the folder and up to two folders down."""
    deep = (path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth))
    return sorted(path for path in deep if path.suffix.lower() in FORMATS)


def label_in_name(path: Path) -> str:
    """The number, or else the word, that a picture's name ends in: ``2828_my_own_3.png`` is a 3."""
    match = _LABEL.search(path.stem)
    if match is None:
        raise DataError(
            f"{path}: no label before the extension; name it like 'my_own_3.png', or put it into a folder "
            "named after its class"
        )
    return match["label"]


def _half(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in FORMATS and path.is_file() and not path.name.startswith(".")
    )
