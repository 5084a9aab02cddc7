"""What pixels mean: decided from the files alone, the same for both halves and ever after, or said, or refused."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery.datasets import Dataset, open_data, read
from backquery.datasets.deciding import grounds
from backquery.datasets.options import Reading
from backquery.errors import AssumptionWarning, DataError
from backquery.model import Meaning, Network, Scaling

SHAPES = {"disc": 40, "square": 220}
"""What is drawn, and how bright it is; the ground is the other's brightness."""


def drawn(kind: str, rng: np.random.Generator, side: int = 28) -> np.ndarray:
    """A disc, dark on bright ground, or a square, bright on dark."""
    rows, columns = np.mgrid[:side, :side]
    row, column, radius = *rng.integers(9, 19, 2), rng.integers(4, 8)
    away = (
        np.hypot(rows - row, columns - column)
        if kind == "disc"
        else np.maximum(abs(rows - row), abs(columns - column))
    )
    ink = SHAPES[kind]
    return (np.where(away < radius, ink, 260 - ink) + rng.integers(-20, 20, (side, side))).astype(np.uint8)


def put(root: Path, **counts: int) -> Path:
    rng = np.random.default_rng(0)
    for kind, count in counts.items():
        for number in range(count):
            path = root / kind / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn(kind, rng)).save(path)
    return root


def quietly(source: Path, **options: object) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        return open_data(source, **options)  # type: ignore[arg-type]


def brightness(dataset: Dataset, half: str) -> dict[str, float]:
    split = dict(dataset.halves)[half]
    return {name: split.images[split.labels == k].mean() for k, name in enumerate(dataset.classes)}


@pytest.mark.reads(
    "data", "a folder of pictures on different grounds", "taken as they are, both halves alike; said"
)
def test_grounds_mixed_differently_in_the_halves_are_read_alike(tmp_path: Path) -> None:
    put(tmp_path / "train", disc=30, square=20)
    put(tmp_path / "test", disc=5, square=15)
    with pytest.warns(AssumptionWarning, match=r"35 images stand on bright ground, 35 on dark: .*--ink dark"):
        dataset = read(tmp_path)
    train, test = brightness(dataset, "train"), brightness(dataset, "test")
    assert all(abs(train[kind] - test[kind]) < 25 for kind in SHAPES)
    assert dataset.meaning.ground == "none"


def test_a_model_of_mixed_grounds_rules_a_folder_of_one_ground(tmp_path: Path) -> None:
    put(tmp_path / "both", disc=20, square=20)
    put(tmp_path / "discs", disc=19, square=1)
    both = quietly(tmp_path / "both")
    model = Network.create([784, 2], rng=0, input_shape=(28, 28), classes=both.classes,
                           scaling=replace(Scaling.book(), meaning=both.meaning))  # fmt: skip
    found = open_data(tmp_path / "discs", model=model)
    assert abs(brightness(found, "train")["disc"] - brightness(both, "train")["disc"]) < 25


def test_a_folder_that_contradicts_its_model_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, disc=20, square=20)
    model = Network.create([784, 2], rng=0, input_shape=(28, 28), classes=("disc", "square"),
                           scaling=replace(Scaling.book(), meaning=Meaning("one")))  # fmt: skip
    with pytest.raises(DataError, match=r"20 images stand on bright .* the model's own images all stood on one"):
        open_data(tmp_path, model=model)
    told = open_data(tmp_path, model=model, how=Reading(ink="light"))
    assert brightness(told, "train")["disc"] > 150


@pytest.mark.reads("data", "a folder of dark drawings on bright paper", "turned, all alike, to 0 for paper")
def test_dark_ink_on_paper_is_turned_without_a_word(tmp_path: Path) -> None:
    put(tmp_path, disc=20)
    (tmp_path / "other").mkdir()
    Image.fromarray(drawn("disc", np.random.default_rng(1))).save(tmp_path / "other/0.png")
    dataset = read(tmp_path)
    assert dataset.meaning.ground == "one" and brightness(dataset, "train")["disc"] < 100
    assert "become" in dataset.meaning.decided[1]


