"""``python -m benchmarks [SECTION ...] [--json FILE]``: run the sections (all by default), print their tables."""

from __future__ import annotations

import os

# One thread for everybody: the ratios are then those of the work, not of the machine's cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    colour,
    commands,
    deep,
    evidence,
    faithful,
    first_use,
    inversion,
    limit,
    numbers,
    page,
    reading,
    studio,
    sweep,
    training,
    typical,
    untidy,
    waits,
)

SECTIONS = {
    "training": training.single_steps,
    "accuracy": training.to_98_percent,
    "query": training.queries,
    "memory": training.memory,
    "limit": limit.limit,
    "numbers": numbers.numbers,
    "threads": numbers.threads,
    "widths": numbers.widths,
    "csv": reading.csv_files,
    "commands": commands.wall_times,
    "first-use": first_use.first_use,
    "against": first_use.against,
    "waits": waits.waits,
    "inversion": inversion.speed,
    "sliders": inversion.sliders,
    "mixture": inversion.mixtures,
    "faithful": faithful.networks,
    "controls": faithful.controls,
    "typical": typical.typical,
    "evidence": evidence.evidence,
    "untidy": untidy.untidy,
    "colour": colour.colour,
    "deep": deep.deep,
    "sweep": sweep.workers,
    "studio": studio.moves,
    "studio-colour": studio.colour_moves,
    "studio-memory": studio.memory,
    "page": page.page,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"any of {', '.join(SECTIONS)}")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}")
    console = Console(width=170)
    figures = {}
    for name in options.sections or SECTIONS:
        title, columns, rows = SECTIONS[name]()
        figures[name] = {"title": title, "rows": [dict(zip(columns, row, strict=True)) for row in rows]}
        table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2))
        for place, column in enumerate(columns):
            table.add_column(column, justify="right" if place else "left")
        for row in rows:
            table.add_row(*(str(value) for value in row))
        console.print(table)
        console.print()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
