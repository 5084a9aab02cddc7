"""Two engines, one behaviour: what the page's worker answers is what Python answers to the same questions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backquery import Network, Scaling, fit_statistics, train
from backquery.datasets import Dataset
from backquery.inversion.result import CONVERGED, IMPOSSIBLE, NOT_FOUND
from backquery.io import native
from backquery.studio import engine
from backquery.studio.opened import Subject
from backquery.training import MiniBatch, Online
from tests.studio.alone.conftest import Alone
from tests.studio.conftest import base64

ANSWER, GREY = 1e-5, 1e-3
"""How far apart answers may be, and images, in grey levels of 255."""

DRAWN = 224
"""Rows and columns of a drawing, about as many as the pad gives."""

KINDS = ("read", "read_as_asked", "asked", "question", "steps", "outcome")

NOT_PROVED = {IMPOSSIBLE: NOT_FOUND}


def subject_of(network: Network, off: dict[int, list[int]] | None = None) -> Subject:
    whole = Subject.of("network", network, 0)
    return whole if off is None else whole.without(off, 1)


def drawing(seed: int) -> np.ndarray:
    """A stroke of a pen, (DRAWN, DRAWN) bytes of ink, with soft edges."""
    rng = np.random.default_rng(seed)
    points = np.cumsum(rng.normal(0, 45, (rng.integers(3, 9), 2)), axis=0)
    points += DRAWN / 2 - points.mean(axis=0)
    large = Image.new("L", (2 * DRAWN, 2 * DRAWN))
    path = [tuple(2 * point) for point in points.clip(12, DRAWN - 12)]
    ImageDraw.Draw(large).line(path, fill=255, width=int(rng.integers(20, 44)), joint="curve")
    return np.asarray(large.resize((DRAWN, DRAWN), Image.Resampling.BILINEAR))


def same_images(theirs: dict[str, Any], ours: Any, names: tuple[str, ...] = KINDS, grey: float = GREY) -> None:
    """Whether an answer of the page's is what Python's engine answered."""
    # That it is impossible, Python proves; the page says that it was not found.
    told = {**ours.fields, "outcome": NOT_PROVED.get(str(ours.fields["outcome"]), ours.fields["outcome"])}
    assert {name: theirs[name] for name in names} == {name: told[name] for name in names}
    assert np.abs(theirs["ink"] - ours.arrays["ink"]).max() * 255 < grey
    assert np.abs(theirs["answers"] - ours.arrays["answers"]).max() < ANSWER * grey / GREY


def test_a_hundred_drawings_are_centred_and_read_alike(alone: Alone, bundled: Network) -> None:
    subject = subject_of(bundled)
    for seed in range(100):
        fields = {"drawing": base64(drawing(seed)), "rows": DRAWN, "columns": DRAWN}
        theirs, ours = alone.ask("query", **fields), engine.query(subject, fields)
        assert np.array_equal(theirs["pixels"], ours.arrays["pixels"])
        for name in ("answers", "signals1"):
            assert np.abs(theirs[name] - ours.arrays[name]).max() < ANSWER
        assert theirs["read"] == ours.fields["read"]


@pytest.mark.parametrize("p", [None, 0.6, 0.8, 0.99])
def test_ten_labels_lead_to_the_same_images_by_the_same_steps(
    alone: Alone, bundled: Network, p: float | None
) -> None:
    for label in range(10):
        asked = {"label": label} if p is None else {"confidences": {str(label): p}}
        fields = {"method": "gauss-newton", **asked}
        same_images(alone.ask("back", **fields), engine.back(subject_of(bundled), fields, None)[0])


@pytest.mark.parametrize("method", ["transpose", "gauss-newton"])
def test_scans_of_all_labels_are_the_same(alone: Alone, bundled: Network, method: str) -> None:
    theirs = alone.ask("scans", method=method)
    same_images(
        theirs,
        engine.scans(subject_of(bundled), {"method": method}),
        ("read", "read_as_asked", "outcome", "method"),
    )


@pytest.mark.parametrize("wanted", [{"3": 0.8, "8": 0.7}, {"1": 0.4, "7": 0.9, "2": 0.1}])
def test_mixed_sliders_are_the_same(alone: Alone, bundled: Network, wanted: dict[str, float]) -> None:
    fields = {"method": "gauss-newton", "confidences": wanted}
    same_images(alone.ask("back", **fields), engine.back(subject_of(bundled), fields, None)[0])


@pytest.mark.parametrize("method", ["transpose", "gauss-newton"])
def test_a_label_asked_for_too_faintly_stays_the_one_asked_for(
    alone: Alone, bundled: Network, method: str
) -> None:
    fields = {"method": method, "confidences": {"3": 0.01}}
    theirs, ours = alone.ask("back", **fields), engine.back(subject_of(bundled), fields, None)[0]
    assert (theirs["asked"], theirs["outcome"]) == (3, NOT_FOUND)
    assert theirs["advice"].split(" for ")[-1] == ours.fields["advice"].split(" for ")[-1]
    same_images(theirs, ours)


def test_what_follows_a_slider_is_the_same(alone: Alone, bundled: Network) -> None:
    image, subject = None, subject_of(bundled)
    for p in (0.99, 0.9, 0.6, 0.3, 0.55, 0.97):
        fields = {"method": "gauss-newton", "confidences": {"5": p}, "warm": image is not None}
        ours, image = engine.back(subject, fields, image)
        same_images(alone.ask("back", **fields), ours)


def test_a_four_is_turned_into_a_nine_alike(alone: Alone, bundled: Network, digits: Dataset) -> None:
    four = digits.train.images[digits.train.labels == 4][0].reshape(8, 8) / digits.maximum
    pixels = engine.prepared(bundled, (28, 28), np.rint(np.kron(four, np.ones((20, 20))) * 255).astype(np.uint8))
    fields = {"pixels": base64(pixels), "label": 9}
    theirs, ours = alone.ask("turn", **fields), engine.turn(subject_of(bundled), fields)
    same_images(theirs, ours)
    assert theirs["read"] == 9
    assert np.abs(theirs["change"] - ours.arrays["change"]).max() * 255 < GREY


def test_thirty_damaged_networks_read_and_look_alike(alone: Alone, bundled: Network) -> None:
    rng, subject = np.random.default_rng(1), subject_of(bundled)
    fields = {"drawing": base64(drawing(5)), "rows": DRAWN, "columns": DRAWN}
    try:
        for count in np.linspace(1, 120, 30).astype(int):
            off = sorted(int(node) for node in rng.choice(200, count, replace=False))
            assert alone.ask("damage", off={"1": off})["off"] == {"1": off}
            damaged = subject.without({1: off}, 1)
            read = alone.ask("query", **fields)["answers"]
            assert np.abs(read - engine.query(damaged, fields).arrays["answers"]).max() < ANSWER
            label = {"method": "gauss-newton", "label": int(rng.integers(10))}
            theirs, (ours, _) = alone.ask("back", **label), engine.back(damaged, label, None)
            # Hundreds of steps towards what no image can give magnify the rounding of each.
            same_images(theirs, ours, grey=GREY if ours.fields["outcome"] == CONVERGED else 1.0)
    finally:
        alone.ask("reset")


def random_weights(seed: int, sizes: list[int]) -> list[np.ndarray]:
    """What the page begins a training with (mulberry32, Box & Muller 1958)."""
    state, whole = seed % 2**32, 2**32

    def number() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) % whole
        mixed = (state ^ (state >> 15)) * (state | 1) % whole
        mixed = (mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)) % whole ^ mixed
        return float((mixed ^ (mixed >> 14)) / whole)

    def normal() -> float:
        return float(np.sqrt(-2 * np.log(1 - number())) * np.cos(2 * np.pi * number()))

    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    return [
        (np.array([normal() for _ in range(rows * columns)]) / np.sqrt(rows))
        .reshape(rows, columns)
        .astype(np.float32)
        for rows, columns in shapes
    ]


def test_a_training_ends_in_the_same_weights(alone: Alone, digits: Dataset, tmp_path: Any) -> None:
    wanted = {"hidden": 30, "rate": 0.1, "epochs": 2, "images": 1000, "seed": 7, "pace": 0}
    last = alone.ask("train", until=("done",), method="gauss-newton", **wanted)
    begin = Network.create(
        [64, 30, 10], rng=1, input_shape=(8, 8), classes=digits.classes, scaling=Scaling.book(digits.maximum)
    )
    drawn = random_weights(7, [64, 30, 10])
    layers = tuple(replace(layer, weights=weights) for layer, weights in zip(begin.layers, drawn, strict=True))
    begin = replace(begin, layers=layers)
    ours, _ = train(begin, digits.train.select(slice(1000)), Online(0.1), epochs=2)
    try:
        assert alone.ask("adopt")["sizes"] == [64, 30, 10]
        path = tmp_path / "learned.safetensors"
        path.write_bytes(alone.ask("save")["file"].tobytes())
        theirs = native.load(path)
        for one, other in zip(theirs.layers, ours.layers, strict=True):
            assert np.abs(one.weights - other.weights).max() < 1e-5
        assert theirs.statistics is not None and theirs.about["performance"] == last["performance"]
        assert last["performance"] > 0.8
    finally:
        alone.ask("reset")


KINDS_OF_NETWORK: dict[str, dict[str, Any]] = {
    "tanh, two hidden layers": {
        "sizes": [64, 40, 20, 10],
        "activation": ["tanh", "tanh", "sigmoid"],
        "biases": True,
    },
    "relu and softmax": {"sizes": [64, 50, 10], "activation": "relu", "biases": True},
    "leaky relu, deep": {"sizes": [64, 60, 30, 10], "activation": "leaky-relu:0.2", "biases": True},
    "tanh answers": {"sizes": [64, 30, 10], "activation": "tanh"},
    "identity answers": {"sizes": [64, 30, 10], "activation": ["sigmoid", "identity"], "biases": True},
    "one layer": {"sizes": [64, 10], "activation": ["softmax"], "biases": True},
    "standardised, of 64 bits": {"sizes": [64, 30, 10], "activation": "tanh", "dtype": np.float64},
    "wider than the image": {"sizes": [64, 100, 10], "activation": "sigmoid"},
}


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("kind", KINDS_OF_NETWORK)
def test_networks_of_every_kind_are_asked_alike(
    opening: Any, digits: Dataset, kind: str, statistics: bool, tmp_path: Any
) -> None:
    from backquery.studio.alone.made import page_of

    scaling = Scaling.book(digits.maximum)
    if "standardised" in kind:
        scaling = Scaling.standardised(digits.train.images, digits.maximum)
    begin = Network.create(
        rng=1, input_shape=(8, 8), classes=digits.classes, scaling=scaling, **KINDS_OF_NETWORK[kind]
    )
    loss = "squared" if "answers" in kind or "64 bits" in kind else "cross-entropy"
    network, _ = train(begin, digits.train, MiniBatch(0.01, batch_size=32, loss=loss), epochs=8, rng=1)
    if statistics:
        network = replace(network, statistics=fit_statistics(network, digits.train))
    path = tmp_path / "page.html"
    path.write_text(page_of(kind, network), "utf-8")
    alone, subject = opening(path), subject_of(network)
    picture = base64(digits.test.images[3].reshape(-1).astype(float) * (255 / digits.maximum))
    theirs, ours = alone.ask("query", pixels=picture), engine.query(subject, {"pixels": picture})
    assert np.abs(theirs["answers"] - ours.arrays["answers"]).max() < ANSWER
    for label in range(10):
        for asked in ({"label": label}, {"confidences": {str(label): 0.8}}):
            fields = {"method": "gauss-newton", **asked}
            same_images(alone.ask("back", **fields), engine.back(subject, fields, None)[0])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu"])
def test_ties_and_answers_that_round_alike_are_read_alike(
    opening: Any, digits: Dataset, activation: str, tmp_path: Any
) -> None:
    """Labels 3 and 5 are said alike; of 7 and 8 the answers round to one number; behind a ReLU zeros tie."""
    from backquery.studio.alone.made import page_of

    network = Network.create(
        [64, 10], activation=[activation], rng=1, input_shape=(8, 8), scaling=Scaling.book(digits.maximum)
    )
    found = []
    for row, strengths in enumerate([{3: 1.0, 5: 1.0}, {7: 40.0, 8: 41.0}, {}]):
        weights = np.full((10, 64), -0.1, np.float32)
        for label, strength in strengths.items():
            weights[label] = strength
        tried = replace(network, layers=(replace(network.layers[0], weights=weights),))
        path = tmp_path / f"{row}.html"
        path.write_text(page_of("tied", tried), "utf-8")
        alone, picture = opening(path), base64(np.full(64, 200.0))
        ours = engine.query(subject_of(tried), {"pixels": picture})
        assert alone.ask("query", pixels=picture)["read"] == ours.fields["read"]
        found.append(ours.fields["read"])
    assert found == [-1, 8, -1]
