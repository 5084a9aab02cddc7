"""What no call takes, given to public calls in the place of each of their arguments: it works, or it is refused.

A refusal is one of the declared errors (`BackqueryError`), whose message is for a person; any other is a fault.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backquery import (
    Layer,
    Network,
    Scaling,
    Statistics,
    TrainingRun,
    back_query,
    certify,
    evaluate,
    fit_statistics,
    image_evidence,
    inversion,
    train,
    training,
)
from backquery.datasets import Dataset, Split, augment, load, rotate, shift, split_off_test
from backquery.errors import BackqueryError, TargetError
from backquery.lessons import descent_lesson, one_hot, sigmoid_lesson
from backquery.training import FullBatch, MiniBatch, Online

RNG = np.random.default_rng(1)
DIGITS = load("digits")
FEW = Dataset(
    "few", *(Split(np.asarray(half.images[:60]), half.labels[:60]) for half in (DIGITS.train, DIGITS.test)),
    DIGITS.classes, DIGITS.maximum,
)  # fmt: skip
BARE = Network.create([64, 6, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16.0))
BARE = train(BARE, FEW, MiniBatch(), epochs=30, rng=1, statistics=False)[0]
MODEL = replace(BARE, statistics=fit_statistics(BARE, FEW.train, rank=8))
IMAGE = MODEL.scale(FEW.test.images[:1])[0]

ODD: dict[str, Any] = {
    "none": None, "minus one": -1, "nought": 0, "one and a half": 1.5, "true": True, "nan": float("nan"),
    "infinity": float("inf"), "tiny": 1e-320, "huge": 10**30, "word": "x", "number in words": "0.1",
    "no letters": "", "bytes": b"x",
    "no list": [], "no mapping": {}, "list of none": [None], "ragged": [[1], [1, 2]], "object": object(),
    "no numbers": np.zeros(0), "words": np.array(["a", "b"]), "cube": np.zeros((2, 3, 4)), "complex": 1j,
    "mapping": {"4": "x"}, "call": print,
}  # fmt: skip

CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Layer": (Layer, {"weights": np.ones((2, 3)), "biases": np.ones(2), "activation": MODEL.layers[0].activation}),
    "Network": (
        Network, {"layers": BARE.layers, "input_shape": (8, 8), "classes": BARE.classes, "scaling": BARE.scaling,
                  "statistics": MODEL.statistics, "about": {}},
    ),
    "Network.create": (
        Network.create, {"sizes": [4, 3, 2], "activation": "sigmoid", "biases": True, "init": "book", "rng": 1,
                         "dtype": "float32", "input_shape": (2, 2), "classes": ("a", "b"), "scaling": None},
    ),
    "Network.query": (MODEL.query, {"x": IMAGE}),
    "Network.query_images": (MODEL.query_images, {"images": FEW.test.images[:2]}),
    "Network.logits": (MODEL.logits, {"x": IMAGE}),
    "Network.without_nodes": (MODEL.without_nodes, {"nodes": [1], "layer": 1}),
    "Network.astype": (MODEL.astype, {"dtype": "float64"}),
    "Network.label": (MODEL.label, {"name": "3"}),
    "Scaling": (Scaling, {"gain": 1.0, "offset": 0.0, "maximum": 1.0}),
    "Scaling.book": (Scaling.book, {"maximum": 255.0}),
    "Scaling.between": (Scaling.between, {"low": 0.0, "high": 1.0, "maximum": 255.0}),
    "Scaling.standardised": (Scaling.standardised, {"images": FEW.train.images, "maximum": 16.0}),
    "Statistics": (
        Statistics, {"mean": np.zeros(4), "factor": np.zeros((4, 1)), "diagonal": np.ones(4),
                     "typical": np.zeros((2, 2))},
    ),
    "evaluate": (evaluate, {"model": MODEL, "data": FEW}),
    "Online": (Online, {"learning_rate": 0.1, "loss": "book", "shuffle": True, "decay": "none"}),
    "MiniBatch": (MiniBatch, {"learning_rate": 0.1, "batch_size": 8, "loss": "squared", "optimizer": "adam",
                               "momentum": 0.9, "decay": "none"}),
    "FullBatch": (FullBatch, {"learning_rate": 0.1, "loss": "squared"}),
    "train": (
        train, {"network": BARE, "data": FEW, "recipe": Online(), "epochs": 1, "test": FEW.test,
                "statistics": True, "callbacks": (), "rng": 1, "kernel": "auto", "progress": None,
                "checkpoint": None, "resume": None},
    ),
    "training.train": (
        training.train, {"network": BARE, "data": FEW, "recipe": Online(), "epochs": 1, "test": FEW.test, "rng": 1,
                         "kernel": "auto"},
    ),
    "TrainingRun": (
        TrainingRun, {"network": BARE, "data": FEW.train, "recipe": Online(), "epochs": 1, "rng": 1,
                      "kernel": "auto"},
    ),
    "fit_statistics": (fit_statistics, {"model": BARE, "data": FEW, "rank": 3}),
    "back_query": (
        back_query, {"model": MODEL, "targets": [3], "method": "gauss-newton", "prior": "data", "confidence": 0.9,
                     "near": IMAGE, "start": IMAGE, "bounds": (0.0, 1.0), "rng": 1, "progress": None},
    ),
    "back_query, many": (
        back_query, {"model": MODEL, "targets": [3], "many": 2, "rng": 1},
    ),
    "back_query, around": (back_query, {"model": MODEL, "targets": ["3"], "around": IMAGE[None]}),
    "back_query, transpose": (
        back_query, {"model": MODEL, "targets": [3], "method": "transpose", "confidence": 0.9, "bounds": None},
    ),
    "back_query, ascent": (
        back_query, {"model": MODEL, "targets": [3], "method": "ascent", "rng": 1, "prior": None},
    ),
    "typical": (inversion.typical, {"model": MODEL, "labels": ["3"]}),
    "confidence": (inversion.confidence, {"model": BARE, "labels": [3], "p": 0.9, "others": 0.01}),
    "several": (inversion.several, {"model": BARE, "confidences": {"4": 0.9, "9": 0.9}, "others": 0.01}),
    "answers": (inversion.answers, {"model": BARE, "answers": np.full(10, 0.5)}),
    "difference": (inversion.difference, {"model": BARE, "pairs": ("4", "9"), "logits": 2.0}),
    "hidden_node": (inversion.hidden_node, {"model": BARE, "layer": 1, "nodes": 2, "value": 1.0}),
    "at_least": (inversion.at_least, {"model": BARE, "labels": [3], "p": 0.9, "others_at_most": 0.1}),
    "within": (inversion.within, {"model": BARE, "ranges": {"4": (0.5, 0.9)}}),
    "read_as": (inversion.read_as, {"model": BARE, "labels": [3]}),
    "emptiest": (inversion.emptiest, {"model": BARE, "labels": [3]}),
    "most_sure": (inversion.most_sure, {"model": MODEL, "labels": [3], "squared_distance": 60.0}),
    "kept_by_layer": (
        inversion.kept_by_layer, {"model": MODEL, "layer": 1, "images": IMAGE, "tolerance": 0.5,
                                  "constraint": "hard", "prior": "data", "bounds": None},
    ),
    "strongest_signals": (
        inversion.strongest_signals, {"model": MODEL, "asked": inversion.hidden_node(MODEL, 1, 2, 0.0)},
    ),
    "usual_method": (inversion.usual_method, {"model": MODEL}),
    "usable_methods": (inversion.usable_methods, {"model": MODEL}),
    "flat_prior": (inversion.flat_prior, {"inputs": 4, "low": 0.0, "high": 1.0}),
    "smooth_prior": (inversion.smooth_prior, {"shape": (4, 4), "length": 2.0}),
    "certify": (certify, {"model": MODEL, "images": IMAGE[None], "tolerance": 0.1}),
    "image_evidence": (
        image_evidence, {"model": MODEL, "image": IMAGE, "label": "3", "rate": 0.05, "smallest": 0.1, "rng": 1},
    ),
    "image_evidence, between": (image_evidence, {"model": MODEL, "image": IMAGE, "between": ("4", "9")}),
    "one_hot": (one_hot, {"labels": [0, 1], "classes": 2}),
    "split_off_test": (split_off_test, {"split": FEW.train, "share": 0.2, "rng": 1}),
    "augment": (augment, {"split": FEW.train, "rotations": (10.0,), "shifts": ((1, 0),)}),
    "rotate": (rotate, {"split": FEW.train, "degrees": 10.0}),
    "shift": (shift, {"split": FEW.train, "down": 1, "right": 1}),
    "Split": (Split, {"images": FEW.train.images, "labels": FEW.train.labels}),
    "Dataset": (
        Dataset, {"name": "few", "train": FEW.train, "test": FEW.test, "classes": FEW.classes, "maximum": 16.0},
    ),
    "descent_lesson": (descent_lesson, {"start": 6.0, "rate": 0.01, "precision": 1e-3, "most_steps": 1000}),
    "sigmoid_lesson": (sigmoid_lesson, {"weights": (1.0,), "biases": (0.0,), "weight": 2.0}),
}  # fmt: skip


def test_the_calls_are_right_as_they_stand() -> None:
    for call, arguments in CALLS.values():
        call(**arguments)


@pytest.mark.parametrize("name", CALLS)
def test_an_odd_argument_is_taken_or_refused_in_words(name: str) -> None:
    call, usual = CALLS[name]
    faults = []
    for argument in usual:
        for kind, odd in ODD.items():
            if (argument, kind) == ("epochs", "huge"):
                continue  # that is a training without an end, as asked for
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    call(**{**usual, argument: odd})
                except BackqueryError as error:
                    assert str(error).strip(), (argument, kind)
                except Exception as error:  # what is caught here is the finding
                    faults.append(f"{argument}={kind}: {type(error).__name__}: {str(error)[:100]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("method", ["transpose", "gauss-newton", "ascent"])
@pytest.mark.parametrize("size", [1e30, 1e160, 1e300])
def test_weights_too_large_to_compute_with_are_the_models_fault(method: str, size: float) -> None:
    begin = Network.create([4, 3, 2], rng=1, dtype="float64")
    network = Network(tuple(replace(layer, weights=size * layer.weights) for layer in begin.layers))
    with np.errstate(all="ignore"):
        try:
            assert not back_query(
                network, [0], method=method, prior=None if method == "transpose" else "flat"
            ).converged[0]
        except BackqueryError as error:
            assert "inputs must be finite" not in str(error) and "weights are too large" in str(error)


def test_a_softmax_of_one_output_has_nothing_to_be_asked() -> None:
    network = Network.create([4, 3, 1], activation=["sigmoid", "softmax"], rng=1)
    kept = replace(network, statistics=Statistics(np.zeros(4), np.zeros((4, 1)), np.ones(4), np.zeros((1, 1))))
    for ask in (
        lambda: back_query(network, [0]),
        lambda: back_query(kept, [0]),
        lambda: back_query(kept, [0], confidence=0.9),
        lambda: inversion.several(network, {0: 0.5}),
        lambda: inversion.answers(network, [0.5]),
    ):
        with pytest.raises(TargetError, match="a softmax of a single output answers 1 to every image"):
            ask()
