"""A folder of pictures as a data set: a subfolder for each class, a list of labels, or the labels in the names.

Folders may hold the halves apart (``train`` and ``test``, in any spelling of `names`), and one folder may lie
around all of it. Whatever is left out is counted in one line of warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from backquery.datasets.dataset import Labelled, as_halves
from backquery.datasets.images import FORMATS
from backquery.datasets.names import Half, half_of_folder
from backquery.datasets.options import AS_FOUND, Reading
from backquery.datasets.picture_lists import labels_in_list, list_beside
from backquery.datasets.picture_names import labels_in_names
from backquery.datasets.pictures import Loose, read_pictures
from backquery.errors import assume

NOTES = (".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".py", ".ini", ".db", ".log")
"""Files beside pictures that nobody takes for pictures; they are not counted."""

LabelledPath = tuple[Path, str]


@dataclass(frozen=True)
class Tree:
    """A folder that was looked through once: its own files and its subfolders, without what is hidden."""

    path: Path
    files: tuple[Path, ...]
    folders: tuple[Tree, ...]

    @cached_property
    def everything(self) -> list[Path]:
        """The files in it and deeper down."""
        return [*self.files, *(path for child in self.folders for path in child.everything)]

    @cached_property
    def pictures(self) -> list[Path]:
        """The pictures in it and deeper down."""
        return [path for path in self.everything if _is_picture(path)]

    @cached_property
    def classes(self) -> list[Tree]:
        """The subfolders with pictures in them or deeper down."""
        return [child for child in self.folders if child.pictures]


@dataclass(frozen=True)
class Folder:
    """What a folder of pictures holds: its train half, its test half or None, and the list of labels in use."""

    root: Tree
    train: Tree
    test: Tree | None = None
    unused: tuple[Tree, ...] = ()
    labels: Path | None = None

    @property
    def halves(self) -> list[Tree]:
        """The folders of the halves, the train half first."""
        return [self.train, *([] if self.test is None else [self.test])]


def read_image_folder(folder: Folder, how: Reading = AS_FOUND) -> tuple[Labelled | Loose, Labelled | Loose | None]:
    """Train half, and test half or None, of a folder of PNG, JPEG, BMP, WebP, TIFF or GIF pictures.

    Pictures of one size, up to 128 pixels a side, are used pixel by pixel: in colour if most are, else grey, and
    turned to 0 for paper if most of their borders are bright. Pictures of different or larger sizes are each
    prepared as `prepare_image` does, 28 x 28 and centred, or 32 x 32 in colour. `DataError` names the file that
    cannot be read or has no label.
    """
    labelled = labelled_pictures(folder, how)
    _say_left_out(folder, [picture for half in labelled for picture, _ in half])
    return as_halves(read_pictures([half.path for half in folder.halves], labelled, how.colour))


def look_into(path: Path) -> Folder | None:
    """Which folders in it are the halves, and whether a list gives the labels; None if there is no picture."""
    outer = _tree(path)
    root = _inside(outer)
    if not root.pictures:
        return None
    folder = _halves_in(root)
    if len(folder.train.classes) > 1:
        return folder
    labels = list_beside(path, folder.train.path, folder.train.pictures)
    return folder if labels is None else Folder(root, folder.train, labels=labels)


def files_in(folder: Folder, how: Reading = AS_FOUND) -> list[Path]:
    """The files that `read_image_folder` reads."""
    lists = [] if folder.labels is None else [folder.labels]
    return sorted([*(picture for half in labelled_pictures(folder, how) for picture, _ in half), *lists])


def labelled_pictures(folder: Folder, how: Reading = AS_FOUND) -> list[list[LabelledPath]]:
    """Every picture of each half with its label."""
    if folder.labels is not None:
        return [labels_in_list(folder.labels, folder.train.pictures, how)]
    if folder.train.classes:
        return [_by_subfolder(half) for half in folder.halves]
    paths = [path for half in folder.halves for path in half.pictures]
    labels = iter(labels_in_names(paths, len(folder.train.pictures)))
    return [[(path, next(labels)) for path in half.pictures] for half in folder.halves]


def _tree(path: Path) -> Tree:
    files, folders = [], []
    for child in sorted(path.iterdir()):
        if child.name.startswith((".", "__MACOSX")):
            continue
        if child.is_dir():
            # A link to a folder around it would lead round for ever.
            if not (child.is_symlink() and path.resolve().is_relative_to(child.resolve())):
                folders.append(_tree(child))
        elif child.is_file():
            files.append(child)
    return Tree(path, tuple(files), tuple(folders))


def _inside(folder: Tree) -> Tree:
    """The folder itself or, where it holds nothing but another one with folders, that one."""
    inner = folder.classes[0] if len(folder.classes) == 1 else None
    loose = any(map(_is_picture, folder.files))
    if inner is None or loose or half_of_folder(inner.path.name) is not None or not inner.classes:
        return folder
    return _inside(inner)


def _halves_in(root: Tree) -> Folder:
    """The halves by the names of the folders; a lone ``train`` among others is a class of that name."""
    halves: dict[Half, Tree] = {}
    others = []
    for child in root.classes:
        half = half_of_folder(child.path.name)
        if half is None or half in halves:
            others.append(child)
        else:
            halves[half] = child
    if not halves and (inner := _halves_in_classes(root)):
        return inner
    if not others and halves and "train" not in halves and all(half.classes for half in halves.values()):
        return _without_train(root, halves)
    if "train" not in halves or (len(halves) == 1 and others):
        return Folder(root, root)
    train, test = halves.pop("train"), halves.pop("test", None) or halves.pop("validation", None)
    return Folder(root, train, test, (*others, *halves.values()))


def _without_train(root: Tree, halves: dict[Half, Tree]) -> Folder:
    """A test half, or one to validate on, without a train half: it is read for what there is."""
    first, *others = (halves[half] for half in ("test", "validation") if half in halves)
    return Folder(root, first, unused=tuple(others))


def _halves_in_classes(root: Tree) -> Folder | None:
    """The halves where each class has its own, as ``cat/train`` and ``cat/test``; None for any other folder."""
    halves: dict[Half, list[Tree]] = {"train": [], "test": [], "validation": []}
    for child in root.classes:
        inner = {half_of_folder(part.path.name): part for part in child.classes}
        if None in inner or "train" not in inner or len(inner) < max(2, len(child.classes)):
            return None
        for half, part in inner.items():
            if half is not None:
                halves[half].append(Tree(child.path, (), (part,)))
    if not halves["train"]:
        return None
    train, *others = (Tree(root.path, (), tuple(parts)) for parts in halves.values() if parts)
    return Folder(root, train, others[0], tuple(others[1:]))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in FORMATS


def _by_subfolder(folder: Tree) -> list[LabelledPath]:
    """Every picture with the name of its subfolder.

    Subfolders are dealt out evenly, the first of each, then the next: a network that is trained in this order, one
    image at a time, would forget all classes but the last if they came one after the other.
    """
    by_class = [
        (place / len(child.pictures), path, child.path.name)
        for child in folder.classes
        for place, path in enumerate(child.pictures)
    ]
    return [(path, label) for _, path, label in sorted(by_class, key=lambda picture: picture[0])]


def _say_left_out(folder: Folder, used: Iterable[Path]) -> None:
    root = folder.root.path
    for child in folder.unused:
        assume(
            f"{root}: {len(child.pictures)} pictures in {child.path.name!r} are left out, as there are train and "
            "test pictures without; name that folder to read it"
        )
    others = {path for child in folder.unused for path in child.everything}
    left = Counter(path.suffix.lower() for path in {*folder.root.everything} - {*used} - others)
    if unlabelled := sum(left[end] for end in FORMATS):
        assume(
            f"{root}: {unlabelled} {'pictures have' if unlabelled > 1 else 'picture has'} no label and "
            f"{'are' if unlabelled > 1 else 'is'} left out; put each into the folder of its class"
        )
    if unread := {end: count for end, count in left.items() if end not in (*FORMATS, *NOTES, "")}:
        assume(
            f"{root}: {sum(unread.values())} files are left out, as {', '.join(sorted(unread))} is not read; save "
            "them as PNG if they are pictures"
        )
