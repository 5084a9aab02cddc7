"""A folder of pictures: classes from subfolders or names, halves, sizes and polarity."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backquery import Network
from backquery.datasets import Dataset, Reading, open_data, read
from backquery.datasets.picture_names import labels_in_names
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError
from backquery.model import Scaling


def draw(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def digit(seed: int, side: int = 6) -> np.ndarray:
    """Something bright on black with a black border."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[1:-1, 1:-1] = np.random.default_rng(seed).integers(0, 256, (side - 2, side - 2))
    return pixels


@pytest.mark.reads(
    "data", "a folder of pictures with a subfolder for each class", "read; one folder may lie around it"
)
@pytest.mark.parametrize("dark", [False, True])
def test_a_subfolder_for_each_class(tmp_path: Path, dark: bool) -> None:
    drawn = [digit(k) for k in range(4)]
    for name, pixels in zip(("cat/a", "cat/b", "dog/a", "ant/x"), drawn, strict=True):
        draw(tmp_path / f"{name}.png", 255 - pixels if dark else pixels)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    dataset = read(tmp_path)
    assert dataset.classes == ("ant", "cat", "dog")
    assert dataset.train.labels.tolist() == [0, 1, 2, 1]
    np.testing.assert_array_equal(dataset.train.images, np.stack([drawn[k] for k in (3, 0, 2, 1)]))
    assert dataset.name == tmp_path.name


@pytest.mark.reads(
    "data",
    "labels in the pictures' names (`my_own_3.png`, `cat.12.png`, `0001_3.png`)",
    "the part that repeats; numbers that only count are none",
)
def test_the_label_before_the_extension_as_in_the_book(tmp_path: Path) -> None:
    for label in (2, 3, 10):
        draw(tmp_path / f"2828_my_own_{label}.png", digit(label, 28))
    dataset = read(tmp_path)
    assert dataset.classes == ("2", "3", "10")
    assert [dataset.classes[k] for k in dataset.train.labels] == ["10", "2", "3"]
    assert dataset.input_shape == (28, 28)


def test_a_single_picture_is_enough_where_the_classes_are_told(tmp_path: Path) -> None:
    draw(tmp_path / "my_own_3.png", digit(0))
    assert read(tmp_path, classes="0123456789").train.labels.tolist() == [3]
    with pytest.raises(DataError, match="two or more classes"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "label"),
    [("2828_my_own_3", "3"), ("img7", "7"), ("5", "5"), ("a-12", "12"), ("x_A", "A"), ("буква_Ж", "Ж")],
)
def test_labels_in_names(name: str, label: str) -> None:
    assert labels_in_names([Path(f"{name}.png")]) == [label]


def test_a_name_without_label_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "picture_.png", digit(0))
    with pytest.raises(DataError, match=r"picture_\.png: no label before the extension"):
        read(tmp_path)


@pytest.mark.reads(
    "data",
    "`train` and `test` in any spelling (`Train`, `training_set`; `val` where there is no `test`)",
    "both halves",
)
@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "Test"),
        ("training_set", "test_set"),
        ("TRAIN", "validation"),
        ("train", "val"),
        ("Train Images", "Test Images"),
        ("digits/digits/train", "digits/digits/test"),
    ],
)
def test_halves_in_folders_of_their_own(tmp_path: Path, train: str, test: str) -> None:
    for half, seeds in ((train, (1, 2)), (test, (3, 4))):
        for label, seed in enumerate(seeds):
            draw(tmp_path / half / str(label) / "picture.bmp", digit(seed))
    dataset = read(tmp_path)
    assert dataset.test is not None
    np.testing.assert_array_equal(dataset.train.images, [digit(1), digit(2)])
    np.testing.assert_array_equal(dataset.test.images, [digit(3), digit(4)])


