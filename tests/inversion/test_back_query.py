"""The one entry: every method, every way to name a question, and a result that tells what happened."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from backquery.inversion import METHODS, BackQuery, GaussNewton, back_query, confidence
from backquery.model.network import Network
from tests.inversion.conftest import image_of, network_of, prior_of

NETWORK = Network.create([16, 24, 3], rng=2, input_shape=(4, 4), classes=("cat", "dog", "owl"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_with_the_same_kind_of_result(method: str) -> None:
    result = back_query(NETWORK, [2, 0], method=method, confidence=0.6)
    assert isinstance(result, BackQuery) and len(result) == 2
    assert result.method == method and result.question == "confidence 0.6"
    assert result.images.shape == (2, 16) and result.answers.shape == result.targets.shape == (2, 3)
    np.testing.assert_allclose(result.answers, NETWORK.query(result.images), atol=1e-6)
    np.testing.assert_array_equal(result.read, result.answers.argmax(axis=1))
    np.testing.assert_array_equal(result.labels, [2, 0])
    np.testing.assert_array_equal(result.read_as_asked, result.read == result.labels)
    np.testing.assert_allclose(result.error, np.abs(result.answers - result.targets).max(axis=1))
    difference = np.abs(NETWORK.logits(result.images) - result.logits).max(axis=1)
    np.testing.assert_allclose(result.logit_error, difference, atol=1e-6)
    assert len(result.outcome) == len(result.advice) == len(result.steps) == 2
    assert np.all(result.converged <= result.read_as_asked)
    assert NETWORK.query(result.images).shape == (2, 3), "images are ready to be shown to the network again"


@pytest.mark.parametrize(
    "targets",
    ["owl", ["owl"], 2, [2], np.array([2]), (np.int64(2),), range(2, 3), confidence(NETWORK, "owl")],
    ids=lambda targets: type(targets).__name__,
)
def test_a_label_can_be_named_in_many_ways(targets) -> None:
    expected = back_query(NETWORK, [[0.01, 0.01, 0.99]], method="transpose").images
    np.testing.assert_allclose(back_query(NETWORK, targets).images, expected, atol=1e-12)


def test_one_vector_of_answers_is_one_question() -> None:
    assert back_query(NETWORK, [0.2, 0.3, 0.7]).labels.tolist() == [2]
    assert back_query(NETWORK, np.array([[0.2, 0.3, 0.7], [0.9, 0.1, 0.2]])).labels.tolist() == [2, 0]


def test_without_statistics_the_book_s_method_is_the_default() -> None:
    assert back_query(NETWORK, [0]).method == "transpose"
    mine = back_query(NETWORK, [0], method=GaussNewton(steps=7))
    assert mine.method == "gauss-newton" and mine.steps[0] <= 7


def test_a_tie_is_read_as_asked_by_either_label() -> None:
    result = back_query(NETWORK, [[0.55, 0.55, 0.45]], method="gauss-newton")
    assert result.labels.tolist() == [-1]
    assert result.read_as_asked[0] == (result.read[0] in (0, 1))


def test_every_method_says_what_it_does() -> None:
    for name, method in METHODS.items():
        assert method.name == name
        assert method.summary and not method.summary.endswith(".")
        assert method.usual_question in ("typical", "confidence")


def test_importing_it_loads_neither_scipy_nor_numba() -> None:
    heavy = "scipy", "numba", "sklearn", "matplotlib", "torch"
    code = f"import sys, backquery.inversion; print([name for name in {heavy!r} if name in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    )


def test_what_was_found_as_plain_values() -> None:
    network, prior = network_of("tanh, softmax"), prior_of()
    wanted = network.query(image_of(prior))
    result = back_query(network, wanted, method="gauss-newton", prior=prior)
    (scan,) = json.loads(json.dumps(result.as_json()))["scans"]
    name = network.classes[int(wanted.argmax())]
    told = {"label": name, "read": name, "converged": True, "outcome": "converged", "advice": ""}
    numbers = {"error": result.error[0], "logit_error": result.logit_error[0], "steps": result.steps[0]}
    assert result.as_json()["prior"] == prior.name and result.as_json()["method"] == "gauss-newton"
    assert scan == {**told, **numbers, "answer": pytest.approx(wanted.max(), abs=1e-3)}
