"""What the studio answers is what the package's own functions say, asked directly."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from backquery import Layer, Network, back_query
from backquery.datasets import Dataset, prepare_image
from backquery.inversion import METHODS, Targets, several
from backquery.model import Meaning, Scaling, evaluated
from backquery.model.activations import RELU, SIGMOID, SOFTMAX, TANH
from backquery.notes import Notes
from backquery.studio import engine
from backquery.studio.exam import Exam
from backquery.studio.fields import nodes_off
from backquery.studio.learning import FRAMES, Lesson, frame_moments
from backquery.studio.opened import Jury, Subject, fits
from backquery.studio.protocol import RequestError
from tests.evidence.test_measure import turning
from tests.studio.conftest import base64


@pytest.fixture
def subject(network: Network) -> Subject:
    return Subject.of("digits", network, 3)


def as_model_inputs(network: Network, picture: np.ndarray) -> np.ndarray:
    """Bytes of ink as the network's inputs, from the definition of the book's scaling."""
    return picture.reshape(1, -1) / 255 * 0.99 + 0.01


def test_a_query_is_the_networks_own(subject: Subject, network: Network, picture: np.ndarray) -> None:
    answer = engine.query(subject, {"pixels": base64(picture)})
    inputs = as_model_inputs(network, picture)
    hidden = network.signals(inputs)[1][0]
    assert np.allclose(answer.arrays["answers"], network.query(inputs)[0], atol=1e-6)
    assert answer.fields["read"] == network.query(inputs)[0].argmax()
    assert np.allclose(answer.arrays["signals1"], hidden, atol=1e-6)


@pytest.mark.parametrize("hidden", [SIGMOID, TANH, RELU], ids=lambda activation: activation.name)
def test_signals_are_told_as_shares_of_their_range(hidden: object) -> None:
    rng = np.random.default_rng(2)
    layers = (Layer(rng.normal(size=(5, 4)), None, hidden), Layer(rng.normal(size=(2, 5)), None, SIGMOID))  # type: ignore[arg-type]
    network = Network(layers, input_shape=(2, 2))
    signals = network.signals(rng.random((1, 4)))[1][0]
    found = engine.share_of_range(network, 1, signals)
    low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "relu": (0, signals.max())}[network.layers[0].activation.name]
    assert np.allclose(found, (signals - low) / (high - low))
    assert found.min() >= 0 and found.max() <= 1


def with_meaning(subject: Subject, meaning: Meaning | None) -> Subject:
    assert subject.model.scaling is not None and isinstance(subject.model, Network)
    scaling = replace(subject.model.scaling, meaning=meaning)
    return replace(subject, model=replace(subject.model, scaling=scaling))


@pytest.mark.parametrize("meaning", [None, Meaning("one"), Meaning("one", True)])
def test_a_drawing_is_prepared_as_a_picture_file_is(subject: Subject, meaning: Meaning | None) -> None:
    subject = with_meaning(subject, meaning)
    drawing = np.zeros((84, 60), np.uint8)
    drawing[10:40, 20:28] = 255
    answer = engine.query(subject, {"drawing": base64(drawing), "rows": 84, "columns": 60})
    expected = prepare_image(drawing, (8, 8), 255.0, ink="light")
    assert np.array_equal(answer.arrays["pixels"], np.rint(expected))
    again = engine.query(subject, {"pixels": base64(answer.arrays["pixels"])})
    assert np.array_equal(answer.arrays["answers"], again.arrays["answers"])


@pytest.mark.parametrize("meaning", [Meaning("one", False), Meaning("none")])
def test_a_drawing_stays_in_its_corner_where_images_stand_anywhere(subject: Subject, meaning: Meaning) -> None:
    subject = with_meaning(subject, meaning)
    drawing = np.zeros((80, 80), np.uint8)
    drawing[0:30, 0:10] = 255
    answer = engine.query(subject, {"drawing": base64(drawing), "rows": 80, "columns": 80})
    pixels = answer.arrays["pixels"]
    assert pixels[:3, 0].min() > 150 and pixels[4:].max() == 0 == pixels[:, 3:].max()
    stream = BytesIO()
    Image.fromarray(drawing).save(stream, "PNG")
    file = {"file": base64(stream.getvalue()), "centre": True, "shade": "light"}
    assert np.array_equal(engine.image(subject, file).arrays["pixels"], pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_a_picture_file_is_prepared_as_the_command_line_does(subject: Subject, kind: str) -> None:
    stream = BytesIO()
    sheet = np.full((40, 30), 255, np.uint8)
    sheet[8:30, 12:18] = 20
    Image.fromarray(sheet).save(stream, kind)
    answer = engine.image(subject, {"file": base64(stream.getvalue()), "centre": False})
    expected = prepare_image(stream.getvalue(), (8, 8), 255.0, centre=False)
    assert np.array_equal(answer.arrays["pixels"], np.rint(expected))


@pytest.mark.parametrize("method", METHODS)
def test_a_back_query_is_the_packages_own(subject: Subject, network: Network, method: str) -> None:
    answer, image = engine.back(subject, {"method": method, "label": 4}, None)
    result = back_query(network, [4], method=method)
    assert np.allclose(image, result.images[0])
    assert np.allclose(answer.arrays["ink"].ravel(), ((result.images[0] - 0.01) / 0.99).clip(0, 1), atol=1e-6)
    assert np.allclose(answer.arrays["answers"], result.answers[0])
    assert answer.fields["read"] == result.read[0] and answer.fields["asked"] == 4
    assert answer.fields["error"] == result.error[0] and answer.fields["outcome"] == result.outcome[0]


def test_confidences_and_answers_are_asked_for_as_given(subject: Subject, network: Network) -> None:
    one, _ = engine.back(subject, {"confidences": {"4": 0.8}}, None)
    assert np.allclose(one.arrays["answers"], back_query(network, [4], confidence=0.8).answers[0])
    two, _ = engine.back(subject, {"confidences": {"4": 0.8, "9": 0.6}}, None)
    assert np.allclose(two.arrays["answers"], back_query(network, several(network, {4: 0.8, 9: 0.6})).answers[0])
    wanted = [0.1] * 9 + [0.7]
    asked, _ = engine.back(subject, {"answers": wanted}, None)
    assert np.allclose(asked.arrays["answers"], back_query(network, np.array(wanted)[None]).answers[0])


def test_a_tap_that_draws_nothing_is_not_read(subject: Subject) -> None:
    blank = {"drawing": base64(np.zeros((20, 20), np.uint8)), "rows": 20, "columns": 20}
    with pytest.raises(RequestError, match="nothing on the paper to read") as refused:
        engine.query(subject, blank)
    assert refused.value.code == "blank"


def test_sliders_of_a_softmax_are_shares_of_one_whole() -> None:
    network = Network.create(
        [64, 12, 10], activation="relu", rng=0, input_shape=(8, 8), scaling=Scaling.book(16.0)
    )
    sliders = [0.01] * 8 + [0.9, 0.9]
    asked, _ = engine.asked_of({"answers": sliders}, network, Notes())
    assert isinstance(asked, Targets) and asked.answers is not None
    assert np.allclose(asked.answers[0], np.array(sliders) / sum(sliders))


@pytest.mark.parametrize("label", [3, 7])
def test_a_slider_meets_what_a_fresh_question_meets(subject: Subject, network: Network, label: int) -> None:
    """Warm answers are worth as much as cold ones, all the way along."""
    image = None
    for p in np.linspace(0.3, 0.99, 15):
        answer, image = engine.back(subject, {"confidences": {str(label): float(p)}}, image)
        if back_query(network, [label], confidence=float(p)).converged[0]:
            assert answer.fields["outcome"] == "converged"
            assert answer.arrays["answers"][label] == pytest.approx(p, abs=1e-3)


@pytest.mark.needs("torch")
def test_a_deep_model_follows_in_one_step_and_is_verified_when_the_slider_rests(network: Network) -> None:
    from backquery import from_torch
    from backquery.io.torch_chain import network_to_torch

    deep = from_torch(
        network_to_torch(network), input_shape=(8, 8), outputs="sigmoids", scaling=network.scaling,
        statistics=network.statistics,
    )  # fmt: skip
    subject = Subject.of("deep", deep, 0)
    first, image = engine.back(subject, {"confidences": {"3": 0.5}}, None)
    assert first.fields["outcome"] == "converged"
    for p in np.linspace(0.5, 0.9, 9):
        asked = {"confidences": {"3": float(p)}}
        answer, image = engine.back(subject, asked, image)
        assert answer.fields["outcome"] == engine.FOLLOWING and answer.fields["steps"] == 1
        # The error that is told is that of the image that is shown, up to float32.
        exact = deep.query(image)
        np.testing.assert_allclose(answer.arrays["answers"], exact, atol=1e-4)
        assert abs(exact[3] - p) < 0.02 and answer.fields["read"] == exact.argmax()
        rested, settled = engine.back(subject, {**asked, "hurried": False}, image)
        assert rested.fields["outcome"] == "converged" and rested.fields["logit_error"] < 1e-3
        expected = back_query(deep, [3], confidence=float(p), start=image)
        np.testing.assert_array_equal(settled, expected.images[0])


def test_scans_ask_for_every_label(subject: Subject, network: Network) -> None:
    answer = engine.scans(subject, {"method": "gauss-newton"})
    result = back_query(network, list(range(10)))
    assert answer.arrays["ink"].shape == (10, 8, 8)
    assert answer.fields["read"] == result.read.tolist()
    assert np.allclose(answer.arrays["answers"], result.answers)


def test_turning_changes_little_and_is_read_as_asked(
    subject: Subject, network: Network, picture: np.ndarray
) -> None:
    answer = engine.turn(subject, {"pixels": base64(picture), "label": 9})
    ink, change = answer.arrays["ink"], answer.arrays["change"]
    assert answer.fields["read"] == 9
    assert np.allclose(ink - change, picture / 255, atol=1e-6)
    afresh = back_query(network, [9]).images[0]
    assert np.abs(change).sum() < np.abs((afresh - 0.01) / 0.99 - picture.ravel() / 255).sum()


@pytest.mark.parametrize("confidence", ["", [], {}, False, "0.9"])
def test_a_confidence_that_is_no_number_is_refused(
    subject: Subject, picture: np.ndarray, confidence: object
) -> None:
    asked = {"pixels": base64(picture), "label": 9}
    with pytest.raises(RequestError, match="confidence must be a number"):
        engine.turn(subject, {**asked, "confidence": confidence})
    told = engine.turn(subject, {**asked, "confidence": None})
    assert np.array_equal(told.arrays["ink"], engine.turn(subject, asked).arrays["ink"])


def test_a_network_without_hidden_layers_says_so(network: Network) -> None:
    linear = Network((Layer(np.eye(10, 64), None, SOFTMAX),), scaling=network.scaling, input_shape=(8, 8))
    for ask in (
        lambda: engine.weights(Subject.of("linear", linear, 0), {"layer": 1}),
        lambda: nodes_off({"off": {"1": [2]}}, linear.sizes),
    ):
        with pytest.raises(RequestError, match="has no hidden layer") as refused:
            ask()
        assert refused.value.code == "layers"
    assert nodes_off({"off": {}}, linear.sizes) == {}


def test_weights_are_those_into_the_nodes(subject: Subject, network: Network) -> None:
    answer = engine.weights(subject, {"layer": 1, "from": 5, "count": 3})
    assert np.array_equal(answer.arrays["weights"].reshape(3, -1), network.layers[0].weights[5:8])
    assert answer.fields["scale"] == pytest.approx(np.abs(network.layers[0].weights).max())
    damaged = subject.without({1: [6]}, 4)
    assert np.array_equal(
        engine.weights(damaged, {"from": 5, "count": 3}).arrays["weights"], answer.arrays["weights"]
    )


def test_an_exam_is_an_evaluation(network: Network, digits: Dataset) -> None:
    """The short cut of the first layer's signals against the whole network, computed anew."""
    deep = Network.create([64, 12, 7, 10], activation=["relu", "tanh", "softmax"], biases=True, rng=4)
    deep = replace(deep, input_shape=(8, 8), scaling=network.scaling, classes=network.classes)
    assert digits.test is not None
    rng = np.random.default_rng(3)
    for model in (network, deep):
        exam = Exam(model, digits)
        for _ in range(5):
            off = rng.choice(model.sizes[1], rng.integers(0, model.sizes[1]), replace=False)
            damaged = model.without_nodes(off)
            if len(model.layers) == 3:
                damaged = damaged.without_nodes([int(rng.integers(7))], 2)
            assert exam.performance(damaged) == evaluated(damaged, digits.test).performance