def test_pictures_of_different_sizes_are_prepared(tmp_path: Path) -> None:
    for name, side in (("small_1", 30), ("large_2", 90)):
        page = np.full((side, side), 255, np.uint8)
        page[side // 3 : side // 2, side // 6 : side // 2] = 0
        draw(tmp_path / f"{name}.png", page)
    dataset = read(tmp_path)
    assert dataset.input_shape == (28, 28)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.images.max() == 255
    np.testing.assert_allclose(*dataset.train.images.astype(float), atol=80)


def test_large_pictures_of_one_size_are_prepared(tmp_path: Path) -> None:
    for label in (1, 2):
        page = np.full((200, 200), 255, np.uint8)
        page[50:150, 60 * label : 60 * label + 20] = 0
        draw(tmp_path / f"{label}.png", page)
    assert read(tmp_path).input_shape == (28, 28)


def test_a_picture_on_its_side_counts_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = np.zeros((8, 5), np.uint8)
    tall[2:4, 1:3] = 200
    draw(tmp_path / "a_1.png", tall)
    Image.fromarray(np.ascontiguousarray(np.rot90(tall))).save(tmp_path / "a_2.png", exif=exif)
    dataset = read(tmp_path)
    np.testing.assert_array_equal(dataset.train.images, [tall, tall])


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "a_1.png", digit(0))
    (tmp_path / "a_2.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(DataError, match=r"a_2\.png: cannot be read"):
        read(tmp_path)


def dealt(labels: np.ndarray) -> list[int]:
    """The order in which folders are mixed: by the share of the folder that lies before, then by label."""
    before = {
        i: Fraction(int(np.sum(labels[:i] == labels[i])), int(np.sum(labels == labels[i])))
        for i in range(len(labels))
    }
    return sorted(before, key=lambda i: (before[i], labels[i]))


def test_the_folders_of_the_labels_are_mixed(tmp_path: Path) -> None:
    for label, count in (("a", 6), ("b", 3), ("c", 1)):
        for number in range(count):
            draw(tmp_path / label / f"{number}.png", digit(number))
    dataset = read(tmp_path)
    assert "".join(dataset.classes[label] for label in dataset.train.labels) == "abcaabaaba"


def test_real_digits_come_back_from_pictures(mnist: Dataset, tmp_path: Path) -> None:
    assert mnist.test is not None
    some = mnist.test.select(slice(0, 60))
    for number, (image, label) in enumerate(zip(some.images, some.labels, strict=True)):
        draw(tmp_path / str(label) / f"{number:03}.png", 255 - image)
    dataset = read(tmp_path, classes=mnist.classes)
    order = dealt(some.labels)
    np.testing.assert_array_equal(dataset.train.images, some.images[order])
    np.testing.assert_array_equal(dataset.train.labels, some.labels[order])


@pytest.mark.reads("data", "PNG, JPEG, BMP, WebP, TIFF, a GIF's first frame, deeper down, too", "read")
def test_pictures_of_any_kind_and_depth(tmp_path: Path) -> None:
    for number, name in enumerate(("a/x.png", "a/writer/x.tif", "b/x.TIFF", "b/one/two/x.bmp")):
        draw(tmp_path / name, digit(number))
    frames = [Image.fromarray(digit(number)) for number in (4, 5)]
    frames[0].save(tmp_path / "a" / "y.gif", save_all=True, append_images=frames[1:])
    dataset = read(tmp_path)
    assert len(dataset.train) == 5
    found = {image.tobytes() for image in dataset.train.images}
    assert found == {digit(number).tobytes() for number in range(5)}
    assert len(files_of(tmp_path)) == 5


@pytest.mark.reads(
    "data", "what is not read in a folder, and pictures in no class's folder", "counted in one line each"
)
def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for number, name in enumerate(("train/a/1", "train/b/1", "train/loose", "test/a/1", "val/a/1", "val/b/2")):
        draw(tmp_path / f"{name}.png", digit(number))
    for name in (
        "train/a/2.heic",
        "train/b/3.HEIC",
        "train/b/.hidden.heic",
        "train/b/notes.txt",
        "train/Thumbs.db",
    ):
        (tmp_path / name).write_bytes(b"x")
    with pytest.warns(AssumptionWarning) as said:
        dataset = read(tmp_path)
    assert (len(dataset.train), dataset.test and len(dataset.test)) == (2, 1)
    lines = [str(one.message).removeprefix(f"{tmp_path}: ").partition(",")[0] for one in said]
    assert lines == [
        "2 pictures in 'val' are left out",
        "1 picture has no label and is left out; put each into the folder of its class",
        "2 files are left out",
    ]
    assert len(files_of(tmp_path)) == 3


def test_a_class_may_be_called_like_a_half(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "plane", "car")):
        draw(tmp_path / name / "1.png", digit(number))
    assert read(tmp_path).classes == ("car", "plane", "train")


