"""Compiling the kernels: with what compiler there is, and what is said and kept where there is none."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

import backquery
from backquery.kernels import build


@pytest.fixture
def library(tmp_path):
    return tmp_path / build.NAME


@pytest.mark.needs("a C compiler")
def test_a_compiler_makes_a_library_that_can_be_loaded_without_a_warning(library):
    command = [sys.executable, "-m", "backquery.kernels.build", "-o", str(library), "-Wall", "-Wextra", "-Werror"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{library}: compiled by ")
    loaded = ctypes.CDLL(str(library))
    loaded.widths.restype = ctypes.c_char_p
    for width in loaded.widths().decode().split():
        assert loaded[f"train_float32_{width}"]
    assert [path.name for path in library.parent.iterdir()] == [build.NAME]


def test_without_a_compiler_nothing_is_written(library, monkeypatch):
    monkeypatch.setenv(build.FORCED, "none")
    library.write_bytes(b"the one before")
    with pytest.raises(build.BuildError, match="no C compiler was found"):
        build.build(library)
    assert library.read_bytes() == b"the one before"


@pytest.mark.needs("POSIX processes")
@pytest.mark.parametrize(
    "script", ["exit 1", "echo broken >&2; exit 3", 'while [ "$1" != -o ]; do shift; done; : > "$2"']
)
def test_a_compiler_that_fails_or_lies_is_told_by_name(script, library, tmp_path, monkeypatch):
    compiler = tmp_path / "pretender"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv(build.FORCED, str(compiler))
    assert not build.works()
    with pytest.raises(build.BuildError, match="pretender"):
        build.build(library)
    assert not library.exists()


@pytest.mark.needs("a C compiler", "POSIX processes")
def test_the_next_compiler_is_tried(library, tmp_path, monkeypatch):
    monkeypatch.delenv(build.FORCED, raising=False)
    monkeypatch.setenv("CC", "false")
    assert build.build(library) != "false"
    assert library.exists()


ENGINE = Path(backquery.__file__).parent / "studio" / "alone" / "engine.wasm"


def test_the_pages_webassembly_was_made_from_these_sources():
    assert ENGINE.read_bytes().endswith(build.digest_of_sources().encode()), "make engine"


@pytest.mark.needs("ziglang")
def test_the_pages_webassembly_is_made_again_byte_for_byte(tmp_path):
    build.build_for_pages(tmp_path / "engine.wasm")
    assert (tmp_path / "engine.wasm").read_bytes() == ENGINE.read_bytes()


def test_a_command_with_flags_is_taken_whole(monkeypatch):
    monkeypatch.setenv(build.FORCED, "clang -target arm64")
    assert list(build.compilers()) == [["clang", "-target", "arm64"]]
    monkeypatch.setenv(build.FORCED, "ziglang")
    assert list(build.compilers()) == [build.ZIG]
