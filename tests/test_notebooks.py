"""The notebooks in examples/ run from top to bottom, and are kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.needs import needs

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def test_every_lesson_has_a_notebook():
    from backquery.lessons import LESSONS

    assert {path.stem for path in NOTEBOOKS} >= {f"lesson-{name}" for name in LESSONS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What the cells of every notebook gave. One process runs them all, emptied between two of them."""
    needs("nbclient", "nbformat", "ipykernel")
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebooks")
    books = {path: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    together = nbformat.v4.new_notebook()
    for book in books.values():
        nbformat.validate(book)
        together.cells += [nbformat.v4.new_code_cell("%reset -f"), *book.cells]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("PYTHONWARNINGS", "ignore")  # a debugger's remark about frozen modules
        where = {"metadata": {"path": folder}}
        NotebookClient(together, timeout=120, kernel_name="python3", allow_errors=True, resources=where).execute()
    return {
        path: [output for cell in book.cells for output in cell.get("outputs", [])] for path, book in books.items()
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_a_picture(path, outputs):
    assert [output for output in outputs[path] if output.output_type == "error"] == []
    assert [output for output in outputs[path] if output.get("name") == "stderr"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs[path])
