"""The scikit-learn estimator: scikit-learn's own checks, its tools, and the way back."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from backquery import BackQueryClassifier, MiniBatch, Online
from backquery.errors import DataError, ModelError, TargetError, TrainingError
from backquery.inversion import difference
from backquery.model.activations import SIGMOID, SOFTMAX


@parametrize_with_checks([BackQueryClassifier(), BackQueryClassifier((), recipe="minibatch", learning_rate=0.01)])
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images, labels, test_size=0.3, random_state=0)


@pytest.fixture(scope="module")
def reader(digits):
    images, _, labels, _ = digits
    return BackQueryClassifier(input_shape=(8, 8), random_state=0).fit(images, labels)


def test_it_reads_digits(reader, digits):
    _, images, _, labels = digits
    assert reader.score(images, labels) > 0.95
    assert reader.network_.output_activation is SOFTMAX
    np.testing.assert_allclose(reader.network_.query(images), reader.predict_proba(images), atol=1e-12)


def test_a_scan_is_predicted_as_the_labels_asked_for(reader):
    result = reader.scan()
    assert result.question == "typical"
    assert result.images.min() >= 0
    assert result.images.max() <= 16
    np.testing.assert_array_equal(reader.predict(result.images), np.arange(10))
    assert result.logit_error.max() < 1e-3
    sure = reader.scan([3, 8], confidence=0.9, prior="smooth")
    np.testing.assert_allclose(reader.predict_proba(sure.images)[[0, 1], [3, 8]], 0.9, atol=1e-3)


def test_answers_can_be_asked_for(reader):
    asked = np.full((2, 10), 0.02)
    asked[0, 4], asked[1, [4, 9]] = 0.82, 0.42
    result = reader.back_query(asked)
    np.testing.assert_allclose(reader.predict_proba(result.images), asked, atol=1e-3)
    between = reader.back_query(difference(reader.network_, (4, 9), 2.0))
    found = reader.predict_proba(between.images)[0]
    assert np.log(found[4] / found[9]) == pytest.approx(2.0, abs=2e-3)
    with pytest.raises(TargetError, match="10 numbers each"):
        reader.back_query([0.5, 0.5])


def test_words_as_labels(digits):
    images, test_images, labels, test_labels = digits
    words = np.array(["null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun"])
    model = BackQueryClassifier((40,), random_state=1).fit(images, words[labels])
    assert model.classes_.tolist() == sorted(words)
    assert model.score(test_images, words[test_labels]) > 0.93
    result = model.scan("drei")
    assert model.predict(result.images).tolist() == ["drei"]
    assert model.network_.classes == tuple(sorted(words))
    with pytest.raises(DataError, match=r"unknown label 'zehn'.*acht, drei"):
        model.scan(["zehn"])


@pytest.mark.parametrize(
    ("recipe", "activation", "answers", "least"),
    [
        ("book", "sigmoid", SIGMOID, 0.9),
        ("minibatch", "tanh", SOFTMAX, 0.9),
        ("batch", "relu", SOFTMAX, 0.7),
        (MiniBatch(0.005, batch_size=32), "leaky-relu", SOFTMAX, 0.93),
        (Online(0.05, "cross-entropy", shuffle=True), "relu", SOFTMAX, 0.93),
    ],
)
def test_every_recipe_learns_and_gives_probabilities(digits, recipe, activation, answers, least):
    images, test_images, labels, test_labels = digits
    model = BackQueryClassifier((30,), recipe=recipe, activation=activation, random_state=2)
    model.set_params(learning_rate=1.0 if recipe == "batch" else None).fit(images, labels)
    assert model.score(test_images, test_labels) > least
    probabilities = model.predict_proba(test_images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert model.network_.output_activation is answers


def test_the_seed_decides_everything(digits):
    images, test_images, labels, _ = digits
    first, again, other = (
        BackQueryClassifier((10,), epochs=1, random_state=seed).fit(images, labels) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.predict_proba(test_images), again.predict_proba(test_images))
    assert np.abs(first.predict_proba(test_images) - other.predict_proba(test_images)).max() > 1e-3


def test_learning_goes_on_part_by_part(digits):
    images, test_images, labels, test_labels = digits
    model = BackQueryClassifier((40,), random_state=0, bounds=(0, 16))
    for _ in range(8):
        for part in np.array_split(np.arange(len(images)), 5):
            model.partial_fit(images[part], labels[part], classes=range(10))
    assert model.score(test_images, test_labels) > 0.93
    assert model.network_.statistics is None
    assert model.predict(model.scan(confidence=0.9).images).tolist() == list(range(10))
    with pytest.raises(DataError, match="not those of the first call"):
        model.partial_fit(images, labels, classes=range(9))
    with pytest.raises(DataError, match="unknown label '10'"):
        model.partial_fit(images, labels + 1)
    with pytest.raises(DataError, match=r"classes=\[\.\.\.\]"):
        BackQueryClassifier().partial_fit(images, labels)


def test_going_on_after_fit_starts_from_what_was_learned(digits):
    images, test_images, labels, test_labels = digits
    model = BackQueryClassifier((40,), random_state=0).fit(images, labels)
    before = model.score(test_images, test_labels)
    assert model.partial_fit(images, labels).score(test_images, test_labels) > before - 0.03
    assert BackQueryClassifier((40,), statistics=False).fit(images, labels).network_.statistics is None


def test_it_works_with_scikit_learn_s_tools(digits):
    images, test_images, labels, test_labels = digits
    pipeline = make_pipeline(StandardScaler(), BackQueryClassifier((30,), random_state=0))
    assert pipeline.fit(images, labels).score(test_images, test_labels) > 0.93
    assert pipeline.predict(pipeline[0].inverse_transform(pipeline[-1].scan().images)).tolist() == list(range(10))
    search = GridSearchCV(BackQueryClassifier(random_state=0, epochs=4), {"hidden": [(), (30,)]}, cv=3)
    search.fit(images, labels)
    assert search.best_params_["hidden"] in ((), (30,))
    assert search.best_score_ > 0.9
    scores = cross_val_score(BackQueryClassifier((30,), random_state=0), images, labels, cv=3)
    assert scores.shape == (3,)
    assert scores.min() > 0.9


def test_a_pickled_copy_predicts_alike_and_goes_on(reader, digits):
    images, test_images, labels, _ = digits
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy.predict_proba(test_images), reader.predict_proba(test_images))
    copy.partial_fit(images, labels)
    assert np.abs(copy.predict_proba(test_images) - reader.predict_proba(test_images)).max() > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": "cake"}, TrainingError, "unknown recipe 'cake'; choose one of book"),
        ({"learning_rate": -1.0}, TrainingError, "above zero"),
        ({"epochs": -1}, TrainingError, "at least 1"),
        ({"activation": "gelu"}, ModelError, "unknown activation 'gelu'"),
        ({"hidden": (0,)}, ModelError, "positive numbers of nodes"),
        ({"input_shape": (3, 3)}, ModelError, "does not make 64 inputs"),
        ({"bounds": (16, 0)}, DataError, "lower bound"),
    ],
)
def test_settings_are_checked_when_it_learns(digits, options, error, message):
    images, _, labels, _ = digits
    with pytest.raises(error, match=message):
        BackQueryClassifier(**options).fit(images, labels)


def test_one_class_alone_cannot_be_learned(digits):
    images = digits[0]
    with pytest.raises(DataError, match="at least 2 classes; received 1 class, 'a'"):
        BackQueryClassifier().fit(images, ["a"] * len(images))


@pytest.mark.parametrize("ask", [lambda m: m.scan(), lambda m: m.back_query([[0.5, 0.5]])])
def test_an_untrained_one_cannot_be_asked(ask):
    with pytest.raises(NotFittedError):
        ask(BackQueryClassifier())


def test_importing_backquery_does_not_import_scikit_learn():
    code = "import sys, backquery; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