def test_damage_of_large_and_of_linear_models_is_tested_too(
    network: Network, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digits.test is not None
    monkeypatch.setattr("backquery.studio.exam.MOST_SIGNALS", 100)
    damaged = network.without_nodes([1, 2])
    assert Exam(network, digits).performance(damaged) == evaluated(damaged, digits.test).performance
    linear = Network((Layer(np.eye(10, 64), None, SOFTMAX),), scaling=network.scaling, input_shape=(8, 8))
    assert Exam(linear, digits).performance(linear) == evaluated(linear, digits.test).performance


def test_samples_are_real_test_images(subject: Subject, digits: Dataset) -> None:
    assert digits.test is not None
    real = {image.tobytes() for image in digits.test.images[digits.test.labels == 7]}
    answer = engine.samples(subject, {"label": 7, "count": 5, "seed": 1}, digits)
    assert answer.arrays["labels"].tolist() == [7] * 5
    for pixels in answer.arrays["pixels"]:
        assert np.rint(pixels * (16 / 255)).astype(np.uint8).tobytes() in real
    again = engine.samples(subject, {"label": 7, "count": 5, "seed": 1}, digits)
    other = engine.samples(subject, {"label": 7, "count": 5, "seed": 2}, digits)
    assert np.array_equal(answer.arrays["pixels"], again.arrays["pixels"])
    assert not np.array_equal(answer.arrays["pixels"], other.arrays["pixels"])
    assert len(engine.samples(subject, {"count": 100}, digits).arrays["labels"]) == 100


def test_a_proof_says_within_how_many_grey_levels_all_is_read_alike(subject: Subject, picture: np.ndarray) -> None:
    told = engine.proof(subject, {"pixels": base64(picture)}).fields
    assert (told["read"], told["certain"], told["unknown"]) == (4, True, None)
    low, high = (np.clip(picture.astype(float) + sign * told["grey_levels"], 0, 255) for sign in (-1, 1))
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = np.where(rng.uniform(size=picture.shape) < 0.5, np.ceil(low), np.floor(high)).astype(np.uint8)
        assert engine.query(subject, {"pixels": base64(other)}).fields["read"] == 4


def test_an_opinion_names_the_nearest_real_image(subject: Subject, digits: Dataset, picture: np.ndarray) -> None:
    from backquery.faithfulness import Judge, RealImages, neighbour_judge

    real = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    jury = Jury(real, (neighbour_judge(real, digits.test), Judge("guess", lambda ink: np.array([7]), 0.1, 900)))
    answer = engine.opinion(subject, {"pixels": base64(picture)}, digits, jury)
    gaps = np.linalg.norm(digits.train.images.reshape(-1, 64) / 16 - picture.ravel() / 255, axis=1)
    assert answer.fields["distance"] == pytest.approx(gaps.min(), rel=1e-4)
    assert answer.fields["nearest_label"] == digits.train.labels[gaps.argmin()]
    assert answer.fields["judges"] == {"neighbours": 4, "guess": 7}
    assert answer.fields["performances"] == {"neighbours": jury.judges[0].performance, "guess": 0.1}
    assert (answer.fields["chance"], answer.fields["no_better_than_chance"]) == (0.1, ["guess"])
    assert answer.fields["side"] == "usual" and 0 < answer.fields["typicality"] <= 1
    assert 0 < answer.fields["distance_percentile"] < 1 and not answer.fields["copy"]
    assert answer.fields["path"] > 0.01 and not answer.fields["another_path"]
    assert answer.fields["path_layer"] == "layer 1"
    blank = engine.opinion(subject, {"pixels": base64(bytes(64))}, digits, jury)
    noise = np.random.default_rng(1).integers(0, 256, 64)
    strange = engine.opinion(subject, {"pixels": base64(noise)}, digits, jury)
    assert (strange.fields["side"], strange.fields["typicality"]) == ("strange", 0)
    assert blank.fields["typicality"] < 0.05
    copied = engine.opinion(
        subject, {"pixels": base64(engine.as_pixels(digits.train.images[3] / 16))}, digits, jury
    )
    assert copied.fields["copy"] and copied.fields["distance_percentile"] == 0
    assert blank.arrays["nearest"].shape == (8, 8)


def test_evidence_is_the_packages_own(subject: Subject, digits: Dataset) -> None:
    from backquery.evidence import measure_evidence

    answer = engine.evidence(subject, {"label": 3}, digits)
    (expected,) = measure_evidence(subject.model, digits.train, [3], held_out=digits.test)
    verdicts = answer.arrays["verdicts"].ravel()
    assert np.array_equal(verdicts, expected.findings.verdict)
    assert np.array_equal(answer.arrays["codes"].ravel() == 1, verdicts == 1)
    assert np.array_equal(answer.arrays["codes"].ravel() == -1, verdicts == 2)
    assert answer.fields["held"] == expected.held <= answer.fields["claims"]


def test_where_images_do_not_agree_the_page_is_told_so(subject: Subject, digits: Dataset) -> None:
    model, data = turning()
    told = engine.evidence(Subject.of("turning", model, 1), {"label": 0}, data).fields
    assert "changes from image to image" in told["caution"]
    assert told["agreement"] < 0.62
    assert engine.evidence(subject, {"label": 3}, digits).fields["caution"] is None


def test_why_is_the_packages_own(subject: Subject, picture: np.ndarray) -> None:
    from backquery.evidence import image_evidence

    answer = engine.why(subject, {"pixels": base64(picture)})
    expected = image_evidence(subject.model, as_model_inputs(subject.model, picture))
    assert np.array_equal(answer.arrays["verdicts"].ravel(), expected.findings.verdict)
    assert (answer.fields["held"], answer.fields["claims"]) == (expected.held, len(expected.claims))
    assert answer.fields["label"] == answer.fields["read"] == expected.read
    assert [one["read"] for one in answer.fields["trials"]] == [one.read for one in expected.trials]
    other = engine.why(subject, {"pixels": base64(picture), "label": 2})
    assert (other.fields["label"], other.fields["read"]) == (2, expected.read)
    with pytest.raises(RequestError, match="from 0 to 9"):
        engine.why(subject, {"pixels": base64(picture), "label": 12})


def test_without_data_or_layers_the_page_is_told_so(subject: Subject, picture: np.ndarray) -> None:
    pixels = {"pixels": base64(picture)}
    for ask in (
        lambda: engine.opinion(subject, pixels, None, None),
        lambda: engine.samples(subject, {}, None),
        lambda: engine.evidence(subject, {"label": 1}, None),
    ):
        with pytest.raises(RequestError) as refused:
            ask()
        assert refused.value.code == "data"
    with pytest.raises(RequestError) as refused:
        engine.need_network(object())  # type: ignore[arg-type]
    assert refused.value.code == "layers"


def test_data_fit_by_pixels_scale_and_labels(network: Network, digits: Dataset) -> None:
    assert fits(network, digits)
    assert not fits(replace(network, classes=tuple("abcdefghij")), digits)
    assert not fits(replace(network, scaling=None), digits)
    assert not fits(network, replace(digits, maximum=255.0))


def test_frames_come_often_at_first_and_end_with_the_training() -> None:
    for updates in (1, 2, 60, 1078, 300_000, 1_200_000):
        moments = frame_moments(updates)
        assert moments[0] == 0 and moments[-1] == updates and len(moments) <= FRAMES + 1
        assert moments == sorted(set(moments)) and all(type(moment) is int for moment in moments)
        steps = np.diff(moments)
        assert np.all(steps[-5:] >= steps[:5].max()) or updates < 100


def test_a_lesson_is_settled_by_the_data(digits: Dataset) -> None:
    lesson = Lesson.of({}, digits)
    assert lesson.images == len(digits.train) and lesson.method == "transpose"
    with pytest.raises(RequestError, match="from 1 to 1078"):
        Lesson.of({"images": 1079}, digits)


def test_a_draw_is_one_of_the_library_s_many_images_and_no_search_goes_on_from_elsewhere(
    subject: Subject, network: Network
) -> None:
    drawn, image = engine.back(subject, {"label": 4, "draw": 2}, np.full(network.inputs, 0.5))
    wanted = back_query(network, [4], many=1, rng=2)
    np.testing.assert_array_equal(image, wanted.images[0])
    assert drawn.fields["read_as_asked"] is True
    for wrong in (0, -1, 1.5, True, "1"):
        with pytest.raises(RequestError, match="draw must be a whole number"):
            engine.back(subject, {"label": 4, "draw": wrong}, None)


@pytest.mark.parametrize("file", [b"", b"not a picture", b"%PDF-1.4"])
def test_a_file_that_is_no_picture_is_refused_in_plain_words(file: bytes) -> None:
    with pytest.raises(RequestError, match="the file is no picture that can be read") as refused:
        engine.checked_picture(file)
    assert "BytesIO" not in str(refused.value)
