"""The documentation stays true: its code runs, and its links lead somewhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import backquery
from backquery.cli.pages import COMMANDS
from tests.browser import browsing
from tests.conftest import Run
from tests.documents import EVERY, PAGES, ROOT, TRANSLATED, blocks, commands, lay_out, run_page, wanted

EXTRAS = ("torch", "keras", "onnx", "onnxruntime", "skops", "skl2onnx", "h5py")

IMPORTED = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def needed(page: Path, long: bool) -> list[str]:
    """What a page's Python imports and its commands take, and the base lacks."""
    code = "\n".join(block.code for block in blocks(page) if block.language == "python")
    packages = [package for package in IMPORTED.findall(code) if package in EXTRAS]
    packages += ["anywidget"] * ("backquery.studio.notebook" in code)
    return sorted({*packages, *(name for line in wanted(commands(page), long=long) for name in line.needs)})


def runs() -> list[object]:
    """Each page that has code to run, and once more those with commands that take long."""
    found = []
    for page in PAGES:
        if any(block.language == "python" for block in blocks(page)) or wanted(commands(page), long=False):
            found.append(pytest.param(page, False, id=page.stem, marks=pytest.mark.needs(*needed(page, False))))
        if len(wanted(commands(page), long=True)) > len(wanted(commands(page), long=False)):
            marks = [pytest.mark.documents, pytest.mark.needs(*needed(page, True))]
            found.append(pytest.param(page, True, id=f"{page.stem}-at-length", marks=marks))
    return found


# What Keras' PyTorch backend makes NumPy warn about.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# PyTorch's older exporter of ONNX, which needs no further package, says that there is a newer one.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
@pytest.mark.parametrize(("page", "long"), runs())
def test_a_page_runs_from_top_to_bottom(page: Path, long: bool, run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)

    def call(arguments: list[str]) -> str:
        code, printed, told = run(*arguments)
        assert code == 0, f"backquery {' '.join(arguments)}: {told}"
        return printed + told

    run_page(page, call, long=long)


def test_what_is_not_run_has_a_reason_and_takes_long_where_that_is_said() -> None:
    every = [line for page in PAGES for line in commands(page)]
    assert {line.words for line in every if not line.reason and not line.words.startswith("backquery ")} == set()
    told = Counter(
        line.reason.split(":")[0] for line in every if line.words.startswith("backquery ") and line.reason
    )
    assert told == {
        "an experiment of an hour or more": 5,
        "it needs a cluster of other machines": 1,
        "it serves until it is ended": 3,
    }
    ours = [line for line in every if line.words.startswith("backquery ") and not line.reason]
    assert sum(line.long for line in ours) <= len(ours) / 3 and len(ours) > 55


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_there_is_code_to_run() -> None:
    with_python = {page.stem for page in PAGES if any(block.language == "python" for block in blocks(page))}
    assert with_python >= {"README", "your-own-model", "tutorial", "mathematics", "the-book"}
    assert {page.stem for page in PAGES if wanted(commands(page), long=False)} >= {
        "README",
        "tutorial",
        "the-book",
        "evidence",
    }


def test_what_is_not_read_as_it_is_has_an_original_that_is() -> None:
    translated = [page for page in EVERY if page not in PAGES]
    assert len(translated) >= 8
    assert {page.with_stem(TRANSLATED.sub("", page.stem)) for page in translated} <= {*PAGES}


def test_the_reference_names_everything_public() -> None:
    python = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    public = {f"~backquery.{home}.{name}" for home, names in backquery._HOMES.items() for name in names}
    assert set(re.findall(r"^   (~backquery\S+)$", python, re.MULTILINE)) == public
    for package in backquery._PACKAGES:
        page = ROOT / "docs" / "reference" / f"{package}.md"
        assert f"({page.name})" in python and f"automodule:: backquery.{package}" in page.read_text("utf-8")
    for home in backquery._HOMES:
        page = ROOT / "docs" / "reference" / f"{home.split('.')[0]}.md"
        assert f".. automodule:: backquery.{home}\n" in page.read_text("utf-8")


def test_the_reference_has_the_help_of_every_command() -> None:
    text = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    assert re.findall(r"cli/pages/(\S+)\.txt", text) == ["-".join(("backquery", *words)) for words in COMMANDS]


WHOLE = """() => ({
    empty: [...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src),
    dead: [...document.querySelectorAll('article a[href^="#"]')].map(link => link.getAttribute("href").slice(1))
        .filter(name => name && !document.getElementById(decodeURIComponent(name))),
    sideways: document.documentElement.scrollWidth > innerWidth,
})"""


@pytest.mark.documents
@pytest.mark.needs("playwright", "Chromium")
def test_every_page_is_whole_on_a_narrow_screen_without_a_network() -> None:
    """Of what `make docs-html` has built."""
    built = ROOT / "build" / "docs"
    pages = [page for page in built.rglob("*.html") if "_static" not in page.parts]
    assert len(pages) > 40
    failed: list[str] = []
    with browsing() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 900}, offline=True)
        page.on("requestfailed", lambda request: failed.append(request.url))
        for path in pages:
            page.goto(path.as_uri(), wait_until="load")
            if path == built / "index.html":
                page.wait_for_url((built / "docs" / "index.html").as_uri())
            assert page.evaluate(WHOLE) == {"empty": [], "dead": [], "sideways": False}, path
    assert failed == []
