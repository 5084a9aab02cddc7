"""scikit-learn's fitted classifiers as a `Network`, and a `Network` as scikit-learn's `MLPClassifier`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError
from backquery.io.chain import Chain
from backquery.model import IDENTITY, RELU, SIGMOID, SOFTMAX, TANH, Activation, Array, Network, Scaling

ACTIVATION_NAMES = {"identity": IDENTITY, "logistic": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}
"""scikit-learn's names."""

UNDERSTOOD = (
    "a fitted MLPClassifier or LogisticRegression, or a Pipeline that ends in one after StandardScaler, "
    "MinMaxScaler or MaxAbsScaler"
)

PROBES = 16
PIXELS_UP_TO = (1.0, 16.0, 255.0)
"""Full ink, as people have it: shares, scikit-learn's 8 x 8 digits, bytes."""


def network_from_sklearn(
    estimator: Any,
    *,
    input_shape: Sequence[int] = (),
    classes: Sequence[str] = (),
    **description: Any,
) -> Network:
    """A fitted classifier of scikit-learn as a `Network` whose answers are its `predict_proba`.

    Understood are `MLPClassifier` of any depth and activation, `LogisticRegression`, and a `Pipeline` that ends in
    one of them after `StandardScaler`, `MinMaxScaler` or `MaxAbsScaler`, which are folded into the first layer.
    The single output of a binary classifier becomes two. The network's inputs are the columns that the
    estimator itself was given: where these are pixels from 0 to 16, ``scaling=Scaling(1, 0, 16)`` says so. Where
    a scaler comes first and nothing is said, that is assumed: pixels from 0 to 1, 16 or 255, the least of them
    that the scaler can have been fitted to.

    `classes` are by default the estimator's own; `input_shape`, and as `description` scaling, statistics and
    about, go to the network. Before it is returned, the network's answers are compared with `predict_proba`;
    `ModelError` says what cannot be converted.
    """
    *transformers, classifier = _steps(estimator)
    chain = Chain((int(_fitted(estimator).n_features_in_),))
    for transformer in transformers:
        chain.rescale(*_rescaling(transformer))
    for weights, biases, activation in _layers(classifier):
        # What is folded into float32 weights would be rounded again.
        dtype = np.float64 if transformers else weights.dtype
        chain.dense(weights.T.astype(dtype), biases.astype(dtype))
        chain.activate(activation)
    if transformers:
        description.setdefault("scaling", _pixels_as_they_are(transformers[0]))
    names = tuple(classes) or tuple(str(name) for name in classifier.classes_)
    network = chain.finish("logits", input_shape=tuple(input_shape), classes=names, **description)
    _compare(network, estimator)
    return network


def network_to_sklearn(network: Network, *, classes: Sequence[Any] | None = None) -> Any:
    """The network as a fitted `MLPClassifier` whose `predict_proba` gives the network's answers.

    It takes inputs in input scale, ``network.scale(images)``. All hidden layers must share one activation of
    sigmoid, tanh, ReLU or identity, and the answers be softmax or sigmoid; otherwise `ModelError`. `classes` are
    the labels that it predicts, by default the network's, as whole numbers where all are such; its columns
    are in their order. Training can go on with `partial_fit`.
    """
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    hidden, answers = _names_for_sklearn(network)
    labels = _labels(network, classes)
    weights = [layer.weights for layer in network.layers]
    biases = [layer.shifts for layer in network.layers]
    if network.outputs == 2 and answers == "softmax":
        # scikit-learn has one logistic node for two labels: the softmax of (a, b) is the sigmoid of b - a.
        weights[-1], biases[-1] = np.diff(weights[-1], axis=0), np.diff(biases[-1])
        answers = "logistic"
    result = MLPClassifier(hidden_layer_sizes=network.sizes[1:-1], activation=hidden)
    result.coefs_ = [np.array(matrix.T, order="C") for matrix in weights]
    result.intercepts_ = [np.array(vector) for vector in biases]
    result.n_features_in_, result.n_outputs_ = network.inputs, len(biases[-1])
    result.n_layers_, result.out_activation_ = len(weights) + 1, answers
    binarizer = LabelBinarizer().fit(labels)
    binarizer.classes_ = result.classes_ = labels
    if result.n_outputs_ > 1:
        binarizer.y_type_ = "multiclass"
    result._label_binarizer = binarizer
    # What partial_fit continues from.
    result.t_, result.n_iter_, result.loss_curve_, result._no_improvement_count = 0, 0, [], 0
    result.best_loss_, result.validation_scores_, result.best_validation_score_ = np.inf, None, None
    return result


def _steps(estimator: Any) -> list[Any]:
    """The transformers and, last, the classifier of a pipeline, pipelines within it included."""
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    return [part for step in steps for part in _steps(step)] or [estimator]


def _fitted(estimator: Any) -> Any:
    if not hasattr(estimator, "n_features_in_"):
        raise ModelError(f"{type(estimator).__name__} cannot be converted: give {UNDERSTOOD}")
    return estimator


