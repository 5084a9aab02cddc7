"""scikit-learn's linear transformers folded into the weights after them; and what they were fitted to.

A linear transformer makes ``A x + o`` of x, so that weights W after it are weights ``W A`` and a shift ``W o``
before it. Each kind has its formula here, by the name of its class; no other kind is ever guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backquery.errors import ModelError
from backquery.io.foreign import check_size
from backquery.model import Array

Folded = tuple[Array, Array]
"""Weights (outputs, inputs) and a shift (outputs,)."""

Rule = Callable[[Any, Array], Folded]
"""A fitted transformer and the weights after it, to those before it."""

SEARCHES = (
    "sklearn.model_selection._search.GridSearchCV",
    "sklearn.model_selection._search.RandomizedSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV",
)
"""What holds its classifier as `best_estimator_`."""

NOT_REFIT = (
    "it was not fitted again with the best settings, and so holds no classifier: search with refit=True, or give "
    "a classifier fitted with its best_params_"
)

FROZEN = "sklearn.frozen._frozen.FrozenEstimator"
PIPELINE = "sklearn.pipeline.Pipeline"

NOT_LINEAR = {
    "Normalizer": "it divides every image by its own length",
    "Binarizer": "it asks of every pixel whether it is above a threshold",
    "KBinsDiscretizer": "it sorts pixels into bins",
    "PowerTransformer": "it bends pixels by a power",
    "QuantileTransformer": "it bends pixels by their ranks",
    "PolynomialFeatures": "it multiplies pixels with one another",
    "KernelPCA": "it compares images with those it learned from",
    "NMF": "it searches for the parts of every image anew",
}
"""Why well-known transformers are no matrix."""


ROUNDING = 1e-4
"""How much of the largest component rounding may be, in the smallest that is whitened."""


def is_kind(value: Any, *names: str) -> bool:
    """Whether `value` is of one of scikit-learn's classes, and not of a subclass, which may do anything."""
    return type(value).__module__.startswith("sklearn.") and type(value).__name__ in map(_short, names)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def steps_of(estimator: Any) -> list[Any]:
    """The transformers and, last, the classifier of a pipeline, of pipelines within it and of what wraps them."""
    if hasattr(estimator, "best_estimator_"):
        return steps_of(estimator.best_estimator_)
    if is_kind(estimator, *SEARCHES) and hasattr(estimator, "cv_results_"):
        raise ModelError(f"{type(estimator).__name__} cannot be converted: {NOT_REFIT}")
    if is_kind(estimator, FROZEN):
        return steps_of(estimator.estimator)
    if not is_kind(estimator, PIPELINE):
        return [estimator]
    steps = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
    return [part for step in steps for part in steps_of(step)]


def folded(transformer: Any, weights: Array) -> Folded:
    """Weights after `transformer` as weights and a shift before it; `ModelError` where it is not linear.

    weights: (outputs, numbers that the transformer gives), float64.
    """
    if isinstance(transformer, str):
        return weights, np.zeros(len(weights))
    rule = _rule(transformer)
    if rule is None:
        raise ModelError(_not_linear(transformer))
    return rule(transformer, weights)


def _rule(transformer: Any) -> Rule | None:
    return next((rule for name, rule in TRANSFORMERS.items() if is_kind(transformer, name)), None)


def _not_linear(transformer: Any) -> str:
    name = type(transformer).__name__
    why = NOT_LINEAR.get(name, "it is none of scikit-learn's linear transformers")
    return (
        f"{name} cannot be folded into a layer: {why}; scalers, PCA, feature selection and a ColumnTransformer or "
        "FeatureUnion of them can"
    )


def unpacked(matrix: Any) -> Any:
    """Numbers as they are, or those of a sparse matrix with its zeros."""
    if not hasattr(matrix, "toarray"):
        return matrix
    check_size(8 * matrix.shape[0] * matrix.shape[1], "a sparse matrix in it")
    return matrix.toarray()


def _times(weights: Array, matrix: ArrayLike) -> Array:
    """``weights @ matrix``, unless that is larger than any network read here."""
    wide: Array = np.asarray(unpacked(matrix), np.float64)
    check_size(8 * len(weights) * wide.shape[1], "its first layer")
    return np.asarray(weights @ wide)


def _blank(outputs: int, inputs: int) -> Array:
    check_size(8 * outputs * inputs, "its first layer")
    return np.zeros((outputs, inputs))


def _rescaled(weights: Array, gain: Array | float, offset: Array | float) -> Folded:
    """Before the weights, ``gain * x + offset``."""
    return weights * gain, weights @ np.broadcast_to(offset, weights.shape[1:])


