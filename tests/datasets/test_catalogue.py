"""Data sets by name: bundled, lying there already, or fetched and unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from backquery.datasets import (
    Dataset,
    catalogue,
    coloured,
    fetch,
    fingerprint,
    inspect,
    is_at_hand,
    load,
    needs_fetching,
    read,
    wander,
)
from backquery.datasets.catalogue import SOURCES, Source
from backquery.datasets.download import RemoteFile
from backquery.datasets.idx import read_idx, write_idx
from backquery.datasets.made import COLOURS
from backquery.errors import DataError, DownloadError
from tests.datasets.conftest import Mirror

MODULE = import_module("backquery.datasets.catalogue")
RNG = np.random.default_rng(5)
TRAIN, TEST = RNG.integers(0, 256, (6, 4, 3), np.uint8), RNG.integers(0, 256, (2, 4, 3), np.uint8)


def four_files(folder: Path, half_names: tuple[str, str] = ("train", "t10k"), first_label: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for half, images in zip(half_names, (TRAIN, TEST), strict=True):
        write_idx(folder / f"{half}-images-idx3-ubyte.gz", images)
        labels = np.arange(len(images), dtype=np.uint8) + first_label
        write_idx(folder / f"{half}-labels-idx1-ubyte.gz", labels.astype(np.uint8))


@pytest.fixture
def relocate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a data set come from other mirrors, with the checksums of these contents."""

    def moved(name: str, mirrors: list[str], contents: dict[str, bytes]) -> None:
        files = tuple(
            RemoteFile(file.name, f"sha256:{hashlib.sha256(contents[file.name]).hexdigest()}")
            for file in SOURCES[name].files
        )
        source: Source = replace(SOURCES[name], mirrors=tuple(mirrors), files=files)
        monkeypatch.setattr(MODULE, "SOURCES", {**SOURCES, name: source})

    return moved


def served(mirror: Mirror, folder: Path) -> dict[str, bytes]:
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    mirror.files |= contents
    return contents


def test_the_catalogue_names_what_load_knows() -> None:
    fetched = ["mnist", "fashion-mnist", "kmnist", "emnist-letters", "cifar10", "cifar100", "svhn"]
    coloured = [f"coloured-{of}{tie}" for of in ("digits", "mnist") for tie in ("", "-tied")]
    made = ["shapes", "wandering-digits", "wandering-mnist", *coloured]
    assert list(catalogue()) == ["digits", *fetched, *made]
    assert all(len(description) > 20 for description in catalogue().values())


def test_every_source_is_complete() -> None:
    for source in SOURCES.values():
        assert all(mirror.endswith("/") and mirror.startswith("http") for mirror in source.mirrors)
        for file in source.files:
            kind, digest = file.checksum.split(":")
            assert len(bytes.fromhex(digest)) == {"sha256": 32, "md5": 16}[kind]
        assert len(source.wanted) == {"idx": 4, "cifar": len(source.members), "svhn": 2}[source.kind]
        assert len(set(source.classes)) == len(source.classes)


def test_digits_are_bundled_and_divided_the_same_way_every_time() -> None:
    from sklearn.datasets import load_digits

    digits, again = load("digits"), load("digits")
    assert digits.test is not None
    assert again.test is not None
    assert (len(digits.train), len(digits.test)) == (1078, 719)
    assert (digits.input_shape, digits.maximum) == ((8, 8), 16)
    np.testing.assert_array_equal(digits.test.images, again.test.images)
    ours = np.concatenate([digits.train.images, digits.test.images]).sum(axis=(1, 2))
    np.testing.assert_array_equal(np.sort(ours), np.sort(load_digits().images.sum(axis=(1, 2))))


@pytest.mark.parametrize("name", ["digits", "shapes", "wandering-digits", "coloured-digits"])
def test_what_is_bundled_or_made_has_no_files(name: str, cache: Path) -> None:
    assert fetch(name) is None and is_at_hand(name) is None and not needs_fetching(name)
    assert not cache.exists() or not list(cache.iterdir())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="unknown data set 'minst'; known are digits, mnist, fashion-mnist"):
        load("minst")
    with pytest.raises(DataError, match="unknown data set"):
        fetch("minst")


