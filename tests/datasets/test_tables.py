"""Tables as programs write them: each by the program itself, and read to the same images and labels."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import Dataset, Reading, read
from backquery.datasets.reading import files_of
from backquery.errors import AssumptionWarning, DataError

RNG = np.random.default_rng(5)
COUNT, SIDE = 60, 6
LABELS = np.arange(COUNT) % 4
IMAGES = RNG.integers(0, 256, (COUNT, SIDE, SIDE), np.uint8)
IMAGES[:, 0] = IMAGES[:, -1] = 0
FLAT = IMAGES.reshape(COUNT, -1)
WORDS = np.array(["ant", "bee", "cat", "dog"])[LABELS]

pandas_needed = pytest.mark.needs("pandas")


def check(dataset: Dataset, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    np.testing.assert_allclose(dataset.train.images, images, atol=1e-6)
    assert [dataset.classes[label] for label in dataset.train.labels] == [str(label) for label in labels]


def frame(labels: np.ndarray = LABELS, pixels: np.ndarray = FLAT, names: list[str] | None = None):
    import pandas as pd

    table = pd.DataFrame(pixels, columns=names or [f"pixel{k}" for k in range(pixels.shape[1])])
    table.insert(0, "label", labels)
    return table


def last(table):
    return table[[*table.columns[1:], table.columns[0]]]


def middle(table):
    named = table.rename(columns={"label": "Digit"})
    return named[[*named.columns[1:9], "Digit", *named.columns[9:]]]


@pandas_needed
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(
            lambda table, path: table.to_csv(path, index=False),
            id="names",
            marks=pytest.mark.reads(
                "data", "CSV: a label and its pixels in each row (`label,pixel0,...`)", "read"
            ),
        ),
        pytest.param(
            lambda table, path: table.to_csv(path, index=False, header=False),
            id="no names",
            marks=pytest.mark.reads("data", "the same without a header, the label first", "read: the book's own"),
        ),
        pytest.param(
            lambda table, path: table.to_csv(path),
            id="index",
            marks=pytest.mark.reads("data", "a leading column of row numbers (pandas, R)", "passed over"),
        ),
        pytest.param(lambda table, path: table.to_csv(path, header=False), id="index, no names"),
        pytest.param(
            lambda table, path: table.to_csv(path, index=False, sep=";"),
            id="semicolons",
            marks=pytest.mark.reads(
                "data", "semicolons, tabs, bars or blanks for commas; quotes; UTF-16", "read, without being told"
            ),
        ),
        lambda table, path: table.to_csv(path, index=False, sep="\t"),
        lambda table, path: table.to_csv(path, index=False, sep="|"),
        lambda table, path: table.to_csv(path, index=False, sep=" "),
        lambda table, path: table.to_csv(path, index=False, quoting=1),
        lambda table, path: table.to_csv(path, index=False, encoding="utf-16"),
        lambda table, path: table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n"),
        lambda table, path: path.write_text("sep=;\n" + table.to_csv(index=False, sep=";")),
        # R leaves out the name of the first column.
        lambda table, path: path.write_text(table.to_csv().removeprefix(",")),
        lambda table, path: np.savetxt(path, table.to_numpy()),
        lambda table, path: np.savetxt(path, table, "%d", ",", header=",".join(table.columns)),
        pytest.param(
            lambda table, path: last(table).to_csv(path, index=False),
            id="last",
            marks=pytest.mark.reads(
                "data",
                "the label in any column called `label`, `class`, `target`, `digit` or the like",
                "found by its name; `--label-column` takes another name or a number",
            ),
        ),
        lambda table, path: middle(table).to_csv(path, index=False),
        pytest.param(
            lambda table, path: table[["label", *sorted(table.columns[1:])]].to_csv(path, index=False),
            id="sorted",
            marks=pytest.mark.reads("data", "columns sorted by name (`pixel1`, `pixel10`)", "put in order"),
        ),
    ],
)  # fmt: skip
def test_whatever_writes_a_table_it_is_read(tmp_path: Path, write: Callable) -> None:
    path = tmp_path / "table.csv"
    write(frame(), path)
    check(read(path))


@pandas_needed
@pytest.mark.reads("data", "labels that are words", "classes, in the order of the alphabet")
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("place", [lambda table: table, last])
def test_labels_may_be_words(tmp_path: Path, header: bool, place: Callable) -> None:
    place(frame(WORDS)).to_csv(tmp_path / "words.csv", index=False, header=header)
    check(read(tmp_path / "words.csv"), labels=WORDS)


@pandas_needed
@pytest.mark.reads(
    "data", "labels that are any numbers (65 to 90, -1 and 1, 3.0)", "a class for each that is there, and no other"
)
@pytest.mark.parametrize("labels", [LABELS + 65, 2 * (LABELS > 1) - 1, LABELS * 1000, LABELS * 2])
def test_labels_may_be_any_numbers(tmp_path: Path, labels: np.ndarray) -> None:
    frame(labels).to_csv(tmp_path / "numbers.csv", index=False, header=False)
    check(read(tmp_path / "numbers.csv"), labels=labels)
    frame(labels.astype(float)).to_csv(tmp_path / "floats.csv", index=False)
    check(read(tmp_path / "floats.csv"), labels=labels)


@pandas_needed
@pytest.mark.reads("data", "pixels with fractions, with a decimal point or comma", "read as they are")
def test_pixels_may_be_fractions(tmp_path: Path) -> None:
    table = frame(pixels=FLAT / 255)
    table.to_csv(tmp_path / "point.csv", index=False)
    table.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    for name in ("point", "comma"):
        check(read(tmp_path / f"{name}.csv"), IMAGES / 255)


@pytest.mark.reads("data", "a CSV file packed with gzip, bzip2, xz or zip", "unpacked as it is read")
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_tables(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = "".join(",".join(map(str, row)) + "\n" for row in np.column_stack([LABELS, FLAT]).tolist())
    (tmp_path / "table.csv.packed").write_bytes(pack(text.encode()))
    check(read(tmp_path / "table.csv.packed"))
    for damaged in (pack(text.encode())[:-40], pack(text.encode())[:30]):
        (tmp_path / "cut.csv").write_bytes(damaged)
        with pytest.raises(DataError, match=r"cut\.csv.*cannot be read"):
            read(tmp_path / "cut.csv")


def test_a_zip_with_both_halves(tmp_path: Path) -> None:
    text = "".join(",".join(map(str, row)) + "\n" for row in np.column_stack([LABELS, FLAT]).tolist())
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("mnist_train.csv", text)
        archive.writestr("mnist_test.csv", "".join(text.splitlines(keepends=True)[:8]))
        archive.writestr("__MACOSX/._mnist_train.csv", b"\0\5\26\7what macOS adds")
    dataset = read(tmp_path / "archive.zip")
    check(dataset)
    assert dataset.test is not None and len(dataset.test) == 8
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", text)
        archive.writestr("b.csv", text)
    with pytest.raises(DataError, match=r"more than one table lies in it, a\.csv, b\.csv"):
        read(tmp_path / "two.zip")


@pytest.mark.reads(
    "data",
    "the label last, without a header",
    "found by what stands there, and said in one line; `--label-column`",
)
def test_a_label_that_stands_last_is_found_and_said(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "last.csv", np.column_stack([FLAT, LABELS]), "%d", ",")
    with pytest.warns(
        AssumptionWarning, match=r"taken from column 37, by what stands in it; --label-column 1 takes"
    ):
        check(read(tmp_path / "last.csv"))
    check(read(tmp_path / "last.csv", how=Reading(label_column=37)))
    check(read(tmp_path / "last.csv", how=Reading(label_column="37")))


def test_where_first_and_last_are_like_labels_the_first_is_taken_and_said(tmp_path: Path) -> None:
    binary = RNG.integers(0, 2, (COUNT, 4))
    np.savetxt(tmp_path / "both.csv", np.column_stack([LABELS, binary]), "%d", ",")
    with pytest.warns(AssumptionWarning, match="taken from column 1, .* --label-column 5"):
        check(read(tmp_path / "both.csv", how=Reading(pixel_range=(0, 1))), binary.reshape(-1, 2, 2))


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", np.column_stack([LABELS, FLAT]), "%d", ",")
    for asked in ("0", "38", "digit"):
        with pytest.raises(DataError, match=rf"no column '{asked}' for --label-column; the columns are 1 to 37"):
            read(tmp_path / "x.csv", how=Reading(label_column=asked))


@pandas_needed
@pytest.mark.reads(
    "data",
    "a header that tells rows and columns (`1x1` to `20x28`, `pixel_0_0`)",
    "images that need not be square",
)
def test_names_tell_the_shape(tmp_path: Path) -> None:
    flat = IMAGES[:, 1:5].reshape(COUNT, -1)
    names = [f"{row}x{column}" for row in range(1, 5) for column in range(1, SIDE + 1)]
    frame(pixels=flat, names=names).to_csv(tmp_path / "rows.csv", index=False)
    check(read(tmp_path / "rows.csv"), IMAGES[:, 1:5])
    with pytest.raises(DataError, match="25 columns, a label and 24 pixels; the pixels must make a square"):
        frame(pixels=flat).to_csv(tmp_path / "flat.csv", index=False)
        read(tmp_path / "flat.csv")


@pandas_needed
def test_the_one_column_that_is_named_otherwise_holds_the_labels(tmp_path: Path) -> None:
    table = frame().rename(columns={"label": "sort of shoe"})
    table[[*table.columns[1:9], "sort of shoe", *table.columns[9:]]].to_csv(tmp_path / "shoes.csv", index=False)
    check(read(tmp_path / "shoes.csv"))


@pandas_needed
def test_other_columns_are_left_out_and_said(tmp_path: Path) -> None:
    table = frame()
    table.insert(0, "id", [f"picture {k}" for k in RNG.permutation(COUNT)])
    table["split"] = "a"
    table.to_csv(tmp_path / "more.csv", index=False)
    with pytest.warns(AssumptionWarning, match="neither labels nor pixels, and left out: id, split"):
        check(read(tmp_path / "more.csv"))


@pandas_needed
@pytest.mark.reads(
    "data", "Kaggle's `train.csv` beside a `test.csv` without labels", "the first; the other is named"
)
def test_a_test_half_without_labels_is_left_out_and_said(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "train.csv", index=False)
    frame().drop(columns="label").to_csv(tmp_path / "test.csv", index=False)
    with pytest.warns(AssumptionWarning, match=r"test\.csv has no labels and is left out"):
        assert read(tmp_path / "train.csv").test is None
    with pytest.warns(AssumptionWarning, match=r"test\.csv has no labels and is left out"):
        assert files_of(tmp_path) == [tmp_path / "train.csv"]
    with pytest.raises(DataError, match="all 36 columns are pixels, and none is a label"):
        read(tmp_path / "test.csv")


@pytest.mark.parametrize(("train", "test"), [("Train.csv", "Test.csv"), ("my_training.csv", "my_test.csv")])
def test_halves_by_the_names_of_their_tables(tmp_path: Path, train: str, test: str) -> None:
    for name in (train, test, "another.csv"):
        np.savetxt(tmp_path / name, np.column_stack([LABELS, FLAT]), "%d", ",")
    assert files_of(tmp_path / train) == [tmp_path / train, tmp_path / test]
    assert read(tmp_path).test is not None


@pytest.mark.reads("data", "ARFF (OpenML's `mnist_784`, Weka)", "read as the table it is")
@pytest.mark.parametrize("quote", ["", "'"])
def test_arff(tmp_path: Path, quote: str) -> None:
    names = "".join(f"@ATTRIBUTE {quote}pixel{k}{quote} real\n" for k in range(1, SIDE * SIDE + 1))
    head = f"% MNIST\n\n@RELATION digits\n{names}@attribute class {{ant,bee,cat,dog}}\n\n@DATA\n"
    lines = [
        ",".join([*map(str, row), f"{quote}{word}{quote}"]) for row, word in zip(FLAT.tolist(), WORDS, strict=True)
    ]
    (tmp_path / "digits.arff").write_text(head + "\n".join(lines))
    check(read(tmp_path / "digits.arff"), labels=WORDS)


def test_the_digits_as_their_authors_published_them(tmp_path: Path) -> None:
    """UCI's optdigits: 64 numbers up to 16, and the label last."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.savetxt(tmp_path / "optdigits.tra", np.column_stack([digits.data, digits.target]), "%d", ",")
    with pytest.warns(AssumptionWarning, match="taken from column 65"):
        dataset = read(tmp_path / "optdigits.tra", how=Reading(pixel_range=(0, 16)))
    np.testing.assert_array_equal(dataset.train.images, digits.images)
    np.testing.assert_array_equal(dataset.train.labels, digits.target)


