"""Many networks at once: what they read is what each reads on its own, whatever is blank and whatever is not."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.experiments.bulk import PART, Bulk, strongest
from backquery.model import Network, labels_read, strongest_labels


def drawings(count: int, inputs: int, blank: np.ndarray) -> np.ndarray:
    """Inputs on blank paper: some pixels are inked often, some never, and the last image everywhere."""
    rng = np.random.default_rng(1)
    inked = rng.uniform(0, 1, (count, inputs)) < rng.uniform(0, 0.6, inputs)
    inked[:, :5], inked[0], inked[-1] = False, False, True
    return np.where(inked, rng.uniform(0, 1, (count, inputs)), blank).astype(np.float32)


@pytest.mark.parametrize("sizes", [[30, 4], [30, 8, 4], [30, 8, 6, 4]])
@pytest.mark.parametrize("biases", [False, True])
def test_networks_read_in_bulk_what_each_reads_alone(sizes: list[int], biases: bool) -> None:
    """Float64 weights: of images drawn at random none lies so near a border that the order of sums tells."""
    blank = np.linspace(-0.5, 0.5, 30).astype(np.float32)
    inputs = drawings(2 * PART + 7, 30, blank).astype(np.float64)
    bulk = Bulk.of(inputs, blank.astype(np.float64))
    for seed in range(3):
        network = Network.create(sizes, activation="tanh", biases=biases, rng=seed, dtype=np.float64)
        np.testing.assert_array_equal(bulk.read(network.layers), labels_read(network, inputs))
    known = list(bulk.sums(network.layers[0].weights))
    np.testing.assert_array_equal(bulk.read(network.layers, known), bulk.read(network.layers))


def test_each_part_leaves_out_what_is_blank_in_it() -> None:
    blank = np.full(30, 0.01, np.float32)
    inputs = drawings(PART + 40, 30, blank)
    bulk = Bulk.of(inputs, blank)
    begin = 0
    for ink in bulk.ink:
        rows = bulk.rows[begin : (begin := begin + ink.shape[1])]
        whole = np.zeros((len(rows), 30), np.float32)
        whole[:, bulk.order[: len(ink)]] = ink.T
        np.testing.assert_allclose(whole + blank, inputs[rows], atol=1e-6)
    assert len(bulk.ink[0]) < 30, "the pixels that nobody inks cost nothing"
    assert sorted(bulk.rows) == list(range(len(inputs)))


def test_the_strongest_answer_is_none_of_equals_and_none_where_one_is_no_number() -> None:
    answers = np.random.default_rng(0).integers(0, 4, (6, 500)).astype(float)
    np.testing.assert_array_equal(strongest(answers), strongest_labels(answers.T))
    answers[2, 7], answers[0, 9] = np.nan, np.inf
    np.testing.assert_array_equal(strongest(answers), strongest_labels(answers.T))
    assert strongest(answers)[7] == strongest(answers)[9] == -1