def _standardised(scaler: Any, weights: Array) -> Folded:
    gain = 1.0 if scaler.scale_ is None else 1.0 / scaler.scale_
    centred = scaler.with_mean and scaler.mean_ is not None
    return _rescaled(weights, gain, -scaler.mean_ * gain if centred else 0.0)


def _robust(scaler: Any, weights: Array) -> Folded:
    gain = 1.0 / scaler.scale_ if scaler.with_scaling else 1.0
    return _rescaled(weights, gain, -scaler.center_ * gain if scaler.with_centering else 0.0)


def _between_ends(scaler: Any, weights: Array) -> Folded:
    _check_unclipped(scaler)
    return _rescaled(weights, scaler.scale_, scaler.min_)


def _by_largest(scaler: Any, weights: Array) -> Folded:
    _check_unclipped(scaler)
    return _rescaled(weights, 1.0 / scaler.scale_, 0.0)


def _check_unclipped(scaler: Any) -> None:
    if getattr(scaler, "clip", False):
        raise ModelError(
            f"{type(scaler).__name__}(clip=True) cannot be folded into a layer: it cuts off what lies outside the "
            "range that it was fitted to; set clip = False on the fitted scaler, which changes no answer within "
            "that range"
        )


def _principal(pca: Any, weights: Array) -> Folded:
    components = pca.components_
    if pca.whiten:
        precision = np.finfo(pca.explained_variance_.dtype).eps
        deviations = np.maximum(np.sqrt(pca.explained_variance_), precision)
        if precision * deviations.max() > ROUNDING * deviations.min():
            raise ModelError(
                f"{type(pca).__name__}(whiten=True) divides by variances next to nothing, so that its answers "
                "hang on rounding; fit it with fewer n_components"
            )
        components = components / deviations[:, None]
    return _projected(weights, components, pca.mean_)


def _by_components(transformer: Any, weights: Array) -> Folded:
    return _projected(weights, transformer.components_, getattr(transformer, "mean_", None))


def _discriminants(analysis: Any, weights: Array) -> Folded:
    components = analysis.scalings_.T[: weights.shape[1]]
    return _projected(weights, components, analysis.xbar_ if analysis.solver == "svd" else None)


def _projected(weights: Array, components: Array, mean: Array | None) -> Folded:
    """Before the weights, ``components @ (x - mean)``."""
    matrix = _times(weights, components)
    return matrix, np.zeros(len(matrix)) if mean is None else -matrix @ mean


def _selected(selector: Any, weights: Array) -> Folded:
    support = np.asarray(selector.get_support(), bool)
    matrix = _blank(len(weights), len(support))
    matrix[:, support] = weights
    return matrix, np.zeros(len(weights))


def _unchanged(transformer: Any, weights: Array) -> Folded:
    if transformer.func is not None:
        raise ModelError(
            "FunctionTransformer cannot be folded into a layer: it runs a function of yours; where that only "
            "rescales pixels, convert the steps after it and say so with scaling=Scaling(gain, offset, maximum)"
        )
    return weights, np.zeros(len(weights))


def _in_turn(pipeline: Any, weights: Array) -> Folded:
    shift = np.zeros(len(weights))
    for step in reversed(steps_of(pipeline)):
        weights, moved = folded(step, weights)
        shift = shift + moved
    return weights, shift


def _by_columns(columns: Any, weights: Array) -> Folded:
    """Each part takes columns of its own and fills a slice of what comes out."""
    matrix, shift = _blank(len(weights), int(columns.n_features_in_)), np.zeros(len(weights))
    shares = columns.transformer_weights or {}
    for name, transformer, _ in columns.transformers_:
        outputs = columns.output_indices_[name]
        taken = columns._transformer_to_input_indices[name]
        if outputs.stop > outputs.start:
            part, moved = folded(transformer, weights[:, outputs] * shares.get(name, 1.0))
            # A part may take a column twice.
            for column, piece in zip(taken, part.T, strict=True):
                matrix[:, column] += piece
            shift = shift + moved
    return matrix, shift


def _side_by_side(union: Any, weights: Array) -> Folded:
    """All parts take all columns."""
    shares = union.transformer_weights or {}
    parts = [part for part in union.transformer_list if part[1] != "drop"]
    ends = np.cumsum([len(transformer.get_feature_names_out()) for _, transformer in parts])
    pieces = [
        folded(transformer, piece * shares.get(name, 1.0))
        for (name, transformer), piece in zip(parts, np.split(weights, ends[:-1], axis=1), strict=True)
    ]
    return np.sum([matrix for matrix, _ in pieces], axis=0), np.sum([shift for _, shift in pieces], axis=0)


