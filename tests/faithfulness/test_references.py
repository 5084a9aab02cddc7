"""References: what they read, and that they are kept, found again, and made anew where the cache is no good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backquery.errors import DataError
from backquery.faithfulness import References, references, train_references
from backquery.faithfulness.references import COURSES, Course
from backquery.training import MiniBatch, Online

BRIEF = (
    Course("dense", 12, Online(0.05, "cross-entropy", shuffle=True), steps=4000),
    Course("moved", 12, MiniBatch(0.01, batch_size=32), steps=4000, moved=True),
    Course("filters", 12, MiniBatch(0.01, batch_size=32), steps=4000, filters=True),
)


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(references, "COURSES", BRIEF)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backquery"


@pytest.fixture(scope="module")
def shown(digits):
    """Half of the test images as ink (n, 8, 8, 1), and their labels."""
    return digits.test.images[::2, :, :, None] / 16.0, digits.test.labels[::2]


def read(found: References, shown) -> list[np.ndarray]:
    return [judge.ask(shown[0]) for judge in found.judges]


def test_all_of_them_learn_the_labels(digits, shown):
    """From 359 images; chance is a tenth."""
    found = train_references(*shown, 10)
    assert [judge.name for judge in found.judges] == [course.name for course in COURSES]
    tried = found.tried(digits.test.images[1::2, :, :, None] / 16, digits.test.labels[1::2])
    for judge in tried.judges:
        assert judge.performance is not None and judge.performance > 0.85
        assert judge.images == 359
        assert not judge.worthless(0.2)


def test_shares_are_what_each_reads_one_by_one(brief, cache, shown):
    found = train_references(*shown, 10)
    for label in (0, 7):
        expected = [
            sum(int(judge.ask(image[None])[0]) == label for image in shown[0][:50]) / 50 for judge in found.judges
        ]
        np.testing.assert_allclose(found.shares(shown[0][:50], label), expected)


def test_what_was_trained_is_kept_and_found_again(brief, cache, shown, monkeypatch):
    first = read(train_references(*shown, 10), shown)
    assert sorted(path.suffix for path in cache.iterdir()) == [".safetensors"] * 3
    monkeypatch.setattr(references, "_taught", lambda *given: pytest.fail("it was trained again"))
    for one, other in zip(first, read(train_references(*shown, 10), shown), strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_of_another_scale_are_the_same_images(brief, cache, shown):
    train_references(*shown, 10)
    names = {path.name for path in cache.iterdir()}
    train_references((shown[0] * 0.99 + 0.01).astype(np.float32) / np.float32(0.99) - 0.01 / 0.99, shown[1], 10)
    assert {path.name for path in cache.iterdir()} == names


def test_images_whose_channels_lie_first_are_kept_as_they_were(brief, cache, shown):
    """As models of other frameworks have them."""
    coloured = shown[0] * np.array([1.0, 0.5, 0.2])
    first = np.moveaxis(np.ascontiguousarray(np.moveaxis(coloured, -1, 1)), 1, -1)
    taught = [judge.ask(first) for judge in train_references(first, shown[1], 10).judges]
    for ink in (first, coloured):
        for one, other in zip(taught, train_references(ink, shown[1], 10).judges, strict=True):
            np.testing.assert_array_equal(one, other.ask(coloured))
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("change", ["an image", "a label", "the labels' number"])
def test_other_data_have_other_references(brief, cache, shown, change):
    train_references(*shown, 10)
    ink, labels, outputs = shown[0].copy(), shown[1].copy(), 10
    if change == "an image":
        ink[0, 0, 0] = 1 - ink[0, 0, 0]
    elif change == "a label":
        labels[0] = (labels[0] + 1) % 10
    else:
        outputs = 11
    train_references(ink, labels, outputs)
    assert len(list(cache.iterdir())) == 6


@pytest.mark.parametrize("damage", ["cut", "empty", "other shapes", "not finite", "a folder"])
def test_a_damaged_file_is_made_anew(brief, cache, shown, damage):
    expected = read(train_references(*shown, 10), shown)
    for path in list(cache.iterdir()):
        whole, arrays = path.read_bytes(), load_file(path)
        if damage == "cut":
            path.write_bytes(whole[: len(whole) // 2])
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "other shapes":
            save_file({**arrays, "weights 0": arrays["weights 0"][:, 1:].copy()}, path)
        elif damage == "not finite":
            save_file({**arrays, "biases 1": np.full_like(arrays["biases 1"], np.nan)}, path)
        else:
            path.unlink()
            path.mkdir()
    for one, other in zip(expected, read(train_references(*shown, 10), shown), strict=True):
        np.testing.assert_array_equal(one, other)
    if damage != "a folder":
        assert all(np.isfinite(load_file(path)["biases 1"]).all() for path in cache.iterdir())


@pytest.mark.parametrize("place", ["a file", "nowhere"])
def test_without_a_cache_they_are_trained_each_time(brief, shown, monkeypatch, tmp_path, place):
    if place == "a file":
        (tmp_path / "backquery").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    else:
        monkeypatch.setattr("backquery.faithfulness.judges.user_cache", lambda: None)
    first, second = (read(train_references(*shown, 10), shown) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_interrupted_leaves_whole_files_and_goes_on(brief, cache, shown):
    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_references(*shown, 10, progress=interrupt)
    assert len(list(cache.glob("reference-*.safetensors"))) == len(list(cache.iterdir())) == 2
    told: list[int] = []
    train_references(*shown, 10, progress=lambda done, total: told.append(done))
    assert told == [1, 2, 3]


def test_what_is_not_to_be_kept_is_not(brief, cache, shown):
    train_references(*shown, 10, keep=False)
    assert not cache.exists()


def test_filters_answer_as_sums_over_each_window_say(shown):
    levels = np.round(shown[0] * references.LEVELS).astype(np.uint16)
    filters, few = references._patches(levels, 3), shown[0][:2]
    np.testing.assert_allclose((filters**2).sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(filters.sum(axis=(1, 2, 3)), 0, atol=1e-5)
    found = references._seen(few, filters).reshape(2, 3, 3, len(filters))
    for image, answers in zip(few, found, strict=True):
        for row, column, place in ((0, 0, 0), (1, 2, 5), (2, 1, 23)):
            windows = [
                (image[top : top + 3, left : left + 3] * filters[place]).sum()
                for top in range(2 * row, 2 * row + 2)
                for left in range(2 * column, 2 * column + 2)
            ]
            assert answers[row, column, place] == pytest.approx(max(0.0, *windows), abs=1e-5)


def test_moved_images_are_moved_by_a_pixel_at_most():
    image = np.zeros((1, 6, 5, 3), np.uint16)
    image[0, 2, 3] = 1, 2, 3
    places = set()
    for seed in range(40):
        moved = references._moved(image, seed)
        assert moved.sum() == 6
        row, column = np.argwhere(moved[0, :, :, 2] == 3)[0]
        places.add((int(row) - 2, int(column) - 3))
    assert places == {(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)}


@pytest.mark.parametrize(("ink", "labels"), [(np.zeros((3, 4, 4)), [0, 1, 1]), (np.zeros((0, 4, 4, 1)), [])])
def test_what_are_no_images_is_refused(ink, labels):
    with pytest.raises(DataError, match="references need images"):
        train_references(ink, np.array(labels, int), 2)
