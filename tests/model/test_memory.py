"""What does not fit is refused before it is begun; and what is forecast is what is taken."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.special  # noqa: F401 (beforehand, as what is imported while it is measured is counted)

from backquery import Network, Scaling, back_query, evaluate
from backquery.cli import main
from backquery.datasets import Dataset, Split
from backquery.errors import ShortOfMemoryError
from backquery.evidence import measure_evidence
from backquery.experiments.damage import measure_damage, memory_of_damage
from backquery.faithfulness.real import RealImages
from backquery.faithfulness.references import train_references
from backquery.inversion import Ascent, GaussNewton, fitting
from backquery.inversion.forecast import memory_of_climb, memory_of_search
from backquery.model import memory
from backquery.model.network import memory_of
from backquery.training import FullBatch, MiniBatch, Online, train
from backquery.training.forecast import forecast

FACTOR = 2.5
"""No forecast is larger than so many times what is taken, but for a search's; none is smaller than that."""

MEGA = 10**6


def taken(call: Callable[[], object]) -> int:
    """The most bytes of arrays that a call holds at a time, beside what there was."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def images(shape: tuple[int, ...], count: int, labels: int = 4) -> Split:
    """Noisy images, each label with a bright square of its own."""
    rng, of = np.random.default_rng(0), np.arange(count) % labels
    pixels = rng.integers(0, 40, (count, *shape), dtype=np.uint8)
    side = shape[0] // 4
    for image, label in zip(pixels, of, strict=True):
        image[side * label : side * label + side, : shape[1] // 2] += 180
    return Split(pixels, of)


def network(shape: tuple[int, ...], hidden: int = 10, labels: int = 4, **more: Any) -> Network:
    sizes = [int(np.prod(shape)), hidden, labels]
    return Network.create(
        sizes, activation=["sigmoid"] * 2, rng=1, input_shape=shape, scaling=Scaling.unit(255), **more
    )


def check(expected: float, call: Callable[[], object], factor: float = FACTOR) -> None:
    most = taken(call)
    assert most > 10 * MEGA, "too little for a forecast to matter"
    assert most <= expected <= factor * most, f"{expected / MEGA:.0f} MB expected, {most / MEGA:.0f} MB taken"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_takes_what_is_forecast(dtype: str) -> None:
    check(memory_of([2000, 3000, 2], dtype), lambda: Network.create([2000, 3000, 2], dtype=dtype, rng=1))


WAYS = {
    "sparse": (Online(), "sparse"), "dense": (Online(), "dense"), "numpy": (Online(), "numpy"),
    "batches": (MiniBatch(loss="squared"), "auto"), "all at once": (FullBatch(loss="squared"), "auto"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("shape", "hidden", "count"), [((28, 28), 4000, 32), ((60, 60), 8, 2000)])
def test_a_training_takes_what_is_forecast(way: str, shape: tuple[int, int], hidden: int, count: int) -> None:
    (recipe, kernel), shown, begun = WAYS[way], images(shape, count), network(shape, hidden)
    expected = forecast(begun.sizes, count, 1, recipe, begun.dtype, kernel).memory
    check(expected, lambda: train(begun, shown, recipe, epochs=1, rng=1, kernel=kernel))


@pytest.mark.parametrize(("shape", "count"), [((40, 40), 400), ((120, 120), 300), ((160, 160), 100)])
def test_fitting_statistics_takes_what_is_forecast(shape: tuple[int, int], count: int) -> None:
    model, shown = network(shape), images(shape, count)
    expected = fitting.memory_of_fit(model.inputs, count, fitting.RANK)
    check(expected, lambda: fitting.statistics_of(model, shown, components=1))


@pytest.mark.parametrize(("shape", "hidden"), [((100, 100), 20), ((150, 150), 60)])
def test_a_search_takes_what_is_forecast(shape: tuple[int, int], hidden: int) -> None:
    model = network(shape, hidden)
    model = replace(model, statistics=fitting.statistics_of(model, images(shape, 80), components=1))
    method = GaussNewton(steps=3)
    check(
        memory_of_search(model, 4, 4),
        lambda: back_query(model, [0, 1, 2, 3], method=method, confidence=0.9), 4.0
    )  # fmt: skip


def test_a_climb_takes_what_is_forecast() -> None:
    model = network((200, 200))
    check(memory_of_climb(model, 4), lambda: back_query(model, [0, 1, 2, 3], method=Ascent(steps=3)))


def test_damage_takes_what_is_forecast() -> None:
    shape = (60, 60)
    shown = Dataset("squares", images(shape, 40), images(shape, 2000), tuple("0123"))
    model = network(shape)
    model = replace(model, statistics=fitting.statistics_of(model, shown.train, components=1))
    check(memory_of_damage(model, 2000), lambda: measure_damage(model, shown, repeats=2, stages=()))


def test_chunks_shrink_where_images_are_large() -> None:
    shape = (300, 300)
    model, shown = network(shape, 2), images(shape, 300)
    whole = 4 * model.inputs * len(shown)
    assert taken(lambda: evaluate(model, shown)) < 2 * 2**26 + whole / 10


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has hardly any memory left."""
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available", lambda: 1000)


