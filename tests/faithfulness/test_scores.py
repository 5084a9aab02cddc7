"""Scores and controls against slow twins, on the bundled digits."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from backquery import Network, Online, Scaling, train
from backquery.errors import BackqueryError
from backquery.faithfulness import (
    Judge,
    RealImages,
    RealSignals,
    Recognition,
    compare_methods,
    control_images,
    control_networks,
    linear_judge,
    model_judge,
    neighbour_judge,
    obedience,
)
from backquery.faithfulness.comparison import _Draft, _scored
from backquery.inversion import back_query, confidence, fit_statistics

LABELS = np.arange(10)


@pytest.fixture(scope="module")
def network(digits):
    fresh = Network.create(
        [64, 40, 10], biases=True, rng=1, input_shape=(8, 8), scaling=Scaling.book(digits.maximum)
    )
    trained, _ = train(
        fresh, digits.train, Online(0.05, "cross-entropy", shuffle=True, decay="linear"), epochs=30, rng=1
    )
    return replace(trained, statistics=fit_statistics(trained, digits.train))


@pytest.fixture(scope="module")
def real(digits):
    return RealImages(digits.train.images, digits.train.labels, digits.maximum)


@pytest.fixture(scope="module")
def comparison(network, digits, real):
    judges = [neighbour_judge(real, digits.test), linear_judge(digits)]
    return compare_methods(network, digits, judges=judges)


def test_neighbours_vote_and_the_nearer_ones_settle_a_tie():
    ink = np.array([[0.0], [0.1], [0.5], [0.6], [0.9]])
    real = RealImages(ink * 255, np.array([1, 1, 0, 0, 2]), 255.0)
    judge = neighbour_judge(real)
    np.testing.assert_array_equal(judge.ask(np.array([[0.05], [0.56]])), [1, 0])


def test_judges_read_real_images(real, digits):
    assert neighbour_judge(real, digits.test).performance >= 0.95
    assert linear_judge(digits).performance >= 0.9


def test_any_model_can_judge(network, digits):
    judge = model_judge("another", network, digits.test)
    read = judge.ask(digits.test.images[:50].reshape(50, -1) / 16)
    np.testing.assert_array_equal(read, network.query_images(digits.test.images[:50]).argmax(axis=1))
    with pytest.raises(BackqueryError, match="no scaling"):
        model_judge("bare", replace(network, scaling=None))


def test_a_faithful_back_query_obeys_and_the_book_s_cannot(network):
    assert obedience(network, LABELS, "gauss-newton").obeyed == 1.0
    book = obedience(network, LABELS, "transpose")
    assert book.obeyed < 0.5


def test_confidences_asked_at_once_are_those_asked_one_by_one(network):
    for method in ("gauss-newton", "transpose"):
        found = obedience(network, LABELS, method, (0.7, 0.9))
        for answers, p in zip(found.answers, (0.7, 0.9), strict=True):
            asked = confidence(network, LABELS, p, "typical")
            alone = back_query(network, asked, method=method)
            np.testing.assert_allclose(answers, alone.answers[LABELS, LABELS], atol=1e-4)


def test_a_climb_is_the_same_whatever_the_confidence_and_is_not_made_again(network, monkeypatch):
    climbs = [back_query(network, LABELS, method="ascent", confidence=p) for p in (0.6, 0.8, 0.99)]
    for climb in climbs[1:]:
        np.testing.assert_array_equal(climb.images, climbs[0].images)
    slow = np.array([climb.answers[LABELS, LABELS] for climb in climbs])
    np.testing.assert_array_equal(obedience(network, LABELS, "ascent").answers, slow)
    monkeypatch.setattr(import_module("backquery.faithfulness.obedience"), "back_query", None)
    np.testing.assert_array_equal(obedience(network, LABELS, "ascent", known=climbs[2]).answers, slow)


def test_how_real_signals_pass_is_found_once_for_each_network(network, digits, real, monkeypatch):
    asked = []
    of = RealSignals.of
    monkeypatch.setattr(RealSignals, "of", lambda model, *data: asked.append(model) or of(model, *data))
    judges = [neighbour_judge(real, digits.test)]
    found = compare_methods(network, digits, judges=judges, confidences=False)
    assert len(found.rows) > len(asked) == len({id(model) for model in asked}) == 6


def test_a_comparison_tells_how_far_it_is(network, digits):
    told = []
    compare_methods(network, digits, controls=False, confidences=False, progress=lambda *step: told.append(step))
    assert [done for done, *_ in told] == sorted(done for done, *_ in told)
    assert {total for _, total, _ in told} == {6}
    assert told[-1] == (5, 6, "scoring all images")


def test_control_images_are_what_they_say(digits):
    images = control_images(digits, LABELS, np.random.default_rng(0))
    tests = {image.tobytes() for image in digits.test.images.astype(float)}
    assert all(image.tobytes() in tests for image in images["real test images"])
    slow = [digits.train.images[digits.train.labels == label].astype(float).mean(axis=0) for label in LABELS]
    np.testing.assert_allclose(images["class means"], slow)
    for noise, picture in zip(images["noise"], images["real test images"], strict=True):
        np.testing.assert_allclose(np.sort(noise.ravel()), np.sort(picture.ravel()))


def test_labels_that_the_test_half_lacks_are_shown_from_the_training_half_and_unseen_ones_not_at_all(
    network, digits, real
):
    test = digits.test.select(digits.test.labels < 4)
    judges = [neighbour_judge(real, test)]
    few = replace(digits, test=test, train=digits.train.select(digits.train.labels < 8))
    images = control_images(few, np.arange(8), np.random.default_rng(0))["real test images"]
    for label, image in enumerate(images):
        half = few.test if label < 4 else few.train
        assert any(np.array_equal(image, other) for other in half.images[half.labels == label])
    found = compare_methods(network, few, judges=judges, controls=False, confidences=False)
    assert found.row("class means").asked.tolist() == list(range(8))
    assert found.row("transpose").asked.tolist() == list(range(10))
    assert "real images of 8, 9: the data have none to train on" in found.left_out


def test_control_networks_have_learned_nothing_or_the_wrong_thing(network, digits):
    controls = control_networks(network, digits, np.random.default_rng(0))
    assert list(controls) == ["untrained", "shuffled weights", "shuffled labels", "labels moved by one"]
    for control in controls.values():
        assert control.sizes == network.sizes
        assert control.statistics.typical.shape == (10, 10)
    np.testing.assert_array_equal(
        np.sort(controls["shuffled weights"].layers[0].weights.ravel()), np.sort(network.layers[0].weights.ravel())
    )
    read = controls["labels moved by one"].query_images(digits.test.images).argmax(axis=1)
    assert np.mean(read == (digits.test.labels + 1) % 10) >= 0.9


def test_a_comparison_scores_every_method_and_every_control(comparison, digits):
    kinds = {
        kind: [row.name for row in comparison.rows if row.kind == kind] for kind in ("method", "images", "network")
    }
    assert kinds["method"] == ["transpose", "ascent", "gauss-newton, typical", "gauss-newton, 0.99"]
    assert kinds["images"] == ["real test images", "class means", "noise"]
    assert len(kinds["network"]) == 9
    faithful = comparison.row("gauss-newton, typical")
    assert faithful.read_as_asked == 10
    assert faithful.worst_error < 1e-3
    assert faithful.agreement("linear") >= 9
    assert comparison.row("noise").agreement("linear") <= 4
    assert comparison.row("untrained, 0.99").agreement("neighbours") <= 4
    assert all(set(row.recognition.read) == {"neighbours", "linear"} for row in comparison.rows)


def test_the_rows_say_again_what_the_judges_said(comparison, network):
    row = comparison.row("gauss-newton, 0.99")
    images = row.result.images
    np.testing.assert_array_equal(row.read, network.query(images).argmax(axis=1))
    np.testing.assert_allclose(row.ink, network.scaling.ink(images))
    for judge in comparison.judges:
        np.testing.assert_array_equal(row.recognition.read[judge.name], judge.ask(row.ink))


def test_every_score_is_told_in_a_few_letters(comparison):
    told = comparison.row("gauss-newton, typical").told
    assert list(told) == [
        "read as asked", "neighbours", "linear", "recognised", "worst error", "typicality", "path", "nearest",
        "obeys",
    ]  # fmt: skip
    assert told["read as asked"] == "10 of 10" and told["typicality"] == "plain" and told["obeys"] == "100%"
    assert all(list(row.told) == list(told) for row in comparison.rows)
    for judge in comparison.judges:
        assert f"{judge.name} {judge.performance:.1%} right" in comparison.trust
    assert comparison.trust.endswith("chance 10%")


def test_signals_of_a_faithful_scan_pass_and_a_fooling_circuit_is_seen(comparison):
    told = {row.name: row.told["path"] for row in comparison.rows}
    assert float(told["gauss-newton, typical"]) > 0.5 and 0.1 < float(told["real test images"]) < 0.9
    fooling = comparison.row("fooling circuit, typical")
    assert fooling.read_as_asked == 10 and fooling.recognition.share < 0.2
    assert fooling.told["path"].startswith("layer ")
    assert any(meaning.startswith("path: ") for meaning in comparison.meanings)


def test_a_comparison_is_plain_json(comparison):
    answer = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    assert {row["kind"] for row in answer["rows"]} == {"method", "images", "network"}
    assert answer["judges"]["linear"] > 0.9
    assert answer["chance"] == 0.1 and answer["no_better_than_chance"] == []
    rows = {row["name"]: row for row in answer["rows"]}
    assert rows["gauss-newton, typical"]["recognised"] > 0.9 > 0.4 > rows["noise"]["recognised"]
    assert rows["gauss-newton, typical"]["by_chance"]["linear"] < 1e-6
    assert set(rows["noise"]["side"]) == {"strange"} and set(rows["class means"]["side"]) == {"plain"}
    assert not any(any(row["copy"]) for row in rows.values())
    assert all(0 <= share <= 1 for row in rows.values() for share in row["nearest_distance_percentile"])
    assert sum(share < 0.01 for share in rows["fooling circuit, typical"]["path"]) >= 8
    assert min(rows["gauss-newton, typical"]["path"]) > 0.1
    assert set(rows["noise"]["path_layer"]) == {"layer 1"}


def test_what_was_expected_of_a_control_is_what_its_judges_are_measured_by(comparison):
    moved = comparison.row("labels moved by one, typical")
    np.testing.assert_array_equal(moved.recognition.expected, (LABELS - 1) % 10)
    assert moved.recognition.share > 0.9
    as_asked = Recognition(moved.recognition.judges, moved.recognition.read, LABELS, 0.1)
    assert as_asked.share == 0


def test_a_copied_training_image_is_called_one(network, digits, comparison):
    """A row of training images: every score of it stands, and the copies are counted."""
    inputs = network.scale(digits.train.images[:10])
    draft = _Draft.of_images("copied", network, inputs, digits.train.labels[:10])
    real = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    (row,) = _scored([draft], network, digits, real, comparison.judges)
    assert row.nearness.copy.all() and row.told["nearest"] == "0.00, 10 copies"
    assert row.as_json(digits.classes)["copy"] == [True] * 10
    assert row.recognition.share > 0.9


def test_data_of_another_shape_are_refused(network, digits):
    small = Network.create([16, 10], rng=0, scaling=Scaling.book(16))
    with pytest.raises(BackqueryError, match="16 inputs"):
        compare_methods(small, digits, judges=[Judge("none", lambda ink: np.zeros(len(ink), int))])


def test_what_is_no_judge_is_refused_by_its_name(network, digits):
    with pytest.raises(BackqueryError, match=r"judges are made by .*linear_judge\(dataset\).*; received 'linear'"):
        compare_methods(network, digits, judges=["linear"])


def test_controls_remember_what_each_would_have_fitted_alone(network, digits):
    """Their images are the same, so that only what is typical of the answers is worked out for each."""
    for control in control_networks(network, digits, np.random.default_rng(0)).values():
        alone = fit_statistics(control, digits.train)
        for name in ("mean", "diagonal", "typical"):
            np.testing.assert_allclose(
                getattr(control.statistics, name), getattr(alone, name), rtol=1e-5, atol=1e-6
            )
        shared = control.statistics.factor
        np.testing.assert_allclose(shared @ shared.T, alone.factor @ alone.factor.T, atol=1e-5)
    bare = control_networks(network, digits, np.random.default_rng(0), names=["untrained"], statistics=False)
    assert bare["untrained"].statistics is None
