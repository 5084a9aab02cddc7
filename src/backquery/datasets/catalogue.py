"""The data sets known by name: one comes with scikit-learn, some are made anew, others fetched once and then kept.

Addresses and checksums: MNIST's and Fashion-MNIST's SHA-256 as in TensorFlow Datasets and Keras, KMNIST's and
EMNIST's as in TensorFlow Datasets; CIFAR's MD5 as on its publisher's page, SVHN's as in torchvision; mirrors from
there and from torchvision.
"""

from __future__ import annotations

import os
import shutil
import string
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from backquery.datasets import cifar
from backquery.datasets.dataset import Dataset, Labelled
from backquery.datasets.download import RemoteFile, fetch_file
from backquery.datasets.idx import find_pairs, read_pair
from backquery.datasets.labels import label_positions
from backquery.datasets.made import SHAPES, coloured, finer, shapes, wander
from backquery.datasets.mat import read_mat
from backquery.datasets.split import Split, split_off_test
from backquery.errors import DataError, DownloadError
from backquery.files import replacing, user_cache
from backquery.model import Meaning

DIGITS = "digits"
DIGITS_TEST_SHARE = 0.4
"""Sixty to forty, as the published training on these digits has it."""

_KNOWN = ("the data set is known by name",)
_COLOURED = Meaning("none", False, ("the data set is made: each digit is drawn in one colour on black",))
_ANYWHERE = Meaning("one", False, ("the data set is made: what is drawn stands anywhere, in any size",))

WANDERING_SIDE = 32
"""Pixels: the frame in which digits stand that are 10 to 20 pixels high."""

CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and how its files become images and labels.

    `kind` says who reads them: ``"idx"``, ``"cifar"`` or ``"svhn"``. `prefixes` begin the names of the train and
    the test half's IDX files. Where the files come inside one archive, `members` says which of its files to keep.
    `first_label` is the number of the first class; `transposed` images are stored column by column; `centred` ones
    have their centre of mass in the middle.
    """

    description: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    classes: tuple[str, ...] = tuple(string.digits)
    prefixes: tuple[str, str] = ("train", "t10k")
    members: tuple[str, ...] = ()
    first_label: int = 0
    transposed: bool = False
    centred: bool = False
    kind: str = "idx"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of the files that have to lie in the data set's folder."""
        return tuple(Path(member).name for member in self.members) or tuple(file.name for file in self.files)


