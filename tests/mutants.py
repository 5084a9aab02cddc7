"""``python -m tests.mutants``: small faults are put into the code, and the tests must notice them.

The faults are mutmut's: a number one larger, an operator exchanged for its neighbour, an argument left out or
None, a name in capitals. They are drawn by a seed, as many from each of `AREAS`, and each is tested in a process
of its own, by the tests near it: those that ran through its statement (or its file, for what is done at import),
those of the same name and folder first, then the quickest, up to `--seconds` of them. A test counts as a mutant's
end only if it passes alone without the mutant.

What was seen is kept in build/mutants/, where the next call goes on. A mutant that survived is tried again when it
may take longer than before, or its tests are others by then. What ran through what is measured once, which takes
minutes; ``--measure tests/io/test_text.py`` measures these tests again.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import gc
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import libcst
import pytest
from hypothesis import Phase, settings
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from backquery.intervals import share_interval

ROOT = Path(__file__).parents[1]
SOURCE = "src/backquery"

NETWORK = (
    "activations", "arguments", "evaluation", "layout", "log_odds", "network", "reading", "scaling", "statistics",
    "tabular",
)  # fmt: skip
AREAS = {
    "activations and networks": [f"model/{name}.py" for name in NETWORK],
    "training and the kernels' twins": ["kernels/__init__.py", "training/*.py"],
    "inversion and proofs": ["inversion/*.py", "proofs/*.py"],
    "file formats": ["files.py", "io/*.py", "datasets/*.py"],
}
"""What is mutated, as patterns of files in `SOURCE`."""

TESTS = [f"tests/{name}" for name in ("model", "kernels", "training", "inversion", "proofs", "io", "datasets")] + [
    f"tests/test_{name}.py" for name in ("files", "estimator", "fuzz", "odd_arguments", "public_face")
]
QUIET = ["-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-m", "not slow"]

NEEDED = ["*.md", "*.toml", "*.py", "Makefile"] + [
    f"{folder}/**/*" for folder in ("src", "tests", "measurements", "benchmarks", "examples", "docs")
]
"""What tests look at. A copy of it is what is mutated."""

HEAVY = (
    "numpy", "scipy.optimize", "scipy.special", "scipy.ndimage", "sklearn.neural_network", "sklearn.pipeline",
    "skimage.metrics", "PIL.Image", "matplotlib.figure", "safetensors.numpy", "torch", "keras", "onnx",
    "onnxruntime", "skops.io", "h5py", "pyarrow.parquet", "pandas",
)  # fmt: skip
"""Loaded once, before a process for each mutant is forked from this one."""

ROOM = 6 * 2**30
"""Bytes of memory that a mutant's tests may use beyond what is loaded."""

PER_TEST, PER_FILE = 0.01, 0.1
"""Seconds that a test takes besides itself, and that its file takes to be read."""

FIRST = 0.5
"""Seconds of tests that are tried before all others are even read."""

PATIENCE = 30
"""So many times the seconds of a processor may a run take, where others use it too."""

ENOUGH = 7200.0
"""Seconds of this processor after which even all tests must be through."""


@dataclass(frozen=True)
class Mutant:
    """A file's whole text with one fault, and the first line that differs."""

    area: str
    path: str
    line: int
    before: str
    after: str
    text: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.path}\n{self.text}".encode()).hexdigest()[:16]


