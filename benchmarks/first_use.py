"""What a person meets who just installed the package: no second use is faster than the first; and version 0.1."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from benchmarks import studio
from benchmarks.environments import ROOT, Environment
from benchmarks.training import Section

RUNS = 5

BEFORE = "5f624cf"
"""Version 0.1's kernel, which Numba compiled when it was first used; BACKQUERY_BEFORE names another revision."""

TRAIN = ("train", "mnist", "--seed", "1", "-o", "m.safetensors", "--json")
SCAN = ("scan", "mnist", "-o", "scan.png")

TRAINING = """
import sys
from backquery import Network, Online, Scaling, datasets, train
images = datasets.load("mnist").train
for count, epochs in ((1000, 1), (len(images), 5)):
    start = Network.create(
        [784, 200, 10], rng=1, dtype=sys.argv[1], input_shape=(28, 28), scaling=Scaling.book()
    )
    seconds = train(start, images.select(slice(count)), Online(0.1), epochs=epochs)[1].seconds
print(seconds)
"""
"""Five epochs as in `training.single_steps`, after a few images that no clock sees."""


def first_use() -> Section:
    """Both states, each in an environment of its own with an empty home."""
    with _sources() as sources, tempfile.TemporaryDirectory() as folder:
        columns = [_met(Environment.fresh(Path(folder) / name), source) for name, source in sources.items()]
    rows = [[what, *(column[what] for column in columns)] for what in columns[0]]
    return "First use, in a fresh environment with an empty home", ["what", *sources], rows


def _met(environment: Environment, source: Path) -> dict[str, str]:
    """What is met in turn, from the installation on."""
    met = {
        "installation, s": f"{environment.install(source):.1f}",
        "installed, MB": f"{environment.megabytes():.0f}",
    }
    for time in ("first", "second", "third"):
        met[f"the {time} train mnist, s"] = f"{environment.seconds('backquery', *TRAIN, **_data()):.2f}"
    # A home that no command has filled.
    visitor = Environment(environment.folder, home="visitor")
    visitor.install(f"{source}[studio]")
    met["with the studio, MB"] = f"{visitor.megabytes():.0f}"
    for time in ("first", "second"):
        met[f"until the studio's {time} training is seen, s"] = _until_it_learns(visitor)
    return met


def _until_it_learns(environment: Environment) -> str:
    """Seconds from the page's request, made as soon as the data are there, until it sees what was learned."""
    from websockets.sync.client import connect

    program = (str(environment.programs / "python"), "-m", "backquery")
    with studio.running("mnist", program, environment.variables(**_data())) as (link, _, _):
        address = urlsplit(link).netloc
        door = http.client.HTTPConnection(address)
        door.request("GET", link.removeprefix(f"http://{address}"))
        headers = {"Cookie": door.getresponse().headers["Set-Cookie"].split(";")[0]}
        with connect(f"ws://{address}/live", origin=f"http://{address}", additional_headers=headers) as socket:
            _first(socket, "training", {"id": 1, "ask": "hello"})
            clock = perf_counter()
            _first(socket, "updates", {"id": 2, "ask": "train", "hidden": 200, "pace": 0})
            return f"{perf_counter() - clock:.2f}"


def _first(socket: Any, field: str, request: dict[str, Any]) -> None:
    """Ask, and receive until a message has something in this field."""
    socket.send(json.dumps(request))
    while not (answer := _header(socket.recv(120))).get(field):
        assert "code" not in answer, answer


def _header(frame: Any) -> dict[str, Any]:
    """An answer's plain values, as `studio/protocol.py` says."""
    (length,) = struct.unpack("<I", frame[:4])
    header: dict[str, Any] = json.loads(frame[4 : 4 + length])
    return header


def against() -> Section:
    """Version 0.1 and now, in turn, so that a change of the machine's speed meets both alike."""
    with _sources() as sources, tempfile.TemporaryDirectory() as folder:
        both = [Environment.fresh(Path(folder) / name) for name in sources]
        for environment, source in zip(both, sources.values(), strict=True):
            environment.install(source)
        work = {f"300,000 updates, {dtype}": _training(dtype) for dtype in ("float32", "float64")}
        work |= {"train mnist": _command(*TRAIN), "scan mnist": _command(*SCAN)}
        rows = [[what, *_compared(measure, both)] for what, measure in work.items()]
    names = [f"{name}, s (median)" for name in sources]
    title = f"Against {_before()}, {RUNS} runs in turn"
    return title, ["what", *names, "times as fast (median)", "least", "most"], rows


def _training(dtype: str) -> Callable[[Environment], float]:
    return lambda environment: float(environment.run("python", "-c", TRAINING, dtype, **_data()))


def _command(*words: str) -> Callable[[Environment], float]:
    return lambda environment: environment.seconds("backquery", *words, **_data())


def _compared(measure: Callable[[Environment], float], both: list[Environment]) -> list[str]:
    for environment in both:
        measure(environment)
    rounds = [[measure(environment) for environment in both] for _ in range(RUNS)]
    ratios = [before / now for now, before in rounds]
    medians = [f"{statistics.median(times):.2f}" for times in zip(*rounds, strict=True)]
    return [*medians, *(f"{ratio:.2f}" for ratio in (statistics.median(ratios), min(ratios), max(ratios)))]


@contextmanager
def _sources() -> Iterator[dict[str, Path]]:
    """The working tree, and the revision before, unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", _before()], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        yield {"now": ROOT, "before": Path(folder)}


def _before() -> str:
    return os.environ.get("BACKQUERY_BEFORE", BEFORE)


def _data() -> dict[str, str]:
    """Where the data are, where this process was told."""
    return {name: os.environ[name] for name in ("BACKQUERY_DATA",) if name in os.environ}