def idx(path: Path, values: np.ndarray, code: int) -> None:
    dtype = {8: ">u1", 13: ">f4"}[code]
    header = struct.pack(f">4B{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    path.write_bytes(header + values.astype(dtype).tobytes())


def as_idx(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    path.mkdir()
    code = 8 if images.dtype.kind in "bu" else 13
    for half in ("train", "t10k"):
        idx(path / f"{half}-images-idx3-ubyte", images, code)
        idx(path / f"{half}-labels-idx1-ubyte", labels, 8)
    return path


def as_npz(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path.with_suffix(".npz"), images=images, labels=labels)
    return path.with_suffix(".npz")


def as_csv(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    numbers = images.astype(int) if images.dtype.kind == "b" else images
    rows = (
        ",".join(map(str, [label, *pixels.ravel().tolist()]))
        for label, pixels in zip(labels, numbers, strict=True)
    )
    path.with_suffix(".csv").write_text("\n".join(rows))
    return path.with_suffix(".csv")


Write = Callable[[Path, np.ndarray, np.ndarray], Path]
WRITERS = [pytest.param(as_idx, id="IDX"), pytest.param(as_npz, id="npz"), pytest.param(as_csv, id="CSV")]


@pytest.fixture
def bytes_of_digits(digits: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Sixteen-pixel digits on paper, from 0 to 255."""
    some = digits.train.select(slice(60))
    images = np.pad(np.kron(some.images, np.ones((1, 2, 2), np.uint8)), ((0, 0), (2, 2), (2, 2)))
    return (images.astype(float) * 255 / 16).astype(np.uint8), some.labels


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("scaled", "maximum", "said"),
    [
        pytest.param(lambda x: (x / 16).round().astype(np.uint8), 16, "0 to 16", id="0 to 16",
            marks=pytest.mark.reads("data", "whole pixels up to 1, 7, 15 or 16", "that range; said (`--range`)")),
        pytest.param(lambda x: (x > 127).astype(np.uint8), 1, "0 to 1", id="0 or 1"),
        pytest.param(lambda x: x > 127, 1, None, id="true or false",
            marks=pytest.mark.reads("data", "true or false for pixels", "0 for paper, 1 for ink")),
    ],
)  # fmt: skip
def test_the_range_of_whole_numbers_is_found(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray], write: Write,
    scaled: Callable[[np.ndarray], np.ndarray], maximum: float, said: str | None,
) -> None:  # fmt: skip
    images, labels = bytes_of_digits
    # Neither CSV nor IDX has a type for true and false.
    said = "0 to 1" if write is not as_npz and said is None else said
    source = write(tmp_path / "data", scaled(images), labels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AssumptionWarning)
        dataset = read(source)
    assert dataset.maximum == maximum
    assert [f"{said} is taken for the whole range; --range" in str(one.message) for one in caught] == [True] * (
        said is not None
    )
    np.testing.assert_array_equal(dataset.train.images.astype(float), scaled(images).astype(float))


@pytest.mark.parametrize("write", [*WRITERS[:2]])
@pytest.mark.reads("data", "fractions from 0 to 1", "0 for paper, 1 for ink")
def test_fractions_run_from_0_to_1(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray], write: Write
) -> None:
    images, labels = bytes_of_digits
    dataset = read(write(tmp_path / "data", (images / 255).astype(np.float32), labels))
    assert dataset.maximum == 1
    np.testing.assert_allclose(dataset.train.images, images / 255, atol=1e-6)


@pytest.mark.reads("data", "numbers from -1 to 1, or signed bytes", "that range is taken, and said")
def test_numbers_below_zero(tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = bytes_of_digits
    for numbers, maximum in ((images / 127.5 - 1, 2), (images.astype(int) - 128, 255)):
        with pytest.warns(AssumptionWarning, match="is taken for the whole range"):
            dataset = read(as_npz(tmp_path / "data", numbers, labels))
        assert dataset.maximum == maximum
        np.testing.assert_allclose(dataset.train.images * (255 / maximum), images, atol=1e-9)


@pytest.mark.reads("data", "standardised pixels", "an error, unless `--range` says what paper and ink are")
def test_standardised_pixels_are_refused_until_their_range_is_told(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    numbers = (images / 255 - 0.1307) / 0.3081
    path = as_npz(tmp_path / "data", numbers, labels)
    with pytest.raises(DataError, match=r"from -0.42.* to 2.8.*, as if they were standardised; .* --range"):
        read(path)
    dataset = read(path, how=Reading(pixel_range=(-0.1307 / 0.3081, (1 - 0.1307) / 0.3081)))
    np.testing.assert_allclose(dataset.train.images / dataset.maximum, images / 255, atol=1e-9)


def test_sixteen_bits_are_said_and_more_are_refused(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    with pytest.warns(AssumptionWarning, match="0 to 65535 is taken"):
        assert read(as_npz(tmp_path / "deep", images.astype(np.uint16) * 257, labels)).maximum == 65535
    with pytest.raises(DataError, match="up to 65535 is allowed, or say what stands for"):
        read(as_npz(tmp_path / "deeper", images.astype(np.int64) * 1000, labels))


def test_faint_pixels_are_said(tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = bytes_of_digits
    with pytest.warns(AssumptionWarning, match="from 0 to 102: 0 to 255 is taken"):
        assert read(as_npz(tmp_path / "data", (images * 0.4).astype(np.uint8), labels)).maximum == 255
    with pytest.warns(AssumptionWarning, match="from 0 to 100: 0 to 100 is taken"):
        assert read(as_npz(tmp_path / "data", np.minimum(images, 100), labels)).maximum == 100


def test_halves_on_different_scales_are_an_error(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images / 255, y_test=labels)
    with pytest.raises(DataError, match="the largest pixel of one half is 1, of the other 255; bring both"):
        read(tmp_path / "data.npz")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.reads(
    "data", "white paper in CSV, npz or IDX", "turned to 0 for paper, and said; `--ink light` keeps it"
)
def test_white_paper_in_numbers_is_turned_and_said(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray], write: Write
) -> None:
    images, labels = bytes_of_digits
    source = write(tmp_path / "data", 255 - images, labels)
    with pytest.warns(AssumptionWarning, match=r"0 images stand on bright ground.*--ink light"):
        dataset = read(source)
    np.testing.assert_array_equal(dataset.train.images, images)
    kept = read(source, how=Reading(ink="light"))
    np.testing.assert_array_equal(kept.train.images, 255 - images)


def test_a_test_half_of_its_own_is_brought_to_what_the_train_half_means(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    train = as_npz(tmp_path / "train", images, labels)
    test = as_npz(tmp_path / "white", 1 - images / 255, labels)
    with pytest.warns(AssumptionWarning, match="60 of 60 images stand on bright ground"):
        dataset = read(train, test)
    assert dataset.test is not None
    np.testing.assert_allclose(dataset.test.images, images, atol=1e-9)


def test_images_without_any_ground_are_taken_as_they_are_without_a_word(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 12, 12), np.uint8)
    dataset = read(as_npz(tmp_path / "noise", noise, np.arange(40) % 4))
    np.testing.assert_array_equal(dataset.train.images, noise)
    assert dataset.meaning.ground == "none"


def test_pictures_of_many_sizes_are_turned_by_one_decision(tmp_path: Path) -> None:
    put(tmp_path, disc=12)
    for number in range(12):
        path = tmp_path / "large" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        picture = Image.fromarray(drawn("disc", np.random.default_rng(number)))
        picture.resize((60 + number, 60)).save(path)
    dataset = read(tmp_path)
    assert dataset.input_shape == (28, 28) and dataset.meaning.centred
    assert dataset.train.images[:, 0].max() == 0


def test_grounds_by_hand() -> None:
    image = np.full((6, 6), 200.0)
    image[2:4, 2:4] = 10
    unclear = np.tile(np.linspace(0, 200, 6), (6, 1))
    bright, clear = grounds(np.stack([image, 210 - image, unclear, np.zeros((6, 6))]), 12)
    assert bright[:2].tolist() == [True, False]
    assert clear.tolist() == [True, True, False]


@pytest.mark.parametrize("wrong", [{"ink": "blue"}, {"pixel_range": (3, 1)}, {"pixel_range": (0, np.inf)}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match=r"ink must be|a pixel range is"):
        Reading(**wrong)  # type: ignore[arg-type]


def halves(path: Path, train: np.ndarray, test: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path, x_train=train, y_train=labels, x_test=test, y_test=labels[: len(test)])
    return path


@pytest.mark.reads("data", "one half on bright ground, the other on dark", "said; with a model, an error")
def test_a_small_half_on_the_other_ground_is_no_exception(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    path = halves(tmp_path / "data.npz", images, 255 - images[:2], labels)
    with pytest.warns(AssumptionWarning, match="2 images stand on bright ground, 60 on dark"):
        assert read(path).meaning.ground == "none"
    model = Network.create([400, 10], rng=0, input_shape=(20, 20), scaling=Scaling.book(meaning=Meaning("one")))
    with pytest.raises(DataError, match=r"all stood on one; .* name a half of its own with --test"):
        open_data(path, model=model)


def test_a_few_images_on_the_other_ground_are_spoken_of(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    images = np.concatenate([images, 255 - images[:2]])
    with pytest.warns(AssumptionWarning, match="60 of 62 images stand on dark ground"):
        read(as_npz(tmp_path / "data", images, np.append(labels, labels[:2])))


@pytest.mark.reads("data", "bytes that a program stored as signed ones (255 as -1)", "read as bytes, and said")
def test_bytes_that_were_stored_as_signed_are_bytes(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    for given in (images.view(np.int8), images.view(np.int8).astype(int)):
        with pytest.warns(AssumptionWarning, match="bytes above 127 that were stored as signed"):
            dataset = read(as_npz(tmp_path / "data", given, labels))
        np.testing.assert_array_equal(dataset.train.images, images)


@pytest.mark.parametrize(
    ("scaled", "said"),
    [
        (lambda x: x / 255 - 0.5, "-0.5 to 0.5"),
        (lambda x: (x > 127) * 2 - 1, "-1 to 1"),
        (lambda x: (x > 127) + 1, "1 to 2"),
        (lambda x: x / 127.5, "0 to 2"),
    ],
)
def test_scales_of_other_ends_are_found(
    tmp_path: Path,
    bytes_of_digits: tuple[np.ndarray, np.ndarray],
    scaled: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    images, labels = bytes_of_digits
    numbers = scaled(images)
    with pytest.warns(AssumptionWarning, match=f": {said} is taken for the whole range"):
        dataset = read(as_npz(tmp_path / "data", numbers, labels))
    shares = (numbers - numbers.min()) / (numbers.max() - numbers.min())
    np.testing.assert_allclose(dataset.train.images / dataset.maximum, shares, atol=1e-9)


def test_pixels_less_their_mean_are_no_scale(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    with pytest.raises(DataError, match="as if they were standardised"):
        read(as_npz(tmp_path / "data", images / 255 - 0.1307, labels))


def test_a_much_fainter_half_is_said(tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = bytes_of_digits
    with pytest.warns(AssumptionWarning, match="of one half is 63, of the other 255"):
        read(halves(tmp_path / "data.npz", images, images // 4, labels))


def test_numbers_beyond_a_paper_that_was_told_are_paper(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    path = as_npz(tmp_path / "data", 255 - images, labels)
    dataset = read(path, how=Reading(pixel_range=(0, 240), ink="dark"))
    np.testing.assert_array_equal(dataset.train.images, np.maximum(images.astype(int) - 15, 0))


def test_a_grey_ground_is_said_where_a_model_knows_paper(
    tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = bytes_of_digits
    grey = np.maximum(images, 40)
    model = Network.create([400, 10], rng=0, input_shape=(20, 20), scaling=Scaling.book(meaning=Meaning("one")))
    with pytest.warns(AssumptionWarning, match="ground is at 40 of 0 to 255.* --range 40,255"):
        open_data(as_npz(tmp_path / "data", grey, labels), model=model)


def test_blank_images_are_said(tmp_path: Path) -> None:
    with pytest.warns(AssumptionWarning, match="every image is blank"):
        read(as_npz(tmp_path / "data", np.zeros((8, 9, 9), np.uint8), np.arange(8)))


@pytest.mark.reads("data", "pictures with a frame drawn around them", "the ground is what lies within; said")
def test_a_frame_is_no_ground(tmp_path: Path, bytes_of_digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = bytes_of_digits
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    with pytest.warns(AssumptionWarning, match="a frame, 1 pixel wide, is drawn around the images"):
        dataset = read(as_npz(tmp_path / "data", framed, labels))
    np.testing.assert_array_equal(dataset.train.images, framed)
