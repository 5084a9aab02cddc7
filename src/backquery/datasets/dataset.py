"""A data set: both its halves and what the labels are called, checked; and how one is made of what was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from backquery.datasets.augmentation import augment
from backquery.datasets.labels import label_positions, listed
from backquery.datasets.split import HELD_OUT, Split, split_off_test
from backquery.errors import DataError, assume
from backquery.model import INK_ON_PAPER, LabelledImages, Meaning, Model, Seed, Shape, brief, need_model
from backquery.model.declared import declared_value
from backquery.model.memory import need

Half = TypeVar("Half")

MEMORY_LIMIT = 4 * 2**30
"""No file is read whose pixels would take more bytes than this."""


@declared_value(DataError)
@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, images to test on if there are any, and what their labels are called.

    `maximum` is the raw pixel that stands for full ink: 255 for most files, 16 for the digits; `meaning` is what
    the pixels mean beside that, by default that 0 is the ground on which all images stand. `parted_by` is the
    seed by which `parted_for` made two halves of one. Labels outside the classes, pixels outside 0 to `maximum`
    or not finite, fewer than two classes, and halves of different image shape raise `DataError`.
    """

    __repr__ = brief

    name: str
    train: Split
    test: Split | None
    classes: tuple[str, ...]
    maximum: float = 255.0
    meaning: Meaning = INK_ON_PAPER
    parted_by: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(name) for name in self.classes))
        object.__setattr__(self, "maximum", float(self.maximum))
        if not (isfinite(self.maximum) and self.maximum > 0):
            raise DataError(f"{self.name}: the maximum must be above zero; received {self.maximum}")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise DataError(
                f"{self.name}: two or more classes with different names are needed; "
                f"received {listed(self.classes) or 'none'}"
            )
        for half, split in self.halves:
            self._check(half, split)

    @classmethod
    def of(cls, data: Dataset | LabelledImages, model: Model) -> Dataset:
        """A whole data set for a model: with the halves it had when that learned, see `parted_for`.

        Labelled images, such as one half, become one without a test half, with the model's classes and its scale.
        """
        need_model(model)
        if isinstance(data, Dataset):
            return data.parted_for(model)
        if not (hasattr(data, "images") and hasattr(data, "labels")):
            raise DataError(
                f"a data set or one half of it is needed; received a {type(data).__name__}: "
                "datasets.open_data(name or path) opens a data set"
            )
        scaling = model.scaling
        maximum, meaning = (255.0, None) if scaling is None else (scaling.maximum, scaling.meaning)
        images = Split(np.asarray(data.images), np.asarray(data.labels))
        whole = cls("the images given", images, None, model.classes, maximum, meaning or INK_ON_PAPER)
        return whole.parted_for(model)

    @property
    def halves(self) -> tuple[tuple[str, Split], ...]:
        """``("train", ...)`` and, where there is one, ``("test", ...)``."""
        train = (("train", self.train),)
        return train if self.test is None else (*train, ("test", self.test))

    @property
    def input_shape(self) -> Shape:
        """Height and width of one image, and 3 if it is in colour."""
        return self.train.images.shape[1:]

    @property
    def colour(self) -> bool:
        """Whether the images are in colour."""
        return len(self.input_shape) == 3

    @property
    def inputs(self) -> int:
        """Numbers of one image: its pixels, or three times as many in colour."""
        return prod(self.input_shape)

    @property
    def to_test_on(self) -> Split:
        """The test half or, where there is none, the train half."""
        return self.train if self.test is None else self.test

    def with_test_half(self, rng: Seed) -> Dataset:
        """The data set itself, or where it has no test half with the usual share of its images held out as one."""
        return self if self.test is not None else self.with_test(rng=rng)

    def parted_for(self, model: Model) -> Dataset:
        """The data set itself or, without a test half, parted as it was when the model learned from it.

        A model trained here tells its seed, and how many images it learned from and held out. Where as many of
        these images would be held out, they are those that it did not learn from, which is said in a line. Where
        the model learned from data of this name, but of other numbers, it is said that nobody knows which.
        """
        about: dict[str, Any] = getattr(model, "about", {})
        seed, learned, held = (_whole(about.get(name)) for name in ("seed", "training_images", "test_images"))
        if self.test is not None or seed is None or not learned or not held:
            return self
        if (parted := self._parted_as(seed, (learned, held))) is not None:
            parting = f"the {held:,} images that were held out by seed {seed} when this network learned"
            assume(
                f"{self.name} has no test half, and {parting} are taken for one; --test {self.name} takes all "
                f"{learned + held:,}, those that it learned from with them"
            )
            return replace(parted, parted_by=seed)
        if about.get("data") == self.name:
            assume(
                f"{self.name} has no test half; this network learned from {learned:,} images of a data set called "
                f"so, and may know many of these {len(self.train):,}; --test says where others are"
            )
        return self

    def _parted_as(self, seed: int, counts: tuple[int, int]) -> Dataset | None:
        """With the usual share held out by a seed, if so many images are left and so many are held out."""
        if len(self.train) != sum(counts):
            return None
        parted = self.with_test(rng=seed)
        assert parted.test is not None
        return parted if (len(parted.train), len(parted.test)) == counts else None

    def with_test(self, share: float = HELD_OUT, *, rng: Seed = None) -> Dataset:
        """The same data with a random `share` of each label's images held out as the test half."""
        if self.test is not None:
            raise DataError(f"{self.name} has a test half already; use it, or hold out from its train half")
        train, test = split_off_test(self.train, share, rng=rng)
        return replace(self, train=train, test=test)

    def augmented(self, rotate: float = 0.0, shift: int = 0) -> Dataset:
        """The same data with more images to train on: the test half stays as it is.

        Behind every training image follow its copies, turned by `rotate` degrees either way, and moved by `shift`
        pixels up, down, left and right; 0 leaves these out. A shift below zero raises `DataError`.
        """
        if shift < 0:
            raise DataError(f"{self.name}: images are moved by so many pixels every way; received {shift}")
        if not (rotate or shift):
            return self
        rotations = (-rotate, rotate) if rotate else ()
        shifts = ((-shift, 0), (shift, 0), (0, -shift), (0, shift)) if shift else ()
        return replace(self, train=augment(self.train, rotations=rotations, shifts=shifts))

    def with_classes(self, classes: Sequence[str]) -> Dataset:
        """The same data with its labels as positions into `classes`, a network's for example, by name.

        A label that occurs and is not among them raises `DataError`.
        """
        names = np.asarray(self.classes)

        def renamed(split: Split) -> Split:
            return Split(split.images, label_positions(names[split.labels], classes, self.name))

        return self._with_halves(renamed, classes=tuple(classes))

    def with_maximum(self, maximum: float) -> Dataset:
        """The same data with `maximum` as the raw pixel that stands for full ink, a network's for example."""
        if maximum == self.maximum:
            return self
        factor = maximum / self.maximum
        return self._with_halves(lambda split: Split(split.images * factor, split.labels), maximum=maximum)

    def _with_halves(self, changed: Callable[[Split], Split], **others: Any) -> Dataset:
        halves: dict[str, Any] = {half: changed(split) for half, split in self.halves}
        return replace(self, **halves, **others)

    def _check(self, half: str, split: Split) -> None:
        where = f"{self.name}, {half} half"
        if split.images.shape[1:] != self.train.images.shape[1:]:
            raise DataError(
                f"{where}: images of {_times(split.images.shape[1:])} pixels, "
                f"but {_times(self.input_shape)} in the train half; both must be alike"
            )
        lowest, highest = int(split.labels.min()), int(split.labels.max())
        if lowest < 0 or highest >= len(self.classes):
            raise DataError(
                f"{where}: labels from {lowest} to {highest}; "
                f"{len(self.classes)} classes allow 0 to {len(self.classes) - 1}"
            )
        if split.images.dtype == np.uint8 and self.maximum >= 255:
            return
        lowest_pixel, highest_pixel = split.images.min(), split.images.max()
        if not (lowest_pixel >= 0 and highest_pixel <= self.maximum):
            raise DataError(
                f"{where}: raw pixels from {lowest_pixel:g} to {highest_pixel:g}; "
                f"{self.meaning.range_in_words(self.maximum)} is allowed"
            )


