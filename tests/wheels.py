"""``python -m tests.wheels``: build what is published into dist/, and try it where nothing else is.

The source distribution first and the wheel from it, so that it, too, is known to be whole. Then, in a clean
environment with an empty home, the wheel; then what the source distribution makes on a machine without a compiler,
which `ziglang` must help; and what it makes where there is none at all, which NumPy must.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

from benchmarks.environments import ROOT, Environment

from backquery.kernels import build

DIST = ROOT / "dist"


def main() -> None:
    """Build, try, and say what was seen."""
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)], check=True)
    (source,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        environment = Environment.fresh(place / "environment")
        _try("from the wheel", environment, wheel)
        for compiler, hidden in (("ziglang", True), ("none", False)):
            made = _without_a_compiler(environment, source, place / compiler, hidden)
            _try("without a compiler" if hidden else "without compiled kernels", environment, made)


def _without_a_compiler(environment: Environment, source: Path, folder: Path, by_ziglang: bool) -> Path:
    """The wheel that the source makes where no program is found, or where none is wanted."""
    without = {"PATH": str(environment.programs)} if by_ziglang else {build.FORCED: "none"}
    environment.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source, **without)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _try(how: str, environment: Environment, wheel: Path) -> None:
    """The demonstration, a training and the information, from this wheel alone."""
    is_compiled = not wheel.name.endswith("-any.whl")
    environment.install("--force-reinstall", "--no-deps", wheel)
    environment.install(wheel)
    with tempfile.TemporaryDirectory() as folder:
        environment.run("backquery", "demo", cwd=Path(folder))
        assert (Path(folder) / "demo" / "digits.safetensors").is_file()
        trained = environment.run(
            "backquery", "train", "digits", "--recipe", "online", "--epochs", 1, "-o", "own.safetensors", "--json",
            cwd=Path(folder),
        )  # fmt: skip
    kernel = json.loads(trained)["kernel"]
    assert kernel in (("sparse", "dense") if is_compiled else ("numpy",)), kernel
    told = environment.run("backquery", "info", "mnist")
    assert ("by compiled kernels" if is_compiled else "by NumPy alone") in told, told
    libraries = [one.file_size for one in ZipFile(wheel).infolist() if "/kernels/compiled." in one.filename]
    assert bool(libraries) == is_compiled
    size = f"a library of {libraries[0] // 1000} kB" if libraries else "no library"
    print(f"{how}: {wheel.name}, {wheel.stat().st_size // 1000} kB, {size}, kernel {kernel}: works", flush=True)


if __name__ == "__main__":
    main()
