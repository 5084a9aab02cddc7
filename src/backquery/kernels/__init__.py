"""Compiled kernels: arrays in, arrays out; what calls them validates first.

Numba is loaded by `load`, at the point of use. Its compiled code is kept in a per-user folder that is named by
the package's version and the kernels' own source, so that neither an update nor an edit meets stale code.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache as once
from importlib import import_module
from pathlib import Path
from typing import Any

from backquery.files import user_cache


def available() -> bool:
    """Whether Numba is installed; where it is not, the NumPy twins do the work."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


@once
def load(name: str = "online") -> Any:
    """The module `backquery.kernels.NAME`, with Numba's cache pointed at this user's folder."""
    from numba import config

    before = config.CACHE_DIR
    config.CACHE_DIR = str(_cache_folder())
    try:
        return import_module(f"backquery.kernels.{name}")
    finally:
        config.CACHE_DIR = before


def _cache_folder() -> Path:
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    name = f"kernels-{hashlib.sha256(sources).hexdigest()[:16]}"
    cache = user_cache()
    if cache is not None:
        with suppress(OSError):
            (cache / name).mkdir(parents=True, exist_ok=True)
            if os.access(cache / name, os.W_OK):
                return cache / name
    # Where nothing can be kept, each process compiles for itself.
    passing = tempfile.mkdtemp(prefix="backquery-")
    atexit.register(shutil.rmtree, passing, ignore_errors=True)
    return Path(passing)
