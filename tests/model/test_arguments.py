"""Arguments of a kind that a call does not take are refused by a declared error, in words."""

from __future__ import annotations

import numpy as np
import pytest

from backquery import (
    Network,
    back_query,
    compare_methods,
    evaluate,
    export_model,
    find_shortcuts,
    fit_statistics,
    load_model,
    measure_damage,
    measure_evidence,
    save_model,
    train,
    write_report,
)
from backquery.datasets import load, split_off_test
from backquery.errors import (
    BackqueryError,
    DataError,
    InversionError,
    ModelError,
    SeedError,
    TargetError,
    TrainingError,
)
from backquery.inversion import answers, at_least, difference, hidden_node, several, within
from backquery.model import Scaling

SMALL = Network.create([64, 6, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(16.0))
DIGITS = load("digits")
ASKED = "ask for labels"


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: Network.create([4, 2], rng=-1), SeedError, r"at least 0, a NumPy Generator,.*received -1"),
        (lambda: Network.create([4, 2], rng=1.5), SeedError, "received 1.5"),
        (lambda: split_off_test(DIGITS.train, rng=-1), SeedError, "received -1"),
        (lambda: train(SMALL, DIGITS.train, rng="x"), SeedError, "received 'x'"),
        (lambda: Network.create([4.5, 2]), ModelError, "numbers of nodes is a whole number"),
        (
            lambda: back_query(SMALL, [3], confidence="0.9"),
            TargetError,
            "a confidence is a number; received '0.9'",
        ),
        (lambda: several(SMALL, {"4": "x"}), TargetError, "the confidence of '4' is a number; received 'x'"),
        (lambda: several(SMALL, 5), TargetError, "at least one label"),
        (lambda: answers(SMALL, [[1], [1, 2]]), TargetError, "answers are numbers"),
        (lambda: back_query(SMALL, {"4": 0.9}), TargetError, ASKED),
        (lambda: back_query(SMALL, [object()]), TargetError, ASKED),
        (lambda: back_query(SMALL, []), TargetError, "name at least one label"),
        (lambda: back_query(SMALL, [3], method=5), TargetError, "unknown method 5"),
        (lambda: back_query(SMALL, [3], near="x"), DataError, "near are numbers"),
        (lambda: back_query(SMALL, [3], bounds=5), InversionError, "bounds are two numbers"),
        (lambda: back_query(SMALL, [3], method="gauss-newton", many=2.5), InversionError, "received 2.5"),
        (lambda: at_least(SMALL, [3], "a"), TargetError, "a confidence is a number"),
        (lambda: within(SMALL, {"4": 5}), TargetError, "a range is two confidences"),
        (lambda: difference(SMALL, 5), TargetError, "between two labels"),
        (lambda: hidden_node(SMALL, 1, 1, "a"), TargetError, "signals are numbers"),
        (lambda: evaluate(SMALL, "digits"), DataError, r"received a str: datasets.open_data"),
        (lambda: evaluate(SMALL, DIGITS.test.images), DataError, "received a ndarray"),
        (lambda: evaluate(5, DIGITS), ModelError, "a int is no model that can be asked; load_model opens one"),
        (lambda: measure_damage(SMALL, "digits"), DataError, "received a str"),
        (lambda: fit_statistics(SMALL, DIGITS, rank=2.5), DataError, "the rank, above zero, is a whole number"),
        (lambda: train(SMALL, DIGITS, epochs="3"), TrainingError, "the number of epochs is a whole number"),
        (lambda: train(SMALL, DIGITS, "book"), TrainingError, r"a recipe is Online\(\)"),
        (lambda: load_model(None), ModelError, "by its name or path; received a NoneType"),
        (lambda: save_model(object(), "x.safetensors"), ModelError, "received a object"),
        (lambda: export_model(object(), "x.onnx"), ModelError, "received a object"),
    ],
)
def test_what_a_call_does_not_take_is_refused_in_words(ask, error: type[BackqueryError], words: str) -> None:
    with pytest.raises(error, match=words):
        ask()


def test_numpy_s_numbers_are_numbers_too() -> None:
    asked = back_query(SMALL, [np.int64(3)], confidence=np.float32(0.75), rng=np.int64(2))
    assert asked.question == "confidence 0.75"
    assert Network.create(np.array([4, 2]), rng=np.random.default_rng(1)).sizes == (4, 2)


def test_an_estimator_of_scikit_learn_is_named_with_what_makes_a_model_of_it() -> None:
    from sklearn.neural_network import MLPClassifier

    with pytest.raises(ModelError, match=r"a MLPClassifier is no .*; network_from_sklearn\(estimator\) makes one"):
        back_query(MLPClassifier(), [3])


@pytest.mark.needs("torch")
def test_a_module_of_pytorch_is_named_with_what_makes_a_model_of_it(tmp_path) -> None:
    import torch

    from backquery import from_torch

    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    calls = [evaluate, compare_methods, find_shortcuts, measure_evidence]
    for ask in (
        lambda: back_query(module, [3]),
        lambda: write_report(module, DIGITS, tmp_path / "report.html"),
        *(lambda call=call: call(module, DIGITS) for call in calls),
    ):
        with pytest.raises(ModelError, match=r"from_torch\(module, input_shape=\(28, 28\)\) makes one of it"):
            ask()
    for model in (module, from_torch(module, input_shape=(8, 8))):
        with pytest.raises(ModelError, match=r"chains of dense layers.*network_from_torch"):
            save_model(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
