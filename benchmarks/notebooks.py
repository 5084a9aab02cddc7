"""``python -m benchmarks.notebooks [examples]``: run the notebooks, and keep what they print and draw."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    import nbformat
    from nbclient import NotebookClient

    for path in sorted(Path(sys.argv[1] if len(sys.argv) > 1 else "examples").glob("*.ipynb")):
        book = nbformat.read(path, as_version=4)
        with TemporaryDirectory() as folder:
            where = {"metadata": {"path": folder}}
            # When each cell ran is of no use to a reader, and would differ from run to run.
            NotebookClient(book, timeout=300, resources=where, record_timing=False).execute()
        book.metadata["language_info"] = {"name": "python"}
        nbformat.validate(book)
        nbformat.write(book, path)
        print(path)


if __name__ == "__main__":
    main()
