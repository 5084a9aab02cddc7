"""The faithful back query on real digits: networks of several kinds, all labels, two questions, and controls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backquery import evaluate, train
from backquery.inversion import back_query, fit_statistics
from backquery.io import load_model
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.training import MiniBatch

if TYPE_CHECKING:
    from backquery.datasets import Dataset

DEEP = {
    "tanh, sigmoid outputs": ([784, 100, 50, 10], ["tanh", "tanh", "sigmoid"]),
    "relu, softmax": ([784, 200, 10], "relu"),
    "relu twice, softmax": ([784, 200, 100, 10], "relu"),
}


def trained(mnist: Dataset, kind: str) -> Network:
    sizes, activation = DEEP[kind]
    network = Network.create(
        sizes, activation=activation, biases=True, rng=1, input_shape=(28, 28), scaling=Scaling.book()
    )
    recipe = MiniBatch(learning_rate=0.002, decay="linear")
    network, _ = train(network, mnist.train, recipe, epochs=6, rng=1)
    return replace(network, statistics=fit_statistics(network, mnist.train))


def test_the_bundled_network_reads_all_its_own_images() -> None:
    network = load_model("mnist")
    typical = back_query(network, range(10))
    assert (typical.method, typical.question, typical.prior) == ("gauss-newton", "typical", "data")
    assert typical.converged.all()
    assert typical.logit_error.max() < 1e-3
    book = back_query(network, range(10), method="transpose")
    assert book.read_as_asked.sum() < 5, "the book's images are mostly read as something else"


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95, 0.99])
def test_the_bundled_network_s_answer_follows_the_confidence_asked_for(confidence: float) -> None:
    network = load_model("mnist")
    result = back_query(network, range(10), confidence=confidence)
    np.testing.assert_allclose(result.answers[range(10), range(10)], confidence, atol=1e-3)
    assert result.converged.all()


def test_a_slider_that_moves_a_little_takes_few_steps() -> None:
    network = load_model("mnist")
    images = back_query(network, range(10), confidence=0.9).images
    for confidence in (0.89, 0.87, 0.84):
        result = back_query(network, range(10), confidence=confidence, start=images)
        assert result.converged.all() and np.mean(result.steps) <= 4
        images = result.images


@pytest.mark.parametrize("prior", ["smooth", "flat"])
def test_no_data_are_needed(prior: str) -> None:
    network = load_model("mnist")
    result = back_query(network, range(10), method="gauss-newton", prior=prior)
    assert result.prior == prior
    assert result.converged.all() and result.logit_error.max() < 1e-3


def test_the_smallest_change_of_a_real_image(mnist: Dataset) -> None:
    network = load_model("mnist")
    four = int(np.flatnonzero(mnist.test.labels == 4)[0])
    image = network.scale(mnist.test.images[four : four + 1])
    result = back_query(network, [9, 4], near=image, confidence=0.9)
    assert result.converged.all()
    np.testing.assert_allclose(result.images - result.change, np.tile(image, (2, 1)), atol=1e-6)
    assert np.linalg.norm(result.change[1]) < np.linalg.norm(result.change[0]), "to stay a 4 takes less"


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEEP)
def test_networks_of_other_kinds(mnist: Dataset, kind: str) -> None:
    network = trained(mnist, kind)
    assert evaluate(network, mnist.test).performance > 0.97
    typical = back_query(network, range(10))
    assert typical.converged.all() and typical.logit_error.max() < 1e-3
    sure = back_query(network, range(10), confidence=0.99)
    assert sure.read_as_asked.all()
    assert sure.converged.all() and np.abs(sure.answers[range(10), range(10)] - 0.99).max() < 1e-3


@pytest.mark.slow
def test_an_untrained_network_answers_as_asked_but_shows_nothing(mnist: Dataset) -> None:
    """The control: any network can be asked, and one that has learned nothing shows nobody's digits."""
    network = Network.create([784, 200, 10], rng=3, input_shape=(28, 28), scaling=Scaling.book())
    network = replace(network, statistics=fit_statistics(network, mnist.train))
    result = back_query(network, range(10))
    judge = load_model("mnist")
    assert (judge.query(result.images).argmax(axis=1) == np.arange(10)).sum() <= 3