@pytest.mark.reads("data", "pictures beside a CSV file of their names and labels (Kaggle)", "read by that list")
@pytest.mark.parametrize("deep", ["", "images/", "train/"])
@pytest.mark.parametrize("end", ["", ".png"])
def test_a_list_of_labels_beside_the_pictures(tmp_path: Path, deep: str, end: str) -> None:
    for number in range(4):
        draw(tmp_path / f"{deep}{number:04}.png", digit(number))
    text = "id,split,digit\n" + "".join(f"{number:04}{end},a,{'xy'[number % 2]}\n" for number in range(3))
    (tmp_path / "labels.csv").write_text(text)
    with pytest.warns(AssumptionWarning, match="1 picture has no label and is left out"):
        dataset = read(tmp_path)
    assert [dataset.classes[label] for label in dataset.train.labels] == ["x", "y", "x"]
    np.testing.assert_array_equal(dataset.train.images, [digit(0), digit(1), digit(2)])
    assert tmp_path / "labels.csv" in files_of(tmp_path) and len(files_of(tmp_path)) == 4
    (tmp_path / "labels.csv").write_text(text.replace("digit", "what"))
    with pytest.raises(DataError, match=r"which column holds the labels\? It has id, split, what"):
        read(tmp_path)
    with pytest.warns(AssumptionWarning, match="1 picture has no label"):
        assert read(tmp_path, how=Reading(label_column="what")).classes == ("x", "y")


def test_numbers_that_count_each_half_are_no_labels(tmp_path: Path) -> None:
    for half in ("train", "test"):
        for number in range(12):
            draw(tmp_path / half / f"{number:04d}.png", digit(number))
    with pytest.raises(DataError, match="no label before the extension"):
        read(tmp_path)


@pytest.mark.reads("data", "halves within each class (`cat/train`, `cat/test`)", "both halves")
def test_each_class_may_hold_the_halves(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for half, count in (("train", 3), ("test", 2), ("val", 1)):
            for number in range(count):
                draw(tmp_path / name / half / f"{number}.png", digit(number))
    with pytest.warns(AssumptionWarning, match="2 pictures in .* are left out"):
        dataset = read(tmp_path)
    assert dataset.test is not None
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("cat", "dog"), 6, 4)


@pytest.mark.reads("data", "a folder that holds a test half alone", "read for what there is")
def test_a_test_half_alone_is_read(tmp_path: Path) -> None:
    for name in ("3", "5"):
        draw(tmp_path / "test" / name / "a.png", digit(int(name)))
    dataset = read(tmp_path)
    assert (dataset.classes, len(dataset.train), dataset.test) == (("3", "5"), 2, None)


def in_two_classes(folder: Path, *drawn: np.ndarray) -> Path:
    """Pictures in two classes by turns."""
    for k, pixels in enumerate(drawn):
        draw(folder / "ab"[k % 2] / f"{k}.png", pixels)
    return folder


def pale(seed: int, shape: tuple[int, int] = (12, 12)) -> np.ndarray:
    """Something in many colours, none of them strong."""
    return np.random.default_rng(seed).integers(100, 160, (*shape, 3), np.uint8)


@pytest.mark.reads("data", "a folder of pictures in colour", "read in colour, and said (`--no-colour`)")
def test_pictures_in_colour_are_read_in_colour_and_said(tmp_path: Path) -> None:
    drawn = [pale(k) for k in range(4)]
    with pytest.warns(AssumptionWarning, match=r"in colour, and are read so; --colour or --no-colour") as said:
        dataset = read(in_two_classes(tmp_path, *drawn))
    assert len(said) == 1
    np.testing.assert_array_equal(np.sort(dataset.train.images, axis=0), np.sort(drawn, axis=0))
    assert (dataset.input_shape, dataset.meaning.ground, dataset.maximum) == ((12, 12, 3), "none", 255)
    grey = read(tmp_path, how=Reading(colour=False, ink="light")).train.images
    expected = [np.asarray(Image.fromarray(one).convert("L")) for one in drawn]
    np.testing.assert_array_equal(np.sort(grey, axis=0), np.sort(expected, axis=0))
    with pytest.raises(DataError, match="no ink is turned over; --no-colour"):
        read(tmp_path, how=Reading(colour=True, ink="dark"))


