"""scikit-learn's classifiers as layers, each kind by its formula; and why others are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from backquery.errors import ModelError
from backquery.io.sklearn_steps import NOT_LINEAR, unpacked
from backquery.model import IDENTITY, RELU, SIGMOID, SOFTMAX, TANH, Activation, Array

ACTIVATION_NAMES = {"identity": IDENTITY, "logistic": SIGMOID, "tanh": TANH, "relu": RELU, "softmax": SOFTMAX}
"""scikit-learn's names."""

UNDERSTOOD = (
    "a fitted MLPClassifier, LogisticRegression, LinearDiscriminantAnalysis, MultinomialNB or ComplementNB, or a "
    "Pipeline that ends in one after scalers, PCA, feature selection or a ColumnTransformer of them"
)


class Step(NamedTuple):
    """Weights (outputs, inputs), biases (outputs,) and the activation after them."""

    weights: Array
    biases: Array
    activation: Activation


def fitted(estimator: Any) -> Any:
    """The estimator itself; `ModelError` unless it was fitted."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ModelError(
            f"{type(estimator).__name__} cannot be converted: it was not fitted; give {UNDERSTOOD}"
        ) from None
    except TypeError:
        raise ModelError(f"{type(estimator).__name__} cannot be converted: give {UNDERSTOOD}") from None
    return estimator


def layers_of(classifier: Any) -> list[Step]:
    """A classifier's layers; the activation of linear scores is left open, and follows from their number."""
    kinds = [kind for kind in type(classifier).__mro__ if kind.__module__.startswith("sklearn.")]
    names = [f"{kind.__module__}.{kind.__name__}" for kind in kinds]
    rule = next((CLASSIFIERS[name] for name in names if name in CLASSIFIERS), None)
    if rule is None:
        raise ModelError(f"{type(classifier).__name__} cannot be converted: {_no_layers(classifier)}")
    return rule(fitted(classifier))


def _no_layers(classifier: Any) -> str:
    """What keeps it from being a chain of dense layers, and what to do."""
    from sklearn.base import ClassifierMixin, RegressorMixin

    if isinstance(classifier, ClassifierMixin) and not hasattr(classifier, "predict_proba"):
        return NO_PROBABILITIES
    known = REASONS.get(type(classifier).__name__)
    if isinstance(classifier, RegressorMixin):
        known = "it gives numbers, not how sure it is of each label"
    return f"{known}; give {UNDERSTOOD}" if known else f"give {UNDERSTOOD}"


NO_PROBABILITIES = (
    "it decides, but does not say how sure it is (it has no predict_proba), which a back query asks for; fit "
    "LogisticRegression or MLPClassifier in its place"
)

ONE_AGAINST_THE_REST = (
    "it asks one sigmoid for each label and divides by their sum, which no layer does; fit LogisticRegression in "
    "its place, whose labels share one softmax"
)

_THRESHOLD = "it decides by a threshold of its own, not by the largest answer; give its estimator_"
_MEAN = "it takes the mean of several classifiers"
_DISTANCES = "it compares images with those it learned from"
_TREES = "trees ask of single pixels whether they are above a threshold"

REASONS = {
    **NOT_LINEAR,
    **dict.fromkeys(
        ("LinearSVC", "Perceptron", "RidgeClassifier", "RidgeClassifierCV", "PassiveAggressiveClassifier"),
        NO_PROBABILITIES,
    ),
    **dict.fromkeys(("FixedThresholdClassifier", "TunedThresholdClassifierCV"), _THRESHOLD),
    **dict.fromkeys(("VotingClassifier", "BaggingClassifier"), _MEAN),
    **dict.fromkeys(("SVC", "NuSVC", "KNeighborsClassifier", "GaussianProcessClassifier"), _DISTANCES),
    **dict.fromkeys(
        (
            "DecisionTreeClassifier",
            "RandomForestClassifier",
            "ExtraTreesClassifier",
            "GradientBoostingClassifier",
            "HistGradientBoostingClassifier",
        ),
        _TREES,
    ),
    "CalibratedClassifierCV": "it bends the answers of a classifier, and takes the mean of several",
    "OneVsRestClassifier": "it asks a classifier of its own for each label, and puts their answers together",
    "OneVsOneClassifier": "it asks a classifier of its own for each pair of labels",
    "StackingClassifier": "it asks one classifier about the answers of others",
    "GaussianNB": "each label has variances of its own, which makes its scores quadratic",
    "BernoulliNB": "it asks of every pixel whether it is above a threshold",
}
"""Why well-known estimators are no chain of dense layers."""


def _perceptron(classifier: Any) -> list[Step]:
    """scikit-learn's weights are (inputs, outputs)."""
    hidden = [classifier.activation] * (len(classifier.coefs_) - 1)
    names = [*hidden, classifier.out_activation_]
    return [
        Step(weights.T, biases, ACTIVATION_NAMES[name])
        for weights, biases, name in zip(classifier.coefs_, classifier.intercepts_, names, strict=True)
    ]


def _linear(classifier: Any) -> list[Step]:
    weights = unpacked(classifier.coef_)
    return [Step(weights, np.broadcast_to(classifier.intercept_, len(weights)), IDENTITY)]


def _logistic(classifier: Any) -> list[Step]:
    # Before scikit-learn 1.8, there were two ways to ask for this.
    apart = getattr(classifier, "multi_class", None) == "ovr" or classifier.solver == "liblinear"
    if apart and len(classifier.classes_) > 2:
        raise ModelError(f"{type(classifier).__name__} cannot be converted: {ONE_AGAINST_THE_REST}")
    return _linear(classifier)


def _by_descent(classifier: Any) -> list[Step]:
    if classifier.loss != "log_loss":
        raise ModelError(
            "SGDClassifier cannot be converted: its answers are those of a sigmoid only if its loss is log_loss; "
            f"this one has {classifier.loss}"
        )
    if len(classifier.classes_) > 2:
        raise ModelError(f"SGDClassifier cannot be converted: {ONE_AGAINST_THE_REST}")
    return _linear(classifier)


def _bayes(classifier: Any) -> list[Step]:
    """The log-probabilities of independent words are linear in how often each occurs."""
    return [Step(classifier.feature_log_prob_, classifier.class_log_prior_, SOFTMAX)]


def _complement_bayes(classifier: Any) -> list[Step]:
    return [Step(classifier.feature_log_prob_, np.zeros(len(classifier.classes_)), SOFTMAX)]


CLASSIFIERS: dict[str, Callable[[Any], list[Step]]] = {
    "sklearn.neural_network._multilayer_perceptron.MLPClassifier": _perceptron,
    "sklearn.linear_model._logistic.LogisticRegression": _logistic,
    "sklearn.linear_model._logistic.LogisticRegressionCV": _logistic,
    "sklearn.linear_model._stochastic_gradient.SGDClassifier": _by_descent,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": _linear,
    "sklearn.naive_bayes.MultinomialNB": _bayes,
    "sklearn.naive_bayes.ComplementNB": _complement_bayes,
}
"""The full names of what is a chain of dense layers, and how each gives them."""
