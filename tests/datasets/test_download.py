"""Transfers against a real local server: whole and right, or nothing at all and a reason."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from backquery.datasets import download
from backquery.datasets.download import RemoteFile, fetch_file
from backquery.errors import DownloadError
from tests.datasets.conftest import Mirror

CONTENT = bytes(range(256)) * 2000
FILE = RemoteFile("data.bin", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


def test_a_whole_file_arrives(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["data.bin"] = CONTENT
    path = fetch_file(FILE, [mirror.address], tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "data.bin"
    assert path.read_bytes() == CONTENT
    assert [kept.name for kept in path.parent.iterdir()] == ["data.bin"]


def test_md5_is_enough_where_a_publisher_has_no_more(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["data.bin"] = CONTENT
    file = RemoteFile("data.bin", f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}")
    assert fetch_file(file, [mirror.address], tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["missing", "cut", "corrupt", "nobody"])
def test_the_next_mirror_helps(mirror: Mirror, nobody: str, tmp_path: Path, fault: str) -> None:
    mirror.files["good/data.bin"] = CONTENT
    first = break_down(mirror, nobody, fault)
    assert fetch_file(FILE, [first, mirror.address + "good/"], tmp_path).read_bytes() == CONTENT
    assert mirror.asked[-1] == "good/data.bin"
    assert [kept.name for kept in tmp_path.iterdir()] == ["data.bin"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing", "the server answers 404"),
        ("cut", "the transfer broke off"),
        ("corrupt", r"not the published file \(wrong checksum\)"),
        ("nobody", "no connection"),
    ],
)
def test_a_failed_transfer_leaves_nothing_behind(
    mirror: Mirror, nobody: str, tmp_path: Path, fault: str, reason: str
) -> None:
    address = break_down(mirror, nobody, fault)
    with pytest.raises(DownloadError, match=f"{address}data.bin: {reason}"):
        fetch_file(FILE, [address], tmp_path)
    assert not list(tmp_path.iterdir())


def break_down(mirror: Mirror, nobody: str, fault: str) -> str:
    """The address of a mirror with this fault."""
    mirror.files["cut/data.bin"] = CONTENT
    mirror.cut.add("cut/data.bin")
    mirror.files["corrupt/data.bin"] = CONTENT[:-1] + b"?"
    return nobody if fault == "nobody" else f"{mirror.address}{fault}/"


def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"no answer within 0\.1 seconds"):
            fetch_file(FILE, [address], tmp_path)


def test_a_folder_that_cannot_be_made_is_named(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot make the folder .*below"):
        fetch_file(FILE, [mirror.address], tmp_path / "file" / "below")
    assert not mirror.asked


def test_without_mirrors_there_is_nothing_to_try(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no mirror for data\.bin"):
        fetch_file(FILE, [], tmp_path)


def test_progress_is_drawn_on_a_terminal(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["data.bin"] = CONTENT
    screen = io.StringIO()
    fetch_file(FILE, [mirror.address], tmp_path, console=Console(file=screen, force_terminal=True, width=100))
    assert "data.bin" in screen.getvalue()
    assert "512.0/512.0 kB" in screen.getvalue()


def test_nothing_is_written_where_nobody_watches(
    mirror: Mirror, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mirror.files["data.bin"] = CONTENT
    fetch_file(FILE, [mirror.address], tmp_path)
    assert capfd.readouterr() == ("", "")
