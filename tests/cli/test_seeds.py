"""--seed of a command is rng in Python: wherever chance matters, named in the JSON, with the same result."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backquery
from backquery import (
    back_query,
    compare_methods,
    find_shortcuts,
    image_evidence,
    load_model,
    measure_damage,
    measure_evidence,
    train,
    watch_training,
    write_report,
)
from backquery.cli import pages
from backquery.cli.noted import about_data, noted_steps
from backquery.cli.options.reading import AS_FOUND
from backquery.cli.source import load_for_data
from backquery.datasets import Dataset
from backquery.lessons import forward_lesson
from backquery.model import Model, Network, Scaling
from backquery.notes import Notes
from backquery.training import Online, TrainingRun
from tests.conftest import Run

PAGES = sorted(Path(pages.__file__).parent.glob("backquery-*.txt"))
SEED = 3
SMALL = ["--hidden", 12, "--epochs", 2]

Answer = dict[str, Any]


def created(digits: Dataset) -> Network:
    scaling = Scaling.book(digits.maximum)
    return Network.create([64, 12, 10], rng=SEED, input_shape=(8, 8), scaling=scaling, dtype=np.float32)


def scans(model: Model, **options: Any) -> Answer:
    return {"scans": back_query(model, ["3"], rng=SEED, **options).as_json(model.classes)["scans"]}


def evidence(model: Model, digits: Dataset) -> Answer:
    found = measure_evidence(model, digits.train, ["3"], held_out=digits.test, images=30, rng=SEED)
    return {"evidence": [one.as_json(model.classes) for one in found]}


def evidence_of_an_image(model: Model, digits: Dataset) -> Answer:
    steps = noted_steps(Notes(), model, [Path("three.png")], "dark", False, "auto")
    inputs = model.scale([one.pixels for one in steps])
    return {"evidence": [image_evidence(model, inputs, rng=SEED).as_json(model.classes)]}


def learned(model: Model, digits: Dataset) -> Answer:
    _, history = train(created(digits), digits.train, Online(), epochs=2, test=digits.test, rng=SEED)
    return {"history": history.as_json()}


def watched(model: Model, digits: Dataset) -> Answer:
    run = TrainingRun(created(digits), digits.train, Online(), epochs=2, rng=SEED)
    return watch_training(run, digits, at=(0, 5)).as_json()


KINDS: dict[str, tuple[list[Any], Callable[[Model, Dataset], Answer]]] = {
    "scan many": (
        ["scan", "MODEL", "--label", "3", "--many", 2, "-o", "made.png"],
        lambda model, digits: scans(model, many=2),
    ),
    "scan by ascent": (
        ["scan", "MODEL", "--label", "3", "--method", "ascent", "-o", "made.png"],
        lambda model, digits: scans(model, method="ascent"),
    ),
    "damage": (
        ["damage", "MODEL", "digits", "--what", "noise", "--repeats", 2, "--stages", "0,50", "-o", "made.png"],
        lambda model, digits: measure_damage(
            model, digits, what=("noise",), repeats=2, stages=(0, 0.5), rng=SEED
        ).as_json(),
    ),
    "audit": (
        ["audit", "MODEL", "digits", "--images", 100],
        lambda model, digits: find_shortcuts(model, digits, images=100, rng=SEED).as_json(),
    ),
    "evidence": (
        ["evidence", "MODEL", "digits", "--label", "3", "--images", 30, "--no-controls", "-o", "made.png"],
        evidence,
    ),
    "evidence of an image": (
        ["evidence", "MODEL", "--image", "three.png", "--ink", "dark", "-o", "made.png"],
        evidence_of_an_image,
    ),
    "compare": (
        ["compare", "MODEL", "digits", "-o", "made.png"],
        lambda model, digits: compare_methods(model, digits, rng=SEED).as_json(),
    ),
    "train": (["train", "digits", *SMALL, "-o", "made.safetensors"], learned),
    "timeline": (["timeline", "digits", *SMALL, "--at", 0, 5, "-o", "made.png"], watched),
}
"""A command of each kind that draws numbers, and the same in Python, as what the JSON of both says."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_what_the_same_rng_gives_in_python(
    run: Run, model: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    asked, in_python = KINDS[kind]
    three = digits.train.images[digits.train.labels == 3][0]
    Image.fromarray(np.uint8(255 - 255 * (three / 16))).resize((80, 80)).save("three.png")
    words = [model if word == "MODEL" else word for word in asked]
    code, out, err = run(*words, "--seed", SEED, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["seed"] == SEED
    expected = untimed(json.loads(json.dumps(in_python(load_model(model), digits))))
    assert {key: untimed(told[key]) for key in expected} == expected


def untimed(found: Any) -> Any:
    """The same without how long it took, and what the command proves of it besides."""
    if isinstance(found, dict):
        return {key: untimed(value) for key, value in found.items() if key not in ("seconds", "proved")}
    return [untimed(one) for one in found] if isinstance(found, list) else found


def test_a_report_by_the_same_seed_is_the_same_page(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("report", model, "digits", "-o", "made.html", "--quick", "--seed", SEED, "--json")
    assert code == 0, err
    assert json.loads(out)["seed"] == SEED
    network, data = load_for_data(str(model), "digits", None)
    notes = about_data(str(model), network, "digits", None, AS_FOUND, data)
    write_report(network, data, "again.html", source=model.name, quick=True, rng=SEED, notes=notes)
    made, again = (Path(name).read_text("utf-8") for name in ("made.html", "again.html"))
    assert again == made


def test_the_lesson_that_draws_takes_a_seed_and_the_others_do_not(run: Run) -> None:
    code, out, err = run("lesson", "forward", "--seed", SEED, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["seed"] == SEED and json.loads(run("lesson", "forward", "--json")[1])["seed"] == 1
    drawn = [one.difference for one in forward_lesson(rng=SEED).timings]
    assert [one["difference"] for one in told["networks"]] == drawn
    code, _, err = run("lesson", "descent", "--seed", SEED)
    assert code == 2 and "lesson descent has no --seed; forward has one" in err


def test_a_generator_stands_for_the_seed_it_was_made_of(model: Path) -> None:
    network = load_model(model)
    by_number, by_generator = (
        back_query(network, ["3"], many=2, rng=rng).images for rng in (SEED, np.random.default_rng(SEED))
    )
    np.testing.assert_array_equal(by_generator, by_number)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_takes_a_seed_says_so_in_its_json(page: Path) -> None:
    """`sweep` takes how many seeds, and names the seed of each network."""
    text = page.read_text("utf-8")
    if "--seed INT" in text and "--json" in text:
        assert "seed" in text[text.index("With --json") : text.index("╭")].replace("--seed", "")


PACKAGES = [name for name in backquery._PACKAGES if name != "errors"]


@pytest.mark.parametrize("package", PACKAGES)
def test_in_python_chance_is_always_rng_and_takes_a_number_or_a_generator(package: str) -> None:
    home = import_module(f"backquery.{package}")
    for name in getattr(home, "__all__", [one for one in vars(home) if not one.startswith("_")]):
        function = getattr(home, name)
        if not inspect.isfunction(function) or not function.__module__.startswith("backquery"):
            continue
        taken = inspect.signature(function).parameters
        assert not {"seed", "random_state", "generator", "random"} & taken.keys(), name
        if "rng" in taken:
            assert taken["rng"].annotation in ("Seed", "np.random.Generator"), name