@pytest.mark.reads("data", "grey pictures that are saved in colour, or ink on paper by lamplight", "taken in grey")
def test_pictures_of_which_grey_tells_all_are_grey(tmp_path: Path) -> None:
    lamplight = np.full((12, 12, 3), (235, 220, 195), np.uint8)
    lamplight[3:-3, 5:7] = 40
    blue_ink = np.full((12, 12, 3), 250, np.uint8)
    blue_ink[3:-3, 5:7] = (40, 50, 160)
    grey = np.stack([digit(1, 12)] * 3, axis=-1)
    assert read(in_two_classes(tmp_path / "grey", grey, grey)).train.images.max() == digit(1, 12).max()
    for name, drawn in (("lamp", lamplight), ("pen", blue_ink)):
        dataset = read(in_two_classes(tmp_path / name, drawn, drawn))
        assert (dataset.maximum, dataset.input_shape, dataset.meaning.ground) == (255, (12, 12), "one")
    told = read(tmp_path / "grey", how=Reading(colour=True))
    np.testing.assert_array_equal(told.train.images[0], grey)


def test_strong_colours_are_colours_even_one_by_one(tmp_path: Path) -> None:
    yellow = np.zeros((12, 12, 3), np.uint8)
    yellow[2:-2, 2:-2] = (250, 200, 40)
    with pytest.warns(AssumptionWarning, match="in colour, and are read so"):
        assert read(in_two_classes(tmp_path, yellow, yellow)).colour


@pytest.mark.reads("data", "pictures in colour of many sizes", "32 x 32, padded with black")
def test_pictures_in_colour_of_many_sizes_become_alike(tmp_path: Path) -> None:
    wide, tall = np.full((20, 40, 3), (200, 30, 90), np.uint8), np.full((64, 64, 3), (10, 160, 80), np.uint8)
    in_two_classes(tmp_path, wide, tall)
    with pytest.warns(AssumptionWarning, match="in colour"):
        first, second = read(tmp_path).train.images
    assert first.shape == second.shape == (32, 32, 3)
    assert (first[:7] == 0).all() and (first[-7:] == 0).all() and (first[9:-9] == (200, 30, 90)).all()
    assert (second == (10, 160, 80)).all()


def model_of(shape: tuple[int, ...]) -> Network:
    return Network.create([int(np.prod(shape)), 2], rng=0, input_shape=shape, classes=("a", "b"),
                          scaling=Scaling.book())  # fmt: skip


@pytest.mark.reads("data", "pictures in colour for a model that takes grey, and grey ones for one of colours",
                   "as the model takes them, and said")  # fmt: skip
def test_pictures_become_what_a_model_takes(tmp_path: Path) -> None:
    in_two_classes(tmp_path / "colour", *(pale(k) for k in range(4)))
    in_two_classes(tmp_path / "grey", *(digit(k, 12) for k in range(4)))
    in_two_classes(tmp_path / "sizes", *(pale(k, (12 + k, 14)) for k in range(4)))
    for shape, size in (((3, 12, 12), (12, 12, 3)), ((12, 12, 3), (12, 12, 3)), ((12, 12), (12, 12))):
        model, colours = model_of(shape), size[2:] == (3,)
        for name in ("colour", "grey", "sizes"):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                dataset = open_data(tmp_path / name, model=model)
            assert dataset.input_shape == size
            assert model.scale(dataset.train.images).shape == (4, np.prod(size))
            told = "and the model takes them in three" if name == "grey" else "as the model takes them"
            assert any(told in str(one.message) for one in said) == (colours == (name == "grey"))
    with pytest.raises(DataError, match="the model takes grey images, and colours were asked for"):
        open_data(tmp_path / "colour", model=model_of((12, 12)), how=Reading(colour=True))


def test_a_model_of_a_row_of_numbers_takes_what_there_are_as_many_of(tmp_path: Path) -> None:
    in_two_classes(tmp_path / "alike", *(pale(k) for k in range(4)))
    in_two_classes(tmp_path / "sizes", *(pale(k, (12 + k, 14)) for k in range(4)))
    for inputs, size in ((144, (12, 12)), (432, (12, 12, 3))):
        for name in ("alike", "sizes"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AssumptionWarning)
                assert open_data(tmp_path / name, model=model_of((inputs,))).input_shape == size
