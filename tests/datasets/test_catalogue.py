"""Data sets by name: bundled, lying there already, or fetched and unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import (
    Dataset,
    catalogue,
    fetch,
    fingerprint,
    inspect,
    is_at_hand,
    load,
    needs_fetching,
    wander,
)
from backquery.datasets.catalogue import SOURCES, Source
from backquery.datasets.download import RemoteFile
from backquery.datasets.idx import read_idx, write_idx
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
    fetched = ["mnist", "fashion-mnist", "kmnist", "emnist-letters"]
    made = ["shapes", "wandering-digits", "wandering-mnist"]
    assert list(catalogue()) == ["digits", *fetched, *made]
    assert all(len(description) > 20 for description in catalogue().values())


def test_every_source_is_complete() -> None:
    for source in SOURCES.values():
        assert all(mirror.endswith("/") and mirror.startswith("http") for mirror in source.mirrors)
        assert all(len(file.checksum) == len("sha256:") + 64 for file in source.files)
        assert len(source.wanted) == 4
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


@pytest.mark.parametrize("name", ["digits", "shapes", "wandering-digits"])
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