@pytest.mark.parametrize("place", ["chosen", "cache"])
def test_files_that_lie_there_need_no_network(
    place: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "fetch_file", None)
    if place == "chosen":
        monkeypatch.setenv("BACKQUERY_DATA", str(tmp_path))
    folder = (tmp_path if place == "chosen" else cache) / "kmnist"
    assert is_at_hand("kmnist") is None and needs_fetching("kmnist")
    four_files(folder)
    assert is_at_hand("kmnist") == fetch("kmnist") == folder and not needs_fetching("kmnist")
    dataset = load("kmnist")
    assert dataset.classes[:2] == ("o", "ki")
    np.testing.assert_array_equal(dataset.train.images, TRAIN)
    assert dataset.test is not None
    assert dataset.test.labels.tolist() == [0, 1]


def test_fetching_mnist(
    mirror: Mirror, nobody: str, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    four_files(tmp_path)
    relocate("mnist", [nobody, mirror.address], served(mirror, tmp_path))
    np.testing.assert_array_equal(load("mnist").train.images, TRAIN)
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        path.name for path in tmp_path.iterdir()
    )
    asked = len(mirror.asked)
    load("mnist")
    assert len(mirror.asked) == asked == 4


def test_only_what_is_missing_is_fetched(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_files(tmp_path / "server")
    contents = served(mirror, tmp_path / "server")
    relocate("mnist", [mirror.address], contents)
    monkeypatch.setenv("BACKQUERY_DATA", str(tmp_path / "here"))
    (tmp_path / "here" / "mnist").mkdir(parents=True)
    lying = tmp_path / "here" / "mnist" / "train-images-idx3-ubyte.gz"
    lying.write_bytes(contents[lying.name])
    load("mnist")
    assert lying.name not in mirror.asked
    assert len(mirror.asked) == 3


def test_no_network_says_which_files_to_put_where(
    nobody: str, relocate: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_files(tmp_path / "elsewhere")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    relocate("mnist", [nobody], contents)
    monkeypatch.setenv("BACKQUERY_DATA", str(tmp_path))
    with pytest.raises(DownloadError) as caught:
        load("mnist")
    message = str(caught.value)
    assert "no connection" in message
    assert f"into {tmp_path / 'mnist'} by hand" in message
    assert all(name in message for name in contents)
    assert f"from {nobody}" in message


def test_a_broken_transfer_leaves_the_data_set_absent(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    four_files(tmp_path)
    relocate("mnist", [mirror.address], served(mirror, tmp_path))
    mirror.cut.add("t10k-images-idx3-ubyte.gz")
    with pytest.raises(DownloadError, match="the transfer broke off"):
        load("mnist")
    assert is_at_hand("mnist") is None
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    mirror.cut.clear()
    assert len(load("mnist").train) == 6


def test_nowhere_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "user_cache", lambda: None)
    with pytest.raises(DownloadError, match="set BACKQUERY_DATA to a folder"):
        load("mnist")


def letters_archive(folder: Path) -> bytes:
    """What the publisher has: one archive with more in it than is wanted, turned images, labels from 1."""
    four_files(folder, ("emnist-letters-train", "emnist-letters-test"), first_label=1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"gzip/{path.name}")
        archive.writestr("gzip/emnist-digits-mapping.txt", "unwanted")
    return packed.getvalue()


def check_letters(dataset: Dataset, folder: Path) -> None:
    assert dataset.classes[0] == "A"
    assert len(dataset.classes) == 26
    np.testing.assert_array_equal(dataset.train.images, TRAIN.transpose(0, 2, 1))
    assert dataset.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.test is not None
    assert dataset.test.labels.tolist() == [0, 1]
    assert sorted(path.name for path in folder.iterdir()) == sorted(SOURCES["emnist-letters"].wanted)


def test_letters_are_unpacked_turned_and_counted_from_zero(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    mirror.files["gzip.zip"] = letters_archive(tmp_path)
    relocate("emnist-letters", [mirror.address], mirror.files)
    check_letters(load("emnist-letters"), cache / "emnist-letters")
    assert mirror.asked == ["gzip.zip"]
    load("emnist-letters")
    assert mirror.asked == ["gzip.zip"]


def test_the_archive_may_be_put_there_by_hand(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "fetch_file", None)
    (cache / "emnist-letters").mkdir(parents=True)
    (cache / "emnist-letters" / "gzip.zip").write_bytes(letters_archive(tmp_path))
    check_letters(load("emnist-letters"), cache / "emnist-letters")


@pytest.mark.parametrize("content", [b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_broken_archive_is_named(cache: Path, content: bytes) -> None:
    (cache / "emnist-letters").mkdir(parents=True)
    (cache / "emnist-letters" / "gzip.zip").write_bytes(content)
    with pytest.raises(DownloadError, match=r"gzip\.zip is broken .*; remove it"):
        load("emnist-letters")


def test_the_real_mnist(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unpacked training images have the checksum that their publisher's file unpacks to."""
    monkeypatch.setenv("BACKQUERY_DATA", str(data_folder))
    mnist = load("mnist")
    assert mnist.test is not None
    assert (len(mnist.train), len(mnist.test), mnist.input_shape) == (60000, 10000, (28, 28))
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    path = data_folder / "mnist" / "train-images-idx3-ubyte.gz"
    unpacked = hashlib.md5(gzip.decompress(path.read_bytes()), usedforsecurity=False)
    assert unpacked.hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    np.testing.assert_array_equal(read_idx(path), mnist.train.images)


def test_published_checksums_match_the_real_files(data_folder: Path) -> None:
    """The labels and test images here are byte for byte what the mirrors have."""
    for file in SOURCES["mnist"].files[1:]:
        digest = hashlib.sha256((data_folder / "mnist" / file.name).read_bytes()).hexdigest()
        assert file.checksum == f"sha256:{digest}"


def test_shapes_are_made_the_same_every_time_and_stand_anywhere() -> None:
    made, again = load("shapes"), load("shapes")
    assert made.test is not None and again.test is not None
    assert (len(made.train), len(made.test), made.input_shape, made.maximum) == (6000, 1500, (32, 32), 255)
    assert made.classes == ("circle", "square", "cross")
    assert made.meaning.ground == "one" and made.meaning.centred is False
    np.testing.assert_array_equal(made.train.images, again.train.images)
    np.testing.assert_array_equal(made.test.images, again.test.images)
    assert inspect(made).shared == 0


def test_wandering_digits_keep_to_their_halves() -> None:
    made, digits = load("wandering-digits"), load("digits")
    assert made.test is not None and digits.test is not None
    assert made.input_shape == (32, 32) and made.classes == digits.classes and made.meaning.centred is False
    np.testing.assert_array_equal(made.train.labels, np.repeat(digits.train.labels, 6))
    np.testing.assert_array_equal(made.test.labels, digits.test.labels)


def test_wandering_mnist_is_made_from_the_files_of_mnist(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    four_files(tmp_path)
    relocate("mnist", [mirror.address], served(mirror, tmp_path))
    assert needs_fetching("wandering-mnist")
    made = load("wandering-mnist")
    assert not needs_fetching("wandering-mnist")
    assert fetch("wandering-mnist") == is_at_hand("wandering-mnist") == cache / "mnist"
    assert (made.name, made.train.images.shape, made.meaning.centred) == ("wandering-mnist", (6, 32, 32), False)
    np.testing.assert_array_equal(made.train.images, wander(load("mnist").train, 32, rng=0).images)
    assert fingerprint("wandering-mnist") != fingerprint("mnist")


PHOTOGRAPHS = RNG.integers(0, 256, (12, 32, 32, 3), np.uint8)


def cifar_archive(folder: str, files: dict[str, slice], names: tuple[str, list[str]], label_bytes: int) -> bytes:
    """What the publisher has: a folder of records, each a byte or two for labels and then the three colours."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:

        def add(name: str, content: bytes) -> None:
            about = tarfile.TarInfo(f"{folder}/{name}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))

        for name, which in files.items():
            labels = np.arange(12, dtype=np.uint8)[which, None] % len(names[1])
            colours = PHOTOGRAPHS[which].transpose(0, 3, 1, 2).reshape(len(labels), -1)
            add(name, np.hstack([*[labels] * label_bytes, colours]).tobytes())
        add(names[0], "\n".join([*names[1], ""]).encode())
        add("readme.html", b"unwanted")
    return packed.getvalue()


def cifar10() -> bytes:
    files = {f"data_batch_{k + 1}.bin": slice(2 * k, 2 * k + 2) for k in range(5)} | {
        "test_batch.bin": slice(10, 12)
    }
    return cifar_archive("cifar-10-batches-bin", files, ("batches.meta.txt", [*"abcdefghij"]), 1)


def check_photographs(dataset: Dataset, labels: list[int], count: int = 10) -> None:
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.train.images, PHOTOGRAPHS[:count])
    np.testing.assert_array_equal(dataset.test.images, PHOTOGRAPHS[count:])
    assert [*dataset.train.labels, *dataset.test.labels] == labels
    assert (dataset.meaning.ground, dataset.maximum, dataset.colour) == ("none", 255, True)


@pytest.mark.reads(
    "data", "CIFAR's binary version (`cifar-10-batches-bin`, `cifar-100-binary`)", "both halves, in colour"
)
def test_cifar_is_fetched_unpacked_and_read_without_unpickling(
    mirror: Mirror, nobody: str, relocate: Callable[..., None], cache: Path
) -> None:
    mirror.files["cifar-10-binary.tar.gz"] = cifar10()
    relocate("cifar10", [nobody, mirror.address], mirror.files)
    assert needs_fetching("cifar10")
    dataset = load("cifar10")
    check_photographs(dataset, [*range(10), 0, 1])
    assert dataset.classes == tuple("abcdefghij")
    assert sorted(path.name for path in (cache / "cifar10").iterdir()) == sorted(SOURCES["cifar10"].wanted)
    load("cifar10")
    assert mirror.asked == ["cifar-10-binary.tar.gz"] and not needs_fetching("cifar10")
    check_photographs(read(cache / "cifar10"), [*range(10), 0, 1])


def test_cifar_100_has_its_finer_labels(mirror: Mirror, relocate: Callable[..., None], cache: Path) -> None:
    files = {"train.bin": slice(0, 7), "test.bin": slice(7, 12)}
    names = [f"thing_{k}" for k in range(12)]
    packed = cifar_archive("cifar-100-binary", files, ("fine_label_names.txt", names), 2)
    mirror.files["cifar-100-binary.tar.gz"] = packed
    relocate("cifar100", [mirror.address], mirror.files)
    dataset = load("cifar100")
    check_photographs(dataset, [*range(12)], 7)
    assert dataset.classes == tuple(names)
    (cache / "cifar100" / "test.bin").write_bytes(bytes(3000))
    with pytest.raises(DataError, match=r"test\.bin: 3000 bytes, which are not whole images of 3074"):
        load("cifar100")
    (cache / "cifar100" / "test.bin").write_bytes(b"\x63" * 3074)
    with pytest.raises(DataError, match=r"a label of 99, but fine_label_names\.txt names 12 classes"):
        load("cifar100")


@pytest.mark.parametrize("content", [b"no archive", gzip.compress(b"no tape")])
def test_a_broken_tape_is_named(cache: Path, content: bytes) -> None:
    (cache / "cifar10").mkdir(parents=True)
    (cache / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(DownloadError, match=r"cifar-10-binary\.tar\.gz is broken .*; remove it"):
        load("cifar10")


def test_svhn_is_fetched_and_its_ten_is_nought(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    labels = np.array([10, *range(1, 10), 10, 4])
    for name, which in (("train_32x32.mat", slice(0, 10)), ("test_32x32.mat", slice(10, 12))):
        colours = PHOTOGRAPHS[which].transpose(1, 2, 3, 0)
        savemat(tmp_path / name, {"X": colours, "y": labels[which, None].astype(np.uint8)}, do_compression=True)
    relocate("svhn", [mirror.address], served(mirror, tmp_path))
    check_photographs(load("svhn"), [*(labels % 10)])
    assert is_at_hand("svhn") == cache / "svhn" and load("svhn").classes == tuple("0123456789")


@pytest.mark.parametrize(("name", "tied"), [("coloured-digits", False), ("coloured-digits-tied", True)])
def test_coloured_digits_are_made_the_same_every_time(name: str, tied: bool) -> None:
    made, again, digits = load(name), load(name), load("digits")
    assert made.test is not None and again.test is not None and digits.test is not None
    assert (made.input_shape, made.maximum, made.meaning.ground) == ((32, 32, 3), 255, "none")
    for (_, half), (_, other) in zip(made.halves, again.halves, strict=True):
        np.testing.assert_array_equal(half.images, other.images)
    np.testing.assert_array_equal(made.train.labels, np.repeat(digits.train.labels, 6))
    np.testing.assert_array_equal(made.test.labels, digits.test.labels)
    strongest = made.test.images.reshape(len(made.test), -1, 3).max(axis=1).astype(float)
    hues = np.array(COLOURS) / np.linalg.norm(COLOURS, axis=1, keepdims=True)
    found = np.argmax(strongest / np.linalg.norm(strongest, axis=1, keepdims=True) @ hues.T, axis=1)
    agreeing = np.mean(found == made.test.labels)
    assert agreeing == 1 if tied else 0.05 < agreeing < 0.15


def test_coloured_mnist_is_made_from_the_files_of_mnist(
    mirror: Mirror, relocate: Callable[..., None], tmp_path: Path, cache: Path
) -> None:
    four_files(tmp_path)
    relocate("mnist", [mirror.address], served(mirror, tmp_path))
    made = load("coloured-mnist-tied")
    assert fetch("coloured-mnist-tied") == cache / "mnist" and made.input_shape == (4, 3, 3)
    np.testing.assert_array_equal(made.train.images, coloured(load("mnist").train, 1.0, rng=0).images)