def need_room(shape: Sequence[int], itemsize: int, source: str) -> None:
    """Refuse to read numbers for which there is no memory: they stand there as they were read and as raw pixels.

    Raw pixels are bytes or float64, and once more as long as halves are taken apart.
    """
    each = itemsize + 2 * (1 if itemsize == 1 else 8)
    need(prod(shape) * each, f"reading {source}", "fewer or smaller images need less")


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a reader found in one file or folder, before the labels have become positions.

    images: (n, height, width) numbers of any type, as they stood there, or (n, height, width, 3) for colours;
    labels: (n,) numbers or names, as they stood there; `source` is the path, for messages; `maximum` is the number
    for full ink where the file itself says it; `transposed` images are stored column by column, by the rule of a
    known kind of files; `brightness` says that the numbers are those of pictures, 0 for black.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    source: str
    maximum: float | None = None
    transposed: bool = False
    brightness: bool = False

    @property
    def colour(self) -> bool:
        """Whether the images are in colour."""
        return self.images.ndim == 4


def as_halves(read: Sequence[Half]) -> tuple[Half, Half | None]:
    """The train half, and the test half or None, from one or two that were read."""
    return read[0], read[1] if len(read) > 1 else None


def _whole(value: object) -> int | None:
    """What a file tells as a whole number of at least 0; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in shape)
