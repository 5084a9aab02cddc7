"""Compile the kernels: ``python -m backquery.kernels.build [-o FILE] [FLAG ...]``; the package's build does too.

The compilers are tried in turn: what CC names, the usual ones, and at last `ziglang`, a C compiler in a Python
package. BACKQUERY_COMPILER forces one command, ``ziglang``, or ``none``. Only Python's own library is needed.

With ``--page`` the same sources become the WebAssembly of a page of one file. That is not part of an installation:
few machines have a compiler and a linker for it, and its bytes are the same wherever it is made, so it is made by
`ziglang` in one version (`make engine`), kept with the sources, and carries their digest.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
NAME = "compiled" + {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
"""The library's file, beside this one."""

FORCED = "BACKQUERY_COMPILER"
SOURCES = ("online", "matrices")
"""The C files that are compiled once for each type of numbers and each width, by their names."""

USUAL = ("cc", "gcc", "clang")
ZIG = [sys.executable, "-m", "ziglang", "cc"]

FLAGS = ("-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden")
"""Fusing multiply and add is wanted; reordered sums are not, as they would differ between machines."""

AVX512 = ("-mavx512f", "-mavx512dq", "-mavx2", "-mfma", "-mprefer-vector-width=512")
WIDTHS: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {
    "x86_64": {"avx512": (64, AVX512), "avx2": (32, ("-mavx2", "-mfma")), "plain": (16, ())},
    "aarch64": {"neon": (16, ())},
}
"""For each kind of processor the widths of `processor.c`: bytes of a vector, and the flags that allow it."""


PAGE_FLAGS = ("-target", "wasm32-freestanding", "-msimd128", "-mbulk-memory", "-DVECTOR_BYTES=16")
PAGE_LINK = ("-nostdlib", "-s", "-Wl,--no-entry", "-Wl,--gc-sections", "-Wl,-z,stack-size=262144")
PAGE_EXPORTS = {
    32: ("room", "train", "compress_pixels"),
    64: ("activate", "product", "product_by_rows", "add_square", "solve_positive"),
}
"""What a page calls: training in the studio's own numbers, all else in double precision."""

SECTION = "backquery-sources"
"""The custom section of the page's WebAssembly that has the digest of what it was made from."""


class BuildError(Exception):
    """No compiler made a library that can be loaded; its text says what each of them said."""


def build(library: Path, flags: Sequence[str] = (), *, trial: bool = False) -> str:
    """Compile the library to this file; returns the compiler's command. A trial compiles only one of the widths.

    Raises `BuildError`, and then writes nothing.
    """
    complaints = []
    for compiler in compilers():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                made = _compiled(compiler, Path(folder), flags, trial)
                _check(made, flags)
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", None) or str(error)
                complaints.append(f"{shlex.join(compiler)}: {said.strip()[-2000:]}")
                continue
            library.parent.mkdir(parents=True, exist_ok=True)
            part = library.with_name(f".{library.name}.part")
            shutil.copyfile(made, part)
            part.replace(library)
            return shlex.join(compiler)
    raise BuildError("\n".join(complaints) or "no C compiler was found")


def compilers() -> Iterator[list[str]]:
    """The commands to try, in turn."""
    forced = os.environ.get(FORCED)
    if forced:
        if forced != "none":
            yield ZIG if forced == "ziglang" else shlex.split(forced)
        return
    if os.environ.get("CC"):
        yield shlex.split(os.environ["CC"])
    # Microsoft's compiler knows no vector extensions; on Windows "cc" may be anything.
    for name in ("clang",) if sys.platform == "win32" else USUAL:
        if shutil.which(name):
            yield [name]
    if find_spec("ziglang"):
        yield ZIG