@pytest.mark.reads("data", "CSV of colours, 3072 pixels a row", "read with `--shape 32,32,3`, or `3,32,32`")
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("shape", [(4, 6, 3), (3, 4, 6), (4, 18)])
def test_rows_make_images_of_the_shape_that_is_told(tmp_path: Path, named: bool, shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, (COUNT, 72), np.uint8)
    header = ",".join(["label", *(f"pixel{k}" for k in range(72))]) + "\n" if named else ""
    rows = "\n".join(",".join(map(str, row)) for row in np.column_stack([LABELS, pixels]))
    (tmp_path / "colours.csv").write_text(header + rows)
    images = pixels.reshape(-1, *shape)
    images = images.transpose(0, 2, 3, 1) if shape[0] == 3 else images
    check(
        read(tmp_path / "colours.csv", how=Reading(shape=shape, ink="light" if shape[-1] == 18 else "auto")),
        images,
    )
    with pytest.raises(DataError, match=r"they make no image of the shape \(3, 5, 5\)"):
        read(tmp_path / "colours.csv", how=Reading(shape=(3, 5, 5)))


def test_a_row_that_may_be_colours_is_an_error_with_the_option(tmp_path: Path) -> None:
    rows = "\n".join(
        ",".join(map(str, row)) for row in np.column_stack([LABELS, *[IMAGES.reshape(COUNT, -1)] * 3])
    )
    (tmp_path / "colours.csv").write_text(rows)
    with pytest.raises(DataError, match=r"--shape 6,6,3 \(in Python Reading\(shape=...\)\)"):
        read(tmp_path / "colours.csv")


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 4), (3, 2, 2, 2), (2.0, 2)])
def test_a_shape_that_is_no_image_s_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="a shape is one image's"):
        Reading(shape=shape)
