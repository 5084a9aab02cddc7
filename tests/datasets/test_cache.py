"""The cache: known by content, never in the way, never believed when it is odd."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from backquery.datasets import cache as caching
from backquery.datasets.cache import remembered
from backquery.files import user_cache


class Parser:
    """Reads the bytes of a file as one row, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> np.ndarray:
        self.calls += 1
        return np.frombuffer(path.read_bytes(), np.uint8)[None]


def aged(path: Path, content: bytes) -> Path:
    """A file that was last changed long enough ago for its times to be trusted."""
    path.write_bytes(content)
    before = time.time() - 10
    os.utime(path, (before, before))
    return path


def test_a_file_is_parsed_once(tmp_path: Path, cache: Path) -> None:
    path, parse = aged(tmp_path / "a", b"abc"), Parser()
    for _ in range(3):
        assert remembered(path, "kind", parse).tolist() == [[97, 98, 99]]
    assert parse.calls == 1
    assert len(list((cache / "kind").glob("*.npy"))) == 1


def test_a_known_file_is_not_even_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, parse = aged(tmp_path / "a", b"abc"), Parser()
    remembered(path, "kind", parse)
    monkeypatch.setattr(caching, "content_hash", None)
    assert remembered(path, "kind", parse).tolist() == [[97, 98, 99]]


def test_a_copy_is_known_by_its_content(tmp_path: Path) -> None:
    parse = Parser()
    remembered(aged(tmp_path / "a", b"abc"), "kind", parse)
    remembered(aged(tmp_path / "b", b"abc"), "kind", parse)
    assert parse.calls == 1


def test_changed_content_is_parsed_anew(tmp_path: Path) -> None:
    path, parse = aged(tmp_path / "a", b"abc"), Parser()
    remembered(path, "kind", parse)
    aged(path, b"xyz")
    assert remembered(path, "kind", parse).tolist() == [[120, 121, 122]]
    assert parse.calls == 2


def test_a_file_just_written_is_known_by_content_alone(tmp_path: Path, cache: Path) -> None:
    path, parse = tmp_path / "a", Parser()
    for content in (b"abc", b"xyz", b"abc"):
        path.write_bytes(content)
        assert remembered(path, "kind", parse).tobytes() == content
    assert parse.calls == 2
    assert not list((cache / "kind").glob("*.known"))


def test_another_parser_does_not_share(tmp_path: Path) -> None:
    path, parse = aged(tmp_path / "a", b"abc"), Parser()
    remembered(path, "one", parse)
    remembered(path, "two", parse)
    assert parse.calls == 2


@pytest.mark.parametrize("damage", ["cut", "text", "pickle", "float", "pointer"])
def test_a_damaged_cache_is_not_believed(tmp_path: Path, cache: Path, damage: str) -> None:
    path, parse = aged(tmp_path / "a", b"abc" * 100), Parser()
    remembered(path, "kind", parse)
    (kept,), (pointer,) = (list((cache / "kind").glob(f"*{suffix}")) for suffix in (".npy", ".known"))
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:-10])
    elif damage == "text":
        kept.write_text("nonsense")
    elif damage == "pickle":
        np.save(kept, np.array([[{}]], object), allow_pickle=True)
    elif damage == "float":
        np.save(kept, np.zeros((1, 3)))
    else:
        pointer.write_bytes(b"../../elsewhere\xff")
    assert remembered(path, "kind", parse).tobytes() == b"abc" * 100
    assert parse.calls == (1 if damage == "pointer" else 2)


def test_only_the_latest_are_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MOST_KEPT", 2)
    parse = Parser()
    for number in range(5):
        remembered(aged(tmp_path / str(number), bytes([number])), "kind", parse)
        time.sleep(0.01)
    assert len(list((cache / "kind").glob("*.npy"))) == 2
    remembered(tmp_path / "4", "kind", parse)
    assert parse.calls == 5


def test_an_unwritable_cache_is_no_obstacle(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "a file, no folder"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    parse = Parser()
    assert remembered(aged(tmp_path / "a", b"abc"), "kind", parse).tolist() == [[97, 98, 99]]
    assert parse.calls == 1


def test_no_home_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert user_cache() is None
    assert remembered(aged(tmp_path / "a", b"abc"), "kind", Parser()).tolist() == [[97, 98, 99]]
    assert not list(tmp_path.glob("~*"))


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, cache: Path) -> None:
    path = aged(tmp_path / "a", b"abc")

    def parse_while_it_changes(target: Path) -> np.ndarray:
        target.write_bytes(b"xyz")
        return np.frombuffer(b"abc", np.uint8)[None]

    remembered(path, "kind", parse_while_it_changes)
    assert not (cache / "kind").exists()