def _rescaling(transformer: Any) -> tuple[Any, Any]:
    """Gain and offset: the transformer makes ``gain * x + offset`` of x."""
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

    _fitted(transformer)
    # Not isinstance: a subclass may transform in another way.
    if type(transformer) is StandardScaler:
        gain = 1.0 if transformer.scale_ is None else 1.0 / transformer.scale_
        return gain, (0.0 if transformer.mean_ is None or not transformer.with_mean else -transformer.mean_ * gain)
    if type(transformer) is MinMaxScaler and not transformer.clip:
        return transformer.scale_, transformer.min_
    if type(transformer) is MaxAbsScaler and not getattr(transformer, "clip", False):
        return 1.0 / transformer.scale_, 0.0
    raise ModelError(f"{transformer!r} cannot be folded into a layer: give {UNDERSTOOD}")


def _pixels_as_they_are(transformer: Any) -> Scaling | None:
    """The scaling of raw pixels that `transformer` was fitted to; None where they were no pixels."""
    lowest, highest = _seen(transformer)
    if lowest < 0:
        return None
    return next((Scaling(1.0, 0.0, full) for full in PIXELS_UP_TO if highest <= full * (1 + 1e-6)), None)


def _seen(transformer: Any) -> tuple[float, float]:
    """Bounds on the lowest and the highest number that a scaler was fitted to."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    if type(transformer) is MinMaxScaler:
        return np.min(transformer.data_min_), np.max(transformer.data_max_)
    if type(transformer) is StandardScaler and transformer.mean_ is not None:
        mean = transformer.mean_
        variance = np.zeros_like(mean) if transformer.var_ is None else transformer.var_
        # Numbers from 0 to M of this mean have at most the variance mean * (M - mean).
        return np.min(mean), np.max(mean + np.divide(variance, mean, out=np.zeros_like(mean), where=mean > 0))
    return 0.0, np.max(getattr(transformer, "max_abs_", np.inf))


def _layers(classifier: Any) -> Iterator[tuple[Array, Array, Activation]]:
    """Weights (inputs, outputs), biases (outputs,) and activation of each layer.

    The activation of a linear classifier's answers is left open, so that it follows from their number.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if isinstance(_fitted(classifier), LogisticRegression):
        yield classifier.coef_.T, np.broadcast_to(classifier.intercept_, len(classifier.coef_)), IDENTITY
        return
    if not isinstance(classifier, MLPClassifier):
        raise ModelError(f"{type(classifier).__name__} cannot be converted: give {UNDERSTOOD}")
    last = len(classifier.coefs_) - 1
    for position, (weights, biases) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True)):
        name = classifier.activation if position < last else classifier.out_activation_
        yield weights, biases, ACTIVATION_NAMES[name]


def _compare(network: Network, estimator: Any) -> None:
    """Raise `ModelError` unless both answer a few questions alike."""
    probes = np.random.default_rng(0).normal(size=(PROBES, network.inputs)).astype(network.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        expected = estimator.predict_proba(probes)
    answers = network.query(probes)
    tolerance = 1e-9 if network.dtype == np.float64 else 1e-4
    if np.shape(expected) != answers.shape or not np.allclose(answers, expected, rtol=0, atol=tolerance):
        raise ModelError(
            f"{type(estimator).__name__} does not answer as a chain of dense layers with its weights would: its "
            "predict_proba may be calibrated, overridden, or put together from one classifier for each label"
        )


def _names_for_sklearn(network: Network) -> tuple[str, str]:
    """scikit-learn's names for the activation of the hidden layers and of the answers."""
    names = {activation: name for name, activation in ACTIVATION_NAMES.items()}
    hidden = {layer.activation for layer in network.layers[:-1]} or {RELU}
    if len(hidden) > 1 or not hidden <= names.keys():
        found = ", ".join(layer.activation.name for layer in network.layers[:-1])
        raise ModelError(
            "MLPClassifier has one activation for all hidden layers, of sigmoid, tanh, relu and identity; this "
            f"network has {found}"
        )
    if network.output_activation not in (SIGMOID, SOFTMAX) or network.outputs < 2:
        raise ModelError(
            "MLPClassifier gives probabilities of two labels or more: the answers must be softmax or sigmoid; "
            f"this network has {network.outputs} of {network.output_activation.name}"
        )
    return names[hidden.pop()], names[network.output_activation]


def _labels(network: Network, classes: Sequence[Any] | None) -> NDArray[Any]:
    if classes is None:
        whole = all(name.isascii() and name.isdigit() and str(int(name)) == name for name in network.classes)
        classes = [int(name) for name in network.classes] if whole else network.classes
    labels = np.asarray(classes)
    if labels.shape != (network.outputs,) or len(np.unique(labels)) != network.outputs:
        raise ModelError(f"{network.outputs} outputs need as many different classes; received {labels.tolist()}")
    return labels