SHAPE = (12, 12)
SHOWN = images(SHAPE, 120)
SMALL = network(SHAPE)
HALVES = Dataset("squares", SHOWN, SHOWN, tuple("0123"))

WORK: dict[str, Callable[[], object]] = {
    "create": lambda: Network.create([100, 50, 4]),
    "train": lambda: train(SMALL, SHOWN, epochs=1),
    "fit": lambda: fitting.fit_statistics(SMALL, SHOWN),
    "search": lambda: back_query(SMALL, [0], method="gauss-newton"),
    "climb": lambda: back_query(SMALL, [0], method="ascent"),
    "damage": lambda: measure_damage(SMALL, HALVES),
    "evidence": lambda: measure_evidence(SMALL, SHOWN),
    "neighbours": lambda: RealImages(SHOWN.images, SHOWN.labels, 255),
    "references": lambda: train_references(np.zeros((120, 12, 12, 1)), SHOWN.labels, 4),
}


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("work", WORK)
def test_what_does_not_fit_is_refused_in_one_sentence(work: str) -> None:
    with pytest.raises(
        ShortOfMemoryError, match=r"^[^\n]* needs .* of memory, of which 0 MB are free: .* need less"
    ):
        WORK[work]()


@pytest.mark.usefixtures("small_machine")
@pytest.mark.parametrize("kind", ["x.npz", "train-images-idx3-ubyte", "pictures", "plain.csv", "fractions.csv"])
def test_data_that_do_not_fit_are_not_read(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    from backquery.datasets import read
    from backquery.datasets.idx import write_idx

    path = tmp_path / kind
    if kind == "x.npz":
        np.savez(path, x_train=SHOWN.images, y_train=SHOWN.labels)
    elif kind.endswith(".csv"):
        share = 1 if kind == "plain.csv" else 256
        table = np.column_stack([SHOWN.labels, SHOWN.images.reshape(len(SHOWN), -1) / share])
        np.savetxt(path, table, fmt="%d" if share == 1 else "%.4f", delimiter=",")
    elif kind == "pictures":
        for place, (image, label) in enumerate(zip(SHOWN.images, SHOWN.labels, strict=True)):
            (path / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path / str(label) / f"{place}.png")
    else:
        write_idx(path, SHOWN.images)
        write_idx(tmp_path / "train-labels-idx1-ubyte", SHOWN.labels.astype(np.uint8))
    with pytest.raises(ShortOfMemoryError, match=r"^reading .*: fewer or smaller images need less"):
        read(path)


def test_a_command_refuses_what_does_not_fit_and_says_how_long_it_would_take(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    assert main(["train", "digits", "--hidden", "9000000", "-o", str(tmp_path / "x.safetensors")]) == 1
    said, refused = capsys.readouterr().err.splitlines()[-2:]
    assert "; it takes up to 24" in said and " GB of memory and about" in said and "minutes" in said
    assert refused.startswith("backquery: training 64-9000000-10 needs 24") and "of which 1 GB are free" in refused
    assert not list(tmp_path.iterdir())


def test_a_usual_training_says_nothing_of_memory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "digits", "--epochs", "1", "-o", str(tmp_path / "x.safetensors")]) == 0
    assert "memory" not in capsys.readouterr().err