TRANSFORMERS: dict[str, Rule] = {
    "sklearn.preprocessing._data.StandardScaler": _standardised,
    "sklearn.preprocessing._data.RobustScaler": _robust,
    "sklearn.preprocessing._data.MinMaxScaler": _between_ends,
    "sklearn.preprocessing._data.MaxAbsScaler": _by_largest,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _unchanged,
    "sklearn.decomposition._pca.PCA": _principal,
    "sklearn.decomposition._incremental_pca.IncrementalPCA": _principal,
    "sklearn.decomposition._truncated_svd.TruncatedSVD": _by_components,
    "sklearn.decomposition._fastica.FastICA": _by_components,
    "sklearn.random_projection.GaussianRandomProjection": _by_components,
    "sklearn.random_projection.SparseRandomProjection": _by_components,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": _discriminants,
    "sklearn.feature_selection._variance_threshold.VarianceThreshold": _selected,
    "sklearn.feature_selection._univariate_selection.SelectKBest": _selected,
    "sklearn.feature_selection._univariate_selection.SelectPercentile": _selected,
    "sklearn.feature_selection._from_model.SelectFromModel": _selected,
    "sklearn.feature_selection._rfe.RFE": _selected,
    "sklearn.feature_selection._rfe.RFECV": _selected,
    "sklearn.feature_selection._sequential.SequentialFeatureSelector": _selected,
    "sklearn.compose._column_transformer.ColumnTransformer": _by_columns,
    "sklearn.pipeline.FeatureUnion": _side_by_side,
    PIPELINE: _in_turn,
    FROZEN: _in_turn,
}
"""The full names of what is linear, and how each folds into the weights after it."""


def evidence(transformers: list[Any]) -> Iterator[tuple[float, float]]:
    """What transformers betray of the numbers that they were fitted to, each as a pair.

    The lowest number was at most the first of a pair (NaN where nothing is known of it), and the highest at
    least the second.
    """
    for transformer in transformers:
        for part in _parts(transformer):
            yield from evidence(steps_of(part))
        yield from _betrayed(transformer)
        if not _leaves_alone(transformer):
            return


def _parts(transformer: Any) -> list[Any]:
    """What a ColumnTransformer or a FeatureUnion is made of."""
    listed: Any = getattr(transformer, "transformers_", None) or getattr(transformer, "transformer_list", ())
    return [part[1] for part in listed if not isinstance(part[1], str)]


def _leaves_alone(transformer: Any) -> bool:
    """Whether what comes out is some of what came in, unchanged."""
    return _rule(transformer) in (_selected, _unchanged)


def _betrayed(transformer: Any) -> Iterator[tuple[float, float]]:
    mean = getattr(transformer, "mean_", None)
    if is_kind(transformer, "MinMaxScaler"):
        yield float(np.min(transformer.data_min_)), float(np.max(transformer.data_max_))
    elif is_kind(transformer, "MaxAbsScaler"):
        yield np.nan, float(np.max(transformer.max_abs_))
    elif is_kind(transformer, "RobustScaler"):
        yield from _between_quantiles(transformer)
    elif is_kind(transformer, "TruncatedSVD"):
        # The highest number is at least the root of the mean square.
        yield np.nan, float(np.sqrt(np.max(_explained(transformer))))
    elif mean is not None and is_kind(transformer, "StandardScaler"):
        yield _from_moments(mean, transformer.var_)
    elif mean is not None and is_kind(transformer, "PCA", "IncrementalPCA"):
        count = getattr(transformer, "n_samples_", None) or transformer.n_samples_seen_
        yield _from_moments(mean, _explained(transformer) * (1 - 1 / count))
    elif mean is not None and is_kind(transformer, "FastICA"):
        yield _from_moments(mean, None)


def _explained(transformer: Any) -> Array:
    """How much of each number's variance, at least, lies in the components: (inputs,)."""
    return np.asarray(transformer.explained_variance_ @ np.square(transformer.components_))


def _from_moments(mean: Array, variance: Array | None) -> tuple[float, float]:
    """Numbers from 0 to M have at most the variance ``mean * (M - mean)``."""
    spread = np.zeros_like(mean) if variance is None else variance
    above = np.divide(spread, mean, out=np.zeros_like(mean), where=mean > 0)
    return float(np.min(mean)), float(np.max(mean + above))


def _between_quantiles(scaler: Any) -> Iterator[tuple[float, float]]:
    """The upper quantile of numbers from 0 on is at least the median, and as much as lies between the two."""
    if scaler.with_centering:
        yield float(np.min(scaler.center_)), float(np.max(scaler.center_))
    # A scale of 1 may stand for one of 0.
    if scaler.with_scaling and not scaler.unit_variance and np.any(scaler.scale_ != 1):
        yield np.nan, float(np.max(scaler.scale_[scaler.scale_ != 1]))
