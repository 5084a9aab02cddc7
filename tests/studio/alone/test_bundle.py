"""Modules put into one script: scopes of their own, imports by name, and a word for what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backquery.studio.alone.bundle import bundled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MODULES = {
    "entry": 'import { twice } from "./lib.js";\nimport { one, Box } from "./other.js";\n'
    "const size = 3;\nconsole.log(twice(size) + one + new Box().size);\n",
    "lib": 'import { one } from "./other.js";\nconst size = 2;\n'
    "export function twice(n) { return size * n + one; }\n",
    "other": "export const one = 1;\nconst size = 10;\nexport class Box { size = size; }\n",
}


def test_one_script_does_what_the_modules_do_with_names_of_their_own(browser: Browser) -> None:
    script, said = bundled("entry", MODULES), []
    page = browser.new_page()
    page.on("console", lambda line: said.append(line.text))
    page.evaluate(f"() => {{ {script} }}")
    page.close()
    assert said == ["18"]
    assert "import" not in script and "export" not in script


def test_a_module_that_two_import_is_there_once() -> None:
    assert bundled("entry", MODULES).count("class Box") == 1


@pytest.mark.parametrize(
    "line", ["export default 3;", 'import lib from "./lib.js";', 'const x = import("./lib.js");']
)
def test_what_cannot_be_in_one_script_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"entry\.js"):
        bundled("entry", {**MODULES, "entry": f"{line}\n"})


def test_a_circle_is_named() -> None:
    circle = {"a": 'import { b } from "./b.js";\nexport const a = 1;\n', "b": 'import { a } from "./a.js";\n'}
    with pytest.raises(ValueError, match="a, b, a"):
        bundled("a", circle)
