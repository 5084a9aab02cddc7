"""The notebooks in examples/ run from top to bottom, and hold what they print and draw."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def test_every_lesson_has_a_notebook():
    from backquery.lessons import LESSONS

    assert {path.stem for path in NOTEBOOKS} >= {f"lesson-{name}" for name in LESSONS}


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def shape(output: Mapping[str, Any]) -> tuple[Any, ...]:
    """What kind of output it is, with its words; numbers may be those of a machine and its clock."""
    words = "".join(output.get("text", "")) + "".join(output.get("data", {}).get("text/plain", ""))
    fast = re.sub(r"as (fast|slow)", "as fast", words)
    return output["output_type"], sorted(output.get("data", ())), re.sub(r"[\d.,e+-]+", "#", fast)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran_last_and_says_how_to_run_it(path):
    found = cells(path)
    assert [cell["execution_count"] for cell in found] == list(range(1, len(found) + 1))
    kept = [output for cell in found for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in kept)
    assert [output for output in kept if output.get("name") == "stderr" or output["output_type"] == "error"] == []
    assert all("/site-packages/" not in json.dumps(output) for output in kept)
    first = json.loads(path.read_text("utf-8"))["cells"][0]
    assert "pip install backquery jupyterlab" in "".join(first["source"])


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
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger's remark about frozen modules
        where = {"metadata": {"path": folder}}
        NotebookClient(together, timeout=120, kernel_name="python3", allow_errors=True, resources=where).execute()
    return {
        path: [output for cell in book.cells for output in cell.get("outputs", [])] for path, book in books.items()
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(path, outputs):
    """`python -m benchmarks.notebooks` keeps it anew."""
    assert [output for output in outputs[path] if output.output_type == "error"] == []
    assert [output for output in outputs[path] if output.get("name") == "stderr"] == []
    assert any("image/png" in output.get("data", {}) for output in outputs[path])
    kept = [output for cell in cells(path) for output in cell["outputs"]]
    assert [shape(output) for output in outputs[path]] == [shape(output) for output in kept]
