"""The book's CSV: the quick parser against Python's own, and every kind of bad file by row and column."""

from __future__ import annotations

import csv as standard
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backquery.datasets import csv
from backquery.datasets.text import Layout, Part, layout_of
from backquery.errors import DataError


def written(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def as_text(rows: np.ndarray) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())


def plainly(stretch: bytes, columns: int) -> np.ndarray | None:
    try:
        return csv._parse_plain(stretch, columns)
    except csv.NotPlainError:
        return None


def values_in(path: Path) -> np.ndarray:
    return csv.table_in(Part(path), layout_of(Part(path))).values


def by_the_standard_library(text: str) -> list[list[int]]:
    return [[int(value) for value in row] for row in standard.reader(StringIO(text))]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.sampled_from([2, 5, 10]))), st.integers(1, 40))
@example(np.array([[255, 0], [200, 99], [9, 10]], np.uint8), 1)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows, stretch: int) -> None:
    text = as_text(rows)
    assert by_the_standard_library(text) == rows.tolist()
    path = written(tmp_path_factory.mktemp("csv"), text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv, "STRETCH", stretch)
        # The first row must not be taken for names, and the separator cannot be seen in one value.
        layout = Layout(",", rows.shape[1])
        np.testing.assert_array_equal(csv.parse(Part(path), layout), rows)


@given(st.text("0159,\n :-.\r", min_size=1, max_size=30), st.sampled_from([1, 2, 3]))
@example("1,,2\n", 3)
@example("1:5,2\n", 2)
@example("256,0\n", 2)
@example("0001,0\n", 2)
@example(",1\n1\n", 2)
@example("1\n2,3,4\n", 2)
def test_the_quick_parser_takes_only_what_is_plain(text: str, columns: int) -> None:
    """Whatever it accepts is what the standard library reads; all else is left to the careful one."""
    stretch = text + "\n"
    values = plainly(stretch.encode(), columns)
    plain = set(text) <= set("0159,\n") and all(
        len(line.split(",")) == columns
        and all(1 <= len(v) <= 3 and int(v) <= 255 for v in line.split(",") if v)
        and "" not in line.split(",")
        for line in stretch.splitlines()
    )
    assert (values is not None) == plain
    if values is not None:
        assert values.tolist() == by_the_standard_library(stretch)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(5))))
