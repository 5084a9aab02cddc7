"""scikit-learn's fitted classifiers as a `Network`, and a `Network` as scikit-learn's `MLPClassifier`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backquery.errors import ModelError, assume
from backquery.io.chain import Chain
from backquery.io.comparison import compare
from backquery.io.sklearn_layers import ACTIVATION_NAMES, UNDERSTOOD, fitted, layers_of
from backquery.io.sklearn_steps import evidence, folded, steps_of
from backquery.model import RELU, SIGMOID, SOFTMAX, Array, Network, Scaling

PIXELS_UP_TO = (1.0, 16.0, 255.0)
"""Full ink, as people have it: shares, scikit-learn's 8 x 8 digits, bytes."""

BEYOND_PIXELS = Scaling(6.0, -3.0, 1.0)
"""Where nothing is known of a classifier's inputs, it is asked about standardised ones as well."""


def network_from_sklearn(
    estimator: Any,
    *,
    input_shape: Sequence[int] = (),
    classes: Sequence[str] = (),
    **description: Any,
) -> Network:
    """A fitted classifier of scikit-learn as a `Network` whose answers are its `predict_proba`.

    Understood are `MLPClassifier` of any depth and activation, `LogisticRegression`, `LogisticRegressionCV`,
    `SGDClassifier` of log loss and two labels, `LinearDiscriminantAnalysis`, `MultinomialNB` and `ComplementNB`;
    a `Pipeline` that ends in one of them after linear steps (scalers, `PCA` and other projections, feature
    selection, `ColumnTransformer` and `FeatureUnion` of such), which are folded into the first layer; and the
    `best_estimator_` of a search. The single output of a binary classifier becomes two. The network's inputs are
    the columns that the estimator itself was given: where these are pixels from 0 to 16,
    ``scaling=Scaling(1, 0, 16)`` says so. Where nothing is said, and a first step shows what it was fitted to,
    that is assumed: pixels from 0 to 1, 16 or 255, the least of them that it can have been; an
    `AssumptionWarning` says so where that is not certain.

    `classes` are by default the estimator's own; `input_shape`, and as `description` scaling, statistics and
    about, go to the network. Before it is returned, the network's answers are compared with `predict_proba`;
    `ModelError` says what cannot be converted.
    """
    steps = steps_of(estimator)
    if not steps:
        raise ModelError(f"{type(estimator).__name__} cannot be converted: give {UNDERSTOOD}")
    *transformers, classifier = steps
    with np.errstate(all="ignore"):
        chain = _chain(transformers, classifier)
    shown = _pixels_as_they_are(transformers)
    if "scaling" not in description and shown is not None:
        _say_what_is_assumed(transformers, shown)
        description["scaling"] = shown
    names = tuple(classes) or tuple(_class_names(classifier.classes_))
    network = chain.finish("logits", input_shape=tuple(input_shape), classes=names, **description)
    _compare(network, estimator, shown)
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


def _chain(transformers: list[Any], classifier: Any) -> Chain:
    """The classifier's layers, with the transformers before it folded into the first."""
    chain = Chain()
    first, *others = layers_of(classifier)
    if transformers:
        # In float64: what is folded into float32 weights would be rounded again.
        first = first._replace(weights=first.weights.astype(np.float64))
    for transformer in reversed(transformers):
        weights, shift = folded(fitted(transformer), first.weights)
        first = first._replace(weights=weights, biases=first.biases + shift)
    for step in (first, *others):
        chain.dense(step.weights, step.biases)
        chain.activate(step.activation)
    return chain


def _pixels_as_they_are(transformers: list[Any]) -> Scaling | None:
    """The scaling of the raw pixels that the first steps were fitted to; None where they show none."""
    known = list(evidence(transformers))
    if not known or any(lowest < 0 for lowest, _ in known):
        return None
    # Numbers of float32 may be a little off.
    fulls = [full for full in PIXELS_UP_TO if max(highest for _, highest in known) <= full * (1 + 1e-3)]
    return Scaling(1.0, 0.0, fulls[0]) if fulls else None


def _say_what_is_assumed(transformers: list[Any], taken: Scaling) -> None:
    """Numbers known to reach a small part of the scale only may be others; so may those from -1 to 1."""
    lowest, highest = zip(*evidence(transformers), strict=True)
    signed = taken.maximum == 1 and np.all(np.isnan(lowest))
    if signed or max(highest) < taken.maximum / 2:
        assume(
            f"{type(transformers[0]).__name__} shows only that its pixels reached {max(highest):.3g} or more; "
            f"they are taken to go from 0 to {taken.maximum:g}; scaling=, or --scale, says otherwise"
        )


def _class_names(labels: Any) -> Iterator[str]:
    """Labels as people would write them: 3 and not 3.0, words without quotes."""
    for label in np.asarray(labels).tolist():
        if isinstance(label, bytes):
            yield label.decode("utf-8", "backslashreplace")
        else:
            yield str(int(label) if isinstance(label, float) and label.is_integer() else label)


def _compare(network: Network, estimator: Any, shown: Scaling | None) -> None:
    """Ask both about the pixels that the network is for and those that its first step shows, else about any."""

    def original(x: Array) -> Array:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            return np.asarray(estimator.predict_proba(_with_names(x, estimator)))

    # Asked in float64, as scikit-learn is.
    layers = [replace(layer, weights=layer.weights.astype(np.float64)) for layer in network.layers]
    wide = replace(network, layers=tuple(layers))
    pixels = [scaling for scaling in (network.scaling, shown) if scaling is not None]
    anything = [*(Scaling(1.0, 0.0, full) for full in PIXELS_UP_TO), BEYOND_PIXELS]
    name, precision = type(estimator).__name__, "float32" if _rounds(estimator) else "float64"
    for scaling in pixels or anything:
        compare(replace(wide, scaling=scaling), original, name, raw=False, precision=precision)


def _rounds(value: Any) -> bool:
    """Whether some of its numbers are float32."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype == np.float32)
    if isinstance(value, list | tuple):
        return any(map(_rounds, value))
    return hasattr(value, "get_params") and any(map(_rounds, vars(value).values()))


def _with_names(x: Array, estimator: Any) -> Any:
    """`x` as a table with the columns that the estimator was fitted to, where these had names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or find_spec("pandas") is None:
        return x
    return import_module("pandas").DataFrame(x, columns=names)


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
