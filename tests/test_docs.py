"""The documentation stays true: its Python runs, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
EXTRAS = ("torch", "keras", "onnx", "onnxruntime", "skops", "skl2onnx", "h5py")

PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORTED = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[int, str]]:
    """Each block of Python and the line that it starts on."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in PYTHON.finditer(text)]


def extras(page: Path) -> list[str]:
    """The packages that a page's Python imports and the base lacks."""
    code = "\n".join(code for _, code in blocks(page))
    return [package for package in IMPORTED.findall(code) if package in EXTRAS]


# What Keras' PyTorch backend makes NumPy warn about.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# PyTorch's older exporter of ONNX, which needs no further package, says that there is a newer one.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=pytest.mark.needs(*extras(page)))
        for page in PAGES
        if blocks(page) and "." not in page.stem  # a translation has the same code, see test_translations
    ],
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    found = blocks(page)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for line, code in found:
        # Empty lines before the code make an error name the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_there_is_python_to_run():
    assert {page.stem for page in PAGES if blocks(page)} >= {"README", "your-own-model"}
