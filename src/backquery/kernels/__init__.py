"""Compiled kernels: arrays in, arrays out; what calls them validates first.

Numba is loaded by `load`, at the point of use. Its compiled code is kept in a per-user folder that is named by
the package's version and the kernels' own source, so that neither an update nor an edit meets stale code.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any


def available() -> bool:
    """Whether Numba is installed; where it is not, the NumPy twins do the work."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


@cache
def load() -> Any:
    """The module `backquery.kernels.online`, with Numba's cache pointed at this user's folder."""
    from numba import config

    before = config.CACHE_DIR
    config.CACHE_DIR = str(_cache_folder())
    try:
        from backquery.kernels import online
    finally:
        config.CACHE_DIR = before
    return online


def _cache_folder() -> Path:
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    name = f"kernels-{hashlib.sha256(sources).hexdigest()[:16]}"
    for folder in (_user_cache(), Path(tempfile.gettempdir()) / f"backquery-{_user_number()}"):
        try:
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(folder / name, os.W_OK):
                return folder / name
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="backquery-"))


def _user_cache() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "backquery"
    try:
        home = Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"backquery-{_user_number()}"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "backquery"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "backquery"
    return home / ".cache" / "backquery"


def _user_number() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