def main() -> None:
    """Draw, test, and say what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="See which faults the tests notice."
    )
    parser.add_argument("--count", type=int, default=1000, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=1, help="that draws them")
    parser.add_argument("--area", choices=list(AREAS), help="test no others of what is drawn")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of tests for one mutant, as they were measured"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants", help="that keeps what was seen")
    parser.add_argument("--measure", nargs="+", metavar="TEST", help="measure these tests again, and no more")
    parser.add_argument("--report", action="store_true", help="only tell what was seen before")
    options = parser.parse_args()

    place = Place(options.folder.resolve())
    if not options.report:
        place.prepare()
    if options.measure or not (options.report or place.tests.is_file()):
        measure(place, options.measure or TESTS)
    if not options.measure:
        drawn = [one for one in draw(place, options.count, options.seed) if options.area in (None, one.area)]
        if not options.report:
            Trial(place, options.seconds).test(drawn)
        report(drawn, place.seen())


class Place:
    """The folder with the copy that is mutated and all that is kept; it runs tests in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.lines = folder / "lines.sqlite"
        self.tests = folder / "tests.json"
        self.records = folder / "seen.jsonl"

    def prepare(self) -> None:
        """A fresh copy; and what many tests need is loaded."""
        sources = {path.relative_to(ROOT): path for pattern in NEEDED for path in _files(ROOT, pattern)}
        for copy in _files(self.tree, "**/*"):
            if copy.relative_to(self.tree) not in sources:
                copy.unlink()
        for name, path in sources.items():
            copy = self.tree / name
            if not copy.is_file() or copy.stat().st_mtime_ns != path.stat().st_mtime_ns:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
        for name in ("src", "tests"):
            compileall.compile_dir(self.tree / name, quiet=2)
        os.environ["KERAS_BACKEND"] = "torch"
        for name in HEAVY:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()  # a child's collections would copy all that it shares with this process

    def seen(self) -> dict[str, dict[str, Any]]:
        """The last record of each mutant, by its key."""
        lines = self.records.read_text().splitlines() if self.records.is_file() else []
        return {record["key"]: record for record in map(json.loads, lines)}

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        path = self.tree / SOURCE / mutant.path
        text, times = path.read_bytes(), path.stat()
        path.write_text(mutant.text)
        try:
            yield
        finally:
            path.write_bytes(text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # what is compiled is of this time

    def run(self, arguments: list[str], plugin: object, seconds: float) -> int:
        """Run pytest over the copy in a process of its own: its exit status, or minus the signal that ended it."""
        scratch = self.folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        process = os.fork()
        if process == 0:
            try:
                self._enter(scratch, seconds)
                code = int(pytest.main([*QUIET, f"--basetemp={scratch}/pytest", *arguments], plugins=[plugin]))
            except BaseException:
                code = int(pytest.ExitCode.INTERNAL_ERROR)
            os._exit(code)
        status = _ended(process, PATIENCE * seconds)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)  # what it started and left
        return os.waitstatus_to_exitcode(status)

    def _enter(self, scratch: Path, seconds: float) -> None:
        """Become a process that knows the copy only, writes into `scratch`, and has limits."""
        os.setsid()
        os.chdir(self.tree)
        output = os.open(self.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        own = [str(self.tree / "src"), str(self.tree)]
        sys.path[:] = own + [path for path in sys.path if Path(path or ".").resolve() not in (ROOT, ROOT / "src")]
        for name in [name for name in sys.modules if name.split(".")[0] in ("backquery", "tests", "measurements")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": os.pathsep.join(own), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        os.environ |= {"TMPDIR": str(scratch), "HOME": str(scratch)}
        loaded = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (loaded + ROOM, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))


def _files(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_file() and path.suffix != ".pyc"]


def _ended(process: int, seconds: float) -> int:
    """How a child ended, which is waited for no longer than this."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            os.killpg(process, signal.SIGKILL)
            return os.waitpid(process, 0)[1]
        time.sleep(0.02)


# What ran through what.


class Measured:
    """A pytest plugin: what ran, by test and by fixture, which tests may share, and how long each test took."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.run = coverage.Coverage(data_file=None, source=[str(place.tree / SOURCE)], config_file=False)
        self.contexts = [""]
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_sessionstart(self) -> None:
        self.run.start()

    @contextmanager
    def context(self, name: str) -> Iterator[None]:
        self.contexts.append(name)
        self.run.switch_context(name)
        yield
        self.contexts.pop()
        self.run.switch_context(self.contexts[-1])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Generator[None, Any, Any]:
        found = item._fixtureinfo.name2fixturedefs if hasattr(item, "_fixtureinfo") else {}
        fixtures = [_named(one) for some in found.values() for one in some]
        self.tests[item.nodeid] = {"seconds": 0.0, "passed": True, "fixtures": fixtures}
        begun = sum(os.times()[:4])
        with self.context(item.nodeid):
            done = yield
        self.tests[item.nodeid]["seconds"] = sum(os.times()[:4]) - begun  # of processors: others may use them too
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        with self.context(_named(fixturedef)):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tests[report.nodeid]["passed"] &= report.passed

    def pytest_sessionfinish(self) -> None:
        self.run.stop()
        kept = coverage.CoverageData(str(self.place.lines))
        kept.read()
        kept.update(self.run.get_data())
        kept.write()
        old = json.loads(self.place.tests.read_text()) if self.place.tests.is_file() else {}
        self.place.tests.write_text(json.dumps(old | self.tests, indent=0))


def _named(fixture: Any) -> str:
    return f"fixture {fixture.baseid}::{fixture.argname}"


def measure(place: Place, tests: list[str]) -> None:
    """Run these tests once, and keep what each ran through."""
    for some in tests:
        print(f"measuring what {some} runs through", file=sys.stderr)
        code = place.run([some], Measured(place), ENOUGH)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(f"{some} could not be measured ({code}): see {place.folder / 'output.txt'}")
        print((place.folder / "output.txt").read_text().splitlines()[-1], flush=True)


class Near:
    """Which tests are near a line of the copy's source."""

    def __init__(self, place: Place) -> None:
        self.source = place.tree / SOURCE
        self.tests: dict[str, dict[str, Any]] = json.loads(place.tests.read_text())
        self.users: dict[str, list[str]] = {}
        for name, test in self.tests.items():
            for fixture in test["fixtures"]:
                self.users.setdefault(fixture, []).append(name)
        self.data = coverage.CoverageData(str(place.lines))
        self.data.read()

    def to(self, path: str, line: int, seconds: float) -> list[str]:
        """The nearest tests first, of these the quickest, until they would take longer than this; one at least."""
        by_line = self._contexts(path)
        lines = executed_with((self.source / path).read_text(), line) or by_line
        beside = Path("tests", path).parent
        contexts = {name for one in lines for name in by_line.get(one, ())}
        found = {name for context in contexts for name in self.users.get(context, [context])}
        found = found or {name for name in self.tests if Path(name.partition("::")[0]).parent == beside}
        good = {name for name in found if name in self.tests and self.tests[name]["passed"]}
        chosen: list[str] = []
        files: set[str] = set()
        for name in sorted(good, key=lambda name: (_distance(name, path), self.tests[name]["seconds"], name)):
            file = name.partition("::")[0]
            seconds -= self.cost(name) + PER_FILE * (file not in files)
            if seconds < 0 and chosen:
                break
            files.add(file)
            chosen.append(name)
        return chosen

    def cost(self, test: str) -> float:
        return self.tests[test]["seconds"] + PER_TEST

    @cache  # noqa: B019
    def _contexts(self, path: str) -> dict[int, list[str]]:
        return self.data.contexts_by_lineno(str(self.source / path))


def _distance(test: str, path: str) -> int:
    file, source = Path(test.partition("::")[0]).relative_to("tests"), Path(path)
    return (file.parent != source.parent) + (file.name != f"test_{source.name}")


def executed_with(text: str, line: int) -> range | None:
    """The lines of a function's statement (its head, if it is compound) with this one; None for an import's."""
    found = None
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in (node for part in function.body for node in ast.walk(part) if isinstance(node, ast.stmt)):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno or node.lineno
            lines = range(node.lineno, max(last, node.lineno) + 1)
            if line in lines and (found is None or len(lines) <= len(found)):
                found = lines
    return found


# What is drawn.


class Fault(NamedTuple):
    """A mutation of mutmut's in the module that it was found in."""

    module: libcst.Module
    mutation: Mutation

    def text(self) -> str:
        return self.module.deep_replace(self.mutation.original_node, self.mutation.mutated_node).code  # type: ignore[arg-type]


@cache
def faults(path: Path) -> list[Fault]:
    """All that mutmut finds in a file, but for the wording of messages, of which tests hold only a few words."""
    wrapper = MetadataWrapper(libcst.parse_module(path.read_text()))
    visitor = MutationVisitor(mutation_operators, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    return [Fault(wrapper.module, found) for found in visitor.mutations if not _is_prose(found.original_node)]


def _is_prose(node: libcst.CSTNode) -> bool:
    return isinstance(node, libcst.SimpleString) and " " in node.value


def draw(place: Place, count: int, seed: int) -> list[Mutant]:
    """As many from each area, in turns; of one seed, one count and one state of the code always the same."""
    sources = {
        area: sorted({path for pattern in patterns for path in (ROOT / SOURCE).glob(pattern)})
        for area, patterns in AREAS.items()
    }
    state = hashlib.sha256(b"".join(path.read_bytes() for paths in sources.values() for path in paths))
    kept = place.folder / f"drawn-{count}-{seed}-{state.hexdigest()[:12]}.json"
    if not kept.is_file():
        print("looking for all that can be mutated", file=sys.stderr)
        chance = random.Random(seed)
        areas = []
        for number, (area, paths) in enumerate(sources.items()):
            found = [(path, index) for path in paths for index in range(len(faults(path)))]
            share = len(range(number, count, len(sources)))
            print(f"{area}: {share} of {len(found)}", file=sys.stderr)
            areas.append([_written(area, *one) for one in chance.sample(found, min(share, len(found)))])
        drawn = [mutant for turn in zip_longest(*areas) for mutant in turn if mutant]
        kept.write_text(json.dumps([asdict(mutant) for mutant in drawn]))
        faults.cache_clear()
    return [Mutant(**fields) for fields in json.loads(kept.read_text())]


def _written(area: str, path: Path, index: int) -> Mutant:
    text, old = faults(path)[index].text(), path.read_text().splitlines()
    new = text.splitlines()
    line = next(
        (line for line, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), len(new) - 1
    )
    return Mutant(
        area, str(path.relative_to(ROOT / SOURCE)), line + 1, old[line].strip(), new[line].strip(), text
    )  # fmt: skip


# What is tested.


class Chosen:
    """A pytest plugin: these tests, in this order; and which of them, or which file, ended the run."""

    def __init__(self, tests: list[str], told: Path) -> None:
        self.order = {test: position for position, test in enumerate(tests)}
        # Names of parameters may hold what no command line can.
        self.functions = list(dict.fromkeys(test.partition("[")[0] for test in tests))
        self.told = told
        told.unlink(missing_ok=True)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self.order]
        items[:] = sorted(chosen, key=lambda item: self.order[item.nodeid])

    def pytest_sessionstart(self) -> None:
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            report_multiple_bugs=False,
        )
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.told.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.told.write_text(report.nodeid)


