"""The installed command, and a small network for all commands to work on."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from backquery.cli import main

COMMAND = Path(sysconfig.get_path("scripts")) / "backquery"


def installed(*arguments: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the command that pip has installed, as a process of its own."""
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=120, **settings
    )


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learned the digits."""
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    assert main(["train", "digits", "-o", str(path), "--hidden", "30", "--epochs", "10", "--seed", "1"]) == 0
    return path
