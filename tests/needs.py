"""What a test needs besides the base, and the short list of reasons for which a test may be skipped.

A test, a class, a parameter or a module (`pytestmark`) says it with the marker: ``pytest.mark.needs("torch")``.
A fixture says it with `needs` in its first line, and so does a module before it imports what may be missing.
A name is that of a package, unless it is one of `CONDITIONS`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = "{} is not installed: make test EXTRAS=all brings it"
SYSTEM = "this system has no {}"
DATA = "there is no real data: set BACKQUERY_DATA to a folder that holds mnist/"
ORACLE = "there is no folder oracle/ beside BACKQUERY_DATA"
REASONS = (
    PACKAGE,
    SYSTEM,
    DATA,
    ORACLE,
    # scikit-learn's own checks of an estimator
    "SCIPY_ARRAY_API is not set: not checking array_api input",
    "pandas is not installed: not checking estimators for pandas objects.",
)
"""All that a test may be skipped for; {} is any name."""


def real_data() -> Path:
    """The folder that BACKQUERY_DATA names, whether or not there is one."""
    return Path(os.environ.get("BACKQUERY_DATA") or "no data")


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def firefox() -> str | None:
    return shutil.which("firefox-esr") or shutil.which("firefox")


def c_compiler() -> object:
    from backquery.kernels import build

    return next(build.compilers(), None)


def kernels_are_here() -> bool:
    from backquery import kernels

    return kernels.available()


def chinese_font() -> object:
    from backquery.plots.paper import fonts_with

    return fonts_with("中文")


CONDITIONS: dict[str, tuple[Callable[[], object], str]] = {
    "real data": (lambda: (real_data() / "mnist").is_dir(), DATA),
    "oracle": (lambda: (real_data().parent / "oracle").is_dir(), ORACLE),
    "Chromium": (chromium, SYSTEM),
    "Firefox": (firefox, SYSTEM),
    "openssl": (lambda: shutil.which("openssl"), SYSTEM),
    "a Chinese font": (chinese_font, SYSTEM),
    "compiled kernels": (kernels_are_here, SYSTEM),
    "a C compiler": (c_compiler, SYSTEM),
    "POSIX processes": (lambda: os.name == "posix", SYSTEM),
    "named pipes": (lambda: hasattr(os, "mkfifo"), SYSTEM),
    "/proc": (Path("/proc/self/fd").exists, SYSTEM),
    "/dev/null": (Path("/dev/null").exists, SYSTEM),
    "/dev/full": (Path("/dev/full").exists, SYSTEM),
}
"""What is no package: whether it is there, and what is said where it is not."""


def needs(*names: str) -> None:
    """Skip the test, or the module that is being imported, if anything of these is missing."""
    for name in names:
        is_there, reason = CONDITIONS.get(name, (lambda name=name: find_spec(name), PACKAGE))
        if not is_there():
            pytest.skip(reason.format(name), allow_module_level=True)


def objection(reason: str) -> str | None:
    """Why a test must not be skipped for this reason, whoever gave it; None where it may."""
    if os.environ.get("BACKQUERY_REQUIRE"):
        return f"BACKQUERY_REQUIRE is set, so nothing may be skipped, but {reason}"
    if any(re.fullmatch(re.escape(allowed).replace(r"\{\}", ".+"), reason) for allowed in REASONS):
        return None
    return f"skipped for a reason that is not on the list in tests/needs.py: {reason}"
