"""How the documentation's pages are built: ``make docs-html``.

The sources are the Markdown files where they stand, README and docs/, as a code host shows them; so all links
between them hold here too. Nothing that a page needs is fetched when it is read: formulas become MathML.
"""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.nodes import make_refnode

import backquery
from backquery import plots

ROOT = Path(__file__).parents[1]

project = "backquery"
version = release = backquery.__version__
author = copyright = "the authors of backquery"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = ["README*.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
exclude_patterns = [".*", "build", "dist", "site", "demo", "src", "tests", "benchmarks", "measurements"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Loaded on first use, which autodoc does not make of it.
vars(plots).update({name: getattr(plots, name) for name in plots.__all__})

# Single backticks in docstrings: a link where they name something public, else code.
default_role = "py:obj"
autodoc_default_options = {"members": True}
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_type_aliases = {name: name for name in ("Array", "ArrayLike", "Data", "Labels", "Pixels", "Seed", "Shape")}
TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # type: ignore[method-assign]  # beside None it is printed so
python_use_unqualified_type_names = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "backquery"
html_static_path = ["_site"]
html_css_files = ["pages.css"]
html_copy_source = html_show_sphinx = False
html_math_renderer = "mathml"
copybutton_prompt_text = "$ "
# The first page of the folder leads to the first page of the documentation.
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_site"]


FOLDER = re.compile(r"\[([^]]*)\]\((?:\.\./)*(?:examples|src/backquery/cli/pages)\)")


def folders_are_no_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """A code host shows a folder; here its name stands alone."""
    source[0] = FOLDER.sub(r"\1", source[0])


def sections_as_trees(app: Sphinx, page: str, source: list[str]) -> None:
    """The index is a list of links, which a code host shows; here each section becomes a part of the menu too."""
    if page != root_doc:
        return
    trees = []
    for section in source[0].split("\n## ")[1:]:
        title, links = section.split("\n", 1)
        found = [
            f"{words} <{path}>" for words, path in re.findall(r"^- \[(.*?)\]\((.*?)\.md\)", links, re.MULTILINE)
        ]
        tree = [f":caption: {title}", ":hidden:", "", *found]
        trees.append("\n".join(["```{toctree}", *tree, "```"]))
    source[0] += "\n" + "\n\n".join(trees)


def inline_math(pages: Any, node: nodes.math) -> None:
    """A formula in a line."""
    pages.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def block_math(pages: Any, node: nodes.math_block) -> None:
    """A formula of its own, which scrolls where the screen is narrow."""
    pages.body.append(f'<div class="math">{mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def mathml(node: nodes.Element, as_block: bool) -> str:
    """What browsers draw without a script."""
    try:
        return str(tex2mathml(node.astext(), as_block=as_block))
    except MathError as error:
        logging.getLogger(__name__).warning("%s in %s", error, node.astext(), location=node)
        return ""


ASTERISK = re.compile(r"(`+).*?\1|(?<=[( ])\*(?=\w+[,)])")
"""In a shape such as (n, *shape) it begins no emphasis; in code it needs no care."""


def as_lists(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """What a docstring says of single parameters or fields, ``name: (shape), words``, as a list."""
    try:
        known = {*inspect.signature(of).parameters, *getattr(of, "__annotations__", {})}
    except (TypeError, ValueError):
        return
    paragraphs = "\n".join(ASTERISK.sub(lambda it: it[0] if it[1] else r"\*", line) for line in lines).split(
        "\n\n"
    )
    names = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    lines[:] = "\n\n".join(as_list(paragraph, names) for paragraph in paragraphs).splitlines()


def as_list(paragraph: str, names: str) -> str:
    """A paragraph that begins with one of these names and a colon, as a list; any other as it is.

    Below a title, in scikit-learn's way, what stands before a colon is a name.
    """
    title = re.match(r"(\w+)\n-+\n", paragraph)
    name = r"\w+" if title else f"(?:{names})"
    begins = re.compile(rf"(?:^|(?<=[;.]) )({name}(?:, {name})*) ?: ", re.MULTILINE)
    words = paragraph[title.end() :] if title else paragraph
    if not names or not begins.match(words):
        return paragraph
    items = begins.sub(r"\0- **\1**: ", re.sub(r"\n *", "\n", words)).split("\0")[1:]
    listed = "\n".join(item.strip().replace("\n", "\n  ") for item in items)
    return f"**{title[1]}**\n\n{listed}" if title else listed


def plain_signature(app: Sphinx, *of: Any) -> tuple[str | None, str | None]:
    """Arrays by their usual name: NumPy's alias is gone when annotations have been evaluated."""
    array = re.compile(r"~?(?:\w+\.)?ndarray\[tuple\[\S*Any, \.\.\.\], \S*?dtype\[([\w.~]+)\]\]")
    signature, returned = (part and array.sub(r"NDArray[\1]", part) for part in of[-2:])
    return signature, returned


def named_alone(app: Sphinx, env: Any, node: nodes.Element, text: nodes.Element) -> nodes.Element | None:
    """What is public is found by its last name, from wherever it is named."""
    if node.get("refdomain") != "py":
        return None
    objects, wanted = env.get_domain("py").objects, str(node["reftarget"])
    if "." in wanted and not wanted.startswith("backquery."):
        return None
    last = wanted.rsplit(".", 1)[-1]
    kinds = ("class", "function", "exception")
    homes = [name for name in objects if name.endswith(f".{last}") and objects[name].objtype in kinds]
    if not homes:
        return None
    home = min(homes, key=len)
    return make_refnode(app.builder, node["refdoc"], objects[home].docname, objects[home].node_id, text, home)


def enlargeable(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """A click on a picture shows it in full size."""
    if doctree is not None:
        picture = re.compile(r'<img [^>]*?src="([^"]+\.png)"[^>]*>')
        context["body"] = picture.sub(r'<a href="\1">\g<0></a>', context["body"])


def comments(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """What stands below a constant where it is defined, for the package that gives it to others."""
    if what != "data":
        return
    last = name.rsplit(".", 1)[-1]
    homes = [module for module in sys.modules.values() if module.__name__.startswith("backquery")]
    found = [
        comment for home in homes if vars(home).get(last) is of for comment in [comment_in(home, last)] if comment
    ]
    # Else it would be the docstring of its type.
    lines[:] = found[0] if found else []


def comment_in(module: Any, name: str) -> list[str]:
    """The string below a name's definition in a module, if it is there, by lines."""
    analyser = ModuleAnalyzer.for_module(module.__name__)
    analyser.analyze()
    return list(analyser.attr_docs.get(("", name), []))


def nothing_is_left_out(app: Sphinx, env: Any) -> None:
    """Every name that a package lists is in the reference, by whichever package."""
    there = {name.rsplit(".", 1)[-1] for name in env.get_domain("py").objects}
    for package in backquery._PACKAGES:
        for name in getattr(import_module(f"backquery.{package}"), "__all__", ()):
            if name not in there:
                logging.getLogger(__name__).warning("backquery.%s.%s is not in the reference", package, name)


def in_its_language(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Browsers choose letters, and readers their voice, by the language that a page says it is in."""
    if translated := re.search(r"\.(ru|zh)$", page):
        context["language"] = translated[1]


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls first."""
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("source-read", folders_are_no_pages)
    app.connect("source-read", sections_as_trees)
    app.connect("autodoc-process-docstring", comments)
    app.connect("autodoc-process-docstring", as_lists)
    app.connect("env-check-consistency", nothing_is_left_out)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("missing-reference", named_alone)
    app.connect("html-page-context", enlargeable)
    app.connect("html-page-context", in_its_language)
    return {"parallel_read_safe": True}