def works() -> bool:
    """Whether some compiler here makes a library that can be loaded."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            build(Path(folder) / NAME, trial=True)
        except BuildError:
            return False
    return True


def _compiled(compiler: list[str], folder: Path, flags: Sequence[str], trial: bool) -> Path:
    """Every source for every type of numbers and width, linked to one library."""
    machine = platform.machine().lower()
    widths = WIDTHS.get({"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine), {"plain": (16, ())})
    # A compiler of its own mind would take this machine's newest instructions for granted everywhere.
    shared = [*compiler, *FLAGS, *flags, *(["-mcpu=baseline"] if compiler == ZIG else [])]
    shared += [] if sys.platform == "win32" else ["-fPIC"]
    work = [[*shared, "-c", str(HERE / "processor.c"), "-o", str(folder / "processor.o")]]
    for bits in (32, 64):
        for width, (vector, allowed) in widths.items():
            suffix = f"float{bits}_{width}"
            meaning = [f"-DREAL_BITS={bits}", f"-DVECTOR_BYTES={vector}", f"-DSUFFIX={suffix}"]
            for name in SOURCES:
                target = str(folder / f"{name}_{suffix}.o")
                work.append([*shared, *allowed, *meaning, "-c", str(HERE / f"{name}.c"), "-o", target])
    work = work[:2] if trial else work
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_run, work))
    library = folder / NAME
    # Elsewhere the linkers keep no names that could be left out.
    shared += ["-s"] if sys.platform == "linux" and "-g" not in flags else []
    _run([*shared, "-shared", *(command[-1] for command in work), "-o", str(library)])
    return library


def build_for_pages(engine: Path) -> None:
    """Compile the WebAssembly of a page of one file, by `ziglang`; `BuildError` says what went wrong."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        objects = [Path(folder) / f"{name}{bits}.o" for bits in PAGE_EXPORTS for name in SOURCES]
        exported = [f"{name}_float{bits}" for bits, names in PAGE_EXPORTS.items() for name in names]
        exports = [f"-Wl,--export={name}" for name in (*exported, "__heap_base")]
        made = Path(folder) / "engine.wasm"
        try:
            for target, (bits, name) in zip(
                objects, ((bits, name) for bits in PAGE_EXPORTS for name in SOURCES), strict=True
            ):
                meaning = [f"-DREAL_BITS={bits}", f"-DSUFFIX=float{bits}"]
                # A relative name, because the compiler writes it into what it makes.
                _run([*ZIG, *FLAGS, *PAGE_FLAGS, *meaning, "-c", f"{name}.c", "-o", str(target)], HERE)
            _run([*ZIG, *PAGE_FLAGS, *PAGE_LINK, *exports, *map(str, objects), "-o", str(made)], HERE)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise BuildError(f"ziglang: {said.strip()[-2000:]}") from None
        engine.write_bytes(made.read_bytes() + _custom_section(SECTION, digest_of_sources().encode()))


def digest_of_sources() -> str:
    """The same for the same sources and flags of the page's WebAssembly, and for no others (SHA-256)."""
    content = hashlib.sha256()
    for path in sorted([HERE / f"{name}.c" for name in SOURCES] + list(HERE.glob("*.h"))):
        # Line ends may be those of the machine that the sources were fetched to.
        content.update(path.name.encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    content.update(repr((FLAGS, PAGE_FLAGS, PAGE_LINK, PAGE_EXPORTS)).encode())
    return content.hexdigest()


def _custom_section(name: str, content: bytes) -> bytes:
    """A section of WebAssembly that nothing runs; all lengths here are shorter than 128 bytes."""
    body = bytes([len(name)]) + name.encode() + content
    return bytes([0, len(body)]) + body


def _run(command: list[str], folder: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)


def _check(library: Path, flags: Sequence[str]) -> None:
    """Load it in a process of its own, so that nothing holds the file; sanitizers need a runtime there is not."""
    if not any("sanitize" in flag for flag in flags):
        _run([sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1]).widths", str(library)])


def main() -> None:
    """Compile as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m backquery.kernels.build", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=HERE / NAME, help="the library to write")
    parser.add_argument("--page", type=Path, metavar="FILE", help="the WebAssembly of pages to write instead")
    options, flags = parser.parse_known_args()
    try:
        if options.page is not None:
            build_for_pages(options.page)
            return print(f"{options.page}: compiled by ziglang")
        print(f"{options.output}: compiled by {build(options.output, flags)}")
    except BuildError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
