"""The book's back query: the original programs' own images, a twin of loops, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backquery.errors import InversionError, TargetError
from backquery.inversion import METHODS, answers, back_query, confidence, difference
from backquery.model.activations import IDENTITY, SIGMOID, SOFTMAX, TANH
from backquery.model.network import Layer, Network
from backquery.model.scaling import Scaling
from tests.inversion.conftest import INVERTIBLE, Opaque, network_of
from tests.reference import inversion as twin


def test_the_book_s_own_program_gives_the_same_images(oracle_folder: Path) -> None:
    oracle = np.load(oracle_folder / "book_30_hidden_1000_samples.npz", allow_pickle=False)
    network = Network(
        (Layer(oracle["wih"], None, SIGMOID), Layer(oracle["who"], None, SIGMOID)),
        input_shape=(28, 28),
        scaling=Scaling.book(),
    )
    result = back_query(network, range(10), method="transpose")
    np.testing.assert_allclose(result.images, oracle["images"], rtol=0, atol=1e-9)


def test_the_program_with_thresholds_gives_the_same_images(oracle_folder: Path) -> None:
    folder = oracle_folder / "thresholds"
    matrices = [np.loadtxt(folder / f"weight{number}.txt", ndmin=2) for number in (1, 2)]
    thresholds = [np.loadtxt(folder / f"value{number}.txt").ravel() for number in (1, 2)]
    layers = [Layer(W.T, -theta, SIGMOID) for W, theta in zip(matrices, thresholds, strict=True)]
    expected = np.load(folder / "expected.npz", allow_pickle=False)
    result = back_query(Network(tuple(layers), input_shape=(8, 8)), range(10), method="transpose")
    np.testing.assert_allclose(result.images, expected["images"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", INVERTIBLE)
def test_every_depth_and_activation_agrees_with_the_loops(kind: str) -> None:
    network = network_of(kind)
    wanted = np.array([[0.3, 0.6, 0.2, 0.45], [0.11, 0.05, 0.7, 0.25]])[:, : network.outputs]
    if network.output_activation is SOFTMAX:
        wanted /= wanted.sum(axis=1, keepdims=True)
    result = back_query(network, wanted, method="transpose")
    for row, answer in enumerate(np.asarray(result.targets)):
        np.testing.assert_allclose(result.images[row], twin.transpose(network, answer), rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.answers, network.query(result.images), atol=1e-12)
    np.testing.assert_allclose(result.error, np.abs(result.answers - result.targets).max(axis=1), atol=1e-12)
    assert set(result.outcome) == {"exact formula"}


@given(seed=st.integers(0, 10**6), wanted=st.lists(st.floats(0.001, 0.999), min_size=3, max_size=3))
def test_images_fill_the_range_and_many_questions_are_as_good_as_one(seed: int, wanted: list[float]) -> None:
    network = Network.create([9, 5, 3], rng=seed, dtype=np.float64)
    if np.ptp(wanted) < 1e-3:
        wanted = [0.2, 0.5, 0.8]
    alone = back_query(network, np.array(wanted), method="transpose").images
    both = back_query(network, np.array([[0.3, 0.1, 0.7], wanted]), method="transpose").images
    np.testing.assert_allclose(alone.min(), 0.01)
    np.testing.assert_allclose(alone.max(), 0.99)
    np.testing.assert_allclose(both[1:], alone, rtol=0, atol=1e-9)


def test_single_precision_networks_are_inverted_in_double_precision() -> None:
    network = Network.create([16, 8, 3], rng=3)
    images = back_query(network, [0, 1, 2], method="transpose").images
    exact = back_query(network.astype(np.float64), [0, 1, 2], method="transpose").images
    assert images.dtype == np.float64
    np.testing.assert_allclose(images, exact, rtol=0, atol=1e-12)


def test_the_confidence_asked_for_cancels_out() -> None:
    network = Network.create([16, 8, 3], rng=3)
    images = [
        back_query(network, confidence(network, [1], p, others=1 - p), method="transpose").images
        for p in (0.6, 0.8, 0.99, 0.9999)
    ]
    for other in images[1:]:
        np.testing.assert_allclose(other, images[0], rtol=0, atol=1e-9)


def test_inputs_outside_zero_and_one_are_filled_from_paper_to_ink() -> None:
    pixels = np.random.default_rng(0).integers(0, 17, (50, 16))
    scaling = Scaling.standardised(pixels, 16)
    network = Network.create([16, 8, 3], activation="tanh", rng=3, scaling=scaling, dtype=np.float64)
    images = back_query(network, [0, 2], method="transpose").images
    ink = scaling.ink(images)
    np.testing.assert_allclose(ink.min(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(ink.max(axis=1), 1, atol=1e-12)
    assert np.all(images >= scaling.low) and np.all(images <= scaling.high)


@pytest.mark.parametrize(
    ("network", "wanted", "words"),
    [
        (Network.create([16, 8, 3], activation="relu", rng=0), [0, 1], "relu has none"),
        (Network.create([16, 8, 3], rng=0), [0.5, 0.5, 0.5], "all equal"),
        (Network.create([16, 1, 3], rng=0), [0], "all equal"),
        (Network.create([16, 8, 3], activation=["relu", "sigmoid"], rng=0), [0], "use gauss-newton"),
        (Opaque(Network.create([16, 8, 3], rng=0)), [0], "does not show"),
    ],
)
def test_what_cannot_be_inverted_says_what_to_do(network, wanted, words: str) -> None:
    with pytest.raises(InversionError, match=words):
        back_query(network, wanted, method="transpose")


def test_signals_that_are_equal_but_for_rounding_count_as_equal() -> None:
    weights = np.full((3, 16), 0.1) + np.array([[1e-17], [0], [0]])
    network = Network((Layer(weights, None, TANH),))
    with pytest.raises(InversionError, match="the pixels are all equal"):
        back_query(network, [1], method="transpose")


@pytest.mark.parametrize("wanted", [[0.0, 0.5, 0.5], [0.2, 1.0, 0.5], [0.2, np.nan, 0.5], [0.2, np.inf, 0.1]])
def test_answers_outside_the_range_are_refused(wanted: list[float]) -> None:
    network = Network.create([16, 8, 3], rng=0)
    with pytest.raises(TargetError, match="between 0 and 1, both excluded"):
        back_query(network, wanted, method="transpose")


def test_only_whole_answers_and_no_start_images() -> None:
    network = Network.create([16, 8, 3], rng=0)
    with pytest.raises(TargetError, match="an answer for every output"):
        back_query(network, difference(network, (0, 1)), method="transpose")
    with pytest.raises(InversionError, match="use gauss-newton with near="):
        back_query(network, [0], method="transpose", near=np.full(16, 0.5))


def test_unbounded_signals_are_not_stretched_on_the_way() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(5, 9)), rng.normal(size=(3, 5))
    network = Network((Layer(first, None, IDENTITY), Layer(second, None, IDENTITY)))
    wanted = np.array([0.2, -3.0, 7.0])
    straight = first.T @ (second.T @ wanted)
    expected = (straight - straight.min()) / np.ptp(straight) * 0.98 + 0.01
    result = back_query(network, answers(network, wanted), method="transpose")
    np.testing.assert_allclose(result.images[0], expected, atol=1e-12)


def test_it_is_in_the_registry() -> None:
    assert METHODS["transpose"].name == "transpose"