class Trial:
    """Mutants tested one after another, each record kept as soon as it is there."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.place, self.seconds = place, seconds
        self.near = Near(place)
        self.seen = place.seen()
        self.sound = {record["by"] for record in self.seen.values() if record["verdict"] == "killed"}
        self.unsound: set[str] = set()

    def test(self, drawn: list[Mutant]) -> None:
        """Test what has no record yet, and what survived fewer or other tests."""
        for number, mutant in enumerate(drawn, start=1):
            tests = self.near.to(mutant.path, mutant.line, self.seconds)
            digest = self._digest(tests)
            old = self.seen.get(mutant.key)
            if old is None or (old["verdict"] in ("survived", "untested") and old["tests"] != digest):
                begun = time.monotonic()
                verdict, by = self._verdict(mutant, tests)
                record = {"key": mutant.key, "verdict": verdict, "by": by, "tests": digest, "number": len(tests)}
                self.seen[mutant.key] = record | {"took": round(time.monotonic() - begun, 2)}
                with self.place.records.open("a") as file:
                    print(json.dumps(self.seen[mutant.key]), file=file)
            if number % 25 == 0:
                told = [self.seen[one.key]["verdict"] for one in drawn[:number]]
                print(f"{number}: {sum(map(is_killed, told)) / number:.1%} killed", file=sys.stderr, flush=True)

    def _digest(self, tests: list[str]) -> str:
        files = sorted({test.partition("::")[0] for test in tests})
        return hashlib.sha256("\n".join(tests).encode() + b"".join(map(self._bytes, files))).hexdigest()[:16]

    @cache  # noqa: B019
    def _bytes(self, file: str) -> bytes:
        return (self.place.tree / file).read_bytes()

    def _verdict(self, mutant: Mutant, tests: list[str]) -> tuple[str, str]:
        """What became of a mutant, and by which test."""
        tests = [test for test in tests if test not in self.unsound]
        if not tests:
            return "untested", ""
        with self.place.mutated(mutant):
            for some in self._first_and_later(tests):
                code, by = self._run(some)
                if code != pytest.ExitCode.OK:
                    break
        if code == pytest.ExitCode.OK:
            return "survived", ""
        # Where a file could not even be read, one of its tests tells whether that is the mutant's doing.
        suspects = [test for test in tests if test == by or test.startswith(f"{by}::")][:1] or tests
        if not self.sound.issuperset(suspects):
            if self._run(suspects)[0] != pytest.ExitCode.OK:
                print(f"left out, since they fail without a mutant: {suspects}", file=sys.stderr)
                self.unsound |= set(suspects)
                return self._verdict(mutant, tests)
            self.sound |= set(suspects)
        return "killed" if by else "stopped", suspects[0] if by else f"{code}"

    def _first_and_later(self, tests: list[str]) -> Iterator[list[str]]:
        """Most mutants end by the first few tests, and need not wait until the files of all are read."""
        spent = accumulate(self.near.cost(test) for test in tests)
        first = max(1, sum(seconds < FIRST for seconds in spent))
        yield tests[:first]
        if tests[first:]:
            yield tests[first:]

    def _run(self, tests: list[str]) -> tuple[int, str]:
        chosen = Chosen(tests, self.place.folder / "ended.txt")
        measured = sum(self.near.tests[test]["seconds"] for test in tests)
        code = self.place.run(["-x", *chosen.functions], chosen, 5 + 4 * measured)
        return code, chosen.told.read_text() if chosen.told.is_file() else ""


def is_killed(verdict: str) -> bool:
    """Whether the tests noticed a fault: one of them failed, or it crashed or never came to an end."""
    return verdict in ("killed", "stopped")


def report(drawn: list[Mutant], seen: dict[str, dict[str, Any]]) -> None:
    """What became of the drawn, by area; and each that survived."""
    tested = [mutant for mutant in drawn if mutant.key in seen]
    print("| area | mutants | killed | share | 95 % interval |\n| --- | ---: | ---: | ---: | --- |")
    for area in (*AREAS, "all"):
        verdicts = [seen[mutant.key]["verdict"] for mutant in tested if area in (mutant.area, "all")]
        if verdicts:
            killed = sum(map(is_killed, verdicts))
            share = share_interval(killed, len(verdicts))
            bounds = f"{100 * share.low:.1f} to {100 * share.high:.1f} %"
            print(f"| {area} | {len(verdicts)} | {killed} | {100 * share.value:.1f} % | {bounds} |")
    print()
    for mutant in tested:
        if not is_killed(verdict := seen[mutant.key]["verdict"]):
            print(f"{mutant.path}:{mutant.line} {verdict}\n  - {mutant.before}\n  + {mutant.after}")


if __name__ == "__main__":
    main()
