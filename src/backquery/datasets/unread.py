"""Files that are not read, known by their first bytes or their name, and what to do with each."""

from __future__ import annotations

from pathlib import Path

from backquery.datasets.text import names_in_zip
from backquery.errors import DataError

WITH_NUMPY = "open it with the program it comes from, and save images and labels with numpy.savez"

_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": f"is HDF5 (as h5py, Keras and MATLAB 7.3 write); {WITH_NUMPY}",
    b"ARROW1": "is an Arrow file; save the table as Parquet or CSV",
    b"FEA1": "is a Feather file; save the table as Parquet or CSV",
    b"SQLite format 3": "is a database (SQLite); save the table as CSV",
    b"%PDF": "is a PDF document; save each picture as PNG",
    b"\x28\xb5\x2f\xfd": "is packed with Zstandard; unpack it first",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive; unpack it, and name the folder",
    b"Rar!": "is a RAR archive; unpack it, and name the folder",
    b"version https://git-lfs": "only says where the file lies (Git LFS); fetch the file itself with git lfs pull",
    b"<!DOCTYPE": "is a web page, not the data it speaks of; fetch the file itself",
    b"<html": "is a web page, not the data it speaks of; fetch the file itself",
    b"RDX": "is R's own format; save the table with write.csv",
}
_PICKLE = (
    "is a pickle, which could run any program when it is opened, and is never opened here; save images and labels "
    "with numpy.savez"
)
_TAR = "is a tar archive; unpack it, and name the folder"
_ENDS = {
    (".tfrecord", ".tfrecords"): f"is a TFRecord; {WITH_NUMPY}",
    (".pkl", ".pickle", ".pt", ".pth", ".joblib"): _PICKLE,
    (".xls", ".ods"): "is a spreadsheet; save it as CSV",
    (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"): _TAR,
}
_PICKLED = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def refuse_unread(path: Path, head: bytes) -> None:
    """`DataError` that says what the file is and what to do, if it is of a known kind that is not read.

    `head` are the first 512 bytes, unpacked.
    """
    told = next((told for start, told in _BEGINNINGS.items() if head.startswith(start)), None)
    if head.startswith(_PICKLED):
        told = _PICKLE
    if head[257:262] == b"ustar":
        told = _TAR
    name = path.name.lower()
    told = told or next((told for ends, told in _ENDS.items() if name.endswith(ends)), None)
    if told is not None:
        raise DataError(f"{path}: this {told}")


def unread_zip(path: Path) -> DataError:
    """What a zip archive with neither arrays nor tables in it is, and what to do."""
    names = names_in_zip(path)
    if any(name.startswith("xl/") for name in names):
        return DataError(f"{path}: this is a spreadsheet; save it as CSV")
    if "data.pkl" in {Path(name).name for name in names}:
        return DataError(f"{path}: this {_PICKLE}")
    return DataError(f"{path}: this is an archive of {len(names)} files; unpack it, and name the folder")
