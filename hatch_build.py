"""The package's build compiles the kernels: hatchling calls this.

Where no compiler makes a library that can be loaded, `ziglang` is asked for as a requirement of the build, if
there is a wheel of it for the machine. Where that fails too, the package is built without it: NumPy serves.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ZIGLANG_KNOWS = {"linux", "darwin", "win32"}, {"x86_64", "amd64", "aarch64", "arm64"}


def _builder(root: str) -> Any:
    """`backquery.kernels.build`, without the package, which is not there yet."""
    spec = spec_from_file_location("build_kernels", Path(root, "src", "backquery", "kernels", "build.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles into the source tree for an editable installation, into the wheel for any other."""

    def dependencies(self) -> list[str]:
        """What the build needs here beyond hatchling."""
        systems, machines = ZIGLANG_KNOWS
        known = sys.platform in systems and platform.machine().lower() in machines
        builder = _builder(self.root)
        wanted = os.environ.get(builder.FORCED, "ziglang") == "ziglang"
        return ["ziglang>=0.13"] if known and wanted and not builder.works() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are collected."""
        builder = _builder(self.root)
        beside = Path(self.root, "src", "backquery", "kernels", builder.NAME)
        # For a wheel not beside the sources, which may be read-only.
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        library = beside if version == "editable" else Path(self._folder.name, builder.NAME)
        try:
            compiler = builder.build(library)
        except builder.BuildError as error:
            self.app.display_warning(f"backquery is built without compiled kernels: {error}")
            if version == "editable":
                beside.unlink(missing_ok=True)
            return
        self.app.display_info(f"kernels compiled by {compiler}")
        build_data["pure_python"] = False
        # No part of Python's own interface is used, so one wheel serves all its versions.
        platform_here = sysconfig.get_platform().replace("universal2", platform.machine())
        build_data["tag"] = f"py3-none-{platform_here.replace('-', '_').replace('.', '_')}"
        if version != "editable":
            build_data["force_include"][str(library)] = f"backquery/kernels/{builder.NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The library is in the wheel."""
        self._folder.cleanup()
