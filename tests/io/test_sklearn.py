"""scikit-learn: a converted classifier answers as the original, whatever its shape, in both directions."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from backquery import Network, Scaling, back_query, datasets, evaluate
from backquery import network_from_sklearn as from_sklearn
from backquery import network_to_sklearn as to_sklearn
from backquery.errors import AssumptionWarning, ModelError
from backquery.inversion import fit_statistics
from backquery.model.activations import RELU, SIGMOID, SOFTMAX
from backquery.model.network import Layer
from tests.io import classifiers
from tests.io.classifiers import mlp, quietly


def examples(labels=3, inputs=6, count=40, dtype=np.float64):
    rng = np.random.default_rng(labels)
    return (rng.normal(size=(count, inputs)) * 3 + 2).astype(dtype), np.arange(count) % labels


def fitted(estimator, labels=3, **shape):
    return quietly(estimator, *examples(labels, **shape))


def assert_alike(network, estimator, inputs=6, tolerance=1e-9):
    x = np.random.default_rng(9).normal(size=(20, inputs)) * 3
    np.testing.assert_allclose(network.query(x), estimator.predict_proba(x), atol=tolerance)


@settings(max_examples=30)
@given(
    hidden=st.lists(st.integers(1, 7), max_size=3),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    labels=st.integers(2, 5),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_mlp_becomes_a_network_and_comes_back(hidden, activation, labels, dtype):
    original = fitted(mlp(tuple(hidden), activation), labels, dtype=dtype)
    network = from_sklearn(original)
    back = to_sklearn(network)
    x = examples(labels, dtype=dtype)[0]
    tolerance = 1e-6 if dtype == np.float32 else 1e-12
    assert network.sizes == (6, *hidden, labels)
    assert network.dtype == dtype
    np.testing.assert_allclose(network.query(x), original.predict_proba(x), atol=tolerance)
    np.testing.assert_allclose(back.predict_proba(x), original.predict_proba(x), atol=tolerance)
    np.testing.assert_array_equal(back.predict(x), original.predict(x))
    np.testing.assert_array_equal(back.classes_, original.classes_)


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("intercept", [True, False])
def test_logistic_regression_becomes_a_network(labels, intercept):
    original = fitted(LogisticRegression(fit_intercept=intercept), labels)
    network = from_sklearn(original)
    assert network.sizes == (6, labels)
    assert network.output_activation is SOFTMAX
    assert_alike(network, original)


@pytest.mark.parametrize(
    "scalers",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MinMaxScaler((-1, 2))],
        [MaxAbsScaler(), "passthrough", make_pipeline(StandardScaler(), MinMaxScaler())],
    ],
    ids=str,
)
@pytest.mark.parametrize("last", [mlp((5, 4), "tanh"), LogisticRegression()], ids=["mlp", "logistic"])
@pytest.mark.parametrize("labels", [2, 3])
def test_scalers_before_it_are_folded_into_the_first_layer(scalers, last, labels):
    pipeline = fitted(make_pipeline(*scalers, last), labels)
    assert_alike(from_sklearn(pipeline, scaling=None), pipeline)


@pytest.mark.parametrize("estimator", classifiers.many())
def test_what_people_put_together_answers_as_it_did(estimator):
    original = classifiers.fitted(clone(estimator))
    x, _ = classifiers.examples()
    network = from_sklearn(original, scaling=None)
    np.testing.assert_allclose(network.query(x), original.predict_proba(x), rtol=0, atol=1e-9)
    assert network.classes == ("0", "1", "2")
    assert network.sizes[0] == 6


@classifiers.ROWS["descent"]
@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["no", "yes"], [-1.0, 1.0]])
def test_two_labels_by_descent(labels):
    x, y = classifiers.examples(2)
    original = quietly(classifiers.descending(), x, np.array(labels)[y])
    network = from_sklearn(original)
    np.testing.assert_allclose(network.query(x), original.predict_proba(x), rtol=0, atol=1e-9)
    assert network.classes == tuple(str(int(k)) if isinstance(k, float) else str(k) for k in labels)


@pytest.mark.parametrize("labels", [[0.0, 1.0, 2.0], [0, 1, 2], np.array([0, 1, 2], np.uint8)], ids=str)
def test_labels_are_named_as_people_write_them(labels):
    x, y = classifiers.examples()
    assert from_sklearn(quietly(mlp(), x, np.asarray(labels)[y])).classes == ("0", "1", "2")
    assert from_sklearn(quietly(mlp(), x, np.array([-2.0, -1, 3])[y])).classes == ("-2", "-1", "3")


@pytest.mark.needs("pandas")
@pytest.mark.reads(
    "model", "a `ColumnTransformer` of named columns, fitted to a table", "inputs in the table's order"
)
def test_columns_by_their_names():
    from pandas import DataFrame

    x, y = classifiers.examples()
    table = DataFrame(x, columns=list("fedcba"))
    named = classifiers.columns((StandardScaler(), ["a", "e"]), remainder="passthrough")
    original = quietly(make_pipeline(named, mlp()), table, y)
    network = from_sklearn(original, scaling=None)
    np.testing.assert_allclose(network.query(x), original.predict_proba(table), rtol=0, atol=1e-9)


def test_float32_weights_after_a_scaler_are_folded_in_float64():
    pipeline = fitted(make_pipeline(StandardScaler(), mlp()), dtype=np.float32)
    network = from_sklearn(pipeline, scaling=None)
    assert network.dtype == np.float64
    assert_alike(network, pipeline, tolerance=1e-5)


SHOW_PIXELS = [
    StandardScaler(),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 2)),
    RobustScaler(),
    PCA(20),
    PCA(20, whiten=True, svd_solver="randomized", random_state=0),
    IncrementalPCA(20),
    make_pipeline(VarianceThreshold(), StandardScaler()),
    classifiers.columns((StandardScaler(), slice(0, 32)), remainder="passthrough"),
]


def on_digits(first, full):
    """A classifier behind `first`, fitted to digits from 0 to `full`, and the digits."""
    digits = datasets.load("digits").with_maximum(full).train.select(slice(300))
    return quietly(make_pipeline(first, mlp()), digits.images.reshape(-1, 64), digits.labels), digits.images


@pytest.mark.parametrize("first", SHOW_PIXELS, ids=str)
@pytest.mark.parametrize("full", [1, 16, 255])
@pytest.mark.reads(
    "model", "a first step that was fitted to raw pixels", "pixels from 0 to 1, 16 or 255, as they were"
)
def test_a_pipeline_that_begins_with_a_scaler_takes_pixels_as_they_are(first, full):
    pipeline, images = on_digits(first, full)
    network = from_sklearn(pipeline, input_shape=(8, 8))
    assert network.scaling == Scaling(1.0, 0.0, full)
    predicted = pipeline.predict_proba(images.reshape(-1, 64))
    np.testing.assert_allclose(network.query_images(images), predicted, atol=1e-7)
    assert from_sklearn(pipeline, scaling=None).scaling is None
    assert from_sklearn(pipeline[-1]).scaling is None, "who knows what it was given"


def test_what_shows_no_sign_is_said_where_pixels_may_go_from_minus_one():
    assert from_sklearn(on_digits(MaxAbsScaler(), 16)[0]).scaling.maximum == 16
    with pytest.warns(AssumptionWarning, match=r"MaxAbsScaler shows only .* reached 1 or more; .* from 0 to 1;"):
        assert from_sklearn(on_digits(MaxAbsScaler(), 1)[0]).scaling.maximum == 1
    with pytest.warns(AssumptionWarning, match=r"TruncatedSVD shows only .* from 0 to 255;"):
        assert from_sklearn(on_digits(TruncatedSVD(20), 255)[0]).scaling.maximum == 255


def test_pixels_that_reach_a_small_part_of_a_scale_are_said():
    x, y = classifiers.examples()
    pipeline = quietly(make_pipeline(StandardScaler(), mlp()), x / 4, y)
    with pytest.warns(AssumptionWarning, match=r"StandardScaler shows only .* from 0 to 16; .*--scale, says"):
        assert from_sklearn(pipeline).scaling.maximum == 16
    assert from_sklearn(pipeline, scaling=Scaling(1, 0, 4)).scaling.maximum == 4


@pytest.mark.parametrize(("gain", "offset"), [(1, -20), (100, 0)])
def test_what_are_no_pixels_is_not_taken_for_them(gain, offset):
    digits = datasets.load("digits").train
    x, y = digits.images.reshape(-1, 64) * float(gain) + offset, digits.labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert from_sklearn(make_pipeline(StandardScaler(), mlp()).fit(x, y)).scaling is None


@pytest.mark.reads("model", "`MLPClassifier` with several labels at once", "independent sigmoids")
def test_several_labels_at_once_keep_their_sigmoids():
    x, _ = examples()
    y = np.random.default_rng(0).integers(0, 2, (40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        original = mlp().fit(x, y)
    network = from_sklearn(original)
    assert network.output_activation is SIGMOID
    assert network.classes == ("0", "1", "2")
    assert_alike(network, original)


def test_names_and_shape_go_along():
    x, y = examples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        original = mlp().fit(x, np.array(["boot", "coat", "bag"])[y])
    network = from_sklearn(original, input_shape=(2, 3), scaling=Scaling(1, 0, 16), about={"data": "drawn"})
    assert network.classes == ("bag", "boot", "coat")
    assert network.input_shape == (2, 3)
    assert network.scaling.maximum == 16
    assert network.about == {"data": "drawn"}
    assert to_sklearn(network).predict(x).tolist() == original.predict(x).tolist()
    assert from_sklearn(original, classes=("x", "y", "z")).classes == ("x", "y", "z")


@pytest.mark.reads("model", "`SparseRandomProjection`, and coefficients after `sparsify()`", "with their zeros")
def test_sparse_numbers_are_read_with_their_zeros():
    from sklearn.random_projection import SparseRandomProjection

    X, y = examples()
    for estimator in (make_pipeline(SparseRandomProjection(4, random_state=0), LogisticRegression()),
                      LogisticRegression(C=0.1, l1_ratio=1, solver="saga", max_iter=500)):  # fmt: skip
        quietly(estimator, X, y)
        if isinstance(estimator, LogisticRegression):
            estimator.sparsify()
        network = from_sklearn(estimator)
        np.testing.assert_allclose(network.query(X), estimator.predict_proba(X), atol=1e-9)


@pytest.mark.reads("model", "classifiers without `predict_proba`, or that mix several", "an error that says why")
@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (MLPClassifier(), "MLPClassifier cannot be converted: it was not fitted; give a fitted"),
        (make_pipeline(StandardScaler(), MLPClassifier()), "give a fitted"),
        (fitted(MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)), "MLPRegressor cannot be converted"),
        (fitted(make_pipeline(Normalizer(), mlp())), "Normalizer cannot be folded into a layer: it divides"),
        (fitted(make_pipeline(PolynomialFeatures(), mlp())), "PolynomialFeatures cannot .* multiplies pixels"),
        (fitted(make_pipeline(SplineTransformer(), mlp())), "SplineTransformer cannot .* none of scikit-learn's"),
        (fitted(make_pipeline(MinMaxScaler(clip=True), mlp())), "set clip = False on the fitted scaler"),
        (fitted(make_pipeline(FunctionTransformer(np.arctan), mlp())), "runs a function of yours"),
        (
            fitted(CalibratedClassifierCV(LogisticRegression())),
            "CalibratedClassifierCV cannot .* it bends",
        ),
        (
            fitted(OneVsRestClassifier(LogisticRegression())),
            "OneVsRestClassifier .* of its own for each",
        ),
        (fitted(classifiers.descending()), "SGDClassifier cannot .* one sigmoid for each label and divides"),
        (fitted(SGDClassifier()), "SGDClassifier cannot .* only if its loss is log_loss; this one has hinge"),
        (fitted(LinearSVC()), "LinearSVC cannot .* does not say how sure it is .* fit LogisticRegression"),
        (fitted(RidgeClassifier()), "RidgeClassifier cannot .* has no predict_proba"),
        (fitted(NearestCentroid()), "NearestCentroid cannot be converted: give a fitted"),
        (fitted(GaussianNB()), "GaussianNB cannot .* variances of its own"),
        (fitted(GridSearchCV(mlp(), {"alpha": [1.0]}, cv=2, refit=False)), "GridSearchCV cannot .* refit=True"),
        (GridSearchCV(mlp(), {"alpha": [1.0]}), "GridSearchCV cannot be converted: give a fitted"),
        (make_pipeline("passthrough"), "Pipeline cannot be converted: give a fitted"),
        (fitted(StandardScaler()), "StandardScaler cannot be converted: give a fitted"),
        (42, "int cannot be converted"),
    ],
)
def test_what_is_no_chain_of_dense_layers_is_named(estimator, message):
    with pytest.raises(ModelError, match=message):
        from_sklearn(estimator)


def test_one_against_the_rest_is_refused():
    old = fitted(LogisticRegression())
    old.multi_class = "ovr"  # as scikit-learn before 1.8 had it
    with pytest.raises(ModelError, match=r"LogisticRegression cannot .* one sigmoid for each label"):
        from_sklearn(old)


class Doubting(LogisticRegression):
    def predict_proba(self, x):
        return 0.5 * super().predict_proba(x) + 0.5 / len(self.classes_)


class Clipping(StandardScaler):
    def transform(self, x, copy=None):
        return np.clip(super().transform(x), -5, 5)


def test_a_classifier_that_answers_otherwise_is_refused():
    with pytest.raises(ModelError, match="Doubting does not answer as the network made of it does"):
        from_sklearn(fitted(Doubting()))
    with pytest.raises(ModelError, match="Clipping cannot be folded"):
        from_sklearn(fitted(make_pipeline(Clipping(), mlp())))


def test_what_rounds_coarsely_is_compared_so():
    x, y = classifiers.examples()
    pipeline = quietly(make_pipeline(PCA(3), mlp()), x.astype(np.float32), y)
    network = from_sklearn(pipeline)
    np.testing.assert_allclose(network.query(x), pipeline.predict_proba(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whitening_of_a_pixel_that_never_varies_is_refused(dtype):
    x, y = classifiers.examples()
    whitened = quietly(make_pipeline(PCA(whiten=True), mlp()), x.astype(dtype), y)
    with pytest.raises(ModelError, match=r"PCA\(whiten=True\) .* hang on rounding; .* fewer n_components"):
        from_sklearn(whitened)


def test_what_was_changed_after_fitting_is_no_network():
    pipeline = fitted(make_pipeline(StandardScaler(), PCA(2), mlp()))
    pipeline[0].mean_ = pipeline[0].mean_ * np.nan
    with pytest.raises(ModelError, match="not finite"):
        from_sklearn(pipeline)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    outputs=st.integers(2, 12),
    activation=st.sampled_from(["sigmoid", "tanh", "relu", "identity"]),
    answers=st.sampled_from(["sigmoid", "softmax"]),
    biases=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_network_of_the_kind_becomes_an_mlp(sizes, outputs, activation, answers, biases, dtype):
    activations = [activation] * (len(sizes) - 1) + [answers]
    network = Network.create([*sizes, outputs], activation=activations, biases=biases, rng=3, dtype=dtype)
    estimator = to_sklearn(network)
    x = np.random.default_rng(0).normal(size=(7, sizes[0])).astype(dtype)
    expected = network.query(x)
    np.testing.assert_allclose(estimator.predict_proba(x), expected, atol=1e-6)
    assert estimator.predict(x).tolist() == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize(("labels", "classes"), [(2, None), (3, None), (3, ["c", "a", "b"])])
def test_a_converted_network_can_go_on_learning(labels, classes):
    x, y = examples(labels)
    network = Network.create([6, 8, labels], activation=["relu", "softmax"], biases=True, rng=1)
    estimator = to_sklearn(network, classes=classes)
    truth = estimator.classes_[y]
    estimator.set_params(learning_rate_init=0.02, random_state=0)
    before = estimator.score(x, truth)
    for _ in range(300):
        estimator.partial_fit(x, truth)
    assert estimator.score(x, truth) > max(before, 0.9)
    assert estimator.loss_curve_[-1] < 0.5 * estimator.loss_curve_[0]


@pytest.mark.parametrize(
    ("activation", "options", "message"),
    [
        (["tanh", "relu", "softmax"], {}, "one activation for all hidden layers.*tanh, relu"),
        (["leaky-relu", "leaky-relu", "softmax"], {}, "leaky-relu"),
        (["tanh", "tanh", "tanh"], {}, "answers must be softmax or sigmoid"),
        (["tanh", "tanh", "softmax"], {"classes": ["a", "a", "b"]}, "different classes"),
        (["tanh", "tanh", "softmax"], {"classes": ["a", "b"]}, "3 outputs need as many"),
    ],
)
def test_what_mlpclassifier_cannot_be_is_named(activation, options, message):
    with pytest.raises(ModelError, match=message):
        to_sklearn(Network.create([4, 5, 5, 3], activation=activation), **options)


def test_one_sigmoid_output_is_refused():
    with pytest.raises(ModelError, match="labels or more"):
        to_sklearn(Network((Layer(np.ones((1, 4)), None, SIGMOID),)))


@pytest.fixture(scope="module")
def digits_network():
    """scikit-learn's classifier with its default ReLU and 100 nodes, trained on raw digits."""
    digits = datasets.load("digits")
    train = digits.train
    estimator = MLPClassifier(random_state=0, max_iter=60, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(train.images.reshape(len(train), -1).astype(float), train.labels)
    network = from_sklearn(estimator, input_shape=(8, 8), scaling=Scaling(1, 0, 16), classes=digits.classes)
    return replace(network, statistics=fit_statistics(network, train))


def test_the_default_mlp_reads_digits(digits_network):
    assert [layer.activation for layer in digits_network.layers] == [RELU, SOFTMAX]
    assert evaluate(digits_network, datasets.load("digits").test).performance > 0.9


@pytest.mark.parametrize("question", [{}, {"confidence": 0.99}])
def test_the_default_mlp_reads_all_ten_labels_as_asked(digits_network, question):
    result = back_query(digits_network, range(10), **question)
    assert result.method == "gauss-newton"
    assert result.read.tolist() == list(range(10))
    assert result.converged.all()
    assert result.logit_error.max() < 1e-3
    assert result.images.min() >= 0
    assert result.images.max() <= 16