def _four_files(*checksums: str) -> tuple[RemoteFile, ...]:
    """MNIST's four names with their SHA-256: train images, train labels, test images, test labels."""
    names = (f"{half}-{kind}-ubyte.gz" for half in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
    return tuple(RemoteFile(name, f"sha256:{digest}") for name, digest in zip(names, checksums, strict=True))


CIFAR_MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "mnist": Source(
            "70,000 handwritten digits, 28 x 28; the book's (LeCun, Cortes and Burges 1998)",
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            _four_files(
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
            centred=True,
        ),
        "fashion-mnist": Source(
            "70,000 articles of clothing in 10 classes, 28 x 28 (Xiao, Rasul and Vollgraf 2017)",
            (
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            _four_files(
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
            CLOTHES,
        ),
        "kmnist": Source(
            "70,000 cursive Japanese characters in 10 classes, 28 x 28 (Clanuwat et al. 2018)",
            (
                "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            ),
            _four_files(
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        ),
        "emnist-letters": Source(
            "145,600 handwritten letters, capital and small as one, 28 x 28 (Cohen et al. 2017); 560 MB to fetch",
            (
                "https://biometrics.nist.gov/cs_links/EMNIST/",
                "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
            ),
            (RemoteFile("gzip.zip", "sha256:fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),),
            tuple(string.ascii_uppercase),
            prefixes=("emnist-letters-train", "emnist-letters-test"),
            members=tuple(
                f"gzip/emnist-letters-{half}-{kind}-ubyte.gz"
                for half in ("train", "test")
                for kind in ("images-idx3", "labels-idx1")
            ),
            first_label=1,
            transposed=True,
        ),
        "cifar10": Source(
            "60,000 photographs in colour of 10 kinds of things, 32 x 32 (Krizhevsky 2009); 162 MB to fetch",
            CIFAR_MIRRORS,
            (RemoteFile("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
            members=tuple(f"cifar-10-batches-bin/{file}" for file in cifar.TEN.files),
            kind="cifar",
        ),
        "cifar100": Source(
            "60,000 photographs in colour of 100 kinds of things, 32 x 32 (Krizhevsky 2009); 161 MB to fetch",
            CIFAR_MIRRORS,
            (RemoteFile("cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),),
            members=tuple(f"cifar-100-binary/{file}" for file in cifar.HUNDRED.files),
            kind="cifar",
        ),
        "svhn": Source(
            "99,289 photographed digits of house numbers, in colour, 32 x 32 (Netzer et al. 2011); 246 MB",
            ("http://ufldl.stanford.edu/housenumbers/",),
            (
                RemoteFile("train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373"),
                RemoteFile("test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3"),
            ),
            kind="svhn",
        ),
    }
)


@dataclass(frozen=True)
class Made:
    """A data set that is made on this machine, the same every time; `of` names the one whose files it needs."""

    description: str
    make: Callable[[], Dataset]
    of: str | None = None


def catalogue() -> dict[str, str]:
    """The names that `load` knows, each with a line of description."""
    known: dict[str, Source | Made] = {**SOURCES, **MADE}
    bundled = "1,797 handwritten digits, 8 x 8, at hand without download (Alpaydin and Kaynak 1998)"
    return {DIGITS: bundled, **{name: one.description for name, one in known.items()}}


def load(name: str) -> Dataset:
    """The data set of that name, fetched first if it is nowhere on this machine.

    Files that lie in ``BACKQUERY_DATA/<name>``, or in the user's cache, are used as they are, without any
    network. An unknown name raises `DataError`; a failed transfer raises `DownloadError`, which says which
    files to put where by hand.
    """
    if name in MADE:
        return MADE[name].make()
    folder = fetch(name)
    if folder is None:
        return _digits()
    read = {"idx": _read_idx, "cifar": _read_cifar, "svhn": _read_svhn}
    return read[SOURCES[name].kind](name, folder, SOURCES[name])


def fetch(name: str) -> Path | None:
    """The folder where the data set's files lie, fetched if they were nowhere; None for one that has none.

    A name that is not in the catalogue raises `DataError`, files that cannot be had `DownloadError`.
    """
    files = _files_of(name)
    return None if files is None else is_at_hand(files) or _fetched(files, SOURCES[files])


def is_at_hand(name: str) -> Path | None:
    """The folder that holds all of the data set's files already; None if there is none, or it has no files.

    A name that is not in the catalogue raises `DataError`, no folder that could hold them `DownloadError`.
    """
    files = _files_of(name)
    if files is None:
        return None
    return next((folder for folder in _folders(files) if _is_complete(folder, SOURCES[files])), None)


def needs_fetching(name: str) -> bool:
    """Whether `load` would need a network: the data set has files, and they are nowhere on this machine.

    A name that is not in the catalogue raises `DataError`.
    """
    return _files_of(name) is not None and is_at_hand(name) is None


def _files_of(name: str) -> str | None:
    """Under which name the data set's files are kept; None for one that comes with the package or is made."""
    if name not in catalogue():
        hint = "; datasets.read takes the path of a file or folder" if _looks_like_path(name) else ""
        raise DataError(f"unknown data set {str(name)!r}; known are {', '.join(catalogue())}{hint}")
    return MADE[name].of if name in MADE else None if name == DIGITS else name


def _looks_like_path(name: object) -> bool:
    text = str(name)
    return isinstance(name, os.PathLike) or "." in text or "/" in text or Path(text).exists()


def _is_complete(folder: Path, source: Source) -> bool:
    if source.kind == "idx":
        return len(find_pairs(folder, source.prefixes)) == 2
    return all((folder / file).is_file() for file in source.wanted)


def _fetched(name: str, source: Source) -> Path:
    folder = _folders(name)[0]
    try:
        for file in source.files:
            if not (folder / file.name).is_file():
                fetch_file(file, source.mirrors, folder)
        _unpack(folder, source)
    except OSError as error:
        raise DownloadError(
            f"{name} could not be fetched ({error}). Without a network, put {_listed(source)} into {folder} "
            f"by hand, for example from {source.mirrors[0]}, and try again"
        ) from error
    return folder


def _folders(name: str) -> list[Path]:
    """Where the data set may lie, the place for new files first."""
    chosen, cache = os.environ.get("BACKQUERY_DATA", ""), user_cache()
    folders = ([Path(chosen) / name] if chosen else []) + ([cache / name] if cache else [])
    if not folders:
        raise DownloadError(f"there is no home folder to keep {name} in; set BACKQUERY_DATA to a folder")
    return folders


def _unpack(folder: Path, source: Source) -> None:
    """Keep what is wanted of an archive, and let the rest of it go."""
    if not source.members:
        return
    packed = folder / source.files[0].name
    try:
        with _archive(packed) as opened:
            for member in source.members:
                with opened(member) as part, replacing(folder / Path(member).name) as stream:
                    shutil.copyfileobj(part, stream)
    except (zipfile.BadZipFile, tarfile.TarError, KeyError, EOFError, RuntimeError, zlib.error) as error:
        raise DownloadError(f"{packed} is broken ({error}); remove it") from error
    packed.unlink()


@contextmanager
def _archive(packed: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """How to open a file in an archive by its name."""
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as archive:
            yield archive.open
        return
    with tarfile.open(packed, "r:gz") as tape:

        def member(name: str) -> IO[bytes]:
            part = tape.extractfile(name)
            if part is None:
                raise KeyError(f"{name} is no file")
            return part

        yield member


def _listed(source: Source) -> str:
    either = f"{source.files[0].name} (or {', '.join(source.wanted)} out of it)"
    return either if source.members else ", ".join(source.wanted)


def _read_idx(name: str, folder: Path, source: Source) -> Dataset:
    with ThreadPoolExecutor(2) as both:
        train, test = both.map(lambda pair: _split(read_pair(*pair), source), find_pairs(folder, source.prefixes))
    return Dataset(name, train, test, source.classes, meaning=Meaning("one", source.centred, _KNOWN))


def _read_cifar(name: str, folder: Path, source: Source) -> Dataset:
    kind = cifar.kind_in(folder)
    assert kind is not None
    train, test, names = cifar.read_cifar(folder, kind)
    return _in_colour(name, (train, test), names)


def _read_svhn(name: str, folder: Path, source: Source) -> Dataset:
    halves = [read_mat(folder / file)[0] for file in source.wanted]
    return _in_colour(name, [replace(half, labels=half.labels.astype(str)) for half in halves], source.classes)


def _in_colour(name: str, halves: Sequence[Labelled], classes: Sequence[str]) -> Dataset:
    """A data set of halves whose labels are names of classes."""
    train, test = (Split(half.images, label_positions(half.labels, classes, name)) for half in halves)
    return Dataset(name, train, test, tuple(classes), meaning=Meaning("none", False, _KNOWN))


def _split(found: Labelled, source: Source) -> Split:
    images = found.images.transpose(0, 2, 1) if source.transposed else found.images
    return Split(np.ascontiguousarray(images, np.uint8), found.labels.astype(np.int64) - source.first_label)


def _digits() -> Dataset:
    table = _digits_table()
    everything = Split(table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64))
    train, test = split_off_test(everything, DIGITS_TEST_SHARE, rng=0)
    return Dataset(DIGITS, train, test, tuple(string.digits), 16.0, Meaning("one", False, _KNOWN))


def _digits_table() -> NDArray[np.uint8]:
    """The 64 pixels and the label of each digit, from scikit-learn's own file.

    Importing scikit-learn for it would take a hundred times as long as reading it.
    """
    package = find_spec("sklearn")
    file = Path(package.origin).parent / "datasets/data/digits.csv.gz" if package and package.origin else None
    if file is not None and file.is_file():
        return np.loadtxt(file, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits

    bundled = load_digits()
    return np.column_stack([bundled.data, bundled.target]).astype(np.uint8)


def _shapes() -> Dataset:
    return Dataset("shapes", shapes(6000, rng=0), shapes(1500, rng=1), tuple(SHAPES), meaning=_ANYWHERE)


def _finer_digits() -> tuple[Split, Split]:
    """The bundled digits, their pixels divided, 32 x 32, in bytes; six copies of each to learn."""
    digits = _digits()
    train, test = (finer(split, 4, 255 / digits.maximum) for _, split in digits.halves)
    return train.select(np.repeat(np.arange(len(train)), 6)), test


def _wandering_digits() -> Dataset:
    return _wandering("wandering-digits", _finer_digits(), tuple(string.digits), (0.3, 0.6))


def _wandering_mnist() -> Dataset:
    return _wandering("wandering-mnist", _mnist_halves(), tuple(string.digits), (0.5, 1.0))


def _wandering(
    name: str, halves: Sequence[Split], classes: tuple[str, ...], scales: tuple[float, float]
) -> Dataset:
    train, test = (wander(half, WANDERING_SIDE, scales, rng=seed) for seed, half in enumerate(halves))
    return Dataset(name, train, test, classes, meaning=_ANYWHERE)


def _coloured(name: str, halves: Callable[[], Sequence[Split]], tie: float) -> Dataset:
    train, test = (coloured(half, tie, rng=seed) for seed, half in enumerate(halves()))
    return Dataset(name, train, test, tuple(string.digits), meaning=_COLOURED)


def _mnist_halves() -> list[Split]:
    return [half for _, half in load("mnist").halves]


def _in_colours(of: str, halves: Callable[[], Sequence[Split]], needs: str | None = None) -> dict[str, Made]:
    """Digits in colours that do not depend on the label, and the same in their label's own."""
    free, tied = f"coloured-{of}", f"coloured-{of}-tied"
    return {
        free: Made(
            f"{of}, each in one of ten colours, whichever digit it is; made here",
            lambda: _coloured(free, halves, 0.0),
            needs,
        ),
        tied: Made(
            f"{of}, each digit in a colour of its own, a shortcut whose answer is known; made here",
            lambda: _coloured(tied, halves, 1.0),
            needs,
        ),
    }


MADE: Mapping[str, Made] = MappingProxyType(
    {
        "shapes": Made(
            "7,500 outlines of circles, squares and crosses, anywhere and in any size, 32 x 32; made here", _shapes
        ),
        "wandering-digits": Made(
            "the bundled digits, anywhere and in any size, 32 x 32, each six times to train on; made here",
            _wandering_digits,
        ),
        "wandering-mnist": Made(
            "MNIST's 70,000 digits, anywhere and in any size, 32 x 32; made here from mnist",
            _wandering_mnist,
            "mnist",
        ),
        **_in_colours("digits", _finer_digits),
        **_in_colours("mnist", _mnist_halves, "mnist"),
    }
)