def test_both_parsers_agree(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    part = Part(written(tmp_path_factory.mktemp("csv"), as_text(rows)))
    layout = Layout(",", 5)
    np.testing.assert_array_equal(csv.parse(part, layout), rows)
    np.testing.assert_array_equal(csv._by_numpy(part, layout, None).values, rows)


def test_images_and_labels(tmp_path: Path) -> None:
    found = csv.read_csv(written(tmp_path, "7,0,1,2,255\n3,9,8,7,6"))
    assert found.labels.tolist() == [7, 3]
    assert found.images.tolist() == [[[0, 1], [2, 255]], [[9, 8], [7, 6]]]
    assert found.images.dtype == np.uint8
    assert found.images.flags.c_contiguous


@pytest.mark.parametrize(
    "text",
    [
        "5,1,2,3,4\r\n6,5,6,7,8\r\n",
        "label,1x1,1x2,2x1,2x2\n5,1,2,3,4\n6,5,6,7,8\n",
        ",0,1,2,3\n5,1,2,3,4\n6,5,6,7,8\n",
        "\ufeff5,1,2,3,4\n6,5,6,7,8",
        "\ufefflabel,a,b,c,d\n5,1,2,3,4\n6,5,6,7,8",
        "\n\n5,1,2,3,4\n\n6,5,6,7,8\n\n\n",
        "5, 1, 2, 3, 4\n6,5 ,6 ,7 ,8\n",
        '"5","1","2","3","4"\n6,5,6,7,8\n',
        "5.0,1.0,2.,3.00,4\n6,5,6,7,8\n",
        "005,1,2,3,4\n6,5,6,7,008\n",
    ],
)
def test_usual_oddities_are_understood(tmp_path: Path, text: str) -> None:
    assert values_in(written(tmp_path, text)).tolist() == [[5, 1, 2, 3, 4], [6, 5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows of values"),
        ("\n \n", "no rows of values"),
        ("label,a,b,c,d\n", "no rows of values"),
        ("5\n6\n", "one column only"),
        ("5,1,2,3\n", "4 columns, a label and 3 pixels; the pixels must make a square"),
        ("5,1,2,3,4\n6,1,2,3\n", "row 2: 4 columns, but 5 in the first row"),
        ("5,1,2,3,4\n6,1,2,3,4,5\n", "row 2: 6 columns, but 5"),
        ("5,1,2,3,4\n6,1,2\n3,4\n1,2,3,4,5\n", "row 2: 3 columns, but 5"),
        ("5,1,2,3,4\n6,1,x,3,4\n", "row 2, column 3: 'x' is not a number"),
        (25 * "5,1,2,3,4\n" + "five,1,2,3,4\n", "row 26, column 1: 'five' is not a number; labels may be words"),
        (25 * "5,1,2,3,4\n" + "5,1,2,3,?\n", r"row 26, column 5: '\?'"),
        ("5,1,nan,3,4\n", "row 1, column 3: 'nan'"),
        ("nan,1,2,3,3\n", "'nan' is not a label"),
        (",1,2,3,3\n", "'' is not a label"),
        ("0.5,1,2,3,3\n", "'0.5' is not a label"),
        ("5,1,,3,4\n", "row 1, column 3: ''"),
        ("5,1,inf,3,4\n", "row 1, column 3: 'inf'"),
        ("5,1,1_0,3,4\n", "row 1, column 3: '1_0'"),
        ("5,1,\u0663,3,4\n", "row 1, column 3: '\u0663'"),
        ("label,a,b,c,d\n\n5,1,2,3,4\n6,5,6,?,8\n", r"row 4, column 4: '\?'"),
    ],
)
def test_bad_files_are_named_by_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        csv.read_csv(path)
    assert str(caught.value).startswith(str(path))


def test_rows_are_counted_across_stretches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "STRETCH", 64)
    rows = ["1,2,3,4,5"] * 100
    rows[76] = "1,2,3,4,5..5"
    with pytest.raises(DataError, match=r"row 77, column 5: '5\.\.5'"):
        csv.read_csv(written(tmp_path, "\n".join(rows)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        csv.read_csv(tmp_path / "absent.csv")


def test_mnist_as_csv_gives_mnist(mnist, tmp_path: Path) -> None:
    assert mnist.test is not None
    rows = np.column_stack([mnist.test.labels.astype(np.uint8), mnist.test.images.reshape(-1, 784)])[:500]
    found = csv.read_csv(written(tmp_path, as_text(rows)))
    np.testing.assert_array_equal(found.images, mnist.test.images[:500])
    np.testing.assert_array_equal(found.labels, mnist.test.labels[:500])


@pytest.mark.reads("data", "CSV of true and false for pixels (`True`, `FALSE`)", "0 and 1")
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_truth_values_and_lines_of_old_macs(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, f"5,True,False,FALSE,true{end}7,False,True,True,True{end}")
    found = csv.read_csv(path)
    assert found.labels.tolist() == [5, 7]
    assert found.images.reshape(2, -1).tolist() == [[1, 0, 0, 1], [0, 1, 1, 1]]


def test_labels_that_are_truth_values_stay_words(tmp_path: Path) -> None:
    found = csv.read_csv(written(tmp_path, "True,4,8,2,6\nFalse,9,8,7,6\n"))
    assert found.labels.tolist() == ["True", "False"]


def test_text_without_any_separator_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no table of rows and columns"):
        csv.read_csv(written(tmp_path, "0" * 200_000))