def test_there_is_some_memory() -> None:
    left = memory.available()
    assert left is None or 2**26 < left < 2**50
    memory.need(0, "nothing", "nothing less")
    assert memory.as_many(5, 1.0) == 5


def test_fewer_at_a_time_where_there_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    assert memory.as_many(8, 10**8) == 2
    assert memory.as_many(8, 10**8, share=1.0) == 8
    assert memory.as_many(8, 10**12) == 1


@pytest.mark.parametrize(("count", "words"), [(64 * 10**6, "64 MB"), (4.6e9, "4.6 GB"), (2e13, "20 TB")])
def test_bytes_in_words(count: float, words: str) -> None:
    assert memory.in_words(count) == words


@pytest.mark.parametrize("text", ["4G", "4GiB", "4 gb", "4096M", str(2**32)])
def test_users_say_how_much_there_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    monkeypatch.setattr(memory, "_held", lambda: 2**20)
    assert memory._said() == 2**32 - 2**20


@pytest.mark.parametrize("text", ["much", "-1", "4X", "1e9"])
def test_what_is_no_number_of_bytes_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, text)
    with pytest.raises(ShortOfMemoryError, match="BACKQUERY_MEMORY is a number of bytes such as 4G"):
        memory.need(10**9, "work", "nothing less")


GROUP_FILES = {
    2: ("0::/user/job\n", "user/job", "memory.max", "memory.current", "inactive_file"),
    1: ("5:cpu:/\n4:memory:/job\n", "memory/job", "memory.limit_in_bytes", "memory.usage_in_bytes",
        "total_inactive_file"),
}  # fmt: skip


@pytest.mark.parametrize("version", GROUP_FILES)
@pytest.mark.parametrize("in_container", [False, True])
def test_limits_of_control_groups_hold(
    version: int, in_container: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, place, limit, used, cached = GROUP_FILES[version]
    root, process = tmp_path / "groups", tmp_path / "self"
    folder = root if in_container and version == 2 else root / "memory" if in_container else root / place
    folder.mkdir(parents=True)
    process.mkdir()
    (process / "cgroup").write_text(lines)
    (folder / limit).write_text("3000\n")
    (folder / used).write_text("1000\n")
    (folder / "memory.stat").write_text(f"anon 7\n{cached} 200\n")
    monkeypatch.setattr(memory, "GROUPS", root)
    monkeypatch.setattr(memory, "PROCESS", process)
    assert list(memory._of_groups()) == [2200]
    (folder / limit).write_text("max\n")
    assert list(memory._of_groups()) == []


@pytest.mark.needs("/proc")
def test_a_limit_on_addresses_is_seen_by_a_command(tmp_path: Path) -> None:
    shown = images((200, 200), 400)
    np.savez(tmp_path / "big.npz", x_train=shown.images, y_train=shown.labels)
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9,) * 2); "
        "from backquery.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["train", str(tmp_path / "big.npz"), "--hidden", "20000", "-o", str(tmp_path / "x.safetensors")]
    run = subprocess.run(
        [sys.executable, "-c", limited, *words], capture_output=True, text=True, timeout=120, env=dict(os.environ)
    )
    assert run.returncode == 1 and "needs" in run.stderr and "of memory, of which" in run.stderr, run.stderr
    assert "Traceback" not in run.stderr and not (tmp_path / "x.safetensors").exists()
