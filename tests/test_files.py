"""A file is written whole, or what was there stays."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from time import time

import pytest

from backquery.errors import DataError, OutputError
from backquery.files import check_writable, replacing, user_cache


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_left_half_written_long_ago_goes_with_the_next_writing(tmp_path: Path) -> None:
    old, young = (tmp_path / f".backquery-{name}.part" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"half")
    hour = 3600
    os.utime(old, (time() - 25 * hour,) * 2)
    os.utime(young, (time() - 23 * hour,) * 2)
    with replacing(tmp_path / "result.bin") as stream:
        stream.write(b"new")
    assert names_in(tmp_path) == [young.name, "result.bin"]


def test_the_bytes_take_the_place_of_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with replacing(target) as stream:
        stream.write(b"new")
        assert target.read_bytes() == b"old", "readers see the old file until the new one is whole"
    assert target.read_bytes() == b"new"
    assert names_in(tmp_path) == ["result.bin"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, DataError])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_beside_it(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(failure), replacing(target) as stream:
        stream.write(b"half")
        raise failure("stop")
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["result.bin"]


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="the disk is full; free some space"), replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_bytes() == b"old"


def test_a_missing_folder_a_file_as_folder_and_a_folder_as_file_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"kept")
    with pytest.raises(OutputError, match=r"there is no folder .*nowhere; make it first"):
        check_writable(tmp_path / "nowhere" / "result.bin")
    with pytest.raises(OutputError, match="plain is not a folder"):
        check_writable(plain / "result.bin")
    with pytest.raises(OutputError, match="it is a folder; name a file in it"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match="File name too long"):
        check_writable(tmp_path / ("x" * 300))
    assert plain.read_bytes() == b"kept"


@pytest.mark.needs("/dev/null")
def test_a_device_is_never_replaced_by_a_file() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        check_writable("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EACCES, "no permission to write in"), (errno.EROFS, "a read-only file system")]
)
def test_a_folder_that_refuses_new_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    """The system's refusal is played, because the superuser, who runs many test machines, is refused nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match=said):
        check_writable(tmp_path / "result.bin")


def test_a_protected_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protected = tmp_path / "protected.bin"
    protected.write_bytes(b"kept")
    protected.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and path.stat().st_mode & 0o222 == 0))
    with pytest.raises(OutputError, match="the file is write-protected"):
        check_writable(protected)
    assert protected.read_bytes() == b"kept"


def test_checking_touches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    assert check_writable(target) == target.resolve()
    assert names_in(tmp_path) == []


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with replacing(link) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_where_links_lead_nowhere_the_folder_of_their_target_is_named(tmp_path: Path) -> None:
    link, folder = tmp_path / "link.bin", tmp_path / "linked"
    link.symlink_to(tmp_path / "gone" / "real.bin")
    folder.symlink_to(tmp_path / "lost")
    for path, missing in ((link, "gone"), (folder / "new.bin", "lost")):
        with pytest.raises(OutputError) as raised:
            check_writable(path)
        assert f"cannot write {path}: there is no folder {tmp_path.resolve() / missing}; make" in str(raised.value)


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    with replacing(target) as stream:
        stream.write(b"long")
    assert target.read_bytes() == b"long"


def test_on_windows_the_cache_is_among_the_user_s_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert user_cache() == tmp_path / "backquery"
    monkeypatch.delenv("LOCALAPPDATA")
    assert user_cache() is None
