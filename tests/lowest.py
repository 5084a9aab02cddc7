"""``python -m tests.lowest [EXTRA ...]``: the tests with the lowest declared version of everything.

In an environment of its own, with the base, `dev` and the extras that are named; what an extra is needed for is
skipped otherwise. What pip chooses for what is not declared here, it chooses freely; so deprecations are let pass,
of which old packages are warned by new ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from benchmarks.environments import ROOT, Environment

DECLARED = re.compile(r"([\w-]+)(?:\[[\w,-]+\])?(?:>=|==)([\w.]+)")
OWN = re.compile(r"backquery\[([\w,-]+)\]")
"""Extras that another one stands for."""


def lowest(extras: list[str]) -> dict[str, str]:
    """Each declared package and its lowest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = {}
    waiting = [*project["dependencies"], f"backquery[{','.join(extras)}]"]
    while waiting:
        one = waiting.pop(0).split(";")[0].strip()
        if own := OWN.fullmatch(one):
            waiting += [each for extra in own[1].split(",") for each in project["optional-dependencies"][extra]]
        elif declared := DECLARED.fullmatch(one):
            found[declared[1]] = declared[2]
        else:
            raise SystemExit(f"pyproject.toml: no lowest version in {one!r}")
    return found


def main(*named: str) -> int:
    """Install, say what is there, and run the tests."""
    extras = ["dev", *named]
    versions = lowest(extras)
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment.fresh(Path(folder) / "environment")
        constraints = Path(folder) / "lowest.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), "utf-8")
        seconds = environment.install("-c", constraints, "--editable", f"{ROOT}[{','.join(extras)}]")
        print(f"installed in {seconds:.0f} s: {', '.join(map(' '.join, versions.items()))}", flush=True)
        command = [environment.programs / "python", "-m", "pytest", "-q", "-W", "ignore::DeprecationWarning"]
        return subprocess.run(command, cwd=ROOT, env=environment.variables()).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
