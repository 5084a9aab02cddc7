"""``python -m measurements [SECTION ...]``: measure, and write the sections of ``docs/measured.md``."""

from __future__ import annotations

import os

# One thread, as in the benchmarks: what is measured does not depend on the machine's cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import sys
from importlib import import_module
from time import perf_counter

from measurements.page import PICTURES, write_section

SECTIONS = (
    "evidence",
    "wandering",
    "audit",
    "damage",
    "sharpness",
    "curves",
    "rotations",
    "photographs",
    "typical",
    "colour",
    "deep",
    "path",
    "certificates",
    "many",
    "least",
)
"""Each is a module here with a function ``measure(pictures)``: it writes its pictures into that folder and returns
its section as Markdown, from its heading (##) on."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m measurements", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"any of {', '.join(SECTIONS)}; all by default")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in options.sections or SECTIONS:
        started = perf_counter()
        write_section(name, SECTIONS, import_module(f"measurements.{name}").measure(PICTURES))
        print(f"{name}: {perf_counter() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
